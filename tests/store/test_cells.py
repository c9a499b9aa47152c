"""Shared memory, on every backend: which writes apply, what they leave, how changes are followed, what is swept."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.store.ports import (
    CellChange,
    CellRow,
    CellWrite,
    Committed,
    LockRequest,
    NewCells,
    Store,
    WriteResult,
    Written,
)
from store.rows import accepting, batch

NOW = 1_000.0


def write(key: str = "k", value: bytes | None = b"1", **more: Any) -> CellWrite:
    return msgspec.structs.replace(CellWrite(space="global", key=key, value=value, writer="w1"), **more)


async def put(
    store: Store, key: str = "k", value: bytes | None = b"1", now: float | None = NOW, **more: Any
) -> Written:
    [written] = await store.cells.write("default", [write(key, value, **more)], now)
    return written


async def read(store: Store, key: str = "k", now: float | None = NOW, space: str = "global") -> CellRow | None:
    return await store.cells.read("default", space, key, now)


async def value(store: Store, key: str = "k", now: float | None = NOW) -> bytes | None:
    cell = await read(store, key, now)
    return None if cell is None else cell.value


async def changes(store: Store, after: str, space: str | None = "global") -> list[CellChange]:
    """Give what has changed since a cursor, when no older transaction is at work any more."""
    async with asyncio.timeout(60):
        while True:
            found = await store.cells.changes("default", space, after, 1_000)
            if not found.is_held:
                assert not found.is_cut
                return list(found.changes)
            await asyncio.sleep(0.01)


async def end(store: Store) -> str:
    async with asyncio.timeout(60):
        while (found := await store.cells.changes("default", None, None, 1)).is_held:
            await asyncio.sleep(0.01)
    return found.cursor


def told(found: list[CellChange]) -> list[tuple[str, bytes | None]]:
    return [(each.key, each.value) for each in found]


# -- writing ---------------------------------------------------------------------------------------------------------


async def test_a_written_cell_is_read_as_it_was_written(store: Store) -> None:
    """MS-01"""
    written = await put(store, value=b'{"a":1}', ttl_seconds=5.0)
    assert written.result is WriteResult.APPLIED
    cell = written.cell
    assert cell == await read(store)
    assert cell is not None
    assert (cell.space, cell.key, cell.value, cell.writer) == ("global", "k", b'{"a":1}', "w1")
    assert (cell.stamp, cell.expires_at, cell.changed_at) == (int(NOW * 1e6), NOW + 5, NOW)
    assert await read(store, "other") is None
    assert await store.cells.write("default", [], NOW) == []


async def test_the_same_key_of_two_spaces_and_of_two_namespaces_are_cells_of_their_own(store: Store) -> None:
    """MS-01"""
    for namespace, space in (("default", "swarm"), ("default", "tasks"), ("other", "swarm")):
        body = f'"{namespace} {space}"'.encode()
        await store.cells.write(namespace, [write(value=body, space=space)], NOW)
    found = [
        await store.cells.read(*place, "k", NOW)
        for place in (("default", "swarm"), ("default", "tasks"), ("other", "swarm"))
    ]
    assert [each and each.value for each in found] == [b'"default swarm"', b'"default tasks"', b'"other swarm"']
    assert await store.cells.read("other", "tasks", "k", NOW) is None


async def test_the_later_stamp_wins_whichever_comes_first(store: Store) -> None:
    """MS-02"""
    results = []
    for at, body in ((100, b"1"), (105, b"2"), (90, b"0")):
        results.append((await put(store, value=body, stamp=at)).result)
    assert results == [WriteResult.APPLIED, WriteResult.APPLIED, WriteResult.OLDER]
    assert await value(store) == b"2"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_of_writes_with_one_stamp_the_larger_writer_wins(store: Store, order: tuple[str, str]) -> None:
    """MS-03"""
    for writer in order:
        await put(store, value=f'"{writer}"'.encode(), stamp=100, writer=writer)
    assert await value(store) == b'"b"'
    assert (await put(store, value=b'"again"', stamp=100, writer="b")).result is WriteResult.APPLIED


async def test_the_stores_stamp_is_later_than_any_before_it(store: Store) -> None:
    """MS-02"""
    await put(store, value=b"1", stamp=int((NOW + 4) * 1e6))
    written = await put(store, value=b"2")
    assert written.cell is not None
    assert written.cell.stamp == int((NOW + 4) * 1e6) + 1
    assert await value(store) == b"2"


async def test_a_stamp_may_lie_five_seconds_ahead_and_no_more(store: Store) -> None:
    """MS-02"""
    assert (await put(store, stamp=int((NOW + 5) * 1e6))).result is WriteResult.APPLIED
    refused = await put(store, "other", stamp=int((NOW + 5) * 1e6) + 1)
    assert refused == Written(result=WriteResult.AHEAD, cell=None)
    assert (await put(store, value=None, stamp=int((NOW + 5) * 1e6) + 1)).result is WriteResult.AHEAD


async def test_a_write_by_its_base_applies_only_to_that_version(store: Store) -> None:
    """MS-12"""
    first = await put(store)
    assert first.cell is not None
    second = await put(store, value=b"2", base=first.cell.version)
    assert second.result is WriteResult.APPLIED
    late = await put(store, value=b"3", base=first.cell.version)
    assert late == Written(result=WriteResult.DIFFERS, cell=second.cell)
    assert (await put(store, value=b"3", base=0)).result is WriteResult.DIFFERS
    assert (await put(store, "other", value=b"3", base=7)) == Written(result=WriteResult.DIFFERS, cell=None)
    assert await value(store) == b"2"


async def test_a_base_of_nothing_applies_where_no_value_is(store: Store) -> None:
    """MS-12"""
    assert (await put(store, base=0)).result is WriteResult.APPLIED
    await put(store, value=None)
    assert (await put(store, value=b"2", base=0, ttl_seconds=1.0)).result is WriteResult.APPLIED
    assert (await put(store, value=b"3", base=0)).result is WriteResult.DIFFERS
    assert (await put(store, value=b"3", base=0, now=NOW + 1)).result is WriteResult.APPLIED


async def test_a_base_may_be_the_version_of_a_deleted_cell_and_of_one_whose_time_is_over(store: Store) -> None:
    """MS-12"""
    await put(store, ttl_seconds=1.0)
    over = await read(store, now=NOW + 1)
    assert over is not None
    assert over.value is None
    revived = await put(store, value=b"2", base=over.version, now=NOW + 1)
    assert revived.result is WriteResult.APPLIED
    deleted = await put(store, value=None, now=NOW + 1)
    assert deleted.cell is not None
    assert (await put(store, value=b"3", base=deleted.cell.version, now=NOW + 1)).result is WriteResult.APPLIED


async def test_a_deletion_says_whether_there_was_something(store: Store) -> None:
    """MS-09"""
    assert (await put(store, value=None)) == Written(result=WriteResult.ABSENT, cell=None)
    cell = (await put(store)).cell
    assert cell is not None
    assert (await put(store, value=None, base=cell.version + 1)).result is WriteResult.DIFFERS
    assert (await put(store, value=None, base=0)).result is WriteResult.DIFFERS
    assert (await put(store, value=None, base=cell.version)).result is WriteResult.APPLIED
    assert (await put(store, value=None)).result is WriteResult.ABSENT
    await put(store, ttl_seconds=1.0)
    assert (await put(store, value=None, now=NOW + 1)).result is WriteResult.ABSENT


async def test_an_older_write_does_not_bring_a_deleted_cell_back(store: Store) -> None:
    """MS-09"""
    await put(store, stamp=100)
    assert (await put(store, value=None, stamp=99)).result is WriteResult.OLDER
    assert (await put(store, value=None, stamp=110)).result is WriteResult.APPLIED
    assert (await put(store, value=b"2", stamp=105)).result is WriteResult.OLDER
    assert await value(store) is None
    assert (await put(store, value=b"3", stamp=111)).result is WriteResult.APPLIED


async def test_a_value_whose_time_is_over_reads_as_none_under_another_version(store: Store) -> None:
    """MS-11"""
    cell = (await put(store, ttl_seconds=2.0)).cell
    assert cell is not None
    assert await value(store, now=NOW + 1.999) == b"1"
    over = await read(store, now=NOW + 2)
    assert over is not None
    assert (over.value, over.version, over.expires_at, over.changed_at) == (None, cell.version + 1, None, NOW + 2)
    assert (await put(store, value=b"2", base=cell.version, now=NOW + 2)).result is WriteResult.DIFFERS
    assert await store.cells.list("default", "global", prefix="", after="", limit=9, now=NOW + 2) == []


async def test_writes_of_one_call_apply_in_their_order_each_if_it_may_be(store: Store) -> None:
    """MS-10"""
    after = await end(store)
    given = [write("b"), write("a"), write("b", b"2"), write("a", b"3", base=0), write("b", None), write("c", None)]
    written = await store.cells.write("default", given, NOW)
    applied, absent, differs = WriteResult.APPLIED, WriteResult.ABSENT, WriteResult.DIFFERS
    assert [each.result for each in written] == [applied, applied, applied, differs, applied, absent]
    assert told(await changes(store, after)) == [("b", b"1"), ("a", b"1"), ("b", b"2"), ("b", None)]


async def test_many_values_are_set_together_as_each_alone(store: Store) -> None:
    """MS-10"""
    after = await end(store)
    await put(store, "over", ttl_seconds=1.0)
    gone = await put(store, "gone")
    await put(store, "gone", None)
    later = int((NOW + 14) * 1e6)
    ahead = await put(store, "ahead", stamp=later, now=NOW + 10)
    keys = ["é", "gone", "over", "ahead", *(f"k{number}" for number in range(5)), "é"]
    given = [write(key, f'"{key} \\u0000 {place}"'.encode(), nonce=f"n{place}") for place, key in enumerate(keys)]
    given[4] = msgspec.structs.replace(given[4], ttl_seconds=7.5, space="swarm")
    written = await store.cells.write("default", given, NOW + 10)
    assert {each.result for each in written} == {WriteResult.APPLIED}
    assert [each.cell and each.cell.value for each in written] == [each.value for each in given]
    for each, wanted in zip(written[1:], given[1:], strict=True):
        assert each.cell == await store.cells.read("default", wanted.space, wanted.key, NOW + 10)
    cells = {each.cell.key: each.cell for each in written if each.cell}
    assert cells["k0"].expires_at == NOW + 17.5
    assert cells["ahead"].stamp == later + 1
    assert ahead.cell is not None
    assert gone.cell is not None
    assert cells["ahead"].version > ahead.cell.version
    assert cells["gone"].version > gone.cell.version + 1
    found = await changes(store, after, None)
    assert [each.key for each in found[4:]] == ["é", "gone", "over", "over", *keys[3:]]
    again = msgspec.structs.replace(given[0], again=True)
    assert (await store.cells.write("default", [again, *given[1:3]], NOW + 10))[0] == Written(
        result=WriteResult.APPLIED,
        cell=msgspec.structs.replace(written[0].cell, expires_at=None) if written[0].cell else None,
    )


async def test_a_write_that_is_sent_again_is_applied_once(store: Store) -> None:
    """MS-10"""
    base = (await put(store)).cell
    assert base is not None
    after = await end(store)
    swap = {"value": b"2", "base": base.version, "nonce": "n1"}
    first = await put(store, **swap)
    await put(store, value=b"3", writer="w2")
    again = await put(store, **swap, again=True)
    assert again == first
    assert await value(store) == b"3"
    assert (await put(store, **swap)).result is WriteResult.DIFFERS
    assert (await put(store, "new", nonce="n2", again=True)).result is WriteResult.APPLIED
    assert (await put(store, "new", nonce="n2", again=True)).result is WriteResult.APPLIED
    assert told(await changes(store, after)) == [("k", b"2"), ("k", b"3"), ("new", b"1")]


async def test_a_write_under_a_lock_applies_while_its_grant_is_in_force(store: Store) -> None:
    """LK-09"""

    async def take(now: float) -> int:
        asked = LockRequest(namespace="default", name="l", holder="w1", session="s", ttl_seconds=10.0, nonce=str(now))
        grant = (await store.locks.take(asked, now)).grant
        assert grant is not None
        return grant.fence

    first = await take(NOW)
    await store.cells.write("default", [write()], NOW, under=("l", first))
    second = await take(NOW + 11)
    for fence, now in ((first, NOW + 11), (second, NOW + 21)):
        with pytest.raises(errors.LockError, match="nothing was written") as refused:
            await store.cells.write("default", [write(value=b"2"), write("other")], now, under=("l", fence))
        assert refused.value.code == "lock-expired"
    assert await value(store, now=NOW + 11) == b"1"
    assert await read(store, "other", NOW + 11) is None
    [written] = await store.cells.write("default", [write(value=b"3")], NOW + 11, under=("l", second))
    assert written.result is WriteResult.APPLIED


async def test_the_stores_own_clock_stamps_and_ends(store: Store) -> None:
    """MS-02"""
    first = (await put(store, now=None, ttl_seconds=1_000.0)).cell
    second = (await put(store, now=None, value=b"2", ttl_seconds=1_000.0)).cell
    assert first is not None
    assert second is not None
    assert second.stamp > first.stamp
    assert second == await read(store, now=None)


# -- listing ---------------------------------------------------------------------------------------------------------


async def test_cells_are_listed_by_prefix_in_pages(store: Store) -> None:
    """MS-01"""
    for key in ("tasks/1", "tasks/10", "tasks/2", "task", "tasks", "tasks0", "tasks/é"):
        await put(store, key)
    await put(store, "tasks/2", None)
    await put(store, "tasks/3", ttl_seconds=1.0)
    await put(store, "tasks/4", space="swarm")

    async def page(after: str, limit: int) -> list[str]:
        cells = await store.cells.list("default", "global", prefix="tasks/", after=after, limit=limit, now=NOW + 1)
        return [cell.key for cell in cells]

    assert await page("", 9) == ["tasks/1", "tasks/10", "tasks/é"]
    assert await page("", 2) == ["tasks/1", "tasks/10"]
    assert await page("tasks/10", 2) == ["tasks/é"]


# -- following -------------------------------------------------------------------------------------------------------


async def test_every_change_is_given_once_and_in_order(store: Store) -> None:
    """MS-07"""
    after = await end(store)
    for number in range(7):
        await put(store, f"k{number % 2}", str(number).encode())
    found: list[CellChange] = []
    cursor = after
    while page := (await store.cells.changes("default", "global", cursor, 3)).changes:
        found += page
        cursor = page[-1].cursor
    assert told(found) == [(f"k{number % 2}", str(number).encode()) for number in range(7)]
    assert [each.version for each in found] == sorted({each.version for each in found})
    assert await changes(store, found[4].cursor) == found[5:]
    assert await changes(store, cursor) == []


async def test_changes_are_of_one_space_or_of_all_and_of_one_namespace(store: Store) -> None:
    """MS-07"""
    after = await end(store)
    await put(store, "a")
    await put(store, "b", space="swarm")
    await store.cells.write("other", [write("c")], NOW)
    assert told(await changes(store, after)) == [("a", b"1")]
    assert told(await changes(store, after, None)) == [("a", b"1"), ("b", b"1")]
    assert told(await changes(store, after, "tasks")) == []


async def test_a_refused_write_is_no_change(store: Store) -> None:
    """MS-07"""
    await put(store, stamp=100)
    after = await end(store)
    await put(store, stamp=99)
    await put(store, base=0)
    await put(store, "other", None)
    assert await changes(store, after) == []


async def test_the_end_of_a_values_time_is_told_once_when_it_is_swept_or_overwritten(store: Store) -> None:
    """MS-07"""
    after = await end(store)
    await put(store, "swept", ttl_seconds=1.0)
    await put(store, "overwritten", ttl_seconds=1.0)
    await put(store, "swapped", ttl_seconds=1.0)
    before = await read(store, "swept", NOW + 2)
    over = await read(store, "swapped", NOW + 2)
    assert over is not None
    await put(store, "overwritten", b"2", now=NOW + 2)
    await put(store, "swapped", b"3", now=NOW + 2, base=over.version)
    assert await store.cells.expire(NOW + 2) == 1
    assert await store.cells.expire(NOW + 2) == 0
    found = await changes(store, after)
    assert told(found)[3:] == [
        ("overwritten", None), ("overwritten", b"2"), ("swapped", None), ("swapped", b"3"), ("swept", None),
    ]  # fmt: skip
    for key in ("swept", "overwritten", "swapped"):
        versions = [each.version for each in found if each.key == key]
        assert versions == sorted(set(versions))
    swept = await read(store, "swept", NOW + 2)
    assert swept is not None
    assert before is not None
    assert swept.version == before.version == found[-1].version


async def test_a_cursor_is_refused_when_it_is_none(store: Store) -> None:
    for wrong in ("", "12", "1.x", "1.2.3", "-1.2", "9" * 19 + ".0"):
        with pytest.raises(errors.Invalid, match="is no cursor of changes"):
            await store.cells.changes("default", None, wrong, 1)


# -- sweeping --------------------------------------------------------------------------------------------------------


async def test_old_changes_are_swept_and_whoever_missed_them_is_told(store: Store) -> None:
    """MS-07"""
    start = await end(store)
    await put(store, "old")
    await put(store, "old", b"2")
    middle = (await changes(store, start))[-1].cursor
    await put(store, "new", now=NOW + 100)
    assert await store.cells.sweep(NOW + 100, 50.0) == 2
    assert (await store.cells.changes("default", "global", start, 9)).is_cut
    assert told(await changes(store, middle)) == [("new", b"1")]
    assert await value(store, "old", NOW + 100) == b"2"
    cut = await store.cells.changes("default", "global", start, 9)
    assert told(list(cut.changes)) == [("new", b"1")]
    assert not (await store.cells.changes("default", "global", cut.cursor, 9)).is_cut


async def test_a_cursor_from_behind_the_end_is_cut(store: Store) -> None:
    """A store that was set back does not know what its watchers saw."""
    before = await end(store)
    found = await store.cells.changes("default", "global", "999999999999.9", 9)
    assert found.is_cut
    # PostgreSQL counts the transactions of all its databases, those of other tests, too.
    assert _place(before) <= _place(found.cursor) <= _place(await end(store))


def _place(cursor: str) -> list[int]:
    return [int(part) for part in cursor.split(".")]


async def test_a_deleted_cell_is_forgotten_after_a_while_and_its_versions_do_not_come_again(store: Store) -> None:
    """MS-09"""
    versions = []
    for _ in range(3):
        for body in (b"1", b"2", None):
            cell = (await put(store, value=body)).cell
            assert cell is not None
            versions.append(cell.version)
        assert await store.cells.sweep(NOW + 49, 50.0) == 0
        assert await read(store) is not None
        await store.cells.sweep(NOW + 50, 50.0)
        assert await read(store) is None
        assert (await put(store, value=b"3", base=versions[-1])) == Written(result=WriteResult.DIFFERS, cell=None)
    assert versions == sorted(set(versions))


async def test_more_is_swept_than_one_transaction_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.store.sql.cells._SWEPT_AT_ONCE", 3)
    await store.cells.write("default", [write(f"k{number}", ttl_seconds=1.0) for number in range(7)], NOW)
    assert await store.cells.expire(NOW + 1) == 7
    assert await store.cells.sweep(NOW + 2, 0.0) == 7 + 14


async def test_after_a_restore_bases_differ_and_watchers_read_anew(store: Store) -> None:
    """MS-09"""
    cursor = await end(store)
    cell = (await put(store)).cell
    assert cell is not None
    await store.upkeep.raise_fences(1_000, NOW)
    assert (await store.cells.changes("default", None, cursor, 9)).is_cut
    after = await end(store)
    again = await put(store, value=b"2", base=cell.version)
    assert again.result is WriteResult.DIFFERS
    assert again.cell is not None
    assert again.cell.version >= cell.version + 1_000
    await put(store, value=b"2", base=again.cell.version)
    assert told(await changes(store, after)) == [("k", b"2")]


async def test_cells_are_written_in_a_callers_transaction(store: Store) -> None:
    after = await end(store)

    async def write_in_vain() -> None:
        async with store.transaction() as joined:
            await joined.store.cells.write("default", [write()], NOW)
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        await write_in_vain()
    async with store.transaction() as joined:
        await joined.store.cells.write("default", [write("b")], NOW)
        assert await joined.store.cells.read("default", "global", "b", NOW) is not None
    assert told(await changes(store, after)) == [("b", b"1")]


# -- with a run's commit -----------------------------------------------------------------------------------------------


async def test_a_commit_and_its_cells_are_stored_together_or_not_at_all(store: Store) -> None:
    """MS-01: what a step writes is there with its result, once, and not when the commit is refused."""
    after = await end(store)
    new = NewCells(
        namespace="default", now=NOW, writes=[write("a"), write("b", b"2", ttl_seconds=5.0), write("c", None)]
    )
    group = [accepting(f"r{number}", cells=new) for number in range(3)]
    group += [batch("missing", seq=3, cells=NewCells(namespace="default", now=NOW, writes=[write("never")]))]
    results = await asyncio.gather(*(store.journal.commit(each) for each in group))
    assert results == [Committed.APPLIED] * 3 + [Committed.STALE]
    assert await store.journal.commit(batch("r1", cells=new)) is Committed.STALE
    assert await value(store, "a") == b"1"
    assert await value(store, "b", NOW + 4) == b"2"
    assert await value(store, "b", NOW + 5) is None
    assert await read(store, "never") is None
    found = await changes(store, after)
    assert sorted(told(found)) == [("a", b"1")] * 3 + [("b", b"2")] * 3


async def test_cells_of_a_run_that_joins_a_transaction_are_undone_with_it(store: Store) -> None:
    new = NewCells(namespace="default", now=NOW, writes=[write()])

    async def commit_in_vain() -> None:
        async with store.transaction() as joined:
            assert await joined.store.journal.commit(accepting(cells=new)) is Committed.APPLIED
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        await commit_in_vain()
    assert await read(store) is None
    async with store.transaction() as joined:
        assert await joined.store.journal.commit(accepting(cells=new)) is Committed.APPLIED
    assert await value(store) == b"1"
