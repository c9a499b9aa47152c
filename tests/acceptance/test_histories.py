"""Locks and cells under kills, pauses and partitions: every history of calls has an order that explains it.

Four processes call, and something goes wrong several times a second: one is killed and begins anew, one is stopped for less
and for longer than a lock lasts, and on PostgreSQL the connections are cut, the reply to what was just asked is lost, or the
server cannot be reached for a while. These runs are short; those of a thousand histories are in tests/chaos/test_coordination.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

import histories
import postgres
import required
from acceptance.shell import SOURCE
from interlock.coord.coordination import Coordination
from proxy import Proxy, before

CLIENT = Path(__file__).with_name("history_client.py")
TESTS = Path(__file__).parents[1]
CLIENTS = 4
TTL_SECONDS = 1.0
"""As the client asks for it."""
START_SECONDS = 120.0
MARGIN_SECONDS = 60.0


class Place(NamedTuple):
    """A store, how clients reach it, and what can cut them off."""

    url: str
    through: str
    between: Proxy | None


class Fleet:
    """Clients that are killed, stopped and cut off, and come again."""

    def __init__(self, place: Place, folder: Path, what: str, seconds: float, seed: int, **environment: str) -> None:
        self._place = place
        self._folder = folder
        self._what = what
        self._seconds = seconds
        self._chance = random.Random(seed)
        self._environment = environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self.troubles = dict.fromkeys(["kill", "stop", "cut", "lost reply", "away"], 0)

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        arguments = [f"c{number}", self._what, str(self._seconds), str(self._chance.getrandbits(30))]
        return subprocess.Popen(
            [sys.executable, str(CLIENT), self._place.through, str(self._folder), *arguments],
            env={"PYTHONPATH": f"{SOURCE}:{TESTS}", "PATH": "/usr/bin:/bin", **self._environment},
            stderr=subprocess.PIPE,
        )

    async def rage(self) -> None:
        """Let them work for their time, with something going wrong several times a second."""
        async with Coordination(self._place.url):
            pass  # the schema is there
        try:
            for number in range(CLIENTS):
                self._processes.append(self._begin(number))
            async with asyncio.timeout(START_SECONDS):
                while len(list(self._folder.glob("*.ready"))) < CLIENTS:
                    await asyncio.sleep(0.02)
            began = time.monotonic()
            (self._folder / "going").write_text(str(began))
            (self._folder / "going").rename(self._folder / "go")
            end = began + self._seconds
            while time.monotonic() < end:
                await asyncio.sleep(self._chance.uniform(0.05, 0.4))  # what happens at this time is the experiment
                await self._trouble()
            for process in self._processes:
                _, said = await asyncio.to_thread(process.communicate, timeout=MARGIN_SECONDS)
                assert (process.returncode, said.decode()) == (0, "")
        finally:
            for process in self._processes:
                process.kill()
                if process.stderr is not None and not process.stderr.closed:
                    process.communicate()

    async def _trouble(self) -> None:
        kinds = ["kill", "stop", "stop"] if self._place.between is None else [*self.troubles, "stop"]
        kind = self._chance.choice(kinds)
        self.troubles[kind] += 1
        number = self._chance.randrange(CLIENTS)
        process, between = self._processes[number], self._place.between
        if kind == "kill":
            process.kill()
            await asyncio.to_thread(process.communicate)
            self._processes[number] = self._begin(number)
        elif kind == "stop":
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self._chance.choice([0.05, 0.2, 1.5 * TTL_SECONDS]))
            process.send_signal(signal.SIGCONT)
        elif between is not None and kind == "lost reply":
            between.marker = b""  # whoever asks next
        elif between is not None:
            between.refuses = kind == "away"
            between.cut_all()
            await asyncio.sleep(self._chance.choice([0.05, 0.3]) if kind == "away" else 0)
            between.refuses = False


@contextlib.asynccontextmanager
async def placed(kind: str, folder: Path) -> AsyncIterator[Place]:
    """Give a new store; `kind`: sqlite or postgresql."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/histories.db"
        yield Place(url, url, None)
        return
    server = await asyncio.to_thread(postgres.shared, postgres.NEWEST)
    async with postgres.database(server) as url, before(server.port) as between:
        yield Place(url, url.replace(f":{server.port}/", f":{between.port}/"), between)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "postgresql" and required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    async with placed(request.param, tmp_path) as found:
        yield found


def _told(found: histories.Histories, fleet: Fleet) -> str:
    calls = sum(map(len, found.values()))
    unanswered = sum(call.answer is None for each in found.values() for call in each)
    troubles = ", ".join(f"{count} x {kind}" for kind, count in fleet.troubles.items() if count)
    return f"\n{len(found)} histories, {calls} calls, {unanswered} of them unanswered; {troubles}"


@pytest.mark.slow
@pytest.mark.parametrize(("what", "seconds"), [("cells", 2.0), ("locks", 3.0)])
async def test_calls_are_linearizable(place: Place, tmp_path: Path, what: str, seconds: float) -> None:
    """MS-12: read, set, compare-and-set and delete. LK-02, LK-09: one holder at a time, under a larger number each time, and
    only its writes are applied."""
    found = await judged(place, tmp_path, what, seconds, seed=1)
    assert len(found) >= 20  # a busy machine comes to fewer


async def judged(place: Place, folder: Path, what: str, seconds: float, seed: int) -> histories.Histories:
    """Let clients rage, and give the histories of it, each of which some order of its calls explains."""
    fleet = Fleet(place, folder, what, seconds, seed)
    await fleet.rage()
    found = histories.read(folder)
    print(_told(found, fleet))
    wrong = histories.wrong_cells(found) if what == "cells" else histories.wrong_locks(found, TTL_SECONDS)
    assert wrong == [], found[wrong[0]]
    return found
