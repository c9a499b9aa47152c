"""The pool type `worker`: the conformance suite of launchers, with a store and a worker between who asks and who performs.

An attempt is a task of the pool `workers`; a worker of this process claims it, its outcome comes out of the run's inbox and
its output out of the log. What the queue does not carry, the variables and the timeout of a single launch (both are the
engine's there), is added where the worker launches.

Two cases cannot hold, and are replaced by what holds instead: a task whose folder is not on the worker's machine starts in
the worker's own, and a NUL in output is kept as a symbol, since PostgreSQL keeps none. Adoption is not asked for here: no
launcher is asked twice; workers adopt from each other (acceptance/test_worker).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import postgres
import required
from interlock import config
from interlock.app.probes import Probes
from interlock.app.readiness import Readiness
from interlock.app.worker import Terms, WorkerNode
from interlock.dispatch.post import Post
from interlock.engine import cause
from interlock.model.states import TaskState
from interlock.model.task import Cancelled, Done, Outcome, ShellTarget
from interlock.model.worker import Capabilities
from interlock.pool.launcher import Launch, Launcher, OnOutput, Running
from interlock.secrets.keeper import Keeper
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import Store, news
from pool.conformance import (
    Attempts,
    EndingConformance,
    FunctionConformance,
    ScriptConformance,
    ShellConformance,
    attempts,
)
from store.rows import accepting, batch, new_task, node

__all__ = ["attempts"]
OWNER = "n1"
RUN = "r1"
POOL = "workers"
_ENDED = {TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}


class Extras(Probes):
    """Adds to a launch what the queue does not carry."""

    def __init__(self) -> None:
        self.of: dict[str, Launch] = {}

    def launcher(self, launcher: Launcher) -> Launcher:
        return _Extended(launcher, self)


class _Extended:
    def __init__(self, launcher: Launcher, extras: Extras) -> None:
        self._launcher = launcher
        self._extras = extras

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        asked = self._extras.of[launch.attempt.partition(".")[0]]
        fuller = msgspec.structs.replace(
            launch,
            environment=launch.environment | asked.environment,
            timeout_seconds=asked.timeout_seconds,
        )
        return await self._launcher.launch(fuller, on_output)

    def is_left(self, launch: Launch) -> bool:
        return self._launcher.is_left(launch)

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        return await self._launcher.adopt(launch, on_output)


class Queued:
    """A launcher whose attempts are tasks of one run, which a worker performs."""

    def __init__(self, store: Store, extras: Extras) -> None:
        self.store = store
        self._extras = extras
        self._effects = 0
        self._commits = 0
        self._committing = asyncio.Lock()

    async def accept(self) -> None:
        await self.store.nodes.join(node(OWNER, joined_at=None), 3600.0)
        await self.commit(first=True)

    async def commit(self, *, first: bool = False, **parts: Any) -> None:
        async with self._committing:
            fields = {"at": SystemClock().now(), **parts}
            made = accepting(RUN, **fields) if first else batch(RUN, self._commits, **fields)
            await self.store.journal.commit(made)
            self._commits += 1

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        self._effects += 1
        effect = self._effects
        task = f"t{effect:03}"
        self._extras.of[task] = launch
        row = new_task(
            task,
            RUN,
            effect,
            pool=POOL,
            path=f"/do/{effect}/a",
            target=launch.target,
            folder=launch.folder,
            any_exit_code=launch.any_exit_code,
        )
        await self.commit(tasks=[row])
        return _Task(self, task, effect, on_output)

    def is_left(self, launch: Launch) -> bool:
        return False

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        raise NotImplementedError


class _Task:
    def __init__(self, queue: Queued, task: str, effect: int, on_output: OnOutput) -> None:
        self._queue = queue
        self._task = task
        self._effect = effect
        self._on_output = on_output
        self._heard = 0
        self._following = asyncio.create_task(self._follow())

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self._following)

    async def cancel(self) -> None:
        if not self._following.done():
            await self._queue.commit(cancelled_tasks=[self._effect])
            await asyncio.wait([self._following])

    async def forget(self) -> None:
        raise NotImplementedError

    async def detach(self) -> None:
        raise NotImplementedError

    async def _follow(self) -> Outcome:
        rung = asyncio.Event()
        end = self._queue.store.bell.listen(rung.set, news.ANYTHING)
        try:
            while True:
                rung.clear()
                state = next(row.state for row in await self._queue.store.views.tasks(RUN) if row.task == self._task)
                await self._hear()
                if state in _ENDED:
                    return Cancelled() if state is TaskState.CANCELLED else await self._stored()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await rung.wait()
        finally:
            end()

    async def _hear(self) -> None:
        while lines := await self._queue.store.views.logs(RUN, self._heard, 1000, f"/do/{self._effect}/a"):
            for line in lines:
                self._heard = line.number
                self._on_output(line.stream, line.text)

    async def _stored(self) -> Outcome:
        causes = [cause.decode(row.cause) for row in await self._queue.store.journal.inbox(OWNER)]
        found = [each for each in causes if isinstance(each, cause.Settled) and each.effect == self._effect]
        if not found:  # it was asked to end, so that nobody waits for its outcome
            return Cancelled()
        assert len(found) == 1
        return found[0].outcome


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.chaos)])  # the launcher is the same
async def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Queued]:
    async with contextlib.AsyncExitStack() as stack:
        url = f"sqlite:///{tmp_path}/.store/store.db"
        if request.param == "postgresql":
            if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
                pytest.skip("PostgreSQL is not installed")
            server = await asyncio.to_thread(postgres.shared, postgres.NEWEST)
            url = await stack.enter_async_context(postgres.database(server))
        store = await open_store(url)
        stack.push_async_callback(store.close)
        extras = Extras()
        queue = Queued(store, extras)
        await queue.accept()
        settings = config.Settings(
            store=config.Store(url=url),
            logs=config.Logs(max_bytes=50_000_000),
            node=config.Node(orphan_grace_seconds=0.0),
        )
        clock = SystemClock()
        worker = WorkerNode(
            settings,
            store,
            clock,
            Keeper(url, settings.secrets, clock, {}),
            Terms(
                post=Post(
                    worker="w1", pool=POOL, slots=12, capabilities=Capabilities(cpu_cores=4), folder=str(tmp_path)
                )
            ),
            Readiness(lambda reasons: None),
            probes=extras,
        )
        await worker.start()
        stack.push_async_callback(worker.stop)
        yield queue


class TestWorker(ShellConformance, ScriptConformance, EndingConformance, FunctionConformance):
    """The whole suite."""

    async def test_missing_folder_is_named(self, attempts: Attempts) -> None:
        """It starts in the folder of the worker instead."""
        outcome = await attempts.run(ShellTarget(command="pwd -P"), folder=str(attempts.folder / "gone"))
        assert isinstance(outcome, Done)
        assert outcome.value["stdout"].strip() == str(attempts.folder.resolve())

    async def test_nul_and_other_bytes_in_output_are_kept_or_replaced(self, attempts: Attempts) -> None:
        """As in the suite, but for the NUL of the log."""
        result = await attempts.shell(r"printf 'a\000b\377\303\251\303'")
        assert result["stdout"] == "a\0b�é�"
        assert attempts.printed() == "a\N{SYMBOL FOR NULL}b�é�"

    @pytest.mark.parametrize("name", ["sleep", "sleep_later"])
    async def test_timeout_of_a_function(self, attempts: Attempts, name: str) -> None:
        """As in the suite, with the pool warm: what is timed is how the timeout comes, not how an interpreter starts."""
        assert await attempts.run(self.call("nothing")) == Done(None)
        await super().test_timeout_of_a_function(attempts, name)

    async def test_environment_tells_who_performs_it(self, attempts: Attempts) -> None:
        result = await attempts.shell('echo "$INTERLOCK_WORKER $INTERLOCK_POOL $INTERLOCK_CONTEXT"')
        assert result["stdout"] == "w1 workers \n"
