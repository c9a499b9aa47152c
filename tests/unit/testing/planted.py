"""Workflows with one mistake each, on lines that the tests of the kit find by their marks."""

from __future__ import annotations

import asyncio
import itertools
import uuid as stdlib_uuid
from pathlib import Path

from interlock import gather, sleep, step, step_context, workflow

LEDGER: list[str] = []
TOTAL = 0
COUNTED = itertools.count(1)
SENT: dict[str, int] = {}


class Account:
    def __init__(self) -> None:
        self.balance = 100


ACCOUNT = Account()


def line(mark: str) -> int:
    """Give the line that ends with the comment `# <mark>`."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, text in enumerate(lines, 1) if text.endswith(f"# {mark}"))


@step
async def fine(n: int) -> int:
    return n


@step
async def once(what: str) -> int:
    return SENT.setdefault(step_context().idempotency_key, len(what))


# -- steps that are not idempotent -----------------------------------------------------------------------------------


@step
async def appends(what: str) -> None:  # appends
    LEDGER.append(what)


@workflow(name="planted-appends")
async def appending() -> int:
    first, _, second = await gather(fine(1), appends("a"), once("abc"))
    return first + second


@step
def adds(n: int) -> None:  # adds
    global TOTAL
    TOTAL += n


@workflow(name="planted-adds")
async def adding() -> None:
    await fine(1)
    await adds(3)


@step
def withdraws(n: int) -> int:  # withdraws
    ACCOUNT.balance -= n
    return n


@workflow(name="planted-withdraws")
async def withdrawing() -> int:
    return await withdraws(10)


@step
async def different() -> str:  # different
    return stdlib_uuid.uuid4().hex


@workflow(name="planted-different")
async def differing() -> str:
    return await different()


async def unbooks(result: int, n: int) -> None:  # unbooks
    LEDGER.append(f"unbooked {n}")


@step(compensate=unbooks)
async def books(n: int) -> int:
    return await once(f"booked {n}")


@step
async def fails() -> None:
    raise LookupError("no")


@workflow(name="planted-unbooks")
async def booking() -> None:
    await books(1)
    await fails()


# -- what depends on who comes first ---------------------------------------------------------------------------------


@step
async def tick() -> int:
    key = step_context().idempotency_key
    return SENT.setdefault(key, len(SENT))


async def branch(n: int) -> list[int]:
    await fine(n)
    return [n, await tick()]  # tick


@workflow(name="planted-branches")
async def branching() -> list[list[int]]:
    return list(await gather(branch(1), branch(2)))


@workflow(name="planted-set")
async def unordered() -> int:
    names = {"a", "b", "c"}
    return sum(await gather(*[fine(len(name)) for name in names]))  # unordered


@workflow(name="planted-first")
async def racing() -> int:
    tasks = [asyncio.create_task(fine(n)) for n in (1, 2)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return min(task.result() for task in done)


# -- effects of the workflow itself ----------------------------------------------------------------------------------


@workflow(name="planted-finally")
async def cleaning() -> int:
    try:
        first = await fine(1)
        await sleep("1h")
        return first
    finally:
        await fine(99)  # finally


async def hidden() -> None:
    await HIDDEN["step"](98)  # hidden


HIDDEN = {"step": fine}


@workflow(name="planted-hidden")
async def cleaning_unseen() -> int:
    try:
        await sleep("1h")
        return 1
    finally:
        await hidden()


@workflow(name="planted-plain")
async def acting() -> int:  # acting
    LEDGER.append("begun")
    return await fine(1)


@workflow(name="planted-leaving")
async def leaving() -> int:  # leaving
    try:
        return await fine(1)
    except BaseException:  # interlock: ignore[swallowed-cancel, effect-in-finally] (the mistake that is planted)
        LEDGER.append("left")
        raise


@workflow(name="planted-gathered")
async def cleaning_many() -> int:
    try:
        await sleep("1h")
        return 1
    finally:
        await gather(HIDDEN["step"](1), HIDDEN["step"](2))  # gathered
