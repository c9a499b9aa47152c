"""Shared memory as people use it, on every backend: two processes' worth of managers over one store."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from interlock import errors
from interlock.coord import memory as memory_module
from interlock.coord.cell import Change
from interlock.coord.memory import LARGEST_VALUE, MemorySyncManager
from interlock.coord.watch import Watch
from interlock.service import SystemClock
from interlock.store.ports import LockRequest, Store, WriteResult

Open = Callable[..., MemorySyncManager]
SECONDS = 60


class SetClock(SystemClock):
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def now(self) -> float:
        return self.at

    def stamp(self) -> float | None:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Failing:
    """A port of cells that does not answer: `before` times at all, `after` times after the work was done."""

    def __init__(self, store: Store) -> None:
        self._cells = store.cells
        self.before = 0
        self.after = 0
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._cells, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.before:
                self.before -= 1
                raise errors.StoreUnavailable("the store is away")
            given = await call(*args, **kwargs)
            if self.after:
                self.after -= 1
                raise errors.StoreUnavailable("the answer was lost")
            return given

        return called


class FailingStore:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.cells = Failing(store)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
async def opened(store: Store) -> AsyncIterator[Open]:
    """Open managers, not started; they are stopped at the end."""
    made: list[MemorySyncManager] = []

    def open_one(writer: str = "w1", clock: SystemClock | None = None, **more: Any) -> MemorySyncManager:
        over = more.pop("over", store)
        memory = MemorySyncManager(over, clock or SystemClock(), "default", writer, **more)
        made.append(memory)
        return memory

    yield open_one
    for each in made:
        await each.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that were lost are asked for again at once."""
    monkeypatch.setattr("interlock.coord.answers.REPEAT_SECONDS", (0.0, 0.0, 0.0))


async def next_of(watch: Watch, count: int) -> list[Change]:
    async with asyncio.timeout(SECONDS):
        return [await anext(watch) for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["swarm", "tasks", "workers", "global", "assignments"])
async def test_the_operations_work_in_every_space(opened: Open, space: str) -> None:
    """MS-01"""
    memory, other = opened(), opened("w2")
    async with memory.watch("plan", space) as watch:
        outcome = await memory.set("plan", {"phase": 1}, space=space)
        assert outcome.is_applied
        assert await other.get("plan", space) == {"phase": 1}
        assert await other.list("", space) == ["plan"]
        assert await memory.delete("plan", space) is True
        assert await other.get("plan", space, default="none") == "none"
        assert await memory.sync(space) == 0
        assert [(each.value, each.is_deleted) for each in await next_of(watch, 2)] == [
            ({"phase": 1}, False),
            (None, True),
        ]


async def test_the_same_key_of_two_spaces_is_two_values(opened: Open) -> None:
    """MS-01"""
    memory = opened()
    await memory.set("k", 1)
    await memory.set("k", 2, space="swarm")
    assert (await memory.get("k"), await memory.get("k", "global"), await memory.get("k", "swarm")) == (1, 1, 2)
    assert await memory.get("k", "tasks") is None


@pytest.mark.parametrize("value", [None, False, 0, "", [], {"a": [1, {"b": None}]}, 2**70, 1.5, "é\0"])
async def test_get_gives_the_value_and_not_what_it_is_stored_in(opened: Open, value: Any) -> None:
    """MS-06"""
    memory = opened()
    await memory.set("k", value)
    assert await memory.get("k", default="none") == value
    cell = await memory.cell("k")
    assert cell is not None
    assert (cell.value, cell.writer, cell.is_deleted, cell.expires_at) == (value, "w1", False, None)


async def test_later_stamps_win_and_ties_go_to_the_larger_writer(opened: Open) -> None:
    """MS-02, MS-03"""
    one, other = opened("w1"), opened("w2")
    assert (await one.set("k", "v1", stamp=100)).is_applied
    assert (await one.set("k", "v2", stamp=105)).is_applied
    late = await other.set("k", "v0", stamp=90)
    assert late.result is WriteResult.OLDER
    assert late.cell is not None
    assert late.cell.value == "v2"
    assert (await other.set("k", "tie", stamp=105)).is_applied
    assert (await one.set("k", "tie", stamp=105)).result is WriteResult.OLDER
    assert await one.delete("k", stamp=100) is False
    assert await one.get("k") == await other.get("k") == "tie"
    assert (one.metrics.conflicts, other.metrics.conflicts) == (2, 1)


async def test_a_deleted_key_is_not_brought_back_by_an_older_write(opened: Open) -> None:
    """MS-09"""
    memory = opened()
    assert await memory.delete("k") is False
    await memory.set("k", 1, stamp=100)
    assert await memory.delete("k", stamp=110) is True
    assert await memory.delete("k") is False
    assert (await memory.set("k", 2, stamp=105)).result is WriteResult.OLDER
    cell = await memory.cell("k")
    assert cell is not None
    assert (cell.is_deleted, cell.value) == (True, None)
    assert await memory.delete("k", base=cell.version) is False
    assert (await memory.set("k", 3, base=cell.version)).is_applied
    assert await memory.get("k") == 3


@pytest.mark.parametrize("ttl", [60, "60s", "1m", "PT1M", {"minutes": 1}, "60", timedelta(minutes=1)])
async def test_a_value_lasts_as_long_as_it_was_told(opened: Open, ttl: Any) -> None:
    """MS-11"""
    clock = SetClock()
    memory = opened(clock=clock)
    await memory.set("k", 1, ttl=ttl)
    clock.at += 59.9
    assert await memory.get("k") == 1
    clock.at += 0.1
    assert await memory.get("k", default="none") == "none"
    assert await memory.list() == []


async def test_keys_are_listed_by_prefix_and_by_pattern(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """MS-01, MS-08"""
    monkeypatch.setattr(memory_module, "_PAGE", 2)
    memory = opened()
    for key in ("tasks/1/state", "tasks/1/lock", "tasks/2/state", "tasks/2/state/x", "workers/1"):
        await memory.set(key, key)
    assert await memory.list("tasks/1") == ["tasks/1/lock", "tasks/1/state"]
    assert await memory.list("tasks/*/state") == ["tasks/1/state", "tasks/2/state"]
    assert await memory.list("**") == await memory.list()
    assert len(await memory.list()) == 5
    assert [each.value for each in await memory.cells("workers/")] == ["workers/1"]


async def test_wrong_input_is_refused_with_what_to_do(opened: Open) -> None:
    memory = opened()
    big = "x" * LARGEST_VALUE
    for call, why in (
        (memory.set("big", big), "the value of 'big' has 1048578 bytes of JSON, more than the 1048576"),
        (memory.set("k", object()), "the value of 'k' cannot be stored: .*shared memory holds JSON"),
        (memory.set("k", 1, ttl="soon"), "ttl: 'soon' is not a duration; write"),
        (memory.set("k", 1, ttl=0), "ttl: 0 is no time to last"),
        (memory.set("k*", 1), "which only patterns have"),
        (memory.set("k", 1, space="a/b"), "cannot be a space"),
        (memory.get(""), "it is empty"),
        (memory.cell("k", "a b"), "cannot be a space"),
        (memory.delete("a//b"), "empty segment"),
        (memory.list("a", "a b"), "cannot be a space"),
        (memory.list("a\0"), "no key begins with"),
        (memory.set("k", 1, base=-1), "base: -1 is none that a cell can have"),
        (memory.set("k", 1, stamp=2**63), "stamp: 9223372036854775808 is none"),
        (memory.sync("a b"), "cannot be a space"),
        (memory.set("k", 1, resolver="no"), "there is no resolver 'no'"),
        (memory.set("k", 1, wait=False), "wait=False needs a memory that was started"),
        (memory.set("k", 1, wait=False, base=0), "wait=False takes no base"),
    ):
        with pytest.raises(errors.Invalid, match=why):
            await call
    with pytest.raises(errors.Invalid, match="cannot be a pattern"):
        memory.watch("task-*")
    with pytest.raises(errors.Invalid, match="cannot be the name of a writer"):
        opened("")
    assert await memory.list() == []
    await memory.set("k", "x" * (LARGEST_VALUE - 2))


# -- conflicts -------------------------------------------------------------------------------------------------------


async def test_a_base_that_is_not_there_any_more_is_refused_as_a_value(opened: Open) -> None:
    """MS-12"""
    one, other = opened("w1"), opened("w2")
    cell = (await one.set("k", 1)).cell
    assert cell is not None
    assert (await other.set("k", 2, base=cell.version)).is_applied
    refused = await one.set("k", 3, base=cell.version)
    assert refused.result is WriteResult.DIFFERS
    assert refused.cell is not None
    assert (refused.cell.value, refused.cell.writer) == (2, "w2")
    assert one.metrics.conflicts == 1
    assert (await one.set("k", 3, base=refused.cell.version)).is_applied


@pytest.mark.parametrize(
    ("resolver", "first", "theirs", "ours", "made"),
    [
        ("last_write_wins", 1, 2, 3, 3),
        ("union", [1], [1, 2], [1, 3], [1, 2, 3]),
        ("merge", {"a": 1}, {"a": 2, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
        ("max", 1, 7, 3, 7),
        (lambda present, given: present + given, 1, 10, 5, 15),
    ],
)
async def test_concurrent_writes_are_found_by_the_version_that_was_read_and_resolved(
    opened: Open, resolver: Any, first: Any, theirs: Any, ours: Any, made: Any
) -> None:
    """MS-12"""
    one, other = opened("w1"), opened("w2")
    base = (await one.set("k", first)).cell
    assert base is not None
    await other.set("k", theirs)
    assert (await one.set("k", ours, base=base.version, resolver=resolver)).is_applied
    assert await other.get("k") == made


async def test_a_resolver_without_a_base_resolves_with_whatever_is_there(opened: Open) -> None:
    """MS-12"""
    memory = opened()
    await memory.set("k", [1], resolver="union")
    await memory.set("k", [2], resolver="union")
    assert await memory.get("k") == [1, 2]
    await memory.delete("k")
    await memory.set("k", [3], resolver="union")
    assert await memory.get("k") == [3]
    with pytest.raises(errors.Misfit, match="union needs two lists"):
        await memory.set("k", 4, resolver="union")
    assert await memory.get("k") == [3]


async def test_no_concurrent_addition_is_lost(opened: Open) -> None:
    """MS-12"""
    managers = [opened(f"w{number}") for number in range(4)]

    async def add(memory: MemorySyncManager) -> None:
        for _ in range(5):
            assert (await memory.set("k", 1, resolver=lambda present, given: present + given)).is_applied

    await asyncio.gather(*(add(each) for each in managers))
    assert await managers[0].get("k") == 20


async def test_a_resolver_that_is_always_too_late_gives_up_with_a_value(
    opened: Open, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MS-12"""
    monkeypatch.setattr(memory_module, "_ROUNDS", 3)
    other = opened("w2")
    await other.set("k", 0)
    written = []

    class Preceded:
        """A port of cells, before whose every call somebody else writes."""

        def __getattr__(self, name: str) -> Any:
            async def called(*args: Any, **kwargs: Any) -> Any:
                written.append(await other.set("k", len(written)))
                return await getattr(store.cells, name)(*args, **kwargs)

            return called

    late_store = FailingStore(store)
    late_store.cells = Preceded()  # type: ignore[assignment]  # the same port
    late = opened("w3", over=late_store)
    outcome = await late.set("k", 1, resolver="max")
    assert (outcome.result, len(written), late.metrics.conflicts) == (WriteResult.DIFFERS, 3, 3)


@pytest.mark.usefixtures("quick")
async def test_an_answer_that_was_lost_is_not_taken_for_a_conflict_with_oneself(opened: Open, store: Store) -> None:
    """MS-12"""
    failing = FailingStore(store)
    memory = opened(over=failing)
    base = (await memory.set("k", [1])).cell
    assert base is not None
    failing.cells.after = 2
    assert (await memory.set("k", [2], base=base.version)).is_applied
    failing.cells.after = 1
    await memory.set("k", 1, resolver=lambda present, given: [*present, given])
    assert await memory.get("k") == [2, 1]
    failing.cells.before = 1
    assert await memory.delete("k") is True
    failing.cells.after = 1
    await memory.set("k", 5)
    failing.cells.after = 1
    assert await memory.delete("k") is True
    assert memory.metrics.writes == 6
    failing.cells.before = 4
    with pytest.raises(errors.StoreUnavailable, match="away"):
        await memory.set("k", 1)


async def test_a_write_under_a_lock_that_was_lost_is_refused(opened: Open, store: Store) -> None:
    """LK-09"""
    memory = opened(clock=(clock := SetClock()))
    asked = LockRequest(namespace="default", name="l", holder="w1", session="s", ttl_seconds=10.0)
    grant = (await store.locks.take(asked, clock.at)).grant
    assert grant is not None
    assert (await memory.set("k", 1, under=grant)).is_applied
    assert (await memory.set("k", [2], resolver="last_write_wins", under=("l", grant.fence))).is_applied
    clock.at += 11
    with pytest.raises(errors.LockError, match="is over") as refused:
        await memory.set("k", 3, under=grant)
    assert refused.value.code == "lock-expired"
    with pytest.raises(errors.LockError):
        await memory.delete("k", under=grant)
    assert await memory.get("k") == [2]


def test_memory_offers_no_lock() -> None:
    """MS-13"""
    names = {name for name, _ in inspect.getmembers(MemorySyncManager) if not name.startswith("_")}
    assert names == {
        "cell",
        "cells",
        "delete",
        "flush",
        "get",
        "is_watched",
        "list",
        "metrics",
        "set",
        "start",
        "stop",
        "sync",
        "watch",
    }
    parameters = inspect.signature(MemorySyncManager.set).parameters
    assert set(parameters) == {
        "self", "key", "value", "space", "ttl", "base", "resolver", "stamp", "under", "wait",
    }  # fmt: skip


async def test_of_those_who_claim_a_key_at_once_one_has_it(opened: Open) -> None:
    """MS-13: what might be misused as a lock is at least decided in the store."""
    managers = [opened(f"w{number}", cache=10) for number in range(6)]
    for each in managers:
        await each.start()
    outcomes = await asyncio.gather(*(each.set("claimed", each._writer, base=0) for each in managers))
    assert sorted(each.is_applied for each in outcomes) == [False] * 5 + [True]


# -- watching --------------------------------------------------------------------------------------------------------


async def test_a_watch_gives_every_change_once_by_whomever_and_nothing_after_its_end(opened: Open) -> None:
    """MS-07, MS-08"""
    one, other = opened("w1"), opened("w2")
    await one.set("tasks/0/state", "before")
    async with one.watch("tasks/*/state") as watch:
        await other.set("tasks/1/state", "a")
        await other.set("tasks/1/other", "x")
        await one.set("tasks/1/state", "b")
        await other.set("tasks/1/state", "s", space="swarm")
        await other.delete("tasks/1/state")
        await other.set("tasks/1/state/x", "x")
        await one.set("tasks/2/state", "c")
        found = await next_of(watch, 4)
    assert [(each.key, each.value, each.writer, each.is_deleted) for each in found] == [
        ("tasks/1/state", "a", "w2", False),
        ("tasks/1/state", "b", "w1", False),
        ("tasks/1/state", None, "w2", True),
        ("tasks/2/state", "c", "w1", False),
    ]
    await one.set("tasks/3/state", "d")
    assert [each async for each in watch] == []
    await watch.aclose()


async def test_a_watch_waits_and_another_task_ends_it(opened: Open) -> None:
    """MS-07"""
    memory = opened()
    watch = memory.watch("**")
    found: list[Any] = []

    async def follow() -> None:
        async for change in watch:
            found.append(change.value)

    following = asyncio.create_task(follow())
    await until(lambda: watch.cursor is not None)
    for number in range(3):
        await memory.set("k", number)
        await until(lambda number=number: len(found) > number)  # type: ignore[misc]  # mypy cannot tell its type
    await watch.aclose()
    async with asyncio.timeout(SECONDS):
        await following
    assert found == [0, 1, 2]


async def test_a_watch_ends_with_its_memory_and_is_not_heard_of_when_it_was_dropped(opened: Open, store: Store) -> None:
    """MS-07"""
    memory = opened()
    before = len(store.bell._listeners)  # type: ignore[attr-defined]  # every bell's
    async with memory:
        async with memory.watch("**", after="0.0") as watch:
            following = asyncio.create_task(anext(watch, None))
            await asyncio.sleep(0)
        await memory.set("k", 1)
        async for _ in memory.watch("**", after="0.0"):
            break
        gc.collect()
        assert len(store.bell._listeners) == before  # type: ignore[attr-defined]  # every bell's
        open_one = asyncio.create_task(anext(memory.watch("**"), None))
        await asyncio.sleep(0)
    async with asyncio.timeout(SECONDS):
        assert await following is None
        assert await open_one is None


async def test_a_watch_goes_on_where_another_one_ended(opened: Open) -> None:
    """MS-07"""
    memory = opened()
    async with memory.watch("**") as first:
        for number in range(5):
            await memory.set(f"k{number}", number)
        seen = await next_of(first, 2)
        assert first.cursor == seen[-1].cursor
    async with opened("w2").watch("**", after=first.cursor) as second:
        assert [each.value for each in await next_of(second, 3)] == [2, 3, 4]


async def test_a_watch_waits_while_the_store_is_away(
    opened: Open, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MS-07"""
    monkeypatch.setattr("interlock.coord.watch._AWAY_SECONDS", (0.01,))
    failing = FailingStore(store)
    async with opened(over=failing).watch("**") as watch:
        failing.cells.before = 3
        await opened("w2").set("k", 1)
        assert [each.value for each in await next_of(watch, 1)] == [1]
    assert failing.cells.before == 0


async def test_a_watch_whose_changes_were_removed_says_so_and_can_go_on(opened: Open, store: Store) -> None:
    """MS-07"""
    clock = SetClock()
    memory = opened(clock=clock)
    async with memory.watch("**") as watch:
        await memory.set("k", 1)
        clock.at += 100
        await store.cells.sweep(clock.at, 50.0)
        with pytest.raises(errors.SyncError, match="Read what matters anew") as cut:
            await next_of(watch, 1)
        assert (cut.value.space, cut.value.cursor) == ("global", watch.cursor)
        await memory.set("k", 2)
        assert [each.value for each in await next_of(watch, 1)] == [2]


async def test_more_changes_than_one_look_takes(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """MS-07"""
    monkeypatch.setattr("interlock.coord.watch._PAGE", 3)
    memory = opened()
    async with memory.watch("a/*") as watch:
        for number in range(12):
            await memory.set(f"{'a' if number % 4 == 3 else 'b'}/{number}", number)
        assert [each.value for each in await next_of(watch, 3)] == [3, 7, 11]


# -- write-behind ----------------------------------------------------------------------------------------------------


async def test_ones_own_write_is_read_before_and_after_it_is_flushed(opened: Open) -> None:
    """MS-04"""
    one, other = opened("w1", flush_seconds=3600.0), opened("w2")
    async with one:
        await one.set("k", 1, wait=False)
        await one.set("k", {"a": 2}, wait=False)
        assert await one.get("k") == {"a": 2}
        assert await other.get("k") is None
        assert one.metrics.pending == 2
        await one.flush()
        assert await one.get("k") == await other.get("k") == {"a": 2}
        assert (one.metrics.pending, one.metrics.flushes, one.metrics.writes) == (0, 1, 2)


async def test_what_waits_is_flushed_by_itself_and_at_the_end(opened: Open) -> None:
    """MS-10"""
    one, other = opened("w1"), opened("w2")
    async with one:
        await one.set("a", 1, wait=False)
        await until(lambda: one.metrics.pending == 0)
        assert await other.get("a") == 1
        await one.set("b", 2, wait=False)
    assert await other.get("b") == 2


async def test_a_flush_that_fails_twice_loses_nothing_and_keeps_the_order(
    opened: Open, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MS-10"""
    monkeypatch.setattr("interlock.coord.behind._REPEAT_SECONDS", (0.01,))
    failing = FailingStore(store)
    memory = opened(over=failing, flush_seconds=0.01)
    async with opened("w2").watch("**") as watch, memory:
        failing.cells.before, failing.cells.after = 1, 1
        for number in range(10):
            await memory.set(f"k{number % 3}", number, wait=False)
        assert await memory.get("k0") == 9
        found = await next_of(watch, 10)
        await until(lambda: memory.metrics.pending == 0)
    assert [each.value for each in found] == list(range(10))
    assert memory.metrics.writes == 10
    async with watch:
        assert [each async for each in watch] == []
    assert [each.value for each in await opened("w3").cells()] == [9, 7, 8]


async def test_what_cannot_be_flushed_at_the_end_is_told(opened: Open, store: Store) -> None:
    """MS-10"""
    failing = FailingStore(store)
    memory = opened(over=failing, flush_seconds=3600.0)
    await memory.start()
    await memory.set("k", 1, wait=False)
    failing.cells.before = 1
    with pytest.raises(
        errors.StoreUnavailable, match="1 writes to shared memory could not be stored: the store is away"
    ):
        await memory.stop()
    await memory.flush()
    assert await opened("w2").get("k") == 1


async def test_other_calls_keep_their_place_behind_what_waits(opened: Open) -> None:
    """MS-04, MS-10"""
    one = opened("w1", flush_seconds=3600.0)
    async with one:
        await one.set("k", 1, wait=False)
        await one.set("other", 1, wait=False)
        await one.set("k", 2)
        assert await one.get("k") == 2
        await one.set("k", 3, wait=False)
        cell = await one.cell("k")
        assert cell is not None
        assert cell.value == 3
        await one.set("k", 4, wait=False)
        assert await one.delete("k") is True
        await one.set("k", 5, wait=False)
        assert await one.list() == ["k", "other"]
        await one.set("k", 6, wait=False)
        await one.sync()
        assert one.metrics.pending == 0


async def test_who_writes_faster_than_is_stored_waits(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """MS-10"""
    monkeypatch.setattr("interlock.coord.behind._MOST", 4)
    monkeypatch.setattr("interlock.coord.behind._AT_ONCE", 3)
    async with opened("w1", flush_seconds=3600.0) as memory:
        for number in range(10):
            await memory.set(f"k{number}", number, wait=False)
            assert memory.metrics.pending <= 4
        assert len(await memory.list()) == 10


# -- the cache -------------------------------------------------------------------------------------------------------


async def synced(memory: MemorySyncManager) -> None:
    """Wait until the cache has heard of all that is stored now."""
    async with asyncio.timeout(SECONDS):
        while True:
            before = memory.metrics.syncs
            memory._sync.wake()
            while memory.metrics.syncs == before:
                await asyncio.sleep(0.01)
            left = await memory._store.cells.changes("default", None, memory._sync._cursor, 1)
            if not left.changes and not left.is_held and memory.metrics.syncs > before:
                return


async def test_a_cell_that_was_read_is_not_read_again_until_it_is_changed(opened: Open) -> None:
    """MS-05"""
    one, other = opened("w1", cache=10), opened("w2", cache=10)
    async with one, other:
        await one.set("k", 1)
        await synced(one)
        assert [await one.get("k") for _ in range(3)] == [1, 1, 1]
        assert (one.metrics.cache_misses, one.metrics.cache_hits) == (1, 2)
        await other.set("k", 2)
        async with asyncio.timeout(60.0):
            while await one.get("k") != 2:
                await asyncio.sleep(0.01)
        await other.delete("k")
        async with asyncio.timeout(60.0):
            while await one.get("k") is not None:
                await asyncio.sleep(0.01)


async def test_what_others_wrote_is_seen_within_the_bound_also_when_no_bell_rings(
    opened: Open, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MS-05"""
    clock = SetClock()
    failing = FailingStore(store)
    one, other = opened("w1", clock, cache=10, over=failing, sync_seconds=5.0), opened("w2", clock)
    async with one:
        await synced(one)
        await other.set("k", 1)
        await synced(one)
        assert [await one.get("k"), await one.get("k")] == [1, 1]
        failing.cells.before = 10**9  # it hears of nothing any more
        await other.set("k", 2)
        clock.at += 4.9
        assert await one.get("k") == 1
        clock.at += 0.1
        with pytest.raises(errors.StoreUnavailable):
            await one.get("k")
        failing.cells.before = 0
        assert await one.get("k") == 2
        assert await one.get("k", fresh=True) == 2


async def test_ones_own_write_is_read_with_a_cache_too(opened: Open) -> None:
    """MS-04"""
    async with opened("w1", cache=10) as memory:
        await synced(memory)
        for number in range(20):
            await memory.set("k", number)
            assert await memory.get("k") == number
            assert await memory.get("k") == number
        assert await memory.delete("k")
        assert await memory.get("k") is None


async def test_the_cache_keeps_a_bounded_number_of_cells_and_their_times(opened: Open) -> None:
    """MS-11"""
    clock = SetClock()
    async with opened("w1", clock, cache=3) as memory:
        for number in range(4):
            await memory.set(f"k{number}", number)
        await memory.set("short", 1, ttl=2)
        await synced(memory)
        assert [await memory.get(f"k{number}") for number in (0, 1, 2, 0, 3)] == [0, 1, 2, 0, 3]
        assert (memory.metrics.cache_misses, memory.metrics.cache_hits) == (4, 1)
        assert [await memory.get(f"k{number}") for number in (0, 2, 3)] == [0, 2, 3]
        assert (memory.metrics.cache_misses, memory.metrics.cache_hits) == (4, 4)
        assert await memory.get("k1") == 1
        assert memory.metrics.cache_misses == 5
        assert [await memory.get("short"), await memory.get("short")] == [1, 1]
        assert memory.metrics.cache_hits == 5
        clock.at += 2
        assert await memory.get("short", default="none") == "none"
        assert await memory.sync() == 3
        assert memory.metrics.cache_misses == 7


async def test_metrics_count_what_was_done(opened: Open) -> None:
    memory = opened()
    await memory.set("k", 1)
    await memory.get("k")
    await memory.get("none")
    await memory.set("k", 2, base=0)
    await memory.delete("k")
    await memory.list()
    found = memory.metrics
    assert (found.reads, found.writes, found.conflicts) == (3, 2, 1)
    assert (found.cache_hits, found.cache_misses, found.syncs, found.flushes, found.pending) == (0, 0, 0, 0, 0)
