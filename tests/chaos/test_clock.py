"""A node whose clock jumps an hour forwards and back, beside one whose clock does not.

A wait is kept as the moment at which it is over. One that began while a clock ran ahead is over when a clock comes to that
moment: runs that wait for it are the only ones that may be open in the end, and they end when the clock is put forward again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import pytest

import postgres
import required
from chaos import invariants, storm
from chaos.cluster import until
from chaos.marks import Reader
from chaos.patron import Patron
from chaos.watch import Eyes
from chaos.works import Works
from interlock.store.open import open_store

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
RUNS = 48
JUMPS = ("+3600", "+0", "-3600", "+0")
_JUMP_SECONDS = 3.0
_FAR_SECONDS = 1800.0  # no wait of these runs is that long by a clock that is right


@pytest.mark.parametrize("store", [storm.SQLITE, storm.POSTGRESQL])
async def test_clock_that_jumps_loses_and_doubles_nothing(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if required.may_skip("faketime", bool(LIBRARIES)):
        pytest.skip("faketime is not installed")
    if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    monkeypatch.setenv("INTERLOCK_KEY", storm.KEY)
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/clock.db"
        if store == storm.POSTGRESQL:
            url = stack.enter_context(postgres.running(postgres.NEWEST)).url("postgres")
            await (await open_store(url)).close()
        wrong = await _with_jumps(tmp_path, url, clock)
    assert wrong == []


async def _with_jumps(folder: Path, url: str, clock: Path) -> list[str]:
    of = Works(folder)
    await of.prepare()
    patron = Patron(url, folder, of, seed=1)
    jumping = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    fleets = storm.fleet(folder, url, jumping), storm.fleet(folder, url)
    fleets[1].first = 1
    try:
        nodes = [await fleet.start("--app", "chaos.errands") for fleet in fleets]
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(patron.answer())
            work = group.create_task(patron.start(RUNS, RUNS / (_JUMP_SECONDS * len(JUMPS))))
            for jump in JUMPS:
                await asyncio.sleep(_JUMP_SECONDS)  # what happens at this time is the experiment
                clock.write_text(f"{jump}\n")
            await work
            await until(lambda: _only_far_ones_are_open(url), 90)
            clock.write_text("+3600\n")
            await until(lambda: _all_have_ended(url), 60)
            answering.cancel()
        for node in nodes:
            node.process.send_signal(signal.SIGTERM)
        await until(lambda: all(node.process.poll() is not None for node in nodes), 60)
    finally:
        for fleet in fleets:
            await asyncio.to_thread(fleet.end)
    ledger = Reader(folder)
    ledger.more()
    found = await invariants.check(url, patron.accepted, of, patron.answers, ledger.marks, [], has_one_clock=False)
    return found.wrong + patron.wrong + [line for fleet in fleets for line in fleet.troubles()]


async def _only_far_ones_are_open(url: str) -> bool:
    ((rows),) = await Eyes(url).ask("SELECT wake_at FROM runs WHERE ended_at IS NULL")
    return all(moment is not None and moment > time.time() + _FAR_SECONDS for (moment,) in rows)


async def _all_have_ended(url: str) -> bool:
    ((rows),) = await Eyes(url).ask("SELECT count(*) FROM runs WHERE ended_at IS NULL")
    return bool(rows[0][0] == 0)
