"""Conformance of what runs exchange in their commits: events, subscriptions, child runs, causes for others."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from interlock.model.states import RunStatus
from interlock.store.ports import Committed, NewEvent, NewSubscription, Post, Store
from store.rows import accepting, batch, new_run


def event(id: str = "e1", **more: Any) -> NewEvent:
    fields: dict[str, Any] = {
        "namespace": "default",
        "id": id,
        "source": "/s",
        "type": "t",
        "body": b"{}",
        "cause": b'{"kind":"event","event":{"id":"%s"}}' % id.encode(),
    }
    return NewEvent(**fields | more)


def wanted(listener: int = 1, type: str = "t", source: str = "", namespace: str = "default") -> NewSubscription:
    return NewSubscription(namespace=namespace, listener=listener, type=type, source=source)


async def listening(store: Store, run: str, *subscriptions: NewSubscription) -> None:
    assert await store.journal.commit(accepting(run, subscriptions=subscriptions)) is Committed.APPLIED


async def causes(store: Store, run: str) -> list[Any]:
    stored = await store.journal.load(run)
    assert stored is not None
    return [msgspec.json.decode(row.cause) for row in stored.inbox]


async def heard(store: Store, run: str) -> list[str]:
    return [cause["event"]["id"] for cause in await causes(store, run)]


async def test_event_reaches_every_run_that_listens_for_its_type_and_source_once(store: Store) -> None:
    await listening(store, "r1", wanted(1), wanted(2))
    await listening(store, "r2", wanted(type="", source="/s"))
    await listening(store, "r3", wanted(type="other"))
    await listening(store, "r4", wanted(source="/else"))
    await listening(store, "r5", wanted(namespace="elsewhere"))
    assert await store.journal.send(event(), "test", 100.0) == 2
    assert [await heard(store, f"r{number}") for number in range(1, 6)] == [["e1"], ["e1"], [], [], []]


async def test_event_with_the_same_source_and_id_counts_once(store: Store) -> None:
    await listening(store, "r1", wanted())
    assert await store.journal.send(event(), "test", 100.0) == 1
    assert await store.journal.send(event(), "test", 101.0) is None
    assert await store.journal.send(event(namespace="elsewhere"), "test", 101.0) == 0
    assert await heard(store, "r1") == ["e1"]


async def test_event_of_a_commit_reaches_others_and_those_that_listen_since_this_very_commit(store: Store) -> None:
    await listening(store, "r1", wanted())
    both = accepting("r2", subscriptions=[wanted()], emitted=[event("a"), event("b")])
    assert await store.journal.commit(both) is Committed.APPLIED
    assert await heard(store, "r1") == ["a", "b"]
    assert await heard(store, "r2") == ["a", "b"]


async def test_event_of_a_refused_commit_reaches_nobody(store: Store) -> None:
    await listening(store, "r1", wanted())
    await listening(store, "r2")
    assert await store.journal.commit(batch("r2", seq=7, emitted=[event()])) is Committed.STALE
    assert await heard(store, "r1") == []
    assert await store.views.events(None, None, None, 10) == []


async def test_event_that_several_runs_send_at_once_is_the_one_that_is_kept(store: Store) -> None:
    await listening(store, "r1", wanted(type="t"))
    await listening(store, "r2", wanted(type="u"))
    await listening(store, "r3")
    stale = batch("r3", seq=7, emitted=[event(type="t", body=b"stale")])
    sent = accepting("r4", emitted=[event(type="u", body=b"sent")])
    late = accepting("r5", emitted=[event(type="t", body=b"late")])
    results = await asyncio.gather(*(store.journal.commit(each) for each in (stale, sent, late)))
    assert results == [Committed.STALE, Committed.APPLIED, Committed.APPLIED]
    assert [row.body for row in await store.views.events(None, None, None, 10)] == [b"sent"]
    assert [await heard(store, "r1"), await heard(store, "r2")] == [[], ["e1"]]


async def test_nobody_is_told_after_unsubscribing_or_ending(store: Store) -> None:
    await listening(store, "r1", wanted(1), wanted(2, type="u"))
    await listening(store, "r2", wanted())
    await store.journal.commit(batch("r1", seq=1, unsubscribed=[1]))
    await store.journal.commit(batch("r2", seq=1, ended=True, status=RunStatus.COMPLETED))
    assert await store.journal.send(event(), "test", 100.0) == 0
    assert await store.journal.send(event("e2", type="u"), "test", 100.0) == 1


async def test_events_are_listed_newest_first_and_swept_after_a_while(store: Store) -> None:
    for number, kind in enumerate(["t", "u", "t"]):
        await store.journal.send(event(f"e{number}", type=kind, body=b"%d" % number), "test", 100.0 + number)
    rows = await store.views.events("default", "t", None, 10)
    assert [row.body for row in rows] == [b"2", b"0"]
    assert [row.body for row in await store.views.events(None, None, rows[0].number, 1)] == [b"1"]
    assert await store.views.events("elsewhere", None, None, 10) == []
    assert await store.journal.sweep(101.5) == 2
    assert [row.at for row in await store.views.events(None, None, None, 10)] == [102.0]


async def test_many_events_at_once_reach_a_listener_each_once(store: Store) -> None:
    await listening(store, "r1", wanted())
    sent = [store.journal.send(event(f"e{number}"), "test", 100.0) for number in range(40)]
    emitted = [store.journal.commit(accepting(f"s{number}", emitted=[event(f"x{number}")])) for number in range(40)]
    await asyncio.gather(*sent, *emitted)
    assert sorted(await heard(store, "r1")) == sorted([f"{kind}{number}" for kind in "ex" for number in range(40)])


# -- children --------------------------------------------------------------------------------------------------------


async def test_child_is_accepted_with_the_commit_of_its_parent(store: Store) -> None:
    child = new_run("c1", parent="r1", parent_effect=3, owner="n1", large={"d": b"text"}, input=b'["d",4]')
    assert await store.journal.commit(accepting("r1", children=[child])) is Committed.APPLIED
    stored = await store.journal.load("c1")
    assert stored is not None
    assert (stored.parent, stored.parent_effect, stored.status, stored.seq) == ("r1", 3, RunStatus.PENDING, 1)
    assert await store.journal.texts("c1", ["d"]) == {"d": b"text"}
    assert await store.journal.sweep(10_000.0) == 0  # the text is referred to
    begun = batch("c1", seq=1, status=RunStatus.RUNNING)
    assert await store.journal.commit(begun) is Committed.APPLIED


async def test_refused_commit_accepts_no_child(store: Store) -> None:
    await store.journal.commit(accepting("r1"))
    refused = batch(
        "r1", seq=9, children=[new_run("c1", parent="r1")], posts=[Post(run="r1", cause_id="x", cause=b"{}")]
    )
    assert await store.journal.commit(refused) is Committed.STALE
    assert await store.journal.load("c1") is None
    assert await causes(store, "r1") == []


async def test_child_that_is_not_wanted_any_more_is_asked_to_cancel_once(store: Store) -> None:
    children = [new_run("c1", parent="r1", parent_effect=3), new_run("c2", parent="r1", parent_effect=4)]
    await store.journal.commit(accepting("r1", children=children))
    await store.journal.commit(batch("r1", seq=1, cancelled_tasks=[3]))
    await store.journal.commit(batch("r1", seq=2, cancelled_tasks=[3]))
    assert [cause["kind"] for cause in await causes(store, "c1")] == ["cancel"]
    assert await causes(store, "c2") == []


async def test_post_reaches_another_run_once_and_never_one_that_has_ended(store: Store) -> None:
    await store.journal.commit(accepting("r1"))
    await store.journal.commit(accepting("r2", ended=True, status=RunStatus.COMPLETED))
    posts = [Post(run=run, cause_id="effect:1", cause=b'{"kind":"tick"}') for run in ("r1", "r2", "r1")]
    await store.journal.commit(accepting("r3", posts=posts))
    assert len(await causes(store, "r1")) == 1
    assert await causes(store, "r2") == []


async def test_post_of_the_first_commit_reaches_the_run_itself(store: Store) -> None:
    post = Post(run="r1", cause_id="effect:1", cause=b'{"kind":"tick"}')
    await store.journal.commit(accepting("r1", posts=[post]))
    assert len(await causes(store, "r1")) == 1


async def test_audit_log_is_read_in_pages_newest_first(store: Store) -> None:
    for number in range(3):
        await store.upkeep.record("user:ann", "prune", str(number), 100.0 + number)

    newest = await store.views.audit(None, 2)
    older = await store.views.audit(newest[-1].number, 2)

    assert [(row.at, row.actor, row.action, row.target) for row in newest + older] == [
        (102.0, "user:ann", "prune", "2"),
        (101.0, "user:ann", "prune", "1"),
        (100.0, "user:ann", "prune", "0"),
    ]
