"""The Python workflows of the storm: steps in the node, through the queue under limits, elsewhere; sleeps, tokens, undos.

A node executes them with `--app chaos.errands`. Every step writes to the ledger when it begins and when it ends.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from chaos import marks
from interlock import Limit, Retries, gather, sleep, step, step_context, token, wait_for_event, workflow

SHELVES = 3
PER_SHELF = 2
PRESSES = 2
# Here processes die often. That the process of a function is killed, and not its supervisor, is an error of the function.
_PATIENT = Retries(count=0, lost=1_000, launch=1_000, preempted=1_000, delay=0)


class Spoiled(Exception):
    """Why `withdraw` is undone, always."""


def _nap(seconds: float) -> None:
    """Wait by no clock: `time.sleep` fails where the clock that it was told to wait for is moved under it."""
    select.select([], [], [], seconds)


@contextmanager
def marked(said: str = "-") -> Iterator[None]:
    here = step_context()
    what = here.run, here.step, here.idempotency_key, here.attempt, said
    marks.write(marks.BEGIN, *what)
    yield
    marks.write(marks.END, *what)


@step(retries=_PATIENT)
async def add(number: int, more: int) -> int:
    with marked():
        await asyncio.sleep(0.02)
        return number + more


@step(retries=_PATIENT)
def double(number: int) -> int:
    with marked():
        _nap(0.02)
        return number * 2


@step(retries=_PATIENT, concurrency=Limit(limit=PER_SHELF, key="shelf {shelf}"))
async def fetch(shelf: int, number: int) -> int:
    with marked(f"shelf-{shelf}"):
        await asyncio.sleep(0.05)
        return number + shelf


@step(retries=replace(_PATIENT, count=1_000), isolated=True, concurrency=PRESSES)
def press(number: int) -> int:
    with marked():
        _nap(0.1)
        return number * 3


@step(retries=_PATIENT)
async def hand_out(text: str) -> None:
    with marked(text):
        await asyncio.sleep(0)


@step(retries=_PATIENT)
async def put_back(result: int, number: int) -> None:
    with marked(f"undo-{number}"):
        await asyncio.sleep(0.02)


@step(retries=_PATIENT, compensate=put_back)
async def take(number: int) -> int:
    with marked(f"take-{number}"):
        await asyncio.sleep(0.01 * (number % 3))
        return number


@step(retries=_PATIENT)
async def hold(gate: str) -> int:
    """Be in flight until somebody makes a file; looking for one opens none."""
    while not os.path.exists(gate):
        await asyncio.sleep(0.05)
    return 1


@workflow
async def holding(gate: str) -> int:
    """In flight for as long as somebody likes, then once through the queue, to another process."""
    held = await hold(gate)
    return held + await triple(1)


@step(retries=_PATIENT, isolated=True)
def triple(number: int) -> int:
    return number * 3


@step
async def look() -> float:
    """Give how much later than it should the loop came back, in seconds."""
    begin = time.monotonic()
    await asyncio.sleep(0.02)
    return time.monotonic() - begin - 0.02


@step(concurrency=Limit(limit=2, key="queue {queue}"))
async def queued(queue: int) -> int:
    return queue


@workflow
async def pacing(number: int) -> float:
    """What a soak has done again and again: in the node, after a wait, and through one of ten queues."""
    lag = await look()
    await sleep(1)
    await queued(number % 10)
    return lag


@workflow
async def queueing(number: int) -> int:
    """Leave a queue behind that nobody waits in."""
    return await queued(number)


@workflow
async def sleeping(number: int) -> int:
    await sleep("10h")
    return number


@workflow
async def waiting(number: int) -> object:
    """Wait for what never comes: an event, or somebody's report."""
    if number % 2:
        return await wait_for_event("never", data={"number": number})
    return await token("never").result()


@workflow
async def gathering(number: int) -> int:
    """Under limits, with a wait in between."""
    first = await add(number, 1)
    fetched = await gather(*[fetch(shelf, number) for shelf in range(SHELVES)])
    await sleep(0.3)
    return await double(first) + sum(fetched)


@workflow
async def pressing(number: int) -> int:
    """In a process of its own, which may be killed alone."""
    return await add(await press(number), 1)


@workflow
async def asking(number: int) -> int:
    """Hand a token out, and wait for what somebody reports."""
    answer = token("answer")
    await hand_out(await answer.text())
    return await add(await answer.result(int), number)


@workflow
async def resting(number: int) -> int:
    """Wait for longer than a lease."""
    first = await add(number, 1)
    await sleep(15)
    return await double(first)


@workflow
async def withdraw(number: int) -> None:
    """Fail, and undo what was done."""
    await take(0)
    await gather(take(1), take(2), take(3))
    await take(4)
    raise Spoiled(str(number))
