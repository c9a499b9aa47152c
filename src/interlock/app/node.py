"""One node: every service of a process that executes runs, started and stopped in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from interlock import errors
from interlock.app import stranded
from interlock.app.acceptance import acceptance
from interlock.app.artifacts import artifacts, refuse_unusable
from interlock.app.awaited_graphs import AwaitedGraphs
from interlock.app.delivering import Delivering
from interlock.app.graph_loader import GraphLoader
from interlock.app.graphs import Graphs
from interlock.app.heap import Trim
from interlock.app.performer import Performer
from interlock.app.probes import NONE, Probes
from interlock.app.readiness import Readiness
from interlock.app.retention import Housekeeping
from interlock.app.roles import DISPATCHER, ENGINE, ROLES
from interlock.app.shortages import Shortages
from interlock.app.standing import Standing
from interlock.app.workflows import Workflows
from interlock.config import Settings
from interlock.coord.expiry import Expiry
from interlock.decisions import steps
from interlock.dispatch.attempts import Attempts
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.dispatcher import Dispatcher
from interlock.dispatch.holder import Holder
from interlock.dispatch.logbook import Logbook
from interlock.effects.openapi.documents import Documents
from interlock.engine import identity
from interlock.engine.advance import Engine
from interlock.engine.claims import Claims
from interlock.engine.recovery import Recovery
from interlock.engine.rows import Rows
from interlock.expr.evaluators import Evaluators
from interlock.flow.python import registry
from interlock.flow.python.options import IN_PROCESS
from interlock.model.payload import Payload
from interlock.net.authentication import Authenticator
from interlock.net.client import Client
from interlock.pool.in_process import InProcessPool
from interlock.pool.local import LocalPool
from interlock.secrets.keeper import Keeper
from interlock.service import Clock, Service
from interlock.store.ports import NewRun, NodeRow, Store

if TYPE_CHECKING:
    from interlock.app.pools import Pools
    from interlock.dispatch.placer import Placer

ASKED_BY: Final = "`interlock nodes drain`"

_DRAIN_SECONDS: Final = 5.0
_ADOPTIONS: Final = 2  # looks for what a dead node left: the second one ends what the first could not find
_SWITCH_SECONDS: Final = 0.001
"""How long a thread waits for the interpreter while another computes. With Python's 5 ms a commit, which gives it up at
every statement, would take ten times as long beside a busy step."""


class Node(Service):
    """Executes runs. `pinned`: only those it is given, and it leaves with them; it brings patience with no store.

    `roles` of one that is not pinned: `engine` claims runs, `dispatcher` serves the queue of the pool `local`.
    `asked_to_drain` is set when another process asks for that.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        graphs: Graphs,
        secrets: Keeper,
        *,
        pinned: bool,
        allow_all_python: bool,
        roles: Sequence[str] = ROLES,
        readiness: Readiness | None = None,
        shortages: Shortages | None = None,
        probes: Probes = NONE,
    ) -> None:
        store = probes.store(store)
        self.row: NodeRow = identity.here(clock, ",".join(roles), pinned=pinned)
        self.failed = asyncio.Event()
        self.failure: errors.Environment | None = None
        self.asked_to_drain = asyncio.Event()
        self.asked_by = ASKED_BY
        node = self.row.node
        self._pinned = pinned
        self._settings = settings
        self._store = store
        self._clock = clock
        self._graphs = graphs
        self._rows = Rows(settings.payload.inline_bytes)
        self._shortages = shortages
        self._roles = tuple(roles)
        self._client = Client(settings.http, settings.payload.max_bytes)
        self._evaluators = Evaluators(
            processes=settings.expressions.evaluators,
            deadline_seconds=settings.expressions.deadline_seconds,
            memory_bytes=settings.expressions.memory_bytes,
        )
        self._logbook = Logbook(store, clock, settings.logs.max_bytes, lambda: self._membership.is_certain)
        self._local = LocalPool(slots=settings.node.slots)
        self._in_process = InProcessPool(settings.node.sync_threads, lambda: self._membership.is_certain)
        local, in_process = probes.launcher(self._local), probes.launcher(self._in_process)
        self._launches_locally = local
        self._membership = probes.membership(self.row, store, clock, self.lose)
        allow = None if allow_all_python else settings.python.allow
        workflows = Workflows(secrets, allow)
        performer = Performer(
            Authenticator(self._client, clock),
            Documents(clock),
            secrets,
            in_process,
            local,
            self._logbook,
            allow=allow,
            functions=settings.python.functions,
            workflows=workflows,
            loader=GraphLoader(store, clock, lambda: self._awaited_graphs.look()),
        )
        self._claims = Claims(
            node,
            store,
            clock,
            performer,
            most=settings.engine.max_runs,
            refused=lambda: self._standing.wake(),
            may_claim=self._has_enough,
        )
        self.engine = Engine(
            node,
            store,
            clock,
            graphs,
            performer,
            self._evaluators,
            secrets,
            workflows,
            rows=self._rows,
            patient=not pinned,
            max_payload_bytes=settings.payload.max_bytes,
            refuses=None if pinned else self._claims,
            may_act=lambda: self._membership.is_certain,
            program=probes.program,
            token_seconds=settings.tokens.expires_seconds,
        )
        self._claims.engine = self.engine
        self._holder = Holder(
            node,
            store,
            clock,
            self._logbook,
            secrets,
            0.0 if pinned else settings.node.orphan_grace_seconds,
            away=self._store_is_away,
            may_act=lambda: self._membership.is_certain,
        )
        self._delayed = Delayed(store, clock)
        dispatcher = partial(
            Dispatcher, node, store, clock,
            delayed=self._delayed, host=identity.host(), may_claim=self._has_enough, steps_only=True,
        )  # fmt: skip
        self._dispatcher = dispatcher(
            pool=steps.LOCAL,
            attempts=Attempts(self._holder, lambda task: local),
            slots=settings.node.slots,
            own=pinned,
        )
        serves = DISPATCHER in roles
        # Its functions are loaded where their runs are executed, which may be nowhere else.
        self._own_steps = dispatcher(
            pool=IN_PROCESS,
            attempts=Attempts(replace(self._holder, orphan_grace_seconds=0.0), lambda task: in_process),
            slots=settings.node.sync_threads,
            own=True,
            wanted=registry.has_queued_steps,
            readies_delayed=not serves,
        )
        self._pools: Pools | None = self._new_pools(settings) if serves and not pinned else None
        self._awaited_graphs = AwaitedGraphs(
            store,
            clock,
            settings.payload.max_bytes,
            lambda: self._membership.is_certain,
            own=node,
            serve=self._serve_graphs if serves and pinned else None,
        )
        self._recovery = Recovery(node, store, clock, self._adopt_orphans if serves else None)
        self._standing = Standing(
            node, store, readiness or Readiness(lambda reasons: None), self._claims.refusals, self.asked_to_drain.set
        )
        self._delivering = Delivering(
            node, settings, store, clock, secrets, lambda: self._membership.is_certain, own=pinned
        )
        refuse_unusable(settings)
        self._housekeeping = Housekeeping(store, clock, settings.retention, artifacts(settings, store))
        self._expiry = Expiry(store, clock)
        self._stack = AsyncExitStack()
        self._started = False
        self._adoptions = 0

    async def start(self) -> None:
        """Start every service; those that others need come first and stop last."""
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        self._stack.push_async_callback(self._client.close)
        try:
            for service in self._services():
                await service.start()
                self._stack.push_async_callback(service.stop)
            if self._shortages is not None:
                self._stack.callback(self._shortages.tell(self._wake))
        except BaseException:
            await self._stack.aclose()
            raise
        self._started = True

    def _services(self) -> list[Service]:
        services: list[Service] = [self._membership, self._evaluators, self._local, self._in_process, self._logbook]
        if ENGINE in self._roles:
            services += [self._delivering, self.engine, self._own_steps]
        if DISPATCHER in self._roles:
            services.append(self._dispatcher)
        if self._pools is not None:
            services.append(self._pools)
        services += [self._recovery, self._awaited_graphs]
        if not self._pinned:
            services += [self._standing, self._housekeeping, self._expiry, Trim()]
            if ENGINE in self._roles:
                services.append(self._claims)
        return services

    def _new_pools(self, settings: Settings) -> Pools:
        from interlock.app import pools, workflow_pool  # noqa: PLC0415 (start-up: `interlock run` places nothing in pools)

        return pools.Pools(
            self._holder,
            pools.find(settings.dispatcher, Path.cwd()),
            self._launches_locally,
            self._delayed,
            workflows=workflow_pool.WorkflowPool(self._store, self._clock, self._rows, self._accept),
            workspaces=settings.dispatcher.workspaces,
            workspace_slots=settings.dispatcher.workspace_slots,
            local_slots=settings.node.slots,
            local_running=lambda: self._dispatcher.active,
            host=identity.host(),
            may_claim=self._has_enough,
        )

    async def _accept(self, new: NewRun, input: Payload) -> None:
        """Accept a run of a task: for whichever engine can; one whose node serves its own runs only is one of those."""
        if self._pinned:
            graph = await self._graphs.graph(new.definition)
            await self.engine.accept(msgspec.structs.replace(new, owner=self.row.node), graph, input)
        else:
            await self._store.journal.commit(acceptance(new, input, self._rows, self._clock))

    async def _serve_graphs(self) -> None:
        """Perform the tasks of graphs here, since a run of this node waits for some, while no other node does."""
        if self._pools is None:
            if await stranded.servers(self._store, self._clock, DISPATCHER):
                return
            try:
                found = self._new_pools(self._settings)
            except errors.Invalid as error:  # the files of the dispatcher, which nobody had looked at before
                self._fail(errors.Environment(str(error)))
                raise
            await found.start()
            self._stack.push_async_callback(found.stop)
            self._pools = found
        if self._adoptions < _ADOPTIONS:  # the recovery, which has them adopted, looked before there were pools
            self._adoptions += 1
            await self._pools.placer.adopt_orphans()

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Claim nothing any more and let effects end, at most so long, or until `hurry`; then `stop`."""
        await self._claims.stop()
        await asyncio.gather(
            self.engine.quiesce(seconds, hurry),
            self._dispatcher.quiesce(seconds, hurry),
            self._own_steps.quiesce(seconds, hurry),
            *(placer.quiesce(seconds, hurry) for placer in self._placers()),
        )
        await self.engine.catch_up(_DRAIN_SECONDS)

    async def stop(self) -> None:
        """Give the runs back, then stop everything."""
        if self._started:
            self._started = False
            if self.failure is None:
                await self._claims.stop()
                await self.engine.drain(_DRAIN_SECONDS)
                await self._awaited_graphs.look_once_more()
            await self._stack.aclose()

    # -- for who moves the clock -----------------------------------------------------------------------------------

    async def busy(self) -> list[str]:
        """Give what is under way here, or due at once, in words; nothing when all waits for time or for others."""
        found = self.engine.busy() + await self._own_steps.busy()
        if DISPATCHER in self._roles:
            found += await self._dispatcher.busy()
        for placer in self._placers():
            found += await placer.busy()
        if not self._pinned and await self._claims.wanted():
            found.append("a run waits to be claimed")
        return found

    async def next_moment(self) -> float | None:
        """When, by the clock, something is due here that waits for time alone."""
        moments = [self.engine.next_moment, await self._delayed.next_moment()]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self) -> None:
        """Go on with what is due by now: somebody moved the clock."""
        self.engine.look()
        self._delayed.hasten()
        for loop in (self._own_steps, self._dispatcher, *self._placers()):
            loop.wake()
        self._delivering.look()
        self._awaited_graphs.look()

    def lose(self) -> None:
        """The lease is lost: nothing may be written any more, and what still runs must end before others repeat it."""
        why = self._membership.why_lost
        error = errors.LeaseLost(f"this node lost its lease{why}; `interlock resume --all` goes on with its runs")
        self._fail(error)
        self.engine.abandon(error)
        self._dispatcher.lose()
        self._own_steps.lose()
        for placer in self._placers():
            placer.lose()
        self._logbook.drop()

    def refuse_if_short(self) -> None:
        """Raise Exhausted when this process is short of what a new run needs."""
        if self._shortages is not None:
            self._shortages.refuse()

    def _wake(self) -> None:
        """Go on: there is enough again."""
        for loop in (self._claims, self._own_steps, self._dispatcher, *self._placers()):
            loop.wake()

    def _placers(self) -> list[Placer]:
        return [] if self._pools is None else [self._pools.placer]

    async def _adopt_orphans(self) -> None:
        for dispatcher in (self._dispatcher, *self._placers()):
            await dispatcher.adopt_orphans()

    def _has_enough(self) -> bool:
        return self._shortages is None or not self._shortages.any

    def _store_is_away(self, error: errors.Environment) -> None:
        if self._pinned:  # a node with runs of others waits until the store is back
            self._fail(error)

    def _fail(self, error: errors.Environment) -> None:
        self.failure = self.failure or error
        self.failed.set()

    async def watch(self, run: str) -> None:
        """Wait until a run has ended here. Raises what made this node give the run, or everything, up."""
        waiting = asyncio.create_task(self.engine.wait(run))
        failing = asyncio.create_task(self.failed.wait())
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
            elif self.failure is not None:
                raise self.failure
        finally:
            waiting.cancel()
            failing.cancel()
