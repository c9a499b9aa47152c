"""Runs that wait for each other: events between them, child runs, and what a crash in between leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from acceptance.test_engine import HEADER, output
from interlock import errors
from interlock.app import events as sending
from interlock.app.session import Session
from interlock.model.fault import Fault
from interlock.model.states import RunStatus
from interlock.store.ports import Batch, Committed, InboxRow, RunRow

LISTENER = HEADER + "do: [{hear: {listen: {to: {one: {with: {type: order.paid}}}}}}]\n"
EMITTER = HEADER + "do: [{tell: {emit: {event: {with: {type: order.paid, data: {order: 7}}}}}}]\n"


def named(name: str, text: str, namespace: str = "default") -> str:
    return f"document: {{dsl: 1.0.3, namespace: {namespace}, name: {name}, version: 1.0.0}}\n{text}"


async def waiting(app: Session, run: str, status: RunStatus = RunStatus.WAITING) -> RunRow:
    """Give a run once it is in a status."""
    row = await app.find(None, run)
    if row.status is status:
        return row
    async with asyncio.timeout(60):
        async for _ in app.follow(row):
            row = await app.find(None, run)
            if row.status is status:
                return row
    return await app.find(None, run)


async def test_an_event_of_one_run_ends_the_listening_of_all_others(interlock: Session) -> None:
    runs = [(await interlock.start(LISTENER, input={})).run for _ in range(3)]
    for run in runs:
        await waiting(interlock, run)
    other = await interlock.start(LISTENER, input={}, namespace="elsewhere")
    await waiting(interlock, other.run)
    await interlock.finish((await interlock.start(EMITTER, input={})).run)
    for run in runs:
        await interlock.finish(run)
        assert await output(interlock, await interlock.find(None, run)) == [{"order": 7}]
    assert (await interlock.find(None, other.run)).status is RunStatus.WAITING


async def test_a_run_hears_what_its_other_branch_sends(interlock: Session) -> None:
    text = HEADER + (
        "do:\n  - both:\n      fork:\n        branches:\n"
        "          - hear: {listen: {to: {one: {with: {type: t}}}}}\n"
        "          - tell: {emit: {event: {with: {type: t, data: 1}}}, output: {as: .data}}\n"
    )
    run = await interlock.start(text, input={})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == [[1], 1]


async def test_sending_from_outside_tells_how_many_listen_and_counts_once(interlock: Session) -> None:
    run = await interlock.start(LISTENER, input={})
    await waiting(interlock, run.run)
    assert (await sending.send(interlock, "default", {"type": "other"})).listeners == 0
    given = {"type": "order.paid", "id": "1", "source": "/shop", "data": {"n": 1}}
    assert (await sending.send(interlock, "default", given)).listeners == 1
    assert (await sending.send(interlock, "default", given)).listeners is None
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == [{"n": 1}]
    kept = await sending.listed(interlock, "default", None, None, 10)
    assert [item.event["type"] for item in kept] == ["order.paid", "other"]
    assert await sending.listed(interlock, "default", "order.paid", kept[0].number, 10) == []
    with pytest.raises(errors.Invalid, match="no `type`"):
        await sending.send(interlock, "default", {})


async def test_an_event_before_anybody_listens_is_kept_to_be_seen_and_never_delivered(interlock: Session) -> None:
    await sending.send(interlock, "default", {"type": "order.paid"})
    run = await interlock.start(LISTENER, input={})
    row = await waiting(interlock, run.run)
    assert row.status is RunStatus.WAITING
    assert await interlock.store.journal.inbox(str(row.owner)) == []
    await interlock.cancel(row, None)
    await interlock.finish(run.run)
    assert (await sending.send(interlock, "default", {"type": "order.paid"})).listeners == 0


async def test_many_events_are_each_heard_once_and_in_order(interlock: Session) -> None:
    text = HEADER + (
        "do:\n  - hear:\n      listen: {to: {any: [{with: {type: t}}], until: length == 200}}\n"
        "      foreach: {item: e, do: [{same: {set: '${ $e }'}}]}\n"
    )
    run = await interlock.start(text, input={})
    await waiting(interlock, run.run)
    for n in range(200):
        await sending.send(interlock, "default", {"type": "t", "data": {"n": n}})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == [{"n": n} for n in range(200)]


async def test_an_event_that_a_load_sees_before_a_look_at_the_inbox_ends_is_heard_once(
    interlock: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look began before the event came, so it does not know of it."""
    text = HEADER + "do: [{hear: {listen: {to: {any: [{with: {type: t}}], until: length == 2}}}}]\n"
    run = await interlock.start(text, input={})
    row = await waiting(interlock, run.run)
    assert interlock.node is not None
    engine, journal = interlock.node.engine, interlock.store.journal
    inbox, commit = journal.inbox, journal.commit
    looking, look, committing, go = (asyncio.Event() for _ in range(4))
    looks = 0

    async def slow_inbox(node: str) -> list[InboxRow]:
        nonlocal looks
        rows = await inbox(node)
        looks += 1
        if looks == 1:
            looking.set()
            await look.wait()
        return rows

    async def slow_commit(batch: Batch) -> Committed:
        committing.set()
        await go.wait()
        return await commit(batch)

    monkeypatch.setattr(journal, "inbox", slow_inbox)
    monkeypatch.setattr(journal, "commit", slow_commit)
    async with asyncio.timeout(60):
        engine._inbox.ring()
        await looking.wait()
        await sending.send(interlock, "default", {"type": "t", "data": 1})
        engine._due(run.run)  # loads the run with the event
        await committing.wait()
        engine._inbox.ring()
        look.set()
        while looks < 3:
            await asyncio.sleep(0.01)
        go.set()
        while await journal.inbox(str(row.owner)):
            await asyncio.sleep(0.01)
    await sending.send(interlock, "default", {"type": "t", "data": 2})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == [1, 2]


# -- child runs ------------------------------------------------------------------------------------------------------

CHILD = named("child", "do: [{add: {set: {n: '${ .n + 1 }'}}}]\n", "team")
PARENT = (
    HEADER + "do: [{call: {run: {workflow: {namespace: team, name: child, version: 1.0.0, input: {n: '${ .n }'}}}}}]\n"
)


async def test_a_child_run_gives_its_output_to_the_step_that_waits(interlock: Session) -> None:
    await interlock.publish(CHILD, None)
    run = await interlock.start(PARENT, input={"n": 1})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == {"n": 2}
    rows = await interlock.store.views.runs("team", [], "child", None, 10)
    assert [row.status for row in rows] == [RunStatus.COMPLETED]


async def test_the_newest_version_of_a_child(interlock: Session) -> None:
    await interlock.publish(CHILD, None)
    await interlock.publish(CHILD.replace("1.0.0", "1.1.0").replace(".n + 1", ".n + 10"), None)
    run = await interlock.start(PARENT.replace("version: 1.0.0, input", "version: latest, input"), input={"n": 1})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == {"n": 11}


async def test_a_child_that_faults_lets_its_step_fail_with_that_error(interlock: Session) -> None:
    await interlock.publish(
        named("child", "do: [{a: {raise: {error: {type: 'http://x/broken', status: 418}}}}]\n", "team"), None
    )
    run = await interlock.start(PARENT, input={"n": 1})
    await interlock.finish(run.run)
    row = await interlock.find(None, run.id)
    assert row.fault is not None
    error = msgspec.json.decode(row.fault, type=Fault)
    assert (error.type, error.status, error.instance) == ("http://x/broken", 418, "/do/0/call")
    assert "/do/0/a" in str(error.detail)


async def test_a_workflow_that_was_never_published_fails_its_step_by_name(interlock: Session) -> None:
    run = await interlock.start(PARENT, input={"n": 1})
    await interlock.finish(run.run)
    row = await interlock.find(None, run.id)
    assert row.fault is not None
    assert "no workflow team/child:1.0.0 is published" in str(msgspec.json.decode(row.fault, type=Fault).detail)


SLEEPER = named("child", "do: [{a: {wait: PT1H}}]\n", "team")


async def child_of(app: Session) -> RunRow:
    async with asyncio.timeout(60):
        while True:
            rows = await app.store.views.runs("team", ["waiting"], "child", None, 10)
            if rows:
                return rows[0]
            await asyncio.sleep(0.01)


async def test_cancelling_the_parent_cancels_the_child(interlock: Session) -> None:
    await interlock.publish(SLEEPER, None)
    run = await interlock.start(PARENT, input={"n": 1})
    child = await child_of(interlock)
    await interlock.cancel(await interlock.find(None, run.id), None)
    await interlock.finish(run.run)
    await interlock.finish(child.run)
    assert (await interlock.find(None, child.id)).status is RunStatus.CANCELLED


async def test_a_timeout_of_the_step_cancels_the_child(interlock: Session) -> None:
    await interlock.publish(SLEEPER, None)
    run = await interlock.start(PARENT.replace("}}}}]", "}}, timeout: {after: PT0.2S}}}]"), input={"n": 1})
    child = await child_of(interlock)
    await interlock.finish(run.run)
    assert (await interlock.find(None, run.id)).status is RunStatus.FAULTED
    await interlock.finish(child.run)
    assert (await interlock.find(None, child.id)).status is RunStatus.CANCELLED


async def test_a_child_that_is_cancelled_fails_the_step_that_waits(interlock: Session) -> None:
    await interlock.publish(SLEEPER, None)
    run = await interlock.start(PARENT, input={"n": 1})
    await interlock.cancel(await child_of(interlock), None)
    await interlock.finish(run.run)
    row = await interlock.find(None, run.id)
    assert row.fault is not None
    assert "was cancelled" in str(msgspec.json.decode(row.fault, type=Fault).detail)


async def test_a_child_that_is_not_awaited_outlives_its_parent(interlock: Session) -> None:
    await interlock.publish(SLEEPER, None)
    text = PARENT.replace("run: {workflow", "run: {await: false, workflow")
    run = await interlock.start(text, input={"n": 1})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == {"n": 1}
    child = await child_of(interlock)
    assert child.status is RunStatus.WAITING


async def test_large_values_go_to_a_child_and_back(interlock: Session) -> None:
    await interlock.publish(named("child", "do: [{a: {set: '${ . }'}}]\n", "team"), None)
    text = PARENT.replace("{n: '${ .n }'}", "{big: '${ .big }'}")
    run = await interlock.start(text, input={"big": "x" * 300_000})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == {"big": "x" * 300_000}


async def test_children_of_children(interlock: Session) -> None:
    await interlock.publish(CHILD, None)
    middle = PARENT.replace("name: tested", "name: middle").replace("namespace: default", "namespace: team")
    await interlock.publish(middle, None)
    run = await interlock.start(PARENT.replace("name: child", "name: middle"), input={"n": 5})
    await interlock.finish(run.run)
    assert await output(interlock, await interlock.find(None, run.id)) == {"n": 6}


async def test_a_forked_run_listens_where_the_first_one_listened(interlock: Session, tmp_path: Path) -> None:
    text = (
        HEADER
        + "do:\n  - both:\n      fork:\n        branches:\n          - hear: {listen: {to: {one: {with: {type: t}}}}}\n          - pause: {do: [{first: {set: {x: 1}}}, {second: {wait: PT1H}}]}\n"
    )
    run = await interlock.start(text, input={})
    row = await waiting(interlock, run.run)
    forked = await interlock.fork(row, "second", "copy")
    assert (await sending.send(interlock, "default", {"type": "t", "data": 1})).listeners == 2
    assert await interlock.take(await interlock.find(None, forked.id))
    await waiting(interlock, forked.id)
