"""How a worker tells how it is: utilisation as a rate, and something sensible where the system says nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from interlock.coord import vitals
from interlock.coord.vitals import Vitals


class Machine:
    """A machine as /proc tells of it, whose time a test moves."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.supplies = folder / "power"
        (self.proc / "self").mkdir(parents=True)
        (self.supplies / "BAT0").mkdir(parents=True)
        self.now = 100.0
        self.used = 7.0
        self.tick(0, 0)
        (self.proc / "meminfo").write_text("MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable: 6000 kB\n")
        (self.proc / "self" / "statm").write_text("5 256 0 0 0 0 0")
        self.battery("Discharging", 42)

    def tick(self, busy: int, idle: int) -> None:
        (self.proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1\n")

    def battery(self, status: str, percent: int) -> None:
        (self.supplies / "BAT0" / "status").write_text(f"{status}\n")
        (self.supplies / "BAT0" / "capacity").write_text(f"{percent}\n")

    def vitals(self) -> Vitals:
        return Vitals(monotonic=lambda: self.now, cpu_seconds=lambda: self.used, proc=self.proc, supplies=self.supplies)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_utilisation_is_a_rate_of_one_core(machine: Machine) -> None:
    """HB-11: a core that is kept busy is 100 %, however long that goes on; idle is 0 %."""
    looking = machine.vitals()
    for seconds, used, percent in ((10.0, 10.0, 100.0), (500.0, 500.0, 100.0), (30.0, 0.0, 0.0), (10.0, 5.0, 50.0), (10.0, 20.0, 200.0)):  # fmt: skip
        machine.now += seconds
        machine.used += used
        assert looking.sample().process_cpu == pytest.approx(percent)


def test_machine_is_told_as_it_is(machine: Machine) -> None:
    looking = machine.vitals()
    machine.now += 10
    machine.tick(300, 100)
    found = looking.sample()
    assert (found.cpu, found.memory, found.battery) == (75.0, 25.0, 42.0)
    assert found.process_memory_mb > 0
    machine.now += 10
    machine.battery("Charging", 42)
    machine.tick(300, 500)
    found = looking.sample()
    assert (found.cpu, found.battery) == (0.0, None)
    assert looking.sample() == found  # no time has passed: there is no rate


def test_time_without_ticks_is_idle(machine: Machine) -> None:
    looking = machine.vitals()
    machine.now += 1
    assert looking.sample().cpu == 0.0


def test_system_that_says_nothing_is_met_with_what_there_is(tmp_path: Path) -> None:
    ticks = iter([0.0, 1.0])
    looking = Vitals(monotonic=lambda: next(ticks), proc=tmp_path / "none", supplies=tmp_path / "none")
    found = looking.sample()
    assert 0.0 <= found.cpu <= 100.0
    assert (found.memory, found.battery) == (0.0, None)
    assert found.process_memory_mb > 1


def test_busy_process_is_busier_than_an_idle_one() -> None:
    """HB-11, on this machine: the share of a core is what the process used by what has passed."""
    looking = Vitals()
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.2:
        pass
    busy = looking.sample().process_cpu
    assert busy == pytest.approx(100 * (time.process_time() - used) / (time.monotonic() - began), rel=0.2)


def test_capabilities_of_this_machine_are_found() -> None:
    found = vitals.capabilities(task_types={"build"}, skills={"python"}, region="eu")
    assert (found.task_types, found.skills, found.region) == ({"build"}, {"python"}, "eu")
    assert found.cpu_cores >= 1
    assert found.memory_mb > 100
