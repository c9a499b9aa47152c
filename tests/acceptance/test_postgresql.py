"""Whole runs on a real PostgreSQL: killed at commits, killed at random, with connections that break all the time."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import postgres
import proxy
from acceptance import ledger
from acceptance.kitchen import CHILD, FUNCTIONS, MODULE, SPOILED, Kitchen
from acceptance.shell import SOURCE, Shell
from interlock import config, errors
from interlock.app import events as sending
from interlock.app.session import Session
from interlock.model.states import RunStatus
from interlock.store.open import open_store
from sampled import one_of

STEPS = """
document: {dsl: 1.0.3, namespace: default, name: four, version: 1.0.0}
do:
  - one: {run: {shell: {command: 'echo 1 >> ledger'}}}
  - two: {run: {shell: {command: 'echo 2 >> ledger'}}}
"""

# accept, claim, settle, decide, claim, settle, decide
BOUNDARIES = [f"commit:{number}:{moment}" for number in range(2, 8) for moment in ("before", "after")]


@pytest.mark.parametrize("fault", one_of(3, BOUNDARIES))
async def test_run_killed_at_a_transaction_completes(shell: Shell, postgres_url: str, fault: str) -> None:
    shell.write("four.yaml", STEPS)
    store = ("--store", postgres_url)
    killed = await asyncio.to_thread(
        shell.run, *store, "run", "four.yaml", "--id", "victim", env={"INTERLOCK_FAULT": fault}
    )
    assert killed.code == -signal.SIGKILL
    resumed = await asyncio.to_thread(shell.run, *store, "resume", "--all")
    assert resumed.code == 0, resumed.err
    shown = await asyncio.to_thread(shell.run, *store, "show", "victim", "--json")
    assert shown.json["status"] == "completed"
    done = shell.ledger()
    assert sorted(set(done)) == ["1", "2"]
    assert len(done) <= 3
    await _check(postgres_url, 1)


async def _check(url: str, count: int) -> None:
    """Every history folds to what is stored, and nothing is held, waits or is left over."""
    store = await open_store(url)
    assert await ledger.check_store(store) >= count
    await store.journal.sweep(0.0)  # what came for a run in the moment of its end
    counts = await store.views.counts()
    assert (counts["live runs"], counts["inbox"]) == (0, 0)
    for row in await store.views.runs(None, [], None, None, 1000):
        assert row.status is (RunStatus.FAULTED if row.workflow == "spoiled" else RunStatus.COMPLETED)
        assert [task.holder for task in await store.views.tasks(row.run) if task.holder] == []
    await store.close()


@pytest.mark.slow
async def test_killed_workflows_complete(tmp_path: Path, postgres_url: str) -> None:
    """WF-19"""
    (tmp_path / "kitchen_functions.py").write_text(FUNCTIONS)
    script = str(Path(__file__).with_name("herd.py"))
    moments = random.Random(7)
    for _ in range(4):
        process = await _herd(script, postgres_url, tmp_path)
        try:
            async with asyncio.timeout(moments.uniform(0.6, 1.5)):  # the moment of death is the experiment
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    process = await _herd(script, postgres_url, tmp_path)
    assert await asyncio.wait_for(process.wait(), 100) == 0
    await _check(postgres_url, 30)


async def _herd(script: str, url: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, script, url, "1000", "30", cwd=folder, env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.slow
async def test_connections_that_break_all_the_time_cost_no_work(
    tmp_path: Path, postgres_url: str, postgres_server: postgres.Server
) -> None:
    (tmp_path / "kitchen_functions.py").write_text(FUNCTIONS)
    moments = random.Random(11)
    async with proxy.before(postgres_server.port) as between:
        url = postgres_url.replace(f":{postgres_server.port}/", f":{between.port}/")
        settings = config.Settings(store=config.Store(url=url), python=config.Python(allow=(MODULE,)))
        async with Session.open(settings) as app:
            await app.publish(CHILD, None)
            await app.publish(SPOILED, None)
            await app.bring_node(pinned=False)

            async def breaking() -> None:
                for _ in range(40):
                    await asyncio.sleep(moments.uniform(0.02, 0.12))  # the moment is the experiment
                    if moments.random() < 0.5:
                        between.marker = b"COMMIT"
                    else:
                        between.cut_all()

            trouble = asyncio.create_task(breaking())
            runs = [await _started(app, seed, tmp_path) for seed in range(2000, 2015)]
            async with asyncio.timeout(100):
                await trouble
                for run in runs:
                    await app.finish(run)
                while await _unfinished(app):
                    await asyncio.sleep(0.05)
    await _check(postgres_url, 15)


async def _started(app: Session, seed: int, folder: Path) -> str:
    """Start a run; the same start is made again until the store has told what became of it."""
    while True:
        try:
            text = Kitchen(seed).document()
            return (await app.start(text, input={"n": seed}, id=f"kitchen-{seed}", folder=folder)).run
        except errors.StoreUnavailable:
            await asyncio.sleep(0.01)


async def _unfinished(app: Session) -> bool:
    try:
        return bool((await app.store.views.counts())["live runs"])
    except errors.StoreUnavailable:
        return True


LISTENER = """
document: {dsl: 1.0.3, namespace: default, name: listener, version: 1.0.0}
do: [{hear: {listen: {to: {any: [{with: {type: told}}], until: length == 40}}}}]
"""
PARENT = """
document: {dsl: 1.0.3, namespace: default, name: parent, version: 1.0.0}
do:
  - write: {run: {shell: {command: 'echo $INTERLOCK_RUN >> ledger'}}}
  - child: {run: {workflow: {namespace: default, name: sous-chef, version: 1.0.0, input: {n: 1}}}}
  - tell: {emit: {event: {with: {type: done}}}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [40, pytest.param(200, marks=pytest.mark.chaos)])
async def test_replies_that_are_lost_all_the_time_lose_and_double_nothing(
    tmp_path: Path, postgres_url: str, postgres_server: postgres.Server, cuts: int
) -> None:
    """Of commits, claims, settles, claims of runs, event sends, child runs: each cut comes after the work and before its reply."""
    moments = random.Random(17)
    async with proxy.before(postgres_server.port) as between:
        url = postgres_url.replace(f":{postgres_server.port}/", f":{between.port}/")
        async with Session.open(config.Settings(store=config.Store(url=url))) as app:
            await app.publish(CHILD, None)
            await app.bring_node(pinned=False)
            hearing = await app.start(LISTENER, input={}, id="hearing", folder=tmp_path)
            while (await app.find(None, hearing.id)).status is not RunStatus.WAITING:
                await asyncio.sleep(0.01)

            async def cutting() -> None:
                while between.cuts < cuts:
                    between.marker = moments.choice((b"COMMIT", b"running", b"waiting", b"completed"))
                    before = between.cuts
                    while between.cuts == before:
                        await asyncio.sleep(0.002)

            async def telling() -> None:
                for number in range(40):
                    event = {"type": "told", "source": "/here", "id": str(number), "data": number}
                    await _repeated(lambda event=event: sending.send(app, "default", event))

            async def starting() -> list[str]:
                """Start runs for as long as replies are lost, half of them for the node to claim."""
                ids: list[str] = []
                while not trouble.done():
                    id_, detach = f"parent-{len(ids)}", len(ids) % 2 == 0
                    await _repeated(
                        lambda id_=id_, detach=detach: app.start(PARENT, id=id_, folder=tmp_path, detach=detach)
                    )
                    ids.append(id_)
                    while await _count_of_live(app) > 8:
                        await asyncio.sleep(0.02)
                return ids

            async with asyncio.timeout(100):
                trouble = asyncio.create_task(cutting())
                _, ids = await asyncio.gather(telling(), starting())
                await trouble
                while await _unfinished(app):
                    await asyncio.sleep(0.05)
            assert between.cuts == cuts
            row = await app.find(None, "hearing")
            assert row.output is not None
            heard = await app.rows.value(row.run, row.output, app.store.journal)
            assert heard.value == list(range(40))
            sent = await app.store.views.events(None, "done", None, 10_000)
    assert sorted((tmp_path / "ledger").read_text().split()) == sorted(ids)
    assert len(sent) == len(ids)
    await _check(postgres_url, 1 + 2 * len(ids))


async def _repeated(call: Callable[[], Awaitable[object]]) -> None:
    """Ask again until the store has told what became of it."""
    while True:
        try:
            await call()
        except errors.StoreUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


async def _count_of_live(app: Session) -> int:
    try:
        return (await app.store.views.counts())["live runs"]
    except errors.StoreUnavailable:
        return 9
