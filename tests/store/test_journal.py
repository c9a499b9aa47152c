"""Conformance of the journal: compare-and-append per run, fenced by the epoch."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from interlock import errors
from interlock.engine import recovery
from interlock.model.states import RunStatus
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import Committed, Store
from interlock.store.sql import statements
from interlock.store.sql.postgresql.server import Server
from interlock.store.sql.store import SqliteStore
from store.rows import accepting, batch, definition, new_run, new_task, node


async def test_commit_is_read_back_whole(store: Store) -> None:
    assert await store.journal.commit(accepting(scopes={"1.0": b"s"}, head=b"h")) is Committed.APPLIED
    stored = await store.journal.load("r1")
    assert stored is not None
    assert (stored.epoch, stored.seq, stored.head, stored.scopes) == (1, 1, b"h", {"1.0": b"s"})
    assert [row.events for row in await store.journal.history("r1", 0, 10)] == [b"[0]"]


async def test_unknown_run_is_none(store: Store) -> None:
    assert await store.journal.load("nothing") is None


async def test_id_is_taken_once_per_namespace(store: Store) -> None:
    assert await store.journal.commit(accepting("r1", new={"id": "order-1"})) is Committed.APPLIED
    assert await store.journal.commit(accepting("r2", new={"id": "order-1"})) is Committed.EXISTS
    other = accepting("r3", new={"id": "order-1", "namespace": "other"})
    assert await store.journal.commit(other) is Committed.APPLIED


async def test_wrong_seq_or_epoch_is_stale_and_changes_nothing(store: Store) -> None:
    await store.journal.commit(accepting())
    assert await store.journal.commit(batch(seq=0, head=b"x")) is Committed.STALE
    assert await store.journal.commit(batch(seq=1, epoch=2, head=b"x")) is Committed.STALE
    stored = await store.journal.load("r1")
    assert stored is not None
    assert (stored.seq, stored.head) == (1, b"{}")
    assert len(await store.journal.history("r1", 0, 10)) == 1


async def test_ended_run_takes_no_more_commits(store: Store) -> None:
    await store.journal.commit(accepting(ended=True, status=RunStatus.COMPLETED))
    assert await store.journal.commit(batch(seq=1)) is Committed.STALE


async def test_member_of_a_group_fails_alone(store: Store) -> None:
    """One with NUL bytes, one stale, one with a taken id, among good ones."""
    await store.journal.commit(accepting("taken"))
    group = [accepting(f"good-{number}", head=b"\x00nul") for number in range(20)]
    group += [batch("missing", seq=3), accepting("other", new={"id": "taken"}), accepting("broken", history=b"x")]
    group[-1] = msgspec.structs.replace(group[-1], history=3)  # a value that the database cannot take as it is
    group[-1] = msgspec.structs.replace(group[-1], history=object())
    results = await asyncio.gather(*(store.journal.commit(each) for each in group), return_exceptions=True)
    assert results[:20] == [Committed.APPLIED] * 20
    assert results[20:22] == [Committed.STALE, Committed.EXISTS]
    assert isinstance(results[22], Exception)
    stored = await store.journal.load("good-7")
    assert stored is not None
    assert stored.head == b"\x00nul"
    assert await store.journal.load("broken") is None


async def test_member_that_the_database_refuses_fails_alone(store: Store) -> None:
    await store.journal.commit(accepting("taken", tasks=[new_task("t1", "taken")]))
    group = [accepting(f"good-{number}") for number in range(20)]
    group[7:7] = [accepting("broken", tasks=[new_task("t1", "broken")])]
    results = await asyncio.gather(*(store.journal.commit(each) for each in group), return_exceptions=True)
    assert isinstance(results[7], Exception)
    assert results[:7] + results[8:] == [Committed.APPLIED] * 20
    assert await store.journal.load("broken") is None


async def test_store_is_refused_only_for_a_migration_that_cannot_be_lived_with(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a rolling upgrade: a newer process opens the store while this one works on it."""
    url = _address(store)
    if url is None:
        pytest.skip("nobody else can open a store in memory")
    ours = statements.migrations
    for mark, is_refused in (("", False), ("-- incompatible\n", True)):
        name = f"99{len(mark):02}_later"
        newer = {name: (f"{mark}CREATE TABLE later_{len(mark)} (x INTEGER)", "")}
        monkeypatch.setattr(statements, "migrations", lambda dialect, newer=newer: ours(dialect) | newer)
        await (await open_store(url)).close()
        monkeypatch.setattr(statements, "migrations", ours)
        if is_refused:
            with pytest.raises(errors.StoreCorrupt, match="newer Interlock"):
                await open_store(url)
        else:
            await (await open_store(url)).close()
    assert await store.journal.commit(accepting()) is Committed.APPLIED


def _address(store: Store) -> str | None:
    """Give what opens a store a second time."""
    if isinstance(store, SqliteStore):
        return None if store.path == ":memory:" else store.url
    server: Server = store.server  # type: ignore[attr-defined]
    return server.url


async def test_large_texts_are_kept_in_parts_and_read_back(store: Store) -> None:
    text = bytes(range(256)) * 10_000
    await store.journal.commit(accepting(large={"digest": text, "small": b"x"}))
    assert await store.journal.texts("r1", ["digest", "small", "missing"]) == {"digest": text, "small": b"x"}
    await store.journal.commit(batch(seq=1, large={"digest": text}))
    assert await store.journal.texts("r2", ["digest"]) == {}


async def test_large_texts_that_no_commit_refers_to_are_swept(store: Store) -> None:
    await store.journal.commit(accepting(large={"kept": b"x"}))
    await store.journal.commit(batch(seq=7, large={"left": b"y"}))
    assert await store.journal.texts("r1", ["left"]) == {"left": b"y"}
    assert await store.journal.sweep(107.0) == 0
    assert await store.journal.sweep(108.0) == 1
    assert await store.journal.texts("r1", ["kept", "left"]) == {"kept": b"x"}


async def test_scope_is_replaced_and_removed(store: Store) -> None:
    await store.journal.commit(accepting(scopes={"1.0": b"a", "1.1": b"b"}))
    await store.journal.commit(batch(seq=1, scopes={"1.0": b"c", "1.1": None}))
    stored = await store.journal.load("r1")
    assert stored is not None
    assert stored.scopes == {"1.0": b"c"}


async def test_cause_is_posted_once_and_consumed_in_order(store: Store) -> None:
    await store.journal.commit(accepting())
    assert await store.journal.post("r1", "cancel:1", b"c1", "user:me", 100.0)
    assert await store.journal.post("r1", "cancel:1", b"c1", "user:me", 100.0)
    assert await store.journal.post("r1", "suspend:2", b"c2", "user:me", 100.0)
    rows = await store.journal.inbox("n1")
    assert [row.cause for row in rows] == [b"c1", b"c2"]
    assert await store.journal.inbox("n2") == []
    await store.journal.commit(batch(seq=1, consumed=[rows[0].number]))
    assert [row.cause for row in await store.journal.inbox("n1")] == [b"c2"]
    stored = await store.journal.load("r1")
    assert stored is not None
    assert [row.cause for row in stored.inbox] == [b"c2"]


async def test_ended_run_takes_no_causes_and_drops_those_it_has(store: Store) -> None:
    await store.journal.commit(accepting())
    await store.journal.post("r1", "suspend:1", b"c", "user:me", 100.0)
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.FAULTED))
    assert not await store.journal.post("r1", "cancel:1", b"c", "user:me", 100.0)
    stored = await store.journal.load("r1")
    assert stored is not None
    assert stored.inbox == []


async def test_only_a_faulted_run_is_reopened_and_gets_a_new_epoch(store: Store) -> None:
    await store.journal.commit(accepting())
    assert await store.journal.reopen("r1", "n2", "user:me", 100.0) is None
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.FAULTED, fault=b"{}"))
    assert await store.journal.reopen("r1", "n2", "user:me", 100.0) == 2
    assert await store.journal.commit(batch(seq=2)) is Committed.STALE
    assert await store.journal.commit(batch(seq=2, epoch=2)) is Committed.APPLIED
    assert [row.cause for row in await store.journal.inbox("n2")] == [b'{"kind":"reopen"}']


async def test_history_is_paged_by_seq(store: Store) -> None:
    await store.journal.commit(accepting())
    for seq in range(1, 5):
        await store.journal.commit(batch(seq=seq))
    assert [row.seq for row in await store.journal.history("r1", 1, 2)] == [2, 3]
    assert [row.seq for row in await store.journal.history("r1", 3, 10)] == [4, 5]


async def test_published_version_is_fixed_for_good(store: Store) -> None:
    """WF-01, WF-20"""
    assert await store.journal.publish(definition("d1"), "user:me", 1.0) == "d1"
    assert await store.journal.publish(definition("d1"), "user:me", 2.0) == "d1"
    assert await store.journal.publish(definition("d2"), "user:me", 3.0) == "d1"
    await store.journal.publish(definition("d3", "1.10.0"), "user:me", 4.0)
    await store.journal.publish(definition("d4", "1.9.0"), "user:me", 5.0)
    newest = await store.journal.published("default", "w", None)
    assert newest is not None
    assert (newest.digest, newest.version) == ("d3", "1.10.0")
    assert await store.journal.published("default", "w", "3.0.0") is None
    assert await store.journal.published("default", "unknown", None) is None


async def test_definition_is_stored_by_digest(store: Store) -> None:
    await store.journal.define(definition("d9"))
    await store.journal.define(definition("d9"))
    found = await store.journal.definition("d9")
    assert found is not None
    assert found.source == "text"
    assert await store.journal.definition("d0") is None


async def test_run_is_found_by_unique_prefix(store: Store) -> None:
    await store.journal.commit(accepting("r1", new={"id": "order-1234"}))
    await store.journal.commit(accepting("r2", new={"id": "order-1299"}))
    found = await store.views.run("default", "order-123")
    assert found is not None
    assert found.id == "order-1234"
    assert await store.views.run("default", "ord") is None
    assert await store.views.run("other", "order-1234") is None
    with pytest.raises(Exception, match="several runs"):
        await store.views.run("default", "order-12")


async def test_listing_is_newest_first_filtered_and_paged(store: Store) -> None:
    for number in range(5):
        status = RunStatus.FAULTED if number % 2 else RunStatus.RUNNING
        await store.journal.commit(accepting(f"r{number}", status=status))
    await store.journal.commit(accepting("r9", new={"namespace": "other", "workflow": "v"}))
    assert [row.id for row in await store.views.runs("default", [], None, None, 2)] == ["r4", "r3"]
    assert [row.id for row in await store.views.runs("default", [], None, "r3", 9)] == ["r2", "r1", "r0"]
    assert [row.id for row in await store.views.runs("default", ["faulted"], None, None, 9)] == ["r3", "r1"]
    assert [row.id for row in await store.views.runs(None, [], "v", None, 9)] == ["r9"]
    assert [row.id for row in await store.views.runs("default", ["running"], None, "r4", 1)] == ["r2"]
    assert [row.id for row in await store.views.runs("default", ["faulted", "running"], None, None, 3)] == [
        "r4",
        "r3",
        "r2",
    ]


async def test_listing_by_status_finds_owned_unowned_and_ended_runs_each_once(store: Store) -> None:
    every = list(RunStatus)
    for number, status in enumerate(every):
        await store.journal.commit(accepting(f"owned{number}", status=status))
        await store.journal.commit(accepting(f"unowned{number}", status=status, new={"owner": None}))
    for number, status in enumerate(every):
        found = [row.id for row in await store.views.runs("default", [status], None, None, 9)]
        assert sorted(found) == [f"owned{number}", f"unowned{number}"]
    wanted = [status for status in every if status is not RunStatus.COMPLETED]
    assert len(await store.views.runs("default", wanted, None, None, 99)) == 2 * len(wanted)


async def test_unowned_runs_are_claimed_once_with_a_new_epoch(store: Store) -> None:
    await store.journal.commit(accepting("r1", new={"owner": None}))
    await store.journal.commit(accepting("r2", new={"owner": None}, started_at=None))
    first = await store.nodes.claim_runs("n1", 1)
    second = await store.nodes.claim_runs("n2", 5)
    assert [(row.run, row.epoch, row.was_live) for row in first + second] == [("r1", 2, True), ("r2", 2, False)]
    assert await store.nodes.claim_runs("n3", 5) == []
    assert await store.nodes.claim_runs("n3", 1, only="r1") == []
    assert await store.journal.commit(batch("r1", seq=1)) is Committed.STALE


async def test_dead_node_gives_its_runs_back(store: Store) -> None:
    await store.nodes.join(node("n1"), 10.0)
    await store.journal.commit(accepting("r1"))
    assert [row.node for row in await store.nodes.live(109.0)] == ["n1"]
    assert [row.node for row in await store.nodes.expired(110.0)] == ["n1"]
    assert await store.nodes.bury("n1", 110.0) == 1
    assert await store.nodes.expired(111.0) == []
    claimed = await store.nodes.claim_runs("n2", 5, only="r1")
    assert [row.epoch for row in claimed] == [2]
    assert [row.run for row in await store.nodes.owned("n2")] == ["r1"]


async def test_node_that_was_given_up_for_dead_commits_nothing_even_before_its_run_is_claimed(store: Store) -> None:
    await store.nodes.join(node("n1"), 10.0)
    await store.journal.commit(accepting("r1"))
    await store.nodes.bury("n1", 110.0)
    assert await store.journal.commit(batch("r1", seq=1)) is Committed.STALE


async def test_run_of_a_node_that_was_buried_meanwhile_is_found_and_freed(store: Store) -> None:
    """A node that slept may accept or claim a run before it learns that it was given up."""
    for name in ("n1", "n2", "n3"):
        await store.nodes.join(node(name), 10.0)
    await store.nodes.bury("n1", 110.0)
    await store.nodes.bury("n3", 110.0)
    for number, owner in enumerate(("n1", "n1", "n2", "n3")):
        await store.journal.commit(accepting(f"r{number}", new={"owner": owner}))
    assert await store.nodes.ghosts() == ["n1", "n3"]
    assert await recovery.sweep(store, StoppedClock()) == 2
    assert await store.nodes.ghosts() == []
    claimed = await store.nodes.claim_runs("n4", 5)
    assert [row.run for row in claimed] == ["r0", "r1", "r3"]


class StoppedClock(SystemClock):
    def stamp(self) -> float | None:
        return 105.0


async def test_released_run_is_free(store: Store) -> None:
    await store.journal.commit(accepting("r1", new={"owner": "n1"}))
    await store.journal.commit(batch("r1", seq=1, release=True))
    assert [row.run for row in await store.nodes.claim_runs("n2", 5)] == ["r1"]


async def test_listeners_are_woken_after_a_commit(store: Store) -> None:
    rung = asyncio.Event()
    end = store.bell.listen(rung.set)
    await store.journal.commit(accepting())
    await asyncio.wait_for(rung.wait(), 60)
    end()
    end()


async def test_figures_and_counts_are_told(store: Store) -> None:
    await store.journal.commit(accepting())
    assert (await store.figures())["commit_p50_ms"] > 0
    assert (await store.views.counts())["runs"] == 1


def test_new_run_has_the_fields_of_the_contract() -> None:
    assert new_run().owner == "n1"


async def test_published_definitions_are_listed_in_pages(store: Store) -> None:
    for namespace, name, version in (
        ("b", "w", "1.0.0"),
        ("a", "w", "1.10.0"),
        ("a", "w", "1.2.0"),
        ("a", "v", "1.0.0"),
    ):
        digest = f"{namespace}{name}{version}"
        row = msgspec.structs.replace(definition(digest, version), namespace=namespace, name=name)
        await store.journal.publish(row, "somebody", 5.0)
    first = await store.views.definitions(None, None, None, None, 3)
    assert [(each.namespace, each.name, each.version) for each in first] == [
        ("a", "v", "1.0.0"), ("a", "w", "1.10.0"), ("a", "w", "1.2.0"),
    ]  # fmt: skip
    assert (first[0].digest, first[0].published_at) == ("av1.0.0", 5.0)
    rest = await store.views.definitions(None, None, None, ("a", "w", "1.2.0"), 3)
    assert [each.namespace for each in rest] == ["b"]
    assert [each.namespace for each in await store.views.definitions("b", None, None, None, 9)] == ["b"]
    assert len(await store.views.definitions(None, "w", "1.0.0", None, 9)) == 1
    assert await store.views.definitions("c", None, None, None, 9) == []
