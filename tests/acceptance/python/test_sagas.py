"""A saga in Python, of ten steps in two branches, killed at every commit: every undo once in effect, in order. WF-11"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from acceptance.shell import Shell

SAGA = """
from pathlib import Path
from interlock import gather, step, step_context, workflow

LEDGER = Path(__file__).with_name("ledger")


def note(kind: str, number: int) -> None:
    with LEDGER.open("a") as file:
        file.write(f"{kind} {number} {step_context().idempotency_key}\\n")


def cancel(ref: str, number: int) -> None:
    assert ref == f"ref-{number}"
    note("cancel", number)


@step(compensate=cancel)
async def book(number: int) -> str:
    note("book", number)
    return f"ref-{number}"


@step
async def boom() -> None:
    raise RuntimeError("no room")


async def branch(first: int) -> None:
    for number in range(first, first + 3):
        await book(number)


@workflow
async def travel() -> None:
    await book(0)
    await book(1)
    await gather(branch(2), branch(5))
    await book(8)
    await book(9)
    await boom()
"""

STEPS = 10


def _check(folder: Path, *, killed: bool) -> None:
    lines = [line.split() for line in (folder / "ledger").read_text().splitlines()]
    booked = list(dict.fromkeys((number, key) for kind, number, key in lines if kind == "book"))
    cancelled = list(dict.fromkeys((number, key) for kind, number, key in lines if kind == "cancel"))
    # A repetition after a crash has the key of the first time, by which a receiver recognises it.
    assert len(booked) == len(cancelled) == STEPS
    assert sorted(number for number, _ in booked) == sorted(number for number, _ in cancelled)
    assert len({key for _, key in booked} | {key for _, key in cancelled}) == 2 * STEPS
    assert len(lines) <= 2 * STEPS + (6 if killed else 0)


async def _order(shell: Shell) -> None:
    """The undos ran in the reverse of the order in which the steps were recorded as completed."""
    ended = await asyncio.to_thread(shell.run, "show", "victim", "--json")
    history = await asyncio.to_thread(shell.run, "history", "victim", "--json")
    told = [json.loads(line) for line in history.out.splitlines()]
    completed = [event["path"] for event in told if event["type"] == "step.completed" and "/book" in event["path"]]
    undone = [event["path"] for event in told if event["type"] == "step.compensated"]
    assert undone == completed[::-1]
    assert len(undone) == STEPS
    assert ended.json["rollback"] == {"undone": STEPS, "failed": []}
    assert told[-1]["type"] == "workflow.faulted"


# The branches' outcomes may share commits, so there are 14 to 17 before the first undo ends; then one for each undo.
BOUNDARIES = [f"commit:{number}:{moment}" for number in range(1, 25) for moment in ("before", "after")]


FEW = ["commit:8:after", "commit:11:before", "commit:13:after", "commit:16:before", "commit:19:after"]
"""Boundaries of the steps and of the rollback, for every run of the tests; `make test-long` takes them all."""


@pytest.mark.parametrize(
    "fault", [fault if fault in FEW else pytest.param(fault, marks=pytest.mark.chaos) for fault in BOUNDARIES]
)
async def test_saga_killed_at_any_commit_undoes_everything_once(shell: Shell, fault: str) -> None:
    """WF-11, WF-19"""
    shell.write("saga.py", SAGA)
    env = {"INTERLOCK_FAULT": fault}
    first = await asyncio.to_thread(shell.run, "run", "saga:travel", "--id", "victim", env=env)
    killed = first.code == -signal.SIGKILL
    assert killed or first.code == 1, first.err
    again = await asyncio.to_thread(shell.run, "run", "saga:travel", "--id", "victim")
    assert again.code == 1, again.err
    assert "no room" in again.err
    _check(shell.folder, killed=killed)
    await _order(shell)
