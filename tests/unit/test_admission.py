"""Back-pressure in front of the stores' queues."""

from __future__ import annotations

import asyncio

from interlock.store.sql.admission import Admission


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callers_are_let_in_in_their_order_and_no_more_than_there_is_room() -> None:
    admission, entered = Admission(2), []

    async def enter(number: int, queued: int) -> None:
        await admission.enter(queued)
        entered.append(number)

    calls = [asyncio.create_task(enter(number, 2)) for number in range(5)]
    await turns()
    assert entered == []
    late = asyncio.create_task(enter(5, 0))  # there is room, but others were first
    await turns()
    admission.left(1)
    await turns()
    assert entered == [0]
    admission.left(0)
    await turns()
    assert entered == [0, 1, 2]
    for _ in range(2):
        admission.left(0)
        await turns()
    assert entered == [0, 1, 2, 3, 4, 5]
    await asyncio.gather(*calls, late)
    await admission.enter(1)


async def test_place_of_who_does_not_come_is_the_next_ones() -> None:
    admission = Admission(1)
    first, second, third = (asyncio.create_task(admission.enter(1)) for _ in range(3))
    await turns()
    first.cancel()
    await turns()
    admission.left(0)  # the second
    second.cancel()  # before it knew
    await turns()
    assert third.done()
    assert first.cancelled()
    assert second.cancelled()
