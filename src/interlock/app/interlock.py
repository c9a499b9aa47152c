"""What people do with runs, over one open store: start, publish, follow, cancel, suspend, resume, retry, fork.

async with Interlock.open(settings) as app:
    started = await app.start(text, file="order.yaml", input={"order": 1})
    await app.finish(started.run)
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from interlock import errors
from interlock.app import graphs, stranded
from interlock.app.graphs import Graphs
from interlock.app.node import ROLES, Node
from interlock.app.readiness import Readiness
from interlock.app.resources import Fetcher
from interlock.app.stranded import Stranded
from interlock.config import Settings
from interlock.engine import cause as causes
from interlock.engine import exchange, recovery
from interlock.engine import state as states
from interlock.engine.fold import apply
from interlock.engine.rows import Rows
from interlock.flow import check, resources
from interlock.flow.check import Loaded
from interlock.flow.graph import Graph
from interlock.flow.meaning import executable, limits
from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.net.authentication import Authenticator
from interlock.net.client import Client
from interlock.secrets.keeper import Keeper
from interlock.service import Clock, SystemClock
from interlock.store.open import open_store
from interlock.store.ports import Batch, Committed, Definition, NewRun, NodeState, RunRow, Store

_PAGE: Final = 500
_LONGEST_ID: Final = 128
_REMEMBERED: Final = 64  # documents whose check is not repeated when they are started again
_DEFINED_SECONDS: Final = 3600.0  # then it is stored again: retention removes what nobody asked for in a day
_SCHEDULE: Final = "/schedule"
_FOLLOW_SECONDS: Final = 1.0  # the net under the bell


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that was accepted.

    `fresh` False: a run with this id, definition and input was there before. `has_schedule`: the document has one, which
    a run started by hand does not follow; it runs once, now.
    """

    run: str
    namespace: str
    id: str
    fresh: bool
    has_schedule: bool = False


class Interlock:
    """An open store and, once `bring_node` was called, a node of this process."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.rows = Rows(settings.payload.inline_bytes)
        self.graphs = Graphs(store)
        self.secrets = Keeper(settings.store.url, settings.secrets, clock, os.environ)
        self._client = Client(settings.http, settings.payload.max_bytes)
        self.fetcher = Fetcher(Authenticator(self._client, clock), self.secrets, limits.configured(settings.limits))
        self._defined_texts: dict[str, tuple[Definition, Graph, bool]] = {}
        self._defined_since = clock.monotonic()
        self.node: Node | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Interlock]:
        """Open the store that the settings name; close it, and the node if one was brought, at the end."""
        store = await open_store(
            settings.store.url, connections=settings.store.connections, listen_url=settings.store.listen_url
        )
        app = cls(settings, store, clock or SystemClock())
        try:
            yield app
        finally:
            try:
                if app.node is not None:
                    await app.node.stop()
            finally:
                await app._client.close()
                await store.close()

    # -- nodes ---------------------------------------------------------------------------------------------------

    async def bring_node(
        self,
        *,
        pinned: bool = True,
        allow_all_python: bool = True,
        roles: Sequence[str] = ROLES,
        readiness: Readiness | None = None,
    ) -> Node:
        """Start a node in this process; once."""
        if self.node is None:
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
            )
            await node.start()
            self.node = node
        return self.node

    async def sweep(self) -> None:
        """Free what dead nodes owned."""
        await recovery.sweep(self.store, self.clock, but=None if self.node is None else self.node.row.node)

    async def unattended(self, limit: int = _PAGE) -> list[Stranded]:
        """Give the live runs that no node executes at this moment, newest first, and why."""
        await self.sweep()
        return await stranded.unattended(self.store, self.clock, limit)

    async def stranded(self, limit: int = _PAGE) -> list[Stranded]:
        """Give the runs that nobody has executed for a minute, newest first, and why."""
        return await stranded.find(self.store, self.clock, limit)

    async def servers(self) -> list[NodeState]:
        """Give the nodes that execute runs of others now."""
        await self.sweep()
        return await stranded.servers(self.store, self.clock)

    async def has_engine(self) -> bool:
        """Say whether a live node executes runs of others."""
        return bool(await self.servers())

    async def is_served(self, row: RunRow) -> bool:
        """Say whether another process executes a run, or can be expected to begin with it."""
        now = await self.find(row.namespace, row.id)
        alive = {node.node for node in await self.store.nodes.live(self.clock.stamp())}
        own = None if self.node is None else self.node.row.node
        if now.owner is not None and now.owner in alive - {own}:
            await self.sweep()  # a process of this host that died is seen at once
            return now.owner in {node.node for node in await self.store.nodes.live(self.clock.stamp())}
        nodes = await self.servers()
        return stranded.serves(nodes, await self.find(row.namespace, row.id))

    # -- definitions ---------------------------------------------------------------------------------------------

    async def publish(self, text: str, file: str | None) -> Definition:
        """Fix a document's `name:version` to its text. Raises InvalidDefinition, Conflict when another text has it."""
        loaded = self._executable(text, file)
        folder = Path(file).absolute().parent if file else Path.cwd()
        stored = graphs.definition(text, loaded, await self.fetcher.fetch(loaded, folder))
        self.graphs.add(stored, loaded)
        for function in _python_functions(loaded.value):
            module = function.removeprefix("python:").partition(":")[0]
            if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in self.settings.python.allow):
                raise errors.Invalid(
                    f"publishing {stored.name} needs the right to run {function!r}; name its module in python.allow"
                )
        digest = await self.store.journal.publish(stored, actor(), self.clock.now())
        if digest != stored.digest:
            name = f"{stored.namespace}/{stored.name}:{stored.version}"
            raise errors.Conflict(
                f"{name} was published before with another text (digest {digest[:12]}, this one {stored.digest[:12]}); "
                "raise document.version"
            )
        return stored

    def _executable(self, text: str, file: str | None, *, but: str | None = None) -> Loaded:
        """Load a document that this version can execute; `but`: the one place where it may say what is not built."""
        loaded = check.load(text, file, allowed=limits.configured(self.settings.limits))
        loaded.raise_for_problems()
        unbuilt = [problem for problem in loaded.warnings if problem.code == executable.CODE and problem.path != but]
        if unbuilt:
            raise errors.InvalidDefinition("this document uses what this version cannot execute yet", tuple(unbuilt))
        return loaded

    # -- starting ------------------------------------------------------------------------------------------------

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
    ) -> Started:
        """Accept a run of a document. With a node in this process the run begins here, else it waits for one.

        The same id, definition and input give the run that is there. Raises InvalidDefinition, Conflict.
        """
        folder = (folder or Path.cwd()).absolute()
        stored, graph, has_schedule = await self._defined(text, file, folder)
        run = self.clock.uuid()
        new = NewRun(
            run=run,
            namespace=namespace or stored.namespace,
            id=_checked_id(id) or run,
            definition=stored.digest,
            workflow=stored.name,
            version=stored.version,
            input=b"",
            folder=str(folder),
            owner=None,
        )
        value = Payload(input)
        if self.node is not None and not detach:
            owned = msgspec.structs.replace(new, owner=self.node.row.node)
            committed = await self.node.engine.accept(owned, graph, value)
        else:
            committed = await self._accept_only(new, value)
        if committed is Committed.EXISTS:
            return await self._existing(new, value)
        return Started(run=run, namespace=new.namespace, id=new.id, fresh=True, has_schedule=has_schedule)

    async def _defined(self, text: str, file: str | None, folder: Path) -> tuple[Definition, Graph, bool]:
        """Give a document checked, stored and compiled, and whether it has a schedule.

        The last ones are remembered, but for those with resources: these are fetched at each start.
        """
        known = self._defined_texts.get(text)
        if self.clock.monotonic() - self._defined_since > _DEFINED_SECONDS:
            self._defined_since, known = self.clock.monotonic(), None
            self._defined_texts.clear()
        if known is None:
            loaded = self._executable(text, file, but=_SCHEDULE)
            stored = await self._pinned(text, loaded, folder)
            await self.store.journal.define(stored)
            known = stored, self.graphs.add(stored, loaded), loaded.required().schedule is not None
            if stored.resources is None:
                self._defined_texts[text] = known
            while len(self._defined_texts) > _REMEMBERED:
                del self._defined_texts[next(iter(self._defined_texts))]
        return known

    async def _pinned(self, text: str, loaded: Loaded, folder: Path) -> Definition:
        """Give a document with the resources it needs: those that it was published with, else fetched now."""
        workflow = loaded.required()
        if not resources.wanted(workflow, workflow.use):
            return graphs.definition(text, loaded, {})
        header = workflow.document
        published = await self.store.journal.published(header.namespace, header.name, header.version)
        if published is not None and published.source == text:
            return published
        return graphs.definition(text, loaded, await self.fetcher.fetch(loaded, folder))

    async def _accept_only(self, new: NewRun, value: Payload) -> Committed:
        """Store a run that whichever node can will begin."""
        text, large = self.rows.input(value)
        state = states.new(new.run, new.namespace, new.id, value)
        batch = self.rows.batch(
            state,
            (),
            epoch=1,
            seq=0,
            at=self.clock.now(),
            accept=msgspec.structs.replace(new, input=text),
        )
        return await self.store.journal.commit(msgspec.structs.replace(batch, head=b"", large=large))

    async def _existing(self, new: NewRun, value: Payload) -> Started:
        row = await self.find(new.namespace, new.id)
        assert row.input is not None
        there = await self.rows.value(row.run, row.input, self.store.journal)
        if row.definition != new.definition or there != value:
            raise errors.Conflict(
                f"the run {new.id!r} exists with definition {row.definition[:12]} and input {there.digest[:12]}; "
                f"asked for were definition {new.definition[:12]} and input {value.digest[:12]}; choose another id"
            )
        return Started(run=row.run, namespace=row.namespace, id=row.id, fresh=False)

    # -- finding and following -----------------------------------------------------------------------------------

    async def find(self, namespace: str | None, id: str) -> RunRow:
        """Give a run by id or unique prefix; `namespace` None for any. Raises NotFound, Conflict."""
        row = await self.store.views.run(namespace, id)
        if row is None:
            where = "" if namespace is None else f" in the namespace {namespace!r}"
            raise errors.NotFound(f"there is no run {id!r}{where}; `interlock list` shows those there are")
        return row

    async def history(self, run: str, after: int = 0) -> list[Event]:
        """Give the events of a run, from the commit `after` on."""
        found: list[Event] = []
        while rows := await self.store.journal.history(run, after, _PAGE):
            found += await self.rows.events(run, rows, self.store.journal)
            after = rows[-1].seq
        return found

    async def follow(
        self, row: RunRow, after: int = 0, *, resuming: bool = False
    ) -> AsyncIterator[tuple[int, list[Event]]]:
        """Give the commits of a run as they happen, with their seq, until it has ended or is suspended.

        `resuming`: it is suspended now, and a request to resume it is on its way.
        """
        resting = ENDED_RUN | {RunStatus.SUSPENDED}
        rung = asyncio.Event()
        end = self.store.bell.listen(rung.set)
        try:
            while True:
                rung.clear()
                now = await self.find(row.namespace, row.id)  # before its history: what it says now is in there
                rows = await self.store.journal.history(row.run, after, _PAGE)
                for item in rows:
                    after = item.seq
                    news = await self.rows.events(row.run, [item], self.store.journal)
                    resuming = resuming and not (
                        item.seq > row.seq and any(isinstance(event, events.Resumed) for event in news)
                    )
                    yield item.seq, news
                if rows:
                    continue
                if now.status in (ENDED_RUN if resuming else resting):
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FOLLOW_SECONDS):
                        await rung.wait()
        finally:
            end()

    # -- changing ------------------------------------------------------------------------------------------------

    async def cancel(self, row: RunRow, reason: str | None) -> bool:
        """Ask for a run to be cancelled; False when it has ended. A run that no live node owns is cancelled here."""
        return await self._tell(row, "cancel", causes.Cancel(reason))

    async def suspend(self, row: RunRow) -> bool:
        return await self._tell(row, "suspend", causes.Suspend())

    async def resume(self, row: RunRow) -> bool:
        """Lift a suspension; a run that is not suspended is left as it is."""
        return await self._tell(row, "resume", causes.Resume())

    async def _tell(self, row: RunRow, name: str, cause: causes.Cause) -> bool:
        cause_id = f"{name}:{self.clock.uuid()}"
        return await self.store.journal.post(row.run, cause_id, causes.encode(cause), actor(), self.clock.now())

    async def take(self, row: RunRow) -> bool:
        """Let this process's node go on with a run that no live node owns. False: another one has it, or it ended."""
        node = await self.bring_node()
        await recovery.sweep(self.store, self.clock, but=node.row.node)
        claimed = await self.store.nodes.claim_runs(node.row.node, 1, only=row.run)
        for run in claimed:
            await node.engine.adopt(run)
        return bool(claimed)

    async def retry(self, row: RunRow) -> bool:
        """Go on with a faulted run from the step that failed. False: it is not faulted.

        A live node goes on with it, or else this process's.
        """
        if self.node is None and stranded.serves(await self.servers(), msgspec.structs.replace(row, owner=None)):
            return await self.store.journal.reopen(row.run, None, actor(), self.clock.now()) is not None
        node = await self.bring_node()
        epoch = await self.store.journal.reopen(row.run, node.row.node, actor(), self.clock.now())
        if epoch is None:
            return False
        await node.engine.adopt_reopened(row.run, epoch)
        return True

    async def fork(self, row: RunRow, step: str, id: str | None) -> Started:
        """Start a new run with a copy of another one's history up to before the last time it entered `step`.

        `step`: a path such as /do/2/ship, or a name that only one step has. Raises NotFound when it was never entered.
        """
        journal = self.store.journal
        graph = await self.graphs.graph(row.definition)
        assert row.input is not None
        value = await self.rows.value(row.run, row.input, journal)
        history = await self.history(row.run)
        # Retention takes the run away first and its history afterwards: what was read while it was there is whole.
        if await journal.load(row.run) is None:
            raise errors.NotFound(f"the run {row.id} was removed by retention meanwhile")
        path = step_path(graph.nodes, step)
        prefix = _before(history, path)
        if prefix is None:
            raise errors.NotFound(f"the run {row.id} never entered {path}; `interlock show {row.id}` lists its steps")
        run = self.clock.uuid()
        text, large = self.rows.input(value)
        new = NewRun(
            run=run,
            namespace=row.namespace,
            id=_checked_id(id) or run,
            definition=row.definition,
            workflow=row.workflow,
            version=row.version,
            input=text,
            folder=row.folder,
            owner=None,
            origin=row.id,
        )
        state = states.new(run, new.namespace, new.id, value)
        now = self.clock.now()
        if graph.secrets:
            prefix = await self._with_markers_of(row.run, run, prefix)
        copied = [*prefix, events.Copied(at=now, origin=row.id, since=prefix[-1].at if prefix else None)]
        for event in copied:
            apply(state, event)
        batch: Batch = self.rows.batch(state, copied, epoch=1, seq=0, at=now, accept=new)
        batch = msgspec.structs.replace(
            batch,
            large={**batch.large, **large},
            subscriptions=exchange.subscriptions(graph, state, state.listeners) if graph.listens else (),
        )
        if await journal.commit(batch) is Committed.EXISTS:
            raise errors.Conflict(f"the run {new.id!r} exists; choose another id")
        return Started(run=run, namespace=new.namespace, id=new.id, fresh=True)

    async def _with_markers_of(self, origin: str, run: str, history: list[Event]) -> list[Event]:
        """Give a history whose markers of secrets are those of the run that takes it over."""
        markers = await self.secrets.markers(origin)
        return [markers.moved(event, run) for event in history]

    async def finish(self, run: str) -> None:
        """Wait until this process's node is done with a run. Raises what stopped it."""
        if self.node is not None:
            await self.node.watch(run)


def actor() -> str:
    """Give the name that changes are recorded under: the user of this process."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # a process without a name for its user id
        return "user:unknown"


def _checked_id(id: str | None) -> str | None:
    if id is not None and not (0 < len(id) <= _LONGEST_ID and id.isprintable()):
        raise errors.Invalid(f"the run id {id[:40]!r} is not 1 to {_LONGEST_ID} printable characters")
    return id


def _python_functions(value: Json) -> list[str]:
    """Give every `call: python:...` in a document."""
    if isinstance(value, list):
        return [name for item in value for name in _python_functions(item)]
    if not isinstance(value, dict):
        return []
    called = value.get("call")
    found = [called] if isinstance(called, str) and called.startswith("python:") else []
    return found + [name for item in value.values() for name in _python_functions(item)]


def step_path(nodes: Mapping[str, object], step: str) -> str:
    """Give the path of a step that is named by its path or its name. Raises Invalid, NotFound, which list the names."""
    if step in nodes:
        return step
    found = [path for path in nodes if path.rsplit("/", 1)[-1] == step]
    if len(found) == 1:
        return found[0]
    if found:
        raise errors.Invalid(f"several steps are called {step!r}: {', '.join(found)}; write the path")
    raise errors.NotFound(f"the workflow has no step {step!r}; its steps are {', '.join(nodes)}")


def _before(history: Sequence[Event], path: str) -> list[Event] | None:
    """Give the events before the last one that began the step `path`, None when none did."""
    begins = [
        number
        for number, event in enumerate(history)
        if (isinstance(event, events.Entered) or (isinstance(event, events.Completed) and event.since is not None))
        and event.path == path
    ]
    return list(history[: begins[-1]]) if begins else None
