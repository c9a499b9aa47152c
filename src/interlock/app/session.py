"""What people do with runs, over one open store: start, publish, retry, fork, and all that `records` has.

async with Session.open(settings) as app:
    started = await app.start(text, file="order.yaml", input={"order": 1})
    await app.finish(started.run)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from interlock import errors
from interlock.app import garbage, loading, stranded
from interlock.app.actor import actor
from interlock.app.artifacts import artifacts
from interlock.app.callers import Callers
from interlock.app.definitions import Definitions
from interlock.app.forking import Forker
from interlock.app.graphs import Graphs
from interlock.app.node import Node
from interlock.app.opened import opened_store
from interlock.app.probes import NONE, Probes
from interlock.app.readiness import Readiness
from interlock.app.records import Records
from interlock.app.resources import Fetcher
from interlock.app.roles import ENGINE, ROLES
from interlock.app.shortages import Shortages
from interlock.app.starting import Started, Starter
from interlock.config import Settings
from interlock.engine import recovery
from interlock.flow.meaning import limits
from interlock.flow.python import registry
from interlock.flow.python.workflow import Workflow, is_program
from interlock.model import callback as callbacks
from interlock.model.json import Json
from interlock.model.states import RunStatus
from interlock.net.authentication import Authenticator
from interlock.net.client import Client
from interlock.service import Clock, SystemClock
from interlock.store.ports import Definition, RunRow, Store


class Session(Records):
    """An open store and, once `bring_node` was called, a node of this process."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        probes: Probes = NONE,
        public_url: str | None = None,
        socket: str = "",
    ) -> None:
        """`public_url`: where those who were given tokens find a server of this store; None: as the settings say.
        `socket`: where programs of this machine find it."""
        super().__init__(settings, store, clock, public_url, socket)
        self._probes = probes
        self.graphs = Graphs(store)
        self._client = Client(settings.http, settings.payload.max_bytes)
        self.fetcher = Fetcher(Authenticator(self._client, clock), self.secrets, limits.configured(settings.limits))
        self.artifacts = artifacts(settings, store)
        self._definitions = Definitions(settings, store, clock, self.graphs, self.fetcher)
        callers = Callers(self.secrets, clock, settings.deliveries.deadline_seconds)
        self._starter = Starter(store, clock, self.rows, self._definitions, callers)
        self._forker = Forker(store, clock, self.rows, self.graphs, self.secrets, self.history)
        self.node: Node | None = None
        self.engine: Node | None = None
        """The node beside that one which `bring_engine` brought."""
        self._collect_as_before: Callable[[], None] = lambda: None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        probes: Probes = NONE,
        public_url: str | None = None,
        socket: str = "",
    ) -> AsyncIterator[Self]:
        """Open the store that the settings name; close it, and the node if one was brought, at the end."""
        async with opened_store(settings) as store, contextlib.AsyncExitStack() as stack:
            app = cls(settings, store, clock or SystemClock(), probes, public_url, socket)
            stack.push_async_callback(app._client.close)
            stack.callback(lambda: app._collect_as_before())
            stack.push_async_callback(app._stop_nodes)
            yield app

    # -- nodes ---------------------------------------------------------------------------------------------------

    async def bring_node(
        self,
        *,
        pinned: bool = True,
        allow_all_python: bool = True,
        roles: Sequence[str] = ROLES,
        readiness: Readiness | None = None,
        shortages: Shortages | None = None,
    ) -> Node:
        """Start a node in this process; once. It takes nothing new while there are `shortages`."""
        if self.node is None:
            self.node = await self._started_node(
                roles, readiness, shortages, pinned=pinned, allow_all_python=allow_all_python
            )
            self._collect_as_before()  # that of the node before it, if that was lost
            self._collect_as_before = garbage.relaxed(self.settings.node.collect_after)
        return self.node

    async def bring_engine(self) -> Node:
        """Start a node in this process that executes the runs of others and nothing else, beside one that does not; once.

        Another one, since the tasks of the first would have to be stopped for it to become an engine.
        """
        if self.engine is None:
            self.engine = await self._started_node((ENGINE,), pinned=False)
        return self.engine

    async def _started_node(
        self,
        roles: Sequence[str],
        readiness: Readiness | None = None,
        shortages: Shortages | None = None,
        *,
        pinned: bool,
        allow_all_python: bool = True,
    ) -> Node:
        node = Node(
            self.settings,
            self.store,
            self.clock,
            self.graphs,
            self.secrets,
            pinned=pinned,
            allow_all_python=allow_all_python,
            roles=roles,
            readiness=readiness,
            shortages=shortages,
            probes=self._probes,
        )
        await node.start()
        return node

    async def _stop_nodes(self) -> None:
        """Stop the nodes of this process, each to its end, whatever comes of the other one."""
        async with contextlib.AsyncExitStack() as stack:
            for node in (self.node, self.engine):
                if node is not None:
                    stack.push_async_callback(node.stop)

    async def lose_node(self) -> None:
        """Stop the node of this process, which failed; another one may be brought."""
        node, self.node = self.node, None
        if node is not None:
            await node.stop()

    @property
    def own_node(self) -> str | None:
        """The id of the node of this process, None: it has none."""
        return None if self.node is None else self.node.row.node

    # -- starting ------------------------------------------------------------------------------------------------

    async def publish(self, text: str, file: str | None) -> Definition:
        """Fix a document's `name:version` to its text. Raises InvalidDefinition, Conflict when another text has it."""
        return await self._definitions.publish(text, file)

    async def start(
        self,
        text: str,
        *,
        file: str | None = None,
        input: Json = None,
        id: str | None = None,
        namespace: str | None = None,
        folder: Path | None = None,
        detach: bool = False,
        callback: Json = None,
    ) -> Started:
        """Accept a run of a document. With a node in this process the run begins here, else it waits for one.

        The same id, definition and input give the run that is there. `callback`: whom to tell how it ends, see
        `model.callback`; with the run that is there it is told too. Raises InvalidDefinition, Conflict, Invalid.
        """
        if is_program(text):  # a Python workflow that was published: its text is the program's
            workflow = loading.published(text, folder)
            return await self.start_program(
                workflow, input, id=id, namespace=namespace, folder=folder, detach=detach, callback=callback
            )
        return await self._starter.start(
            None if detach else self.node,
            text,
            file=file,
            input=input,
            id=id,
            namespace=namespace,
            folder=folder,
            callback=callbacks.parse(callback),
        )

    async def publish_program(self, workflow: Workflow[Any, Any]) -> Definition:
        """Publish a Python workflow, so that others start it by its name. Idempotent."""
        stored, _ = await self._definitions.program(workflow)
        await self.store.journal.publish(stored, actor(), self.clock.now())
        return stored

    async def start_program(
        self,
        workflow: Workflow[Any, Any],
        arguments: Json,
        *,
        id: str | None = None,
        namespace: str | None = None,
        folder: Path | None = None,
        detach: bool = False,
        within: Store | None = None,
        callback: Json = None,
    ) -> Started:
        """Accept a run of a Python workflow; the rest as for `start`. `within`: the store of a transaction to join.

        Raises Invalid for arguments that do not fit.
        """
        node = None if detach else self.node
        return await self._starter.start_program(
            node,
            workflow,
            arguments,
            id=id,
            namespace=namespace,
            folder=folder,
            within=within,
            callback=callbacks.parse(callback),
        )

    async def start_programs(
        self,
        workflow: Workflow[Any, Any],
        arguments: Sequence[Json],
        ids: Sequence[str | None],
        *,
        namespace: str | None = None,
        detach: bool = False,
    ) -> list[Started]:
        """Accept many runs of a Python workflow. Raises before anything is accepted for what does not fit."""
        node = None if detach else self.node
        return await self._starter.start_programs(node, workflow, arguments, ids, namespace=namespace)

    async def document(self, definition: str | Path, namespace: str) -> tuple[str, str | None]:
        """Give the text of a document, and its file: from a path, a text of several lines, or a published name.

        Raises NotFound, Invalid for a file that cannot be read.
        """
        return await self._definitions.text(definition, namespace)

    async def program_of(self, digest: str) -> Workflow[Any, Any] | None:
        """Give the Python workflow that a definition is, if it is one and this process has it."""
        program = (await self.graphs.graph(digest)).program
        return None if program is None else registry.workflow(program.namespace, program.name, program.version)

    async def fork(self, row: RunRow, step: str, id: str | None) -> Started:
        """Start a new run with a copy of another one's history up to before the last time it entered `step`.

        `step`: a path such as /do/2/ship, or a name that only one step has. Raises NotFound when it was never entered.
        """
        return await self._forker.fork(row, step, id)

    async def take(self, row: RunRow) -> bool:
        """Let this process's node go on with a run that no live node owns. False: another one has it, or it ended."""
        node = await self.bring_node()
        await recovery.sweep(self.store, self.clock, but=node.row.node)
        claimed = await self.store.nodes.claim_runs(node.row.node, 1, only=row.run)
        for run in claimed:
            await node.engine.adopt(run)
        return bool(claimed)

    async def retry(self, row: RunRow, *, within: Store | None = None) -> bool:
        """Go on with a faulted run from the step that failed. False: it is not faulted.

        A live node goes on with it, or else this process's. Raises Conflict for a run that was rolled back.
        """
        if row.status is RunStatus.FAULTED and await self.rolls_back(row):
            text = (
                f"the run {row.id} was rolled back: what its steps did was undone, so it cannot go on; start it again"
            )
            raise errors.Conflict(text)
        if within is not None:  # whoever claims it goes on with it, once the transaction is committed
            return await within.journal.reopen(row.run, None, actor(), self.clock.now()) is not None
        if self.node is None and stranded.serves(await self.servers(), msgspec.structs.replace(row, owner=None)):
            return await self.store.journal.reopen(row.run, None, actor(), self.clock.now()) is not None
        node = await self.bring_node()
        epoch = await self.store.journal.reopen(row.run, node.row.node, actor(), self.clock.now())
        if epoch is None:
            return False
        await node.engine.adopt_reopened(row.run, epoch)
        return True

    async def finish(self, run: str) -> None:
        """Wait until this process's node is done with a run. Raises what stopped it."""
        if self.node is not None:
            await self.node.watch(run)


__all__ = ["Session", "Started"]
