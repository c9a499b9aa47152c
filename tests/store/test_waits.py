"""Conformance of waits for task graphs: begun once, due when something is to be done, cancelled only for who waits."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import Done, Failed, FailureClass
from interlock.store.ports import (
    STOPPED_AT_ONCE,
    Begun,
    DueWait,
    NewToken,
    NewWait,
    RevokedToken,
    Store,
    TaskEnd,
    TokenState,
)
from store.rows import accepting, batch, graph, graph_task
from store.test_tasks import place, settle, states

GRAPH = "default/g"


def token(name: str = "k1", effect: int = 1) -> NewToken:
    return NewToken(token=name, effect=effect, name="build", step="/do/0/build")


def wait(**more: Any) -> NewWait:
    return NewWait(**{"graph": GRAPH, "visit": "r1/do/0/build", "token": "k1", "run": "r1"} | more)


async def begin(store: Store, **more: Any) -> Begun:
    return await store.waits.begin(wait(**more), 100.0)


async def waiting(store: Store, *tokens: NewToken, loaded: bool = True) -> None:
    """A run that waits for the graph with the tasks a and b, b after a."""
    await store.journal.commit(accepting(tokens=[token(), *tokens]))
    assert await begin(store) is Begun.LOADING
    await store.tasks.load(graph(), [graph_task("a", 1), graph_task("b", 2, {"a": True})], 100.0)
    if loaded:
        assert await store.waits.loaded(GRAPH, "k1")


def found(effect: int = 1, **more: Any) -> DueWait:
    """What a look found."""
    return DueWait(**{"graph": GRAPH, "token": "k1", "effect": effect, "is_open": True, "has_open": True} | more)


async def due(store: Store, now: float = 200.0) -> list[DueWait]:
    return await store.waits.due(10, now)


async def test_wait_is_begun_once_and_belongs_to_one_visit(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2)]))
    assert [await begin(store), await begin(store)] == [Begun.LOADING, Begun.LOADING]
    assert await store.waits.loaded(GRAPH, "k1")
    assert await begin(store) is Begun.LOADED
    assert await begin(store, visit="r1/do/1/other", token="k2") is Begun.TAKEN
    assert not await store.waits.loaded(GRAPH, "k2")
    assert await begin(store, token="k2") is Begun.LOADING
    assert not await store.waits.loaded(GRAPH, "k1")
    await store.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    found = await store.tasks.graph("default", "g")
    assert found is not None
    assert found.run_id == "r1"
    assert [row.run_id for row in await store.tasks.graphs(None, ("", ""), 10)] == ["r1"]


async def test_graph_that_was_loaded_by_hand_is_waited_for_by_nobody(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    await store.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    assert await begin(store) is Begun.TAKEN
    assert not await store.waits.any_open(None)
    assert [row.run_id for row in await store.tasks.graphs(None, ("", ""), 10)] == [""]


async def test_token_that_is_open_no_more_begins_no_wait(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    await store.journal.commit(batch(seq=1, revoked_tokens=[RevokedToken(token="k1")]))
    assert await begin(store) is Begun.UNWANTED
    assert await begin(store, token="unknown") is Begun.UNWANTED
    assert not await store.waits.any_open(None)


async def test_wait_is_due_when_every_task_is_over(store: Store) -> None:
    await waiting(store)
    assert await due(store) == []
    (a,) = await place(store, "a")
    await settle(store, a, Done({"n": 1}))
    assert await due(store) == []
    (b,) = await place(store, "b")
    await settle(store, b, Failed(FailureClass.INVALID, Fault(type=fault.RUNTIME, status=500, title="no")))
    assert await due(store) == [DueWait(graph=GRAPH, token="k1", effect=1, is_open=True, has_open=False)]
    first, second = await store.waits.ends(GRAPH, 0, 10)
    assert first == TaskEnd(number=1, id="a", state=TaskState.DONE, optional=False, outcome="done", detail=b'{"n":1}')
    assert (second.id, second.state, second.outcome) == ("b", TaskState.FAILED, "failed")
    assert [each.id for each in await store.waits.ends(GRAPH, 1, 10)] == ["b"]
    assert await store.waits.end(found(), 300.0)
    assert not await store.waits.end(found(), 300.0)
    assert await due(store) == []


async def test_graph_that_is_being_loaded_is_not_over(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    await begin(store)
    assert await due(store) == []


async def test_graph_whose_token_was_revoked_is_to_be_cancelled(store: Store) -> None:
    await waiting(store)
    await place(store, "a")
    await store.journal.commit(batch(seq=1, revoked_tokens=[RevokedToken(token="k1")]))
    assert await due(store) == [DueWait(graph=GRAPH, token="k1", effect=1, is_open=False, has_open=True)]
    assert await store.waits.stop(found(), 200.0) == 2
    assert await states(store) == {"a": "running", "b": "cancelled"}
    assert await store.waits.stop(found(), 200.0) == 0
    await store.waits.end(found(), 200.0)
    assert await due(store) == []


async def test_load_that_is_under_way_is_left_alone_until_it_is_over(store: Store) -> None:
    """Its loader gives it up, or its time runs out; then what it stored is cancelled."""
    await waiting(store, loaded=False)
    await store.journal.commit(batch(seq=1, revoked_tokens=[RevokedToken(token="k1")]))
    assert [each.is_open for each in await due(store)] == [False]


async def test_holder_who_is_asked_to_stop_is_asked_once(store: Store) -> None:
    """A rollback waits for what became of the graph."""
    await waiting(store)
    (a,) = await place(store, "a")
    await store.journal.commit(batch(seq=1, asked_tokens=[RevokedToken(token="k1", reason="rolled back")]))
    assert await due(store) == [DueWait(graph=GRAPH, token="k1", effect=1, is_open=True, has_open=True)]
    await store.waits.stop(found(), 200.0)
    assert await due(store) == []
    await settle(store, a, Done(None))
    assert [each.has_open for each in await due(store)] == [False]


async def test_tasks_are_not_cancelled_for_a_token_that_was_replaced(store: Store) -> None:
    await waiting(store, token("k2", 2))
    await store.journal.commit(batch(seq=1, revoked_tokens=[RevokedToken(token="k1")]))
    assert await begin(store, token="k2") is Begun.LOADING
    assert await store.waits.stop(found(), 200.0) == 0
    assert not await store.waits.end(found(), 200.0)
    assert await states(store) == {"a": "ready", "b": "blocked"}


async def test_wait_that_ended_begins_again_with_the_token_of_a_run_that_is_tried_again(store: Store) -> None:
    await waiting(store)
    await store.tokens.complete("k1", TokenState.FAILED, b"{}", "d", "graph", 200.0)
    assert [each.is_open for each in await due(store)] == [False]
    await store.waits.end(found(), 200.0)
    await store.journal.commit(batch(seq=1, tokens=[token()]))
    assert await begin(store) is Begun.LOADING


async def test_what_was_seen_before_a_run_was_tried_again_changes_nothing_of_what_it_waits_for_now(
    store: Store,
) -> None:
    """A node may read how a graph ended, stand still, and tell of it when the same token waits for the next try."""
    await waiting(store)
    await store.tokens.complete("k1", TokenState.FAILED, b"{}", "d", "graph", 200.0, effect=1)
    await store.waits.end(found(), 200.0)
    await store.journal.commit(batch(seq=1, tokens=[token(effect=5)]))
    assert await begin(store) is Begun.LOADING
    assert await store.waits.loaded(GRAPH, "k1")
    late = await store.tokens.complete("k1", TokenState.FAILED, b"{}", "d", "graph", 201.0, effect=1)
    assert late is not None
    assert (late.applied, late.row.state, late.row.effect) == (False, TokenState.OPEN, 5)
    assert await store.waits.stop(found(), 201.0) == 0
    assert not await store.waits.end(found(), 201.0)
    assert await states(store) == {"a": "ready", "b": "blocked"}
    assert await store.waits.any_open(None)
    assert await store.waits.stop(found(effect=5), 202.0) == 1
    assert await due(store) == [found(effect=5, has_open=False)]
    told = await store.tokens.complete("k1", TokenState.COMPLETED, b"{}", "d", "graph", 203.0, effect=5)
    assert told is not None
    assert told.applied
    assert await store.waits.end(found(effect=5), 203.0)


async def test_nodes_know_whether_runs_of_theirs_wait(store: Store) -> None:
    assert not await store.waits.any_open(None)
    await waiting(store)
    assert [await store.waits.any_open(each) for each in (None, "n1", "n2")] == [True, True, False]


async def test_many_tasks_are_cancelled_in_several_transactions(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    await begin(store)
    tasks = [graph_task(f"t{number}", number) for number in range(1, STOPPED_AT_ONCE + 2)]
    await store.tasks.load(graph(), tasks, 100.0)
    assert [await store.waits.stop(found(), 200.0) for _ in range(3)] == [STOPPED_AT_ONCE, 1, 0]


async def test_wait_of_a_run_that_is_gone_is_due(store: Store) -> None:
    await waiting(store)
    await store.journal.commit(msgspec.structs.replace(batch(seq=1, ended=True), end_reason="over"))
    assert [each.is_open for each in await due(store)] == [False]
