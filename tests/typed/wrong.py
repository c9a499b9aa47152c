"""What type checkers must refuse: each line with the mark, and no other."""

from __future__ import annotations

from interlock import Interlock, step, workflow


@step
async def double(number: int) -> int:
    return 2 * number


@workflow
async def total(count: int) -> int:
    await double("one")  # refused
    await double(1, 2)  # refused
    await double()  # refused
    text: str = await double(1)  # refused
    double(1) + 1  # refused
    return len(text)


async def main(app: Interlock) -> None:
    await app.start(total, "three")  # refused
    await app.start(total)  # refused
    await app.start(total, 3, id=7)  # refused
    await app.start(total, "three", id="a")  # refused
    answer: str = await (await app.start(total, 3)).result()  # refused
    print(answer)


@step(retries="often")  # refused
async def wrong() -> None: ...
