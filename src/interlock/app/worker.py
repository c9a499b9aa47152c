"""A worker: a node that takes the tasks of one pool and performs them on its machine, and is registered as a worker.

    joined --registered--> works --asked to drain--> draining --its tasks ended, at most so long--> deregistered, left
                             |
                             +--the node's lease is lost, or its registration--> failed: everything is stopped at once

Two things say that it lives. Its lease as a node, which its attempts share: a worker that dies loses its tasks to the others
of its host within seconds, and to those elsewhere within 65 s. Its heartbeats as a worker, by which people and the balancer
know it. The session of the registration is the node's id, so both count the same attempts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from interlock import errors, telemetry
from interlock.app import pool_names
from interlock.app.heap import Trim
from interlock.app.node import ASKED_BY
from interlock.app.pool_care import Sweeps
from interlock.app.probes import NONE, Probes
from interlock.app.readiness import Readiness
from interlock.app.serving import Served
from interlock.app.session import Session
from interlock.app.shortages import Shortages
from interlock.app.standing import Standing
from interlock.config import Settings
from interlock.coord.heartbeats import HeartbeatMonitor
from interlock.coord.timing import BALANCED, Timing
from interlock.coord.workers import WorkerRegistry
from interlock.dispatch.holder import Holder
from interlock.dispatch.lanes import SERVES
from interlock.dispatch.logbook import Logbook
from interlock.dispatch.notebook import Notebook
from interlock.dispatch.post import Post
from interlock.dispatch.worker import WorkerDispatcher
from interlock.dispatch.worker_attempts import WorkerAttempts
from interlock.engine import identity
from interlock.engine.recovery import SCAN_SECONDS, Recovery
from interlock.model.json import Json
from interlock.model.worker import Worker, WorkerStatus
from interlock.pool.local import LocalPool
from interlock.secrets.keeper import Keeper
from interlock.service import Clock, Loop, Service
from interlock.store.ports import NodeRow, NodeState, Store, WorkerState, news

WORKER: Final = "worker"
"""The role of a node that is a worker."""
_ORDERS_SECONDS: Final = 5.0  # the net under the bell
_ADOPTIONS: Final = 3  # looks at what the process before left behind; two are enough, see Dispatcher._adopt
_TELL_SECONDS: Final = 5.0  # a store that does not answer for so long is not told that the worker drains


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a worker works: its post, its heartbeats, and what others are told of it."""

    post: Post
    timing: Timing = BALANCED
    host: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


class WorkerNode(Service):
    """One worker of one process. `asked_to_drain` is set when another process asks for that, `asked_by` says how."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        secrets: Keeper,
        terms: Terms,
        readiness: Readiness,
        shortages: Shortages | None = None,
        *,
        former: Collection[str] = (),
        probes: Probes = NONE,
    ) -> None:
        """`former`: nodes that were this worker before, and are stopped."""
        self.row: NodeRow = identity.here(clock, WORKER, pinned=False)
        self.failed = asyncio.Event()
        self.failure: errors.Environment | None = None
        self.asked_to_drain = asyncio.Event()
        self.asked_by = ASKED_BY
        self.worker: Worker | None = None
        """As it was registered; None before and after."""
        node = self.row.node
        self._store = store
        self._clock = clock
        self._terms = terms
        self._shortages = shortages
        self._former = former
        self._is_registered = False
        self._logbook = Logbook(store, clock, settings.logs.max_bytes, lambda: self._membership.is_certain)
        self._pool = LocalPool(slots=terms.post.slots)
        self._membership = probes.membership(self.row, store, clock, self.lose)
        self._notebook = Notebook(store, clock, terms.post.worker, node)
        self._registry = WorkerRegistry(store, clock)
        self.heartbeats = HeartbeatMonitor(store, clock, terms.timing, lost=self._dismiss, unheard=self._dismiss)
        holder = Holder(
            node,
            store,
            clock,
            self._logbook,
            secrets,
            settings.node.orphan_grace_seconds,
            away=lambda error: None,  # it waits until the store is back
            may_act=lambda: self._membership.is_certain,
        )
        self._attempts = WorkerAttempts(holder, probes.launcher(self._pool), terms.post, self._notebook)
        self.dispatcher = WorkerDispatcher(
            node,
            store,
            clock,
            terms.post,
            self._attempts,
            self._notebook,
            host=identity.host(),
            may_claim=self._may_claim,
        )
        self._recovery = Recovery(node, store, clock, self.dispatcher.adopt_orphans)
        self._standing = Standing(node, store, readiness, {}, self.asked_to_drain.set)
        self._orders = _Orders(self, store, clock)
        self._sweeps = Sweeps(store, {terms.post.pool: self._pool})
        self._stack = AsyncExitStack()

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join, take over what the process before it left, register, and begin to work.

        Raises WorkerError when a live process has its id, or when there are too many workers, and Conflict when the
        configuration of a live node has a pool of this name.
        """
        try:
            await self._begin(self._membership, self._pool, self._logbook, self._notebook)
            self.worker = await self._register()
            await self.heartbeats.start(self.worker)
            self._stack.push_async_callback(self._go_silent)
            await self._begin(self.dispatcher, self._recovery, self._standing, self._orders, self._sweeps, Trim())
            if self._shortages is not None:
                self._stack.callback(self._shortages.tell(self.dispatcher.wake))
        except BaseException:
            await self._stack.aclose()
            raise

    async def _begin(self, *services: Service) -> None:
        for service in services:
            await service.start()
            self._stack.push_async_callback(service.stop)

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take nothing new, tell the others so, and wait for what runs, at most so long, or until `hurry`."""
        with contextlib.suppress(errors.InterlockError, TimeoutError):  # told or not, it drains
            async with asyncio.timeout(_TELL_SECONDS):
                await self._registry.update_status(
                    self._terms.post.worker, WorkerStatus.DRAINING, session=self.row.node
                )
        await self.dispatcher.quiesce(seconds, hurry)
        telemetry.emit("worker.drained", worker=self._terms.post.worker, left=self.dispatcher.active)

    async def stop(self) -> None:
        """Give back what still runs, send a last heartbeat, release the locks, deregister, and leave."""
        await self._stack.aclose()
        if self.worker is not None and self.failure is None:
            telemetry.emit("worker.deregistered", worker=self.worker.id)
        self.worker = None

    async def _go_silent(self) -> None:
        """Deregister, unless others go on with what this worker had: then it is deregistered by whoever comes after it."""
        await self.heartbeats.stop(leave=self.failure is None)

    # -- the end that nobody asked for ---------------------------------------------------------------------------

    def lose(self) -> None:
        """The lease is lost: leave what can outlive this node to whoever adopts it, and write nothing any more."""
        self._fail(errors.LeaseLost("this worker lost its lease as a node: others go on with its tasks"))
        self.dispatcher.lose()
        self._logbook.drop()

    def _dismiss(self, worker: str) -> None:
        """The registration is lost: others have its tasks, so what runs is ended at once."""
        self._fail(errors.LeaseLost(f"the worker {worker!r} was given up, or another process has its place"))
        self._attempts.abandon()

    def _fail(self, error: errors.Environment) -> None:
        self.failure = self.failure or error
        self.failed.set()

    # -- registration --------------------------------------------------------------------------------------------

    async def _register(self) -> Worker:
        await self._succeed()
        terms = self._terms
        await pool_names.refuse_of_configuration(terms.post.pool, self._store, self._clock)
        found = await self._registry.register(
            terms.post.worker,
            capacity=terms.post.slots,
            capabilities=terms.post.capabilities,
            metadata={**terms.metadata, SERVES: terms.post.pool},
            silent_seconds=terms.timing.stale_seconds,
            session=self.row.node,
            host=terms.host,
        )
        self._is_registered = True
        telemetry.emit("worker.registered", worker=found.id, pool=terms.post.pool, slots=found.capacity)
        return found

    async def _succeed(self) -> None:
        """Take the place of a process that had this id and is certainly gone, after its tasks were adopted.

        Its session is its node, so there is no need to wait until it is stale: a node whose lease ran out has stopped, and
        so has one of this host whose process is not there.
        """
        before = await self._store.workers.get(self._terms.post.worker, self._clock.stamp())
        if before is None or before.state not in (WorkerState.REGISTERED, WorkerState.DRAINING):
            return
        states = {state.node.node: state for state in await self._store.nodes.states(self._clock.stamp())}
        state = states.get(before.session)
        if state is None or not self._is_gone(state):
            return
        await self._store.nodes.bury(before.session, self._clock.stamp())
        for look in range(_ADOPTIONS):
            await self.dispatcher.adopt_orphans()
            held = await self._store.queue.held(before.session, self._terms.post.pool)
            if not held or look == _ADOPTIONS - 1:
                break
            await asyncio.sleep(SCAN_SECONDS)
        await self._store.workers.leave(before.worker, before.session, self._clock.stamp())

    def _is_gone(self, state: NodeState) -> bool:
        if state.node.node in self._former or state.lease_seconds is None or state.lease_seconds <= 0:
            return True
        return identity.is_dead(state.node)

    def _may_claim(self) -> bool:
        return self._is_registered and (self._shortages is None or not self._shortages.any)


class _Orders(Loop):
    """Hears that somebody asked this worker to drain, by `interlock workers drain` or `update_status`."""

    def __init__(self, node: WorkerNode, store: Store, clock: Clock) -> None:
        super().__init__("worker-orders", _ORDERS_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock

    async def start(self) -> None:
        self._unlisten = self._store.bell.listen(self.wake, news.WORKERS)
        await super().start()

    async def stop(self) -> None:
        self._unlisten()
        await super().stop()

    async def round(self) -> bool:
        assert self._node.worker is not None  # it is registered before this begins
        row = await self._store.workers.get(self._node.worker.id, self._clock.stamp())
        if row is None or row.session != self._node.row.node or self._node.asked_to_drain.is_set():
            return False
        if row.state is WorkerState.DRAINING:
            self._node.asked_by = "`interlock workers drain`"
            self._node.asked_to_drain.set()
        return False


class Working:
    """Brings a worker, again whenever the one before has failed. `node`: the present one."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.node: WorkerNode | None = None
        self._former: set[str] = set()

    @contextlib.asynccontextmanager
    async def bring(self, app: Session, readiness: Readiness, shortages: Shortages) -> AsyncIterator[Served]:
        node = WorkerNode(
            app.settings, app.store, app.clock, app.secrets, self.terms, readiness, shortages, former=self._former
        )
        await node.start()
        self.node = node
        try:
            yield node
        finally:
            await node.stop()
            self._former.add(node.row.node)
