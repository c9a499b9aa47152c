"""Locks and cells under kills, pauses and cut connections: every history of calls has an order that explains it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import SOURCE
from interlock.coord.coordination import Coordination
from linearizable import Call, explained
from proxy import Proxy

CLIENT = Path(__file__).with_name("history_client.py")
CLIENTS = 4
START_SECONDS = 120.0
MARGIN_SECONDS = 60.0


class Fleet:
    """Clients that are killed and stopped, and come again."""

    def __init__(self, url: str, folder: Path, what: str, seconds: float, seed: int, **environment: str) -> None:
        self._url = url
        self._folder = folder
        self._what = what
        self._seconds = seconds
        self._chance = random.Random(seed)
        self._environment = environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self.kills = self.stops = self.cuts = 0

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        arguments = [f"c{number}", self._what, str(self._seconds), str(self._chance.getrandbits(30))]
        return subprocess.Popen(
            [sys.executable, str(CLIENT), self._url, str(self._folder), *arguments],
            env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", "HOME": str(self._folder), **self._environment},
            stderr=subprocess.PIPE,
        )

    async def rage(self, between: Proxy | None) -> None:
        """Let them work for their time, with something going wrong every tenth of a second or so."""
        self._processes = [self._begin(number) for number in range(CLIENTS)]
        try:
            async with asyncio.timeout(START_SECONDS):
                while len(list(self._folder.glob("*.ready"))) < CLIENTS:
                    await asyncio.sleep(0.02)
            (self._folder / "go").touch()
            end = time.monotonic() + self._seconds
            while time.monotonic() < end:
                await asyncio.sleep(self._chance.uniform(0.05, 0.4))  # what happens at this time is the experiment
                await self._trouble(between)
            for process in self._processes:
                _, said = await asyncio.to_thread(process.communicate, timeout=MARGIN_SECONDS)
                assert (process.returncode, said.decode()) == (0, "")
        finally:
            for process in self._processes:
                if process.poll() is None:
                    process.kill()

    async def _trouble(self, between: Proxy | None) -> None:
        number = self._chance.randrange(CLIENTS)
        process = self._processes[number]
        what = self._chance.choice(["kill", "stop", "stop", "cut"])
        if what == "kill":
            process.kill()
            await asyncio.to_thread(process.communicate)
            self._processes[number] = self._begin(number)
            self.kills += 1
        elif what == "cut" and between is not None:
            between.cut_all()
            self.cuts += 1
        else:
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self._chance.choice([0.05, 0.2, 1.5]))  # the last one is longer than a lock lasts
            process.send_signal(signal.SIGCONT)
            self.stops += 1


def read(folder: Path) -> dict[str, list[Call[list[Any], Any]]]:
    """Give the calls by their keys."""
    begun: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for file in folder.glob("*.calls"):
        for line in file.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # the last line of one that was killed
                found = json.loads(line)
                (ended if "answer" in found else begun)[found["call"]] = found
    calls: dict[str, list[Call[list[Any], Any]]] = defaultdict(list)
    for name, begin in begun.items():
        end = ended.get(name)
        answer = None if end is None else (end["answer"],)
        calls[begin["key"]].append(
            Call(name.rpartition("/")[0], begin["what"], begin["at"], None if end is None else end["at"], answer)
        )
    return calls


def register(state: int, what: list[Any], answer: tuple[Any] | None) -> Sequence[int]:
    """A cell, known by the value that was written last; 0: none was."""
    kind, value, base = what
    if kind == "read":
        return [state] if answer is None or answer[0] == state else []
    may = kind == "set" or state == base
    if answer is None:
        return [state, value] if may else [state]
    applied, present = answer[0]
    if applied:
        return [value] if may and present == value else []
    return [state] if not may and present == state else []


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Give the URL of a store, one for clients, and what can cut the way between."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/histories.db"
        yield url, url, None
        return
    url = request.getfixturevalue("postgres_url")
    server, _, rest = url.partition("@")[2].partition("/")
    port = server.rpartition(":")[2]
    between = Proxy(int(port))
    await between.start()
    yield url, url.replace(f":{port}/{rest}", f":{between.port}/{rest}"), between
    await between.stop()


def _many(seconds: float) -> Iterator[Any]:
    yield pytest.param(2.0, 60, id="short")
    yield pytest.param(seconds, 1_000, id="thousand", marks=[pytest.mark.chaos, pytest.mark.timeout(300)])


@pytest.mark.parametrize(("seconds", "least"), list(_many(30.0)))
async def test_cells_are_linearizable(place: Any, tmp_path: Path, seconds: float, least: int) -> None:
    url, through, between = place
    async with Coordination(url):
        pass
    fleet = Fleet(through, tmp_path, "cells", seconds, seed=1)
    await fleet.rage(between)
    histories = read(tmp_path)
    print(
        f"\n{len(histories)} histories, {sum(map(len, histories.values()))} calls, {fleet.kills} kills, {fleet.stops} stops"
    )
    assert len(histories) >= least
    wrong = [key for key, calls in histories.items() if not explained(calls, 0, register)]
    assert wrong == [], histories[wrong[0]]


def overtaken(calls: Sequence[Call[list[Any], Any]]) -> list[str]:
    """Give what must not be in the calls about one lock: a grant with a number below one that was granted before, two holders
    at once, a write under a number after one under a larger one."""
    grants = [
        call for call in calls if call.what[0] == "acquire" and call.answer is not None and call.answer[0] is not None
    ]
    found = []
    for one in grants:
        for other in grants:
            assert one.end is not None
            assert one.answer is not None
            assert other.answer is not None
            if one.end < other.begin and one.answer[0] >= other.answer[0]:
                found.append(f"{other.answer[0]} was granted after {one.answer[0]}")
    writes = [call for call in calls if call.what[0] == "write" and call.answer == (True,)]
    for one in writes:
        for other in writes:
            assert one.end is not None
            if one.end < other.begin and one.what[1] > other.what[1]:
                found.append(f"{other.what[1]} was written after {one.what[1]}")
    return found


@pytest.mark.parametrize(("seconds", "least"), [pytest.param(3.0, 10, id="short"), pytest.param(
    30.0, 15, id="long", marks=[pytest.mark.chaos, pytest.mark.timeout(300)]
)])  # fmt: skip
async def test_locks_are_granted_in_one_order_and_fence_what_is_written(
    place: Any, tmp_path: Path, seconds: float, least: int
) -> None:
    """LK-09"""
    url, through, between = place
    async with Coordination(url):
        pass
    await Fleet(through, tmp_path, "locks", seconds, seed=2).rage(between)
    histories = read(tmp_path)
    assert len(histories) >= least
    assert {key: found for key, calls in histories.items() if (found := overtaken(calls))} == {}


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_broken_fence_is_found(place: Any, tmp_path: Path) -> None:
    """Clients that do not write under their lock overtake each other, and the check sees it."""
    url, through, between = place
    async with Coordination(url):
        pass
    await Fleet(through, tmp_path, "locks", 30.0, seed=2, BROKEN="1").rage(between)
    assert any(overtaken(calls) for calls in read(tmp_path).values())
