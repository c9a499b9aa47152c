"""What a worker tells besides outcomes: written a little later, kept while the store is away, dropped at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock import errors, telemetry
from interlock.coord.balancer import lessons
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.strategies import Strategy
from interlock.dispatch import notebook
from interlock.dispatch.notebook import Notebook
from interlock.service import SystemClock
from interlock.store.ports import Store
from unit.coord.scripted import scripted


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with scripted() as store:
        yield store


def noted(book: Notebook, count: int) -> None:
    for number in range(count):
        book.chose(f"t{number}", b'{"reason":"its turn"}')
        book.stands("default" if number % 3 else "shop", f"t{number}", {"outcome": "done"})


async def states(store: Store, namespace: str) -> list[str]:
    found = await store.cells.list(namespace, "tasks", prefix="", after="", limit=1000, now=None)
    return [cell.key for cell in found]


async def test_decisions_and_states_are_written_by_namespace(store: Store) -> None:
    book = Notebook(store, SystemClock(), "w1", "s1")
    noted(book, 5)
    await book.round()
    assert [row.subject for row in await store.workers.choices("worker", None, 9)] == ["t4", "t3", "t2", "t1", "t0"]
    assert await states(store, "default") == ["t1/state", "t2/state", "t4/state"]
    assert await states(store, "shop") == ["t0/state", "t3/state"]
    cell = await store.cells.read("default", "tasks", "t1/state", None)
    assert cell is not None
    assert (cell.value, cell.writer) == (b'{"outcome":"done"}', "w1")
    assert cell.expires_at is not None


async def test_what_the_store_did_not_take_is_written_later_and_dropped_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Notebook(store, SystemClock(), "w1", "s1")
    noted(book, 2)
    note = store.workers.note

    async def away(*_: Any) -> None:
        raise errors.StoreUnavailable("away")

    monkeypatch.setattr(store.workers, "note", away)
    with pytest.raises(errors.StoreUnavailable):
        await book.round()
    told: list[str] = []
    detach = telemetry.attach(lambda name, fields: told.append(name))
    await book.stop()
    detach()
    assert told == ["notebook.lost"]
    monkeypatch.setattr(store.workers, "note", note)
    await book.round()
    assert len(await store.workers.choices("worker", None, 9)) == 2


async def test_what_was_done_is_counted_once_also_when_the_store_was_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = WorkerRegistry(store, SystemClock())
    await registry.register("w1", session="s1")
    book = Notebook(store, SystemClock(), "w1", "s1")
    noted(book, 2)
    tally = store.workers.tally

    async def away(*_: Any) -> None:
        raise errors.StoreUnavailable("away")

    monkeypatch.setattr(store.workers, "tally", away)
    book.ended(succeeded=True, seconds=1.5, lessons=lessons([Strategy.LEAST_LOADED], succeeded=True))
    with pytest.raises(errors.StoreUnavailable):
        await book.round()
    monkeypatch.setattr(store.workers, "tally", tally)
    book.ended(succeeded=False, seconds=0.5)
    await book.round()
    await book.round()
    found = await registry.get_worker("w1")
    assert found is not None
    assert (found.assigned, found.succeeded, found.failed, found.busy_seconds) == (2, 1, 1, 2.0)
    assert (await store.workers.weights())["least_loaded"] > 0.2


async def test_it_holds_only_so_much(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "_MOST", 3)
    book = Notebook(store, SystemClock(), "w1", "s1")
    noted(book, 9)
    await book.stop()
    assert len(await store.workers.choices("worker", None, 9)) == 3
    assert len([*await states(store, "default"), *await states(store, "shop")]) == 3
