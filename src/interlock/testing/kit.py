"""Interlock for tests: in memory, with a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock import config, errors
from interlock.app.interlock import Interlock
from interlock.app.probes import Probes
from interlock.app.run import Run
from interlock.app.session import Session
from interlock.config import Settings
from interlock.engine.membership import ATTEMPT_TTL_SECONDS, NODE_TTL_SECONDS
from interlock.engine.python import Program
from interlock.engine.replaying import Replay
from interlock.flow.python.options import Duration, seconds
from interlock.flow.python.step import Step
from interlock.flow.python.workflow import Workflow
from interlock.pool.launcher import Launcher
from interlock.store.ports import NodeRow, Store
from interlock.testing import golden
from interlock.testing.attempts import Attempts, WatchedLauncher
from interlock.testing.clock import START, VirtualClock
from interlock.testing.findings import Report
from interlock.testing.gates import Crash, Gate, GatedStore
from interlock.testing.programs import Watcher
from interlock.testing.stubs import UNSET, Stub, Stubs
from interlock.testing.worlds import Given, World, functions_of

_PATIENCE_SECONDS: Final = 10.0  # of real time, that steps are given to end before a test goes on without them
_CRASH_SECONDS: Final = 5.0  # that running functions are given to end before their node is taken away
_SETTLED_LOOKS: Final = 4  # at a node that does nothing, before that is believed: a wake-up takes a turn or two
_SPIN_SECONDS: Final = 0.002  # of looking without a pause
_PAUSE_SECONDS: Final = 0.001
_IDLE_SECONDS: Final = 0.02  # that nothing happens before the time jumps by itself: a test may be about to do something
_ORPHANS: Final = 1_000
_KEY: Final = "a-key-that-is-no-secret-since-it-only-signs-what-tests-issue"


class Kit(Interlock):
    """An `Interlock` in memory. Time stands still but for `advance`; steps run for real, unless they are stubbed.

    async with Kit() as interlock:
        run = await interlock.start(fulfil, order)
        await interlock.advance("1h")
        print(await run.result())

    `auto_advance`: whenever nothing is left to do but wait for time, it jumps to the next moment by itself. `start`: the
    time at the beginning. `seed`: of ids, and of what `random()` and `uuid()` give to workflows.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        namespace: str = "default",
        auto_advance: bool = False,
        start: datetime = START,
        seed: int | str = 0,
        patience: Duration = _PATIENCE_SECONDS,
        crash: Crash | None = None,
        attempts: Attempts | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """`patience`: how long, in real time, running steps are waited for. The last three are for `crash_everywhere`."""
        self.clock: Final = VirtualClock(start, seed)
        super().__init__(settings=settings or _settings(), namespace=namespace, clock=self.clock)
        self._auto_advance = auto_advance
        self._patience_seconds = seconds(patience, "patience")
        self.attempts: Final = attempts or Attempts(Stubs(self.settings.python.functions))
        self.watcher: Final = watcher or Watcher(self.clock, seed)
        self.updates_golden = False
        """Whether golden histories are written anew instead of compared."""
        self.between: Callable[[], None] = lambda: None
        """Called when a node is gone and the next one has not come yet."""
        self._probes = _Probes(self.attempts, self.watcher, crash)
        self._jumping: asyncio.Task[None] | None = None

    # -- opening -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Kit:
        await super().__aenter__()
        await self.session.secrets.token("", "")  # reads the key now, so that no workflow waits for it in real time
        if self._auto_advance:
            self._jumping = asyncio.create_task(self._jump_for_ever(), name="interlock-time")
        return self

    async def close(self) -> None:
        jumping, self._jumping = self._jumping, None
        if jumping is not None:
            jumping.cancel()
            await asyncio.wait([jumping])
        self.attempts.stubs.clear()
        await super().close()

    def _opened(self) -> AbstractAsyncContextManager[Session]:
        return Session.open(self.settings, clock=self.clock, probes=self._probes)

    async def _bring(self) -> None:
        """Bring a node, which finds what the one before it left."""
        for program in self.watcher.programs:
            if program.closed:
                await program.gone()
        self.watcher.programs[:] = [program for program in self.watcher.programs if not program.closed]
        self.between()
        await self._bury()
        await self.session.bring_node(pinned=False, allow_all_python=True, roles=self._roles)

    async def _bury(self) -> None:
        """Free what dead nodes owned, without waiting for their leases to run out."""
        store, now = self.session.store, self.clock.stamp()
        for node in await store.nodes.live(now):
            await store.nodes.bury(node.node, now)
        for orphan in await store.queue.orphans(_ORPHANS):
            await store.queue.lose(orphan, now)

    # -- time ----------------------------------------------------------------------------------------------------

    async def advance(self, duration: Duration) -> None:
        """Let time pass: timers fire in their order, each at its own moment, and so do those that come of them.

        Returns when everything that was due has settled. Steps that run for longer than the kit's patience are left
        running, and find that their timeout has come.
        """
        await self._pass_until(self.clock.now() + seconds(duration, "advance"))

    async def advance_to(self, moment: datetime) -> None:
        """As `advance`, until a moment. Raises Invalid for one that is past, or has no time zone."""
        if moment.tzinfo is None:
            raise errors.Invalid(
                f"advance_to: {moment.isoformat()} has no time zone; give it one, such as datetime.UTC"
            )
        await self._pass_until(moment.timestamp())

    async def drain(self) -> None:
        """Do all work that is due, also what others left in the queue, until only time or others are waited for.

        Time stands still. Raises TimeoutError, which says what still runs, when that takes longer than the kit's patience.
        """
        if busy := await self.settled():
            raise TimeoutError(
                f"after {self._patience_seconds:g} s of real time there is still work: {'; '.join(busy)}"
            )

    async def settled(self, *, latest_first: bool = False) -> list[str]:
        """Wait until nothing is under way; gives what still is after the kit's patience.

        `latest_first`: the order in which outcomes that were kept are let go.
        """
        started, idle_since, looks = time.monotonic(), math.inf, 0
        while True:
            busy = await self._busy()
            spent = time.monotonic() - started
            if not busy:
                looks, idle_since = looks + 1, min(idle_since, time.monotonic())
                if looks >= _SETTLED_LOOKS and not self._may_go_on(time.monotonic() - idle_since):
                    return []
            elif spent > self._patience_seconds:
                return busy
            else:
                looks, idle_since = 0, math.inf
                if not self.attempts.performing:
                    self.attempts.release(latest=latest_first)
            await asyncio.sleep(0 if spent < _SPIN_SECONDS or not busy else _PAUSE_SECONDS)

    def _may_go_on(self, idle_seconds: float) -> bool:
        """Say whether a function is to be given more time, since it may wait for what is no call."""
        node = self.session.node
        return idle_seconds < _IDLE_SECONDS and node is not None and node.engine.may_go_on

    async def _busy(self) -> list[str]:
        node = self.session.node
        if node is None or node.failed.is_set():
            return ["a new node takes over"]
        return await node.busy()

    async def next_moment(self) -> float | None:
        """When, in UTC seconds, something is due next that waits for time alone; None: nothing does."""
        node = self.session.node
        return None if node is None else await node.next_moment()

    async def _pass_until(self, moment: float) -> None:
        await self.settled()
        while True:
            due = await self.next_moment()
            if due is None or due > moment:
                break
            await self.move_to(max(due, self.clock.now()))
            await self.settled()
        await self.move_to(moment)
        await self.settled()

    async def move_to(self, moment: float) -> None:
        """Set the clock, and let what is due by then begin."""
        self.clock.move_to(moment)
        node = self.session.node
        if node is not None:
            store, now = self.session.store, self.clock.now()
            await store.nodes.join(_joined(node.row, now), NODE_TTL_SECONDS)  # leases do not run out while time jumps
            await store.queue.extend(node.row.node, ATTEMPT_TTL_SECONDS, now)
            node.look()

    async def _jump_for_ever(self) -> None:
        """Move the clock to the next moment whenever nothing has happened for a while."""
        idle_since = math.inf
        while True:
            due = None if await self._busy() else await self.next_moment()
            now = time.monotonic()
            idle_since = min(idle_since, now) if due is not None else math.inf
            if due is not None and now - idle_since >= _IDLE_SECONDS:
                await self.move_to(max(due, self.clock.now()))
                idle_since = math.inf
            await asyncio.sleep(_PAUSE_SECONDS)

    # -- steps ---------------------------------------------------------------------------------------------------

    def stub(
        self, step: Step[Any, Any] | Callable[..., Any] | str, *, returns: Any = UNSET, side_effect: Any = UNSET
    ) -> Stub:
        """Let something else happen than what a step does: for the rest of the test, or of a `with` block.

        `step`: a step, the function that undoes one, or for definitions the name or `module:function` that they call.
        `returns`: the result. `side_effect`: a function, async or not, that is called instead; an error to raise; or a
        sequence of results and errors, one for each attempt. What was asked for is in `stub.calls`.
        """
        return self.attempts.stubs.add(Stub(step, returns, side_effect))

    # -- crashes -------------------------------------------------------------------------------------------------

    async def crash(self) -> None:
        """Take the node away as if its process had died, and let another one go on with its runs.

        Functions of steps that run now come to their end, as they may in a crash, but nobody hears of it.
        """
        node, gate = self.session.node, self._probes.gate
        if node is None:
            return
        gate.freeze("crash()")
        await self.attempts.finished(_CRASH_SECONDS)
        node.lose()
        gate.gone.set()
        async with asyncio.timeout(self._patience_seconds):
            while self.session.node is None or self.session.node is node:  # noqa: ASYNC110 (it comes back by itself)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def crash_everywhere(
        self,
        workflow: Workflow[..., Any],
        /,
        *args: Any,
        world: Callable[[], Any] | None = None,
        reset: Callable[[], Any] | None = None,
        answers: Mapping[str, Any] | None = None,
        on_wait: Callable[[Kit], Awaitable[object] | object] | None = None,
        **kwargs: Any,
    ) -> Report:
        """Run a workflow with a crash at every commit and around every attempt of a step; it has to end the same.

        `world`: gives what its steps change outside of the run, to be compared; `reset` puts that back before each
        repetition. Without, it is what the modules of the workflow and its steps keep in lists, dicts, sets, objects of
        their own classes and counters. `answers`: results for tokens by their name, data for events by their type, or
        functions that give them. `on_wait`: called whenever only time or others are waited for. Stubs count. Raises
        NotCrashSafe, an AssertionError that names the step which is not idempotent and the crash that showed it.
        """
        from interlock.testing import crashes, rehearsal  # noqa: PLC0415 (they use this class)

        plan = rehearsal.Plan(
            workflow=workflow,
            args=args,
            kwargs=kwargs,
            world=World(functions_of(workflow)) if world is None else Given(world, reset or _nothing),
            stubs=self.attempts.stubs,
            start=self.clock.datetime,
            seed=f"{self.watcher.seed}:rehearsed",  # other ids than those of the test itself
            patience_seconds=self._patience_seconds,
            answers=answers or {},
            on_wait=on_wait,
        )
        return await crashes.crash_everywhere(plan)

    # -- golden histories ----------------------------------------------------------------------------------------

    async def golden(self, run: Run[Any], path: str | Path) -> None:
        """Compare what a run did with its golden history; the first time, that is written.

        Times and ids do not count. `pytest --interlock-update-golden` writes it anew. Raises GoldenDiffers, an
        AssertionError whose message is a diff.
        """
        row = await self.session.find(run.namespace, run.id)
        input = await self.session.rows.value(row.run, row.input or b"[null]", self.session.store.journal)
        name = f"{row.namespace}/{row.workflow}:{row.version}"
        await golden.compare(run, Path(path), input.value, name, update=self.updates_golden)

    async def replay(self, workflow: Workflow[..., Any], path: str | Path) -> Replay:
        """Run the present code of a workflow over a golden history, and perform nothing.

        Raises DoesNotFit, an AssertionError, when a run that did this could not go on with the present code: it asks for
        what is new, or not any more for what was done.
        """
        return await golden.replay(
            workflow, Path(path), lambda token: self.session.secrets.token(self.namespace, token)
        )

    @property
    def gate(self) -> Gate:
        """That of the present node."""
        return self._probes.gate


class _Probes(Probes):
    """Puts the kit between its nodes and their world. `crash`: that of the first node."""

    def __init__(self, attempts: Attempts, watcher: Watcher, crash: Crash | None) -> None:
        self.gate = Gate()
        self._crash = crash
        self._attempts = attempts
        self.program: type[Program] = watcher.program()

    def store(self, store: Store) -> Store:
        crash, self._crash = self._crash, None
        self.gate = Gate(crash)
        return GatedStore(store, self.gate)

    def launcher(self, launcher: Launcher) -> Launcher:
        return WatchedLauncher(launcher, self._attempts, self.gate)


def _nothing() -> None:
    """Put nothing back: the world is the test's own affair."""


def _settings() -> Settings:
    """Give settings that no file and no variable of the machine changes."""
    return Settings(
        store=config.Store(url="sqlite:///:memory:"),
        node=config.Node(orphan_grace_seconds=0.0),
        dispatcher=config.Dispatcher(file="none", pools="none"),
        secrets=config.Secrets(key_command=("echo", _KEY)),
    )


def _joined(row: NodeRow, now: float) -> NodeRow:
    return msgspec.structs.replace(row, joined_at=now)
