"""Conformance of what a run remembers and shows: memos, undo records, status, search attributes, cached results."""

from __future__ import annotations

import asyncio

import pytest

from interlock import errors
from interlock.model.states import RunStatus
from interlock.store.ports import Committed, NewCached, NewMemo, Store
from store.rows import accepting, batch

FOREVER = 1e12


def memo(number: int, *, undo: bool = False, body: bytes = b"") -> NewMemo:
    return NewMemo(number=number, call=f"step#{number}", body=body or b"%d" % number, undo=undo)


async def numbers(store: Store, run: str = "r1", after: int = 0, limit: int = 99) -> list[int]:
    return [row.number for row in await store.journal.memos(run, after, limit)]


# -- memos -----------------------------------------------------------------------------------------------------------


async def test_memos_are_read_back_in_order_and_in_pages(store: Store) -> None:
    await store.journal.commit(accepting(memos=[memo(2), memo(1, undo=True)]))
    await store.journal.commit(accepting("r2", memos=[memo(1)]))
    await store.journal.commit(batch(seq=1, memos=[memo(3)]))
    first = await store.journal.memos("r1", 0, 2)
    assert [(row.number, row.call, row.body, row.undo) for row in first] == [
        (1, "step#1", b"1", True),
        (2, "step#2", b"2", False),
    ]
    assert await numbers(store, after=first[-1].number, limit=2) == [3]
    assert await numbers(store, after=3) == []
    assert await numbers(store, "nothing") == []


async def test_undo_records_are_read_from_the_last_to_the_first(store: Store) -> None:
    await store.journal.commit(accepting(memos=[memo(number, undo=number % 2 == 0) for number in range(1, 8)]))
    last = await store.journal.undos("r1", None, 2)
    assert [(row.number, row.undo) for row in last] == [(6, True), (4, True)]
    assert [row.number for row in await store.journal.undos("r1", last[-1].number, 2)] == [2]
    assert await store.journal.undos("r1", 2, 2) == []


async def test_refused_commit_leaves_no_memo(store: Store) -> None:
    await store.journal.commit(accepting(memos=[memo(1)]))
    assert await store.journal.commit(batch(seq=7, memos=[memo(2)])) is Committed.STALE
    assert await store.journal.commit(batch(seq=7, memos=[memo(2)], forget_memos=True)) is Committed.STALE
    assert await store.journal.commit(accepting(memos=[memo(3)])) is Committed.EXISTS
    assert await numbers(store) == [1]


async def test_run_that_continues_as_new_forgets_its_memos_and_may_use_their_numbers_again(store: Store) -> None:
    await store.journal.commit(accepting(memos=[memo(number, undo=True) for number in range(1, 50)]))
    await store.journal.commit(accepting("r2", memos=[memo(1)]))
    anew = batch(seq=1, memos=[memo(1, body=b"anew"), memo(2)], forget_memos=True)
    assert await store.journal.commit(anew) is Committed.APPLIED
    assert [row.body for row in await store.journal.memos("r1", 0, 99)] == [b"anew", b"2"]
    assert await store.journal.undos("r1", None, 99) == []
    assert await numbers(store, "r2") == [1]
    assert await store.journal.commit(batch(seq=2, forget_memos=True)) is Committed.APPLIED
    assert await numbers(store) == []


async def test_number_that_is_used_twice_fails_its_commit_alone(store: Store) -> None:
    await store.journal.commit(accepting(memos=[memo(1)]))
    group = [batch(seq=1, memos=[memo(1)]), *(accepting(f"good-{number}", memos=[memo(1)]) for number in range(5))]
    results = await asyncio.gather(*(store.journal.commit(each) for each in group), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert results[1:] == [Committed.APPLIED] * 5
    assert await store.journal.commit(batch(seq=1, memos=[memo(2)])) is Committed.APPLIED


async def test_large_text_of_a_memo_is_kept(store: Store) -> None:
    large = {"digest": b"x" * 100_000}
    await store.journal.commit(accepting(memos=[memo(1, body=b'{"$large":"digest"}')], large=large))
    await store.journal.sweep(FOREVER)
    assert await store.journal.texts("r1", ["digest"]) == large


async def test_what_a_removed_run_remembers_goes_with_it(store: Store) -> None:
    for run in ("old", "young"):
        await store.journal.commit(
            accepting(run, memos=[memo(number, undo=True) for number in range(1, 500)], attributes={"customer": "c1"})
        )
    await store.journal.commit(batch("old", 1, ended=True, status=RunStatus.COMPLETED))
    assert await store.upkeep.remove(["old"], FOREVER) == 1
    assert await store.views.runs("default", [], None, None, 9, attributes={"customer": "c1"}) != []
    while await store.upkeep.clear():
        pass
    assert await numbers(store, "old") == []
    assert await store.views.attributes("old") == {}
    assert len(await numbers(store, "young", limit=999)) == 499
    assert (await store.views.counts())["memos"] == 499


# -- what is shown ---------------------------------------------------------------------------------------------------


async def test_what_a_run_shows_stays_until_it_shows_something_else(store: Store) -> None:
    await store.journal.commit(accepting("r0"))
    await store.journal.commit(accepting(shown=b'{"progress":0}'))
    await store.journal.commit(batch(seq=1))
    assert [row.shown for row in await store.views.runs(None, [], None, None, 9)] == [b'{"progress":0}', None]
    await store.journal.commit(batch(seq=2, shown=b'{"progress":1}'))
    await store.journal.commit(batch(seq=3, ended=True, status=RunStatus.COMPLETED))
    for id_ in ("r1", "r0"):
        row = await store.views.run(None, id_)
        assert row is not None
        assert row.shown == (b'{"progress":1}' if id_ == "r1" else None)


# -- search attributes -----------------------------------------------------------------------------------------------


async def found(store: Store, namespace: str | None = "default", **wanted: str | float | bool) -> list[str]:
    rows = await store.views.runs(namespace, [], None, None, 99, attributes=wanted)
    return [row.run for row in rows]


async def test_runs_are_found_by_all_the_attributes_that_are_wanted(store: Store) -> None:
    await store.journal.commit(accepting("r1", attributes={"customer": "c1", "total": 10, "paid": True}))
    await store.journal.commit(accepting("r2", attributes={"customer": "c1", "total": 10.0, "paid": False}))
    await store.journal.commit(accepting("r3", attributes={"customer": "c2", "total": 10}))
    await store.journal.commit(accepting("r4", attributes={"customer": "true", "nul": "a\0b"}))
    assert await found(store, customer="c1") == ["r2", "r1"]
    assert await found(store, total=10) == ["r3", "r2", "r1"]
    assert await found(store, customer="c1", total=10.0, paid=True) == ["r1"]
    assert await found(store, paid=True, customer="c2") == []
    assert await found(store, nothing=1) == []
    assert await found(store, nul="a\0b", customer="true") == ["r4"]
    assert await store.views.attributes("r1") == {"customer": "c1", "paid": True, "total": 10.0}


async def test_values_of_different_types_are_never_equal(store: Store) -> None:
    await store.journal.commit(accepting("r1", attributes={"x": "true", "y": "1", "z": 1}))
    assert await found(store, x=True) == await found(store, y=1) == await found(store, z=True) == []
    assert await found(store, x="true") == await found(store, y="1") == await found(store, z=1) == ["r1"]


async def test_attributes_are_changed_and_deleted_by_later_commits(store: Store) -> None:
    await store.journal.commit(accepting(attributes={"state": "new", "customer": "c1", "kept": 1}))
    await store.journal.commit(batch(seq=1, attributes={"state": "sent", "customer": None, "never": None}))
    assert await store.views.attributes("r1") == {"state": "sent", "kept": 1.0}
    assert await found(store, state="new") == await found(store, customer="c1") == []
    assert await store.journal.commit(batch(seq=7, attributes={"state": "x", "kept": None})) is Committed.STALE
    assert await store.views.attributes("r1") == {"state": "sent", "kept": 1.0}


async def test_listing_by_attribute_keeps_to_its_namespace_filters_and_pages(store: Store) -> None:
    for number in range(6):
        namespace = "other" if number == 5 else "default"
        new = {"namespace": namespace, "workflow": "v" if number == 0 else "w"}
        status = RunStatus.WAITING if number % 2 else RunStatus.RUNNING
        await store.journal.commit(accepting(f"r{number}", new=new, status=status, attributes={"a": 1}))
    assert await found(store, a=1) == ["r4", "r3", "r2", "r1", "r0"]
    assert await found(store, None, a=1) == ["r5", "r4", "r3", "r2", "r1", "r0"]
    page = await store.views.runs("default", [], None, "r3", 2, attributes={"a": 1})
    assert [row.run for row in page] == ["r2", "r1"]
    page = await store.views.runs(None, ["waiting"], None, None, 9, attributes={"a": 1})
    assert [row.run for row in page] == ["r5", "r3", "r1"]
    page = await store.views.runs("default", [], "v", None, 9, attributes={"a": 1})
    assert [row.run for row in page] == ["r0"]


@pytest.mark.parametrize(("value", "words"), [("x" * 2000, "has 2002 bytes"), (float("nan"), "is nan")])
async def test_attribute_that_no_search_could_find_fails_its_commit_alone(
    store: Store, value: str | float, words: str
) -> None:
    group = [accepting("bad", attributes={"a": value}), accepting("good", attributes={"a": "x" * 1000})]
    results = await asyncio.gather(*(store.journal.commit(each) for each in group), return_exceptions=True)
    assert isinstance(results[0], errors.Invalid)
    assert words in str(results[0])
    assert results[1] is Committed.APPLIED
    assert await store.journal.load("bad") is None


# -- cached results --------------------------------------------------------------------------------------------------


def cached(key: str, body: bytes, expires_at: float = 200.0, **more: str) -> NewCached:
    return NewCached(namespace=more.get("namespace", "default"), name="step", key=key, body=body, expires_at=expires_at)


async def test_cached_result_is_given_until_its_time_is_over(store: Store) -> None:
    await store.journal.commit(accepting(cached=[cached("k", b"1"), cached("k", b"2", namespace="other")]))
    assert await store.journal.cached("default", "step", "k", 199.0) == b"1"
    assert await store.journal.cached("default", "step", "k", 200.0) is None
    assert await store.journal.cached("other", "step", "k", 199.0) == b"2"
    assert await store.journal.cached("default", "step", "other", 199.0) is None
    assert await store.journal.cached("default", "other", "k", 199.0) is None


async def test_cached_result_is_replaced_by_a_later_one_and_swept_when_it_is_over(store: Store) -> None:
    await store.journal.commit(accepting(cached=[cached("k", b"1"), cached("old", b"x", 50.0)]))
    await store.journal.commit(batch(seq=1, cached=[cached("k", b"2", 300.0), cached("k", b"3", 400.0)]))
    assert await store.journal.commit(batch(seq=7, cached=[cached("k", b"stale", 900.0)])) is Committed.STALE
    assert await store.journal.cached("default", "step", "k", 399.0) == b"3"
    assert await store.journal.sweep(100.0) == 1
    assert await store.journal.cached("default", "step", "old", 0.0) is None
    assert await store.journal.cached("default", "step", "k", 399.0) == b"3"


async def test_results_that_many_runs_cache_at_once_under_one_key_are_kept_as_one(store: Store) -> None:
    group = [accepting(f"r{number}", cached=[cached("k", b"%d" % number)]) for number in range(20)]
    assert await asyncio.gather(*(store.journal.commit(each) for each in group)) == [Committed.APPLIED] * 20
    assert await store.journal.cached("default", "step", "k", 0.0) in {b"%d" % number for number in range(20)}
