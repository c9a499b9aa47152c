"""What happens around a run when its node, its lease or its store fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acceptance import ledger
from acceptance.test_engine import HEADER, finished, output
from interlock import config, errors, telemetry
from interlock.app.session import Session
from interlock.engine import identity, membership, recovery
from interlock.model.fault import Fault
from interlock.model.states import RunStatus
from interlock.service import SystemClock
from interlock.store.ports import HistoryRow, NodeRow

NAP = "import asyncio\nasync def nap(seconds):\n    with open('ledger', 'a') as ledger:\n        ledger.write('x')\n    await asyncio.sleep(seconds)\n    return seconds\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions in the node see its working folder."""
    monkeypatch.chdir(tmp_path)


def settings(folder: Path, **more: Any) -> config.Settings:
    return config.Settings(store=config.Store(url=f"sqlite:///{folder}/interlock.db"), **more)


async def test_stopped_node_gives_its_run_back_and_the_effect_is_repeated_free_of_charge(tmp_path: Path) -> None:
    (tmp_path / "node_naps.py").write_text(NAP)
    text = HEADER + "do: [{nap: {call: 'python:node_naps:nap', with: {seconds: '${ .s }'}}}]"
    async with Session.open(settings(tmp_path)) as app:
        await app.bring_node()
        started = await app.start(text, input={"s": 0.4}, folder=tmp_path, id="nap")
        while not (tmp_path / "ledger").exists():
            await asyncio.sleep(0.01)
    async with Session.open(settings(tmp_path)) as app:
        row = await app.find(None, "nap")
        assert row.owner is None
        assert await app.take(row)
        await app.finish(started.run)
        names = [type(event).__name__ for event in await app.history(row.run)]
        assert names.count("Requested") == 2
        assert "AttemptFailed" not in names
        assert await output(app, await app.find(None, "nap")) == 0.4
        await ledger.check_store(app.store)
    assert (tmp_path / "ledger").read_text() == "xx"


async def test_queued_attempt_of_a_stopped_node_is_made_again(tmp_path: Path) -> None:
    text = (
        HEADER
        + "do: [{nap: {run: {shell: {command: 'echo x >> ledger; test $(wc -l < ledger) = 2 || sleep 60; echo done'}}}}]"
    )
    async with Session.open(settings(tmp_path)) as app:
        await app.bring_node()
        started = await app.start(text, folder=tmp_path, id="nap")
        while not (tmp_path / "ledger").exists():
            await asyncio.sleep(0.01)
    async with Session.open(settings(tmp_path)) as app:
        assert await app.take(await app.find(None, "nap"))
        await app.finish(started.run)
        assert await output(app, await app.find(None, "nap")) == "done\n"
        await ledger.check_store(app.store)
    assert (tmp_path / "ledger").read_text() == "x\nx\n"


async def test_node_that_was_given_up_for_dead_stops_at_once(
    interlock: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interlock.node is not None
    started = await interlock.start(HEADER + "do: [{w: {wait: PT60S}}]", id="lost")
    finishing = asyncio.create_task(interlock.finish(started.run))
    await interlock.store.nodes.bury(interlock.node.row.node, interlock.clock.now())
    with pytest.raises(errors.LeaseLost, match="interlock resume"):
        await asyncio.wait_for(finishing, membership.BEAT_SECONDS + 5)


async def test_no_effect_begins_while_the_lease_is_in_doubt(interlock: Session, tmp_path: Path) -> None:
    """As when the process was stopped for long: the reply to its last commit is read before the lease is found lost."""
    (tmp_path / "node_stamps.py").write_text("import time\ndef stamp():\n    return time.monotonic()\n")
    assert interlock.node is not None
    member = interlock.node._membership
    member._confirmed -= membership.NODE_TTL_SECONDS
    assert not member.is_certain
    row = await finished(interlock, HEADER + "do: [{a: {call: 'python:node_stamps:stamp'}}]")
    assert member.is_certain
    assert await output(interlock, row) > member._confirmed


async def test_run_that_another_node_took_over_is_dropped(interlock: Session) -> None:
    text = HEADER + "do: [{w: {wait: {milliseconds: 200}}}, {a: {set: {x: 1}}}]"
    started = await interlock.start(text, id="taken")
    assert interlock.node is not None
    finishing = asyncio.create_task(interlock.finish(started.run))
    await asyncio.sleep(0)
    await interlock.store.nodes.bury(interlock.node.row.node, interlock.clock.now())
    claimed = await interlock.store.nodes.claim_runs("other", 1, only=started.run)
    assert [each.epoch for each in claimed] == [2]
    with pytest.raises((errors.StaleEpoch, errors.LeaseLost)):
        await asyncio.wait_for(finishing, 60)
    row = await interlock.find(None, "taken")
    assert row.epoch == 2
    assert row.status is RunStatus.WAITING


async def test_patient_engine_waits_for_a_store_that_is_away(tmp_path: Path) -> None:
    async with Session.open(settings(tmp_path)) as app:
        node = await app.bring_node(pinned=False, allow_all_python=False)
        away = iter([errors.StoreUnavailable("away"), errors.StoreFull("full")])
        commit = app.store.journal.commit
        heard: list[str] = []
        detach = telemetry.attach(lambda name, fields: heard.append(name))

        async def flaky(batch: Any) -> Any:
            error = next(away, None)
            if error is not None:
                raise error
            return await commit(batch)

        app.store.journal.commit = flaky  # type: ignore[method-assign]
        row = await finished(app, HEADER + "do: [{a: {set: {x: 1}}}]")
        detach()
        assert row.status is RunStatus.COMPLETED
        assert heard.count("store.away") == 2
        assert node.engine.runs == 0


async def test_impatient_engine_tells_whoever_waits(interlock: Session) -> None:
    async def full(batch: Any) -> Any:
        raise errors.StoreFull("no space left")

    commit, interlock.store.journal.commit = interlock.store.journal.commit, full  # type: ignore[method-assign]
    with pytest.raises(errors.StoreFull):
        await interlock.start(HEADER + "do: [{a: {set: {x: 1}}}]")
    interlock.store.journal.commit = commit  # type: ignore[method-assign]


async def test_lost_reply_is_recognised_by_what_was_stored(interlock: Session) -> None:
    """The commit was applied, the answer said stale: the writer looks before it gives up."""
    commit = interlock.store.journal.commit

    async def twice(batch: Any) -> Any:
        first = await commit(batch)
        return first if batch.accept is not None else await commit(batch)

    interlock.store.journal.commit = twice  # type: ignore[method-assign]
    text = HEADER + "do: [{w: {wait: {milliseconds: 20}}}, {a: {set: {x: 1}}}]"
    row = await finished(interlock, text)
    interlock.store.journal.commit = commit  # type: ignore[method-assign]
    assert row.status is RunStatus.COMPLETED


async def test_parked_run_is_loaded_with_its_large_values_when_something_happens(interlock: Session) -> None:
    text = HEADER + "do: [{w: {wait: PT600S}}, {a: {set: {n: '${ .text | length }'}}}]"
    started = await interlock.start(text, input={"text": "x" * 200_000}, id="parked")
    row = await interlock.find(None, "parked")
    assert interlock.node is not None
    assert await interlock.suspend(row)
    while (await interlock.find(None, "parked")).status is not RunStatus.SUSPENDED:
        await asyncio.sleep(0.01)
    assert await interlock.cancel(row, "enough")
    await interlock.finish(started.run)
    assert not await interlock.cancel(row, "again")
    assert not await interlock.suspend(row)
    assert (await interlock.find(None, "parked")).status is RunStatus.CANCELLED


async def test_detached_run_waits_for_a_node_and_keeps_its_large_input(tmp_path: Path) -> None:
    text = HEADER + "do: [{a: {set: {n: '${ .text | length }'}}}]"
    async with Session.open(settings(tmp_path)) as app:
        started = await app.start(text, input={"text": "x" * 200_000}, id="later", detach=True)
        assert not await app.has_engine()
        assert [each.row.id for each in await app.unattended()] == ["later"]
        assert not await app.retry(await app.find(None, "later"))
        assert await app.take(await app.find(None, "later"))
        await app.finish(started.run)
        assert await output(app, await app.find(None, "later")) == {"n": 200_000}
        again = await app.start(text, input={"text": "x" * 200_000}, id="later", detach=True)
        assert not again.fresh


async def test_retry_goes_on_from_the_failed_step_and_fork_shares_the_history(
    interlock: Session, tmp_path: Path
) -> None:
    (tmp_path / "fix.py").write_text(
        "import os\ndef first():\n    with open('ledger', 'a') as ledger:\n        ledger.write('1')\n    return {'v': 1}\n"
        "def second(v):\n    if not os.path.exists('mended'):\n        raise ValueError('broken')\n    return {'v': v + 1}\n"
    )
    text = HEADER + "do: [{one: {call: 'python:fix:first'}}, {two: {call: 'python:fix:second', with: {v: '${ .v }'}}}]"
    started = await interlock.start(text, folder=tmp_path, id="mend")
    await interlock.finish(started.run)
    row = await interlock.find(None, "mend")
    assert row.fault is not None
    found = msgspec.json.decode(row.fault, type=Fault)
    assert (found.title, found.detail, found.instance) == ("ValueError", "broken", "/do/1/two")
    (tmp_path / "mended").touch()
    assert await interlock.retry(row)
    await interlock.finish(row.run)
    row = await interlock.find(None, "mend")
    assert await output(interlock, row) == {"v": 2}
    assert (row.epoch, (tmp_path / "ledger").read_text()) == (2, "1")
    forked = await interlock.fork(row, "two", "forked")
    assert await interlock.take(await interlock.find(None, "forked"))
    await interlock.finish(forked.run)
    copy = await interlock.find(None, "forked")
    assert (await output(interlock, copy), copy.origin, (tmp_path / "ledger").read_text()) == ({"v": 2}, "mend", "1")
    for step, words in (("nothing", "no step"), ("/do/9/x", "no step")):
        with pytest.raises(errors.NotFound, match=words):
            await interlock.fork(row, step, None)
    with pytest.raises(errors.Conflict, match="exists"):
        await interlock.fork(row, "two", "forked")


async def test_fork_of_a_run_that_retention_removes_meanwhile_is_refused(
    interlock: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.app.following._PAGE", 1)
    text = HEADER + "do: [{a: {wait: {milliseconds: 1}}}, {b: {wait: {milliseconds: 1}}}]"
    run = await interlock.start(text)
    await interlock.finish(run.run)
    row = await interlock.find(None, run.id)
    read = interlock.store.journal.history

    async def overtaken(*arguments: Any) -> list[HistoryRow]:
        rows = await read(*arguments)
        await interlock.store.upkeep.remove([run.run], 1e12)
        while await interlock.store.upkeep.clear():
            pass
        return rows

    monkeypatch.setattr(interlock.store.journal, "history", overtaken)
    with pytest.raises(errors.NotFound, match="removed by retention meanwhile"):
        await interlock.fork(row, "b", None)


async def test_fork_of_a_step_that_was_never_entered_or_is_ambiguous_is_refused(interlock: Session) -> None:
    text = (
        HEADER
        + "do: [{a: {set: {x: 1}, then: end}}, {g: {if: 'false', do: [{b: {set: {x: 1}}}]}}, {h: {if: 'false', do: [{b: {set: {x: 1}}}]}}]"
    ).replace("{a: {set: {x: 1}, then: end}}", "{a: {set: {x: 1}}}")
    row = await finished(interlock, text)
    with pytest.raises(errors.NotFound, match="never entered"):
        await interlock.fork(row, "/do/1/g/do/0/b", None)
    with pytest.raises(errors.Invalid, match="several steps"):
        await interlock.fork(row, "b", None)


@pytest.mark.parametrize("id", ["", "x" * 129, "a\nb"])
async def test_id_that_is_no_id_is_refused(interlock: Session, id: str) -> None:
    with pytest.raises(errors.Invalid, match="printable"):
        await interlock.start(HEADER + "do: [{a: {set: {x: 1}}}]", id=id)


async def test_functions_outside_the_allowed_modules_are_refused(tmp_path: Path) -> None:
    (tmp_path / "allowed_naps.py").write_text(NAP)
    text = HEADER + "do: [{nap: {call: 'python:allowed_naps:nap', with: {seconds: 0}}}]"
    async with Session.open(settings(tmp_path)) as app:
        await app.bring_node(allow_all_python=False)
        started = await app.start(text, folder=tmp_path)
        await app.finish(started.run)
        row = await app.find(None, started.id)
        assert row.status is RunStatus.FAULTED
        assert b"python.allow" in (row.fault or b"")
        with pytest.raises(errors.Invalid, match=r"python\.allow"):
            await app.publish(text, None)
    async with Session.open(settings(tmp_path, python=config.Python(allow=("allowed_naps",)))) as app:
        await app.bring_node(allow_all_python=False)
        published = await app.publish(text, None)
        started = await app.start(published.source, folder=tmp_path)
        await app.finish(started.run)
        assert (await app.find(None, started.id)).status is RunStatus.COMPLETED


async def test_unknown_function_is_named(interlock: Session, tmp_path: Path) -> None:
    """WF-21: nothing is accepted and then not executed."""
    for call, words in (("nowhere:1.0.0@default", b"catalog"), ("python:no_such_module:f", b"no_such_module")):
        started = await interlock.start(HEADER + f"do: [{{a: {{call: '{call}'}}}}]", folder=tmp_path)
        await interlock.finish(started.run)
        row = await interlock.find(None, started.id)
        assert words in (row.fault or b"")


async def test_what_cannot_be_executed_yet_is_refused_by_name(interlock: Session) -> None:
    """WF-21"""
    text = HEADER + "do: [{a: {run: {shell: {command: x}, await: false}}}]"
    with pytest.raises(errors.InvalidDefinition, match="cannot execute yet") as refused:
        await interlock.start(text)
    assert "await: false" in str(refused.value.problems)


def test_process_is_told_from_its_successors() -> None:
    clock = SystemClock()
    me = identity.here(clock, "engine", pinned=True)
    assert not identity.is_dead(me)
    assert identity.is_dead(msgspec.structs.replace(me, started=me.started + 1))
    assert identity.is_dead(msgspec.structs.replace(me, boot="another"))
    assert identity.is_dead(msgspec.structs.replace(me, pid=2**22 + 1))
    assert not identity.is_dead(msgspec.structs.replace(me, host="elsewhere", pid=2**22 + 1))
    assert not identity.is_dead(msgspec.structs.replace(me, boot=""))


def test_process_of_another_container_of_this_host_is_not_seen_as_dead() -> None:
    """Containers may share the name of their host and its start, and count their processes each from 1."""
    me = identity.here(SystemClock(), "engine", pinned=True)
    elsewhere: NodeRow = msgspec.structs.replace(me, boot=f"{me.boot.partition('/')[0]}/pid:[1]", pid=2**22 + 1)
    assert not identity.is_dead(elsewhere)
    assert identity.is_dead(msgspec.structs.replace(elsewhere, boot="another/pid:[1]"))


async def test_sweep_buries_the_dead_and_only_them(tmp_path: Path) -> None:
    async with Session.open(settings(tmp_path)) as app:
        clock = app.clock
        me = identity.here(clock, "engine", pinned=False)
        dead: NodeRow = msgspec.structs.replace(me, node="dead", pid=2**22 + 1)
        await app.store.nodes.join(me, 100.0)
        await app.store.nodes.join(dead, 100.0)
        assert await app.has_engine()
        assert [node.node for node in await app.store.nodes.live(clock.now())] == [me.node]
        assert await recovery.sweep(app.store, clock) == 0
