"""Launchers whose engine is away are started again later, and their pools are ill until then (PO-05)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock import errors
from interlock.app.pool_starts import Starts
from interlock.pool.local import LocalPool
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import DeclaredPool, Store


class Away(LocalPool):
    """A launcher whose engine is not to be reached at its first `refusals` starts."""

    def __init__(self, refusals: int, error: errors.InterlockError | None = None) -> None:
        super().__init__()
        self.refusals = refusals
        self.error = error or errors.Environment("the engine does not answer")
        self.stopped = 0

    async def start(self) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            raise self.error

    async def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("sqlite:///:memory:")
    await opened.pools.declare([DeclaredPool(pool="far", type="ray"), DeclaredPool(pool="near", type="docker")], None)
    yield opened
    await opened.close()


def starts(store: Store, wanted: dict[str, Any], started: dict[str, Any], woken: list[bool]) -> Starts:
    return Starts("n1", store, SystemClock(), wanted, started, again_seconds=60.0, changed=lambda: woken.append(True))


async def ills(store: Store) -> dict[str, str]:
    return {row.pool: row.ills[0].reason for row in await store.pools.all() if row.ills}


async def test_what_cannot_start_is_ill_until_it_can(store: Store) -> None:
    far, near = Away(2), Away(0)
    started: dict[str, Any] = {}
    woken: list[bool] = []
    loop = starts(store, {"far": far, "near": near}, started, woken)

    await loop.start()
    assert (list(started), await ills(store)) == (["near"], {"far": "the engine does not answer"})
    await loop.round()
    assert (list(started), woken) == (["near"], [])
    await loop.round()
    assert (list(started), woken, await ills(store)) == (["near", "far"], [True], {})

    await loop.stop()
    assert (far.stopped, near.stopped) == (1, 1)


async def test_a_configuration_that_is_wrong_keeps_the_node_from_starting_and_leaves_nothing(store: Store) -> None:
    near, wrong = Away(0), Away(9, errors.InvalidSettings("two clusters"))
    loop = starts(store, {"near": near, "far": wrong}, {}, [])

    with pytest.raises(errors.InvalidSettings, match="two clusters"):
        await loop.start()

    assert (near.stopped, wrong.stopped) == (1, 0)


async def test_what_never_started_is_not_ill_for_ever(store: Store) -> None:
    loop = starts(store, {"far": Away(9)}, {}, [])
    await loop.start()

    await loop.stop()

    assert await ills(store) == {}
