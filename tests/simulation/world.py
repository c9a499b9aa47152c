"""A cluster in one process: nodes that come, crash and come again, over one store; a client that starts runs and acts on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from interlock import config, errors
from interlock.app.interlock import Interlock
from interlock.app.probes import Probes
from interlock.app.roles import ROLES
from interlock.app.session import Session
from interlock.config import Settings
from interlock.engine.membership import BEAT_SECONDS, Beats, Membership
from interlock.pool.in_process import InProcessPool
from interlock.pool.launcher import Launch, Launcher
from interlock.store.ports import Pulse
from interlock.store.sql.store import SqliteStore
from simulation.clock import EPOCH, SimulatedClock
from simulation.faults import Fault, Kind
from simulation.ledger import Ledger
from simulation.loop import Actor, SimulatedLoop
from simulation.plan import Plan
from simulation.runners import Beside, Host, Inside
from simulation.store import Line, SimulatedStore
from simulation.trace import Trace
from simulation.watch import Watch

_JULIAN_EPOCH: Final = 2440587.5  # 1970, in the days that the statements count where nobody tells them the time
_AGAIN_SECONDS: Final = 0.5  # before a node that could not come tries again
_RACE_SECONDS: Final = 0.01  # in which a node that has claimed a run loads it and commits
KEY = "a-key-that-is-no-secret-since-it-only-signs-simulated-tokens"


class Slot:
    """One node through all of its lives: its machine, its line to the store, and what is planned to go wrong with it."""

    def __init__(self, world: World, number: int, faults: list[Fault]) -> None:
        self.world = world
        self.number = number
        self.host: Final = Host(world.loop, f"host{number}")
        self.line: Final = Line(world.loop, world.trace, f"line {world.plan.seed} {number}", faults, self.crash)
        self.line.watch = self._called
        self.line.stall = self._stall
        self._is_stalled = False
        self._back_seconds = 0.0
        """After a drain."""
        self.turns = 0
        self.lives = 0
        self.actor: Actor | None = None
        self.process: SimulatedInterlock | None = None
        self._at_turns = sorted((each for each in faults if each.turn), key=lambda each: each.turn)
        self._leave: asyncio.Event | None = None
        for fault in faults:
            if not fault.call and not fault.turn:
                world.loop.call_at(fault.at, self._strike, fault, context=world.loop.world.context.copy())

    def boot(self) -> None:
        """Begin a life, unless one is under way."""
        if self.actor is not None or self.world.is_ending:
            return
        self.lives += 1
        actor = self.actor = Actor(f"n{self.number}.{self.lives}")
        actor.on_turn = self._turn
        self.world.loop.add(actor)
        self.world.trace.tell(actor, "boots")
        life = actor.context.copy().run(self.world.loop.create_task, self._live(actor))
        life.add_done_callback(self._lived, context=self.world.loop.world.context.copy())

    async def _live(self, actor: Actor) -> None:
        self._leave = asyncio.Event()
        while self.actor is actor:
            try:
                async with SimulatedInterlock(self, actor) as process:
                    self.process = process
                    await self._leave.wait()
                    await process.leave()
                break
            except errors.Environment as error:
                self.world.trace.tell(actor, f"cannot come: {error}")
                self.process = None
                await asyncio.sleep(_AGAIN_SECONDS)
        self._over(actor)
        self._come_back(self._back_seconds)

    def _lived(self, life: asyncio.Task[None]) -> None:
        """A process ended; not by an error, if all is well."""
        if not life.cancelled() and life.exception() is not None:
            self.world.ledger.problems.append(f"node {self.number} broke: {life.exception()!r}")

    def _over(self, actor: Actor) -> None:
        """The process has ended, in whichever way."""
        if self.actor is actor:
            self.actor = self.process = None
            actor.is_dead = True
            self.world.loop.remove(actor)
            self.host.left(actor)
            self.world.trace.tell(actor, "is gone")

    def leave(self) -> bool:
        """Ask the process to end in good order; False: there is none."""
        if self.actor is not None and self._leave is not None:
            self._leave.set()
        return self.actor is not None

    # -- faults --------------------------------------------------------------------------------------------------

    def _turn(self, actor: Actor) -> None:
        self.turns += 1
        while self._at_turns and self._at_turns[0].turn <= self.turns:
            self._strike(self._at_turns.pop(0))

    def _called(self, name: str, args: tuple[Any, ...], given: object) -> None:
        self.world.watch.called(name, args, given)
        if name == "nodes.claim_runs" and given:
            for slot in self.world.slots:
                slot.go_on()

    def _stall(self, fault: Fault) -> None:
        if self.actor is not None:
            self.actor.pause(self.world.loop.time() + fault.seconds)
            self._is_stalled = True

    def go_on(self) -> None:
        """Another node has claimed runs, perhaps ours: if we are stopped, this is the worst moment to go on."""
        if self._is_stalled and self.actor is not None:
            self._is_stalled = False
            self.actor.paused_until = self.world.loop.time() + self.line.chance.uniform(0.0, _RACE_SECONDS)

    def crash(self, fault: Fault) -> None:
        actor = self.actor
        if actor is None:
            return
        self.world.trace.tell(actor, f"is killed, for {fault.seconds:.3f} s")
        self.world.killed(actor)
        self._over(actor)
        self._come_back(fault.seconds)

    def _come_back(self, seconds: float) -> None:
        self.world.loop.call_later(seconds, self.boot, context=self.world.loop.world.context.copy())

    def _strike(self, fault: Fault) -> None:
        if self.world.is_ending:
            return
        line, until = self.line, self.world.loop.time() + fault.seconds
        line.struck.append(fault)
        self.world.trace.tell(self.actor or f"n{self.number}", str(fault))
        match fault.kind:
            case Kind.CRASH:
                self.crash(fault)
            case Kind.PAUSE if self.actor is not None:
                self.actor.pause(until)
            case Kind.OUTAGE:
                line.away_until = max(line.away_until, until)
            case Kind.DEAF:
                line.deaf_until = max(line.deaf_until, until)
            case Kind.ECHO:
                line.echo_until = max(line.echo_until, until)
            case Kind.DRAIN:
                self._back_seconds = fault.seconds
                self.leave()


class SimulatedInterlock(Interlock):
    """A program with a node, over the line of its slot."""

    def __init__(self, slot: Slot, actor: Actor) -> None:
        world = slot.world
        self._of = slot
        self._as = actor
        clock = SimulatedClock(world.loop, f"clock {world.plan.seed} {actor.name}")
        super().__init__(settings=world.settings, clock=clock, roles=ROLES)

    def _opened(self) -> AbstractAsyncContextManager[Session]:
        return self._sessions()

    @asynccontextmanager
    async def _sessions(self) -> AsyncIterator[Session]:
        world = self._of.world
        store = SimulatedStore(world.store, self._of.line, self._as)
        end = store.bell.heard_from(world.store.bell)
        assert self._clock is not None
        session = Session(self.settings, store, self._clock, SimulatedProbes(self._of))
        try:
            yield session
        finally:
            try:
                if session.node is not None:
                    await session.node.stop()
            finally:
                end()

    @property
    def is_closed(self) -> bool:
        return self._session is None

    async def leave(self) -> None:
        """Drain: claim nothing, let effects end within a grace."""
        node = self.session.node
        if node is not None:
            with contextlib.suppress(errors.Environment):
                await self.session.store.nodes.drain(node.row.node, self.session.clock.now())
            await node.quiesce(1.0, asyncio.Event())


class SimulatedProbes(Probes):
    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self.membership = SimulatedMembership

    def launcher(self, launcher: Launcher) -> Launcher:
        world = self._slot.world
        if isinstance(launcher, InProcessPool):
            return Inside(launcher, world.check_cause)
        return Beside(self._slot.host, world.check_cause)


class SimulatedMembership(Membership):
    """Renews by a timer of its actor: what stops the process stops it, and nothing else does, as with the real thread."""

    def _begin_beats(self, pulse: Pulse, loop: asyncio.AbstractEventLoop) -> Beats:
        return _Beats(lambda: not self._stopping.is_set() and self._beat(pulse, loop), loop)


class _Beats:
    def __init__(self, beat: Callable[[], bool], loop: asyncio.AbstractEventLoop) -> None:
        self._beat = beat
        self._loop = loop
        self._timer = loop.call_later(BEAT_SECONDS, self._again)

    def _again(self) -> None:
        if self._beat():
            self._timer = self._loop.call_later(BEAT_SECONDS, self._again)

    def join(self) -> None:
        self._timer.cancel()


class World:
    """See the module. `main` is what happens in it; it is over when `main` returns."""

    def __init__(self, plan: Plan, loop: SimulatedLoop, trace: Trace, ledger: Ledger) -> None:
        self.plan = plan
        self.loop = loop
        self.trace = trace
        self.ledger = ledger
        self.is_ending = False
        self.store = SqliteStore(":memory:")
        self.settings = Settings(
            store=config.Store(url="sqlite:///:memory:"),
            node=config.Node(orphan_grace_seconds=plan.grace, slots=plan.slots),
            payload=config.Payload(inline_bytes=plan.inline_bytes),
            python=config.Python(allow=("simulation",)),
            dispatcher=config.Dispatcher(file="none", pools="none"),
        )
        self.slots: list[Slot] = []

    async def begin(self) -> None:
        await self.store.open()
        connection = self.store.database._connection
        assert connection is not None
        connection.create_function("julianday", 1, lambda moment: (EPOCH + self.loop.time()) / 86400.0 + _JULIAN_EPOCH)
        slots = {"local": self.settings.node.slots, "in-process": self.settings.node.sync_threads}
        self.watch = Watch(connection, slots)
        for number, at in enumerate(self.plan.joins):
            faults = [fault for fault in self.plan.faults if fault.node == number]
            slot = Slot(self, number, faults)
            self.slots.append(slot)
            self.loop.call_at(at, slot.boot, context=self.loop.world.context.copy())

    async def close(self) -> None:
        """Let every node leave in good order, undisturbed."""
        self.is_ending = True
        for slot in self.slots:
            slot.line.heal()
        while [slot for slot in self.slots if slot.leave()]:  # each is asked
            await asyncio.sleep(0.5)

    @property
    def runs(self) -> list[str]:
        """The ids of all runs, children too."""
        return [id for (id,) in self.rows("SELECT id FROM runs")]

    def end(self) -> None:
        """Close the database: it keeps the function that tells it the time, and thereby the world."""
        connection = self.store.database._connection
        if connection is not None:
            connection.close()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Look into the database, past everything that is simulated."""
        connection = self.store.database._connection
        assert connection is not None
        return connection.execute(sql, parameters).fetchall()

    def open(self) -> list[str]:
        """Give what has not ended, in words."""
        runs = self.rows("SELECT id, status, owner, wake_at FROM runs WHERE ended_at IS NULL")
        tasks = self.rows(
            "SELECT task, state, held_by FROM tasks WHERE state NOT IN ('done', 'failed', 'cancelled', 'skipped')"
        )
        return [
            *(f"{id} is {status}, owned by {owner}, to wake at {wake_at}" for id, status, owner, wake_at in runs),
            *(f"the task {task} is {state}, held by {held_by}" for task, state, held_by in tasks),
        ]

    def leaked(self) -> list[tuple[Any, ...]]:
        """Give the leases that nobody who lives should hold when all runs have ended."""
        held = self.rows("SELECT kind, holder, name FROM leases WHERE kind <> 'pool'")
        return [lease for lease in held if lease[0] != "node" or lease[1] not in self.nodes]

    @property
    def nodes(self) -> set[str]:
        """The ids of the nodes that live."""
        sessions = [
            slot.process.session for slot in self.slots if slot.process is not None and not slot.process.is_closed
        ]
        return {session.node.row.node for session in sessions if session.node is not None}

    def killed(self, actor: Actor) -> None:
        """What a process performed itself ends with it."""
        for entry in self.ledger.entries:
            if entry.ended is None and entry.actor == actor.name:
                self.ledger.end(entry, "killed")

    def check_cause(self, launch: Launch) -> None:
        """An effect begins now: its cause must be durable."""
        first, _, second = launch.attempt.rpartition(".")
        running = self.rows("SELECT fence FROM tasks WHERE task = ? AND state = 'running'", first)
        if running:
            return
        text = b'"effect":' + second.encode()
        found = any(
            text + end in events
            for (events,) in self.rows("SELECT events FROM history WHERE run = ?", first)
            for end in (b",", b"}")
        )
        if not found and not self._is_late(launch, first):
            step = launch.environment.get("INTERLOCK_STEP")
            self.ledger.problems.append(f"the effect {launch.attempt} of {step} began before its cause was durable")

    def _is_late(self, launch: Launch, task: str) -> bool:
        """Whether it is an attempt of a task that was given up meanwhile: its process was paused."""
        return bool(self.rows("SELECT 1 FROM tasks WHERE task = ?", task))


__all__ = ["World"]
