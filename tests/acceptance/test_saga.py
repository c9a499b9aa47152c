"""A saga of ten steps in two branches, killed at every commit of its rollback: every undo once in effect, in order. WF-11"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import loopback
from acceptance import ledger
from acceptance.shell import Shell
from interlock import errors
from interlock.app.session import Session
from interlock.model.states import RunStatus
from interlock.store.open import open_store

STEPS = 10
ENV = {"INTERLOCK_HTTP_ALLOW_PRIVATE": "127.0.0.1"}


BOOM = {"raise": {"error": {"type": "https://x.example/boom", "status": 500, "title": "Boom"}}}


def _document(*tasks: dict[str, Any]) -> str:
    header = {"dsl": "1.0.3", "namespace": "default", "name": "numbers", "version": "1.0.0"}
    return json.dumps({"document": header, "do": tasks})


def _booking(number: int, port: int) -> dict[str, Any]:
    place = f"http://127.0.0.1:{port}/bookings/{number}"
    undo = {"call": "http", "with": {"method": "delete", "endpoint": f'${{ "{place}?ref=\\(.ref)" }}'}}
    call = {"call": "http", "with": {"method": "post", "endpoint": place}}
    return {f"s{number}": call | {"metadata": {"interlock": {"compensate": undo}}}}


def _saga(port: int) -> str:
    """Two steps, two branches of three, two steps, and an error."""
    left = {"left": {"do": [_booking(number, port) for number in (2, 3, 4)]}}
    right = {"right": {"do": [_booking(number, port) for number in (5, 6, 7)]}}
    do = [_booking(0, port), _booking(1, port), {"both": {"fork": {"branches": [left, right]}}}]
    do += [_booking(8, port), _booking(9, port)]
    return _document(*do, {"boom": BOOM})


@pytest.fixture
async def bank() -> AsyncIterator[loopback.Server]:
    """A receiver that answers every booking with its number, and keeps what it was asked."""
    async with loopback.serving() as server:
        server.otherwise = lambda asked: loopback.Reply(
            200,
            json.dumps({"ref": asked.target.rpartition("/")[2]}).encode(),
            {"Content-Type": "application/json"},
        )
        yield server


def _asked(bank: loopback.Server, method: str) -> list[tuple[str, str]]:
    """Give the bookings that were made or cancelled, each with its idempotency key, in order, repetitions included."""
    return [
        (asked.target.rpartition("/")[2], asked.headers["idempotency-key"])
        for asked in bank.asked
        if asked.method == method
    ]


def _check(bank: loopback.Server, history: list[dict[str, Any]], *, repeated: int) -> None:
    made, cancelled = dict(_asked(bank, "POST")), _asked(bank, "DELETE")
    completed = [event["path"].rpartition("/s")[2] for event in history if _is_booking(event)]
    in_effect = list(dict.fromkeys(cancelled))  # a receiver recognises a repetition by its key
    assert [what for what, _ in in_effect] == [f"{number}?ref={number}" for number in reversed(completed)]
    assert len({key for _, key in in_effect} | set(made.values())) == 2 * STEPS
    assert len(cancelled) <= STEPS + repeated
    names = [event["type"] for event in history]
    assert names.count("step.compensating") == names.count("step.compensated") == STEPS
    assert names[-1] == "workflow.faulted"


def _is_booking(event: dict[str, Any]) -> bool:
    return event["type"] == "step.completed" and event["path"].rpartition("/")[2][1:].isdigit()


async def _history(shell: Shell, *store: str) -> list[dict[str, Any]]:
    ended = await asyncio.to_thread(shell.run, *store, "history", "victim", "--json")
    return [json.loads(line) for line in ended.out.splitlines()]


# Accept; ten steps, with whose last end the rollback begins; ten undos.
BOUNDARIES = [
    f"commit:{number}:{moment}" for number in range(1 + STEPS, 2 + 2 * STEPS) for moment in ("before", "after")
]


FEW = ["commit:11:after", "commit:15:before", "commit:18:after", "commit:21:before", "commit:21:after"]
"""For every run of the tests; `make test-long` takes them all."""


@pytest.mark.parametrize(
    "fault", [fault if fault in FEW else pytest.param(fault, marks=pytest.mark.chaos) for fault in BOUNDARIES]
)
async def test_saga_killed_at_a_commit_of_its_rollback_undoes_everything_once(
    shell: Shell, bank: loopback.Server, fault: str
) -> None:
    """WF-11, WF-19"""
    shell.write("saga.json", _saga(bank.port))
    env = ENV | {"INTERLOCK_FAULT": fault}
    killed = await asyncio.to_thread(shell.run, "run", "saga.json", "--id", "victim", env=env)
    assert killed.code == -signal.SIGKILL, killed.err
    resumed = await asyncio.to_thread(shell.run, "resume", "--all", env=ENV)
    is_over = fault == f"commit:{1 + 2 * STEPS}:after"
    assert resumed.code == (0 if is_over else 1), resumed.err
    _check(bank, await _history(shell), repeated=1)


async def test_saga_makes_one_commit_more_than_it_has_steps_and_undos(shell: Shell, bank: loopback.Server) -> None:
    shell.write("saga.json", _saga(bank.port))
    ended = await asyncio.to_thread(shell.run, "run", "saga.json", "--id", "victim", "--json", env=ENV)
    assert ended.code == 1
    assert ended.json["rollback"] == {"undone": STEPS, "failed": []}
    shown = await asyncio.to_thread(shell.run, "show", "victim", "--json")
    assert shown.json["commits"] == 2 * STEPS + 1
    statuses = {step["name"]: step["status"] for step in shown.json["steps"]}
    assert {statuses[f"s{number}"] for number in range(STEPS)} == {"compensated"}
    _check(bank, await _history(shell), repeated=0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["commit:11:after", "commit:15:before", "commit:18:after", "commit:21:before"])
async def test_saga_on_postgresql_undoes_everything_once(
    shell: Shell, bank: loopback.Server, postgres_url: str, fault: str
) -> None:
    """WF-11, WF-19"""
    shell.write("saga.json", _saga(bank.port))
    store = ("--store", postgres_url)
    env = ENV | {"INTERLOCK_FAULT": fault}
    killed = await asyncio.to_thread(shell.run, *store, "run", "saga.json", "--id", "victim", env=env)
    assert killed.code == -signal.SIGKILL, killed.err
    resumed = await asyncio.to_thread(shell.run, *store, "resume", "--all", env=ENV)
    assert resumed.code == 1, resumed.err
    _check(bank, await _history(shell, *store), repeated=1)
    opened = await open_store(postgres_url)
    assert await ledger.check_store(opened) == 1
    await opened.close()


# -- in one process --------------------------------------------------------------------------------------------------

MANY = 120
"""More undos than are read at once."""


FUNCTIONS = """
from pathlib import Path

def note(file, n):
    with Path(file).open("a") as ledger:
        ledger.write(f"{n}\\n")
"""


@pytest.fixture
def ledger_file(shell: Shell) -> Path:
    """The file that undos write their numbers into."""
    shell.write("saga_functions.py", FUNCTIONS)
    return shell.folder / "ledger"


def _numbered(number: str | int, file: Path) -> dict[str, Any]:
    """A step that gives a number, and whose undo writes it down."""
    undo = {"call": "python:saga_functions:note", "with": {"n": "${ .n }", "file": str(file)}}
    return {"set": {"n": number}, "metadata": {"interlock": {"compensate": undo}}}


def _counting(count: int, end: dict[str, Any], file: Path) -> str:
    return _document(*({f"s{n}": _numbered(n, file)} for n in range(count)), {"last": end})


async def test_rollback_reads_what_it_undoes_in_pages(interlock: Session, shell: Shell, ledger_file: Path) -> None:
    loop = {"for": {"in": "${ $workflow.input.numbers }"}, "do": [{"s": _numbered("${ $item }", ledger_file)}]}
    text = _document({"each": loop}, {"last": BOOM})
    started = await interlock.start(text, input={"numbers": list(range(MANY))}, folder=shell.folder)
    await interlock.finish(started.run)
    assert shell.ledger() == [str(number) for number in reversed(range(MANY))]


async def test_rollback_of_a_run_that_waits_undoes_what_its_memos_say(
    interlock: Session, shell: Shell, ledger_file: Path
) -> None:
    started = await interlock.start(_counting(3, {"wait": "PT1H"}, ledger_file), folder=shell.folder)
    row = await interlock.find(started.namespace, started.id)
    while row.status is not RunStatus.WAITING:
        await asyncio.sleep(0.01)
        row = await interlock.find(started.namespace, started.id)
    assert await interlock.cancel(row, "no longer wanted", rollback=True)
    await interlock.finish(started.run)
    assert shell.ledger() == ["2", "1", "0"]
    row = await interlock.find(started.namespace, started.id)
    assert row.status is RunStatus.CANCELLED
    rollback = await interlock.rollback(row)
    assert rollback is not None
    assert (rollback.undone, rollback.failed) == (3, [])


async def test_fork_undoes_what_the_history_that_it_took_over_had_done(
    interlock: Session, shell: Shell, ledger_file: Path
) -> None:
    started = await interlock.start(_counting(4, BOOM, ledger_file), folder=shell.folder)
    await interlock.finish(started.run)
    row = await interlock.find(started.namespace, started.id)
    forked = await interlock.fork(row, "s2", None)
    assert await interlock.take(await interlock.find(forked.namespace, forked.id))
    await interlock.finish(forked.run)
    assert shell.ledger() == ["3", "2", "1", "0"] * 2


async def test_fork_into_a_rollback_is_refused(interlock: Session, shell: Shell, ledger_file: Path) -> None:
    started = await interlock.start(_counting(2, BOOM, ledger_file), folder=shell.folder)
    await interlock.finish(started.run)
    row = await interlock.find(started.namespace, started.id)
    with pytest.raises(errors.Invalid, match=r"was entered when the run .* was rolled back"):
        await interlock.fork(row, "undo s1", None)
    with pytest.raises(errors.Conflict, match="was rolled back"):
        await interlock.retry(row)


async def test_rollback_whose_memos_are_gone_stops_and_says_so(
    interlock: Session, shell: Shell, ledger_file: Path
) -> None:
    started = await interlock.start(_counting(2, {"wait": "PT1H"}, ledger_file), folder=shell.folder)
    row = await interlock.find(started.namespace, started.id)
    while row.status is not RunStatus.WAITING:
        await asyncio.sleep(0.01)
        row = await interlock.find(started.namespace, started.id)
    with contextlib.closing(sqlite3.connect(interlock.store.url.removeprefix("sqlite:///"))) as connection:
        connection.execute("DELETE FROM memos")
        connection.commit()
    assert await interlock.cancel(row, None, rollback=True)
    with pytest.raises(errors.StoreCorrupt, match="has 2 steps to undo, and the store remembers none"):
        await interlock.finish(started.run)
    row = await interlock.find(started.namespace, started.id)
    assert row.status is RunStatus.WAITING
