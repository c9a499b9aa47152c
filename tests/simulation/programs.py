"""The Python workflow that does what a tree says, and its steps. What a step does is written into the ledger."""

from __future__ import annotations

import asyncio
from typing import Any

from interlock import (
    Limit,
    Rate,
    Retries,
    StepFailed,
    StepTimeout,
    gather,
    run_workflow,
    sleep,
    step,
    step_context,
    token,
    wait_for_event,
    workflow,
)
from interlock import continue_as_new as renew
from interlock.model.task import PythonTarget
from simulation import ledger as ledgers
from simulation.loop import ACTOR
from simulation.tree import BURNT, MODULUS, Burnt, Tree, added, multiplied

NAMESPACE = "default"
LIMIT = 2
"""How many of the effects that are limited may run at once, over all runs and nodes."""
_HARDY = Retries(lost=10)  # a world may crash more often than the three times that a step survives by default
_QUICK = Retries(count=3, lost=10, delay=0.05, jitter=0.0)


async def performed(at: str, n: int, k: int, seconds: float, fails: int = 0) -> int:
    """Do an effect: note its beginning, take a while, note its end. The first `fails` times it fails.

    A function also writes to shared memory; a command has none.
    """
    ledger = ledgers.current()
    entry = ledger.begin(at, ACTOR.get())
    try:
        if seconds:
            await asyncio.sleep(seconds)
        if ledger.failures[at] < fails:
            ledger.failures[at] += 1
            raise Burnt(f"{at} fails for the time being")
    except asyncio.CancelledError:
        ledger.end(entry, "cancelled")
        raise
    except Burnt:
        ledger.end(entry, "failed")
        raise
    launch = ledgers.LAUNCH.get()
    if launch is not None and isinstance(launch.target, PythonTarget):
        step_context().memory.set(at, n, space="tasks")
        ledger.remembered.add(at)
    ledger.end(entry, "done")
    return multiplied(n, k)


async def undone(result: int, at: str, n: int, k: int, seconds: float) -> None:
    ledger = ledgers.current()
    entry = ledger.begin(at, ACTOR.get(), undoes=True)
    try:
        await asyncio.sleep(seconds / 4)
    except asyncio.CancelledError:
        ledger.end(entry, "cancelled")
        raise
    ledger.end(entry, "done")


async def made(at: str, n: int, k: int, seconds: float, fails: int) -> dict[str, int]:
    """What documents call."""
    return {"n": await performed(at, n, k, seconds, fails)}


async def unmade(at: str, seconds: float) -> None:
    await undone(0, at, 0, 0, seconds)


@step(retries=_HARDY)
async def call(at: str, n: int, k: int, seconds: float) -> int:
    return await performed(at, n, k, seconds)


@step(compensate=undone, retries=_HARDY)
async def undoable(at: str, n: int, k: int, seconds: float) -> int:
    return await performed(at, n, k, seconds)


@step(retries=_QUICK)
async def flaky(at: str, n: int, k: int, seconds: float, fails: int) -> int:
    return await performed(at, n, k, seconds, fails)


@step(concurrency=Limit(limit=LIMIT, key="simulated"), retries=_HARDY)
async def limited(at: str, n: int, k: int, seconds: float) -> int:
    return await performed(at, n, k, seconds)


@step(rate=Rate(count=4, per="1s", key="simulated"), retries=_HARDY)
async def rated(at: str, n: int, k: int, seconds: float) -> int:
    return await performed(at, n, k, seconds)


@step(pool="local", retries=_HARDY)
async def local(at: str, n: int, k: int, seconds: float) -> int:
    return await performed(at, n, k, seconds)


@step(retries=_HARDY)
async def brittle(at: str, n: int, k: int, seconds: float, fails: int) -> int:
    return await performed(at, n, k, seconds, fails)


@step(timeout=0.5, retries=_HARDY)
async def late(at: str, n: int, k: int, seconds: float) -> int:
    return await performed(at, n, k, seconds)


async def handed_on(at: str) -> None:
    """Give the token of this step of a document to whoever is to report for it."""
    _note_token(at, step_context().token)


@step(retries=_HARDY)
async def hand_out(at: str, text: str) -> None:
    """Give a token to whoever is to report for it."""
    _note_token(at, text)


def _note_token(at: str, text: str) -> None:
    ledger = ledgers.current()
    known = ledger.tokens.setdefault(at, text)
    if known != text:
        ledger.problems.append(f"the token {at} was handed out with two texts")


_STEPS: dict[str, Any] = {"call": call, "limited": limited, "rated": rated, "local": local}


@workflow(name="program")
async def program(tree: Tree, n: int, round: int = 0) -> int:
    """Do what a tree says."""
    if tree["do"] == "rounds":
        n = await _do(tree["inner"][round], n, "", undo=False)
        if round + 1 < len(tree["inner"]):
            renew(tree, n, round + 1)
        return n
    return await _do(tree, n, "", undo=False)


async def _do(tree: Tree, n: int, round: str, *, undo: bool) -> int:
    match tree["do"]:
        case "add":
            return added(n, tree["k"])
        case "sleep":
            await sleep(tree["seconds"])
            return n
        case "token":
            issued = token("report", key=tree["at"] + round)
            await hand_out(tree["at"] + round, await issued.text())
            return added(n, await issued.result(int))
        case "event":
            heard = await wait_for_event(f"simulated.{tree['at']}{round}")
            return added(n, heard["data"]["k"])  # type: ignore[index,call-overload]  # it was sent so
        case "unheard":
            try:
                await wait_for_event(f"never.{tree['at']}{round}", timeout=tree["seconds"])
            except StepTimeout:
                return added(n, 1)
            raise AssertionError("nobody sends it")
        case "late":
            try:
                return await late(tree["at"] + round, n, tree["k"], tree["seconds"])
            except StepTimeout:
                return added(n, 1)
        case "list":
            return await _in_order(tree["inner"], n, round, undo=undo)
        case "fork":
            branches = [_do(each, n, round, undo=undo) for each in tree["inner"]]
            return sum(await gather(*branches)) % MODULUS
        case "loop":
            for number in range(tree["times"]):
                n = await _in_order(tree["inner"], n, f"{round}/{number}", undo=undo)
            return n
        case "caught":
            try:
                await _in_order(tree["inner"], n, round, undo=undo)
                raise Burnt
            except Burnt:
                return added(n, BURNT)
        case "child":
            inner = {"do": "within", "inner": tree["inner"], "round": round}
            given = await run_workflow("program:1.0.0", {"tree": inner, "n": n, "round": 0}, key=tree["at"] + round)
            return int(given)  # type: ignore[arg-type]  # it gives an int
        case "spoiled":
            inner = {"do": "within", "inner": tree["inner"], "round": round}
            try:
                await run_workflow("program:1.0.0", {"tree": inner, "n": n, "round": 0}, key=tree["at"] + round)
            except StepFailed:
                return added(n, BURNT)
            raise AssertionError("a saga always fails")
        case "within":
            return await _in_order(tree["inner"], n, tree["round"], undo=undo)
        case "saga":
            await _in_order(tree["inner"], n, round, undo=True)
            raise Burnt(tree["at"])
        case "brittle":
            return await brittle(tree["at"] + round, n, tree["k"], tree["seconds"], tree["fails"])
        case "flaky":
            return await flaky(tree["at"] + round, n, tree["k"], tree["seconds"], tree["fails"])
        case kind:
            made = undoable if undo else _STEPS[kind]
            return int(await made(tree["at"] + round, n, tree["k"], tree["seconds"]))


async def _in_order(inner: list[Tree], n: int, round: str, *, undo: bool) -> int:
    for each in inner:
        n = await _do(each, n, round, undo=undo)
    return n
