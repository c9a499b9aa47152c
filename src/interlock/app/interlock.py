"""Interlock in a Python program: the composition root for who writes workflows as functions.

async with Interlock("sqlite:///shop.db") as app:
    run = await app.start(fulfil, order, id=f"order-{order.id}")
    print(await run.result())
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from interlock import config, errors, telemetry
from interlock.app import events
from interlock.app.deliveries import Deliveries
from interlock.app.readiness import Readiness
from interlock.app.roles import ROLES
from interlock.app.run import Run
from interlock.app.session import Session
from interlock.app.shortages import Shortages
from interlock.app.starting import Started, checked_id
from interlock.app.supplies import measures
from interlock.app.tokens import Tokens
from interlock.config import Settings
from interlock.flow.python.workflow import Workflow
from interlock.model.json import Json
from interlock.service import Clock, SystemClock

P = ParamSpec("P")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_LISTED: Final = 100


class Interlock:
    """An open store and, unless `roles` is empty, a node of this process that executes runs.

    The node takes every run of the store that it can execute: those of the workflows that this program has imported, and
    of definitions in YAML. When it loses its lease, as after a long pause of the machine, it comes back as a new one.
    """

    def __init__(
        self,
        store: str | None = None,
        *,
        settings: Settings | None = None,
        namespace: str = "default",
        roles: Sequence[str] = ROLES,
        clock: Clock | None = None,
    ) -> None:
        """Raises InvalidSettings.

        `store`: a URL such as sqlite:///shop.db or postgresql://…, instead of the one that the settings name. `settings`:
        instead of those of `interlock.toml` and the environment. `namespace`: of what is looked for and sent. `roles`: what
        this process does for the store: decide and call (engine), perform what goes through pools (dispatcher); none for a
        client that starts runs and looks at them. `clock`: for tests.
        """
        if settings is None:
            settings = config.load({"store.url": store}, os.environ, Path.cwd(), Path.home())
        elif store is not None:
            settings = replace(settings, store=replace(settings.store, url=store))
        self.settings: Final = settings
        self.namespace: Final = namespace
        self._roles = tuple(roles)
        self._clock = clock
        self._readiness = Readiness(lambda reasons: telemetry.emit("node.readiness", reasons=reasons))
        self._shortages = Shortages(measures(settings.store.url), clock or SystemClock(), self._readiness)
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, store: str | None = None, **options: Any) -> Interlock:
        """Give the same opened; `close` ends it."""
        return await cls(store, **options).__aenter__()

    async def __aenter__(self) -> Interlock:
        if self._session is not None:
            raise errors.Invalid("this Interlock is open already; make another one")
        self._session = await self._stack.enter_async_context(self._opened())
        try:
            if self._roles:
                await self._stack.enter_async_context(self._looked_after())
                await self._bring()
                self._keeping = asyncio.create_task(self._keep(), name="interlock-node")
        except BaseException:
            await self.close()
            raise
        return self

    def _opened(self) -> AbstractAsyncContextManager[Session]:
        return Session.open(self.settings, clock=self._clock)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the runs back and close the store; safe to call twice."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
        await self._stack.aclose()
        self._session = None

    @property
    def session(self) -> Session:
        """What is underneath, for who needs more than this class has. Raises Invalid when it is not open."""
        if self._session is None:
            raise errors.Invalid("this Interlock is not open; use it within `async with Interlock(url) as app:`")
        return self._session

    @contextlib.asynccontextmanager
    async def _looked_after(self) -> AsyncIterator[None]:
        """See what this process is short of, as long as it has a node."""
        await self._shortages.start()
        try:
            yield
        finally:
            await self._shortages.stop()

    async def _bring(self) -> None:
        await self.session.bring_node(
            pinned=False,
            allow_all_python=False,
            roles=self._roles,
            readiness=self._readiness,
            shortages=self._shortages,
        )

    async def _keep(self) -> None:
        """Come back as a new node whenever the one of this process has lost its lease."""
        while True:
            node = self.session.node
            assert node is not None
            await node.failed.wait()
            telemetry.emit("node.lost", node=node.row.node, reason=str(node.failure))
            await self.session.lose_node()
            attempt = 0
            while self.session.node is None:
                try:
                    await self._bring()
                except errors.Environment as error:
                    telemetry.emit("node.store_away", reason=str(error))
                    await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                    attempt += 1

    # -- runs ----------------------------------------------------------------------------------------------------

    @overload
    async def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...

    @overload
    async def start(
        self,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        id: str | None = None,
        namespace: str | None = None,
        detach: bool = False,
        conn: Any = None,
        callback: Json = None,
    ) -> Run[R]: ...

    async def start(  # type: ignore[misc]  # mypy takes a ParamSpec for more than keywords of any name
        self,
        workflow: Any,
        /,
        *args: Any,
        id: str | None = None,
        namespace: str | None = None,
        detach: bool = False,
        conn: Any = None,
        callback: Json = None,
        **kwargs: Any,
    ) -> Run[Any]:
        """Start a run of a workflow with its arguments. It is durable when this returns, and begins at once.

        Raises Conflict when another run has the id, TypeError for arguments that do not fit.

        `id`: the same id, workflow and arguments give the run that is there, also while it runs. `namespace`: instead of the
        workflow's. `detach`: whichever node comes first executes it. `conn`: a transaction of `transaction()`, with which the
        run is accepted or not at all; whichever node comes first executes it. `callback`: whom to tell how the run ends,
        `{"url": ..., "secret": ...}` or `{"temporal": {...}}`; it is durable with the run, and sealed.
        """
        if not isinstance(workflow, Workflow):
            raise errors.Invalid(f"{workflow!r} is no workflow; decorate it with @workflow, or use `start_definition`")
        started = await self.session.start_program(
            workflow,
            workflow.signature.encode(args, kwargs),
            id=id,
            namespace=namespace or workflow.namespace,
            detach=detach or conn is not None,
            within=None if conn is None else conn.store,
            callback=callback,
        )
        return self._run(started, workflow)

    async def start_many(
        self,
        workflow: Workflow[..., R],
        arguments: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        /,
        *,
        ids: Iterable[str] | None = None,
        namespace: str | None = None,
        detach: bool = False,
    ) -> builtins.list[Run[R]]:
        """Start many runs of a workflow at once, in the order of `arguments`; cheaper than as many calls of `start`.

        `arguments`: of each run, a tuple or (by name) a dict. `ids`: one for each run. `namespace`, `detach`: as for `start`.
        All are durable when this returns. Nothing is accepted when arguments or ids do not fit; a Conflict or a lost store
        leaves those that were accepted before, and with `ids` the same call again gives them.
        """
        given = [_arguments(workflow, each) for each in arguments]
        named: builtins.list[str | None] = [None] * len(given) if ids is None else [checked_id(id) for id in ids]
        if len(named) != len(given) or len({id for id in named if id is not None}) != (len(named) if ids else 0):
            raise errors.Invalid(f"start_many: {len(named)} ids for {len(given)} runs; give each run one of its own")
        started = await self.session.start_programs(
            workflow, given, named, namespace=namespace or workflow.namespace, detach=detach
        )
        return [self._run(each, workflow) for each in started]

    async def start_definition(
        self,
        definition: str | Path,
        input: Json = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        callback: Json = None,
    ) -> Run[Json]:
        """Start a run of a document: the path of a YAML or JSON file, its text, or the published `namespace/name:version`.

        The rest as for `start`. Raises InvalidDefinition with every problem of the document.
        """
        text, file = await self.session.document(definition, self.namespace)
        started = await self.session.start(
            text,
            file=file,
            input=input,
            id=id,
            namespace=namespace,
            folder=Path(file).parent if file else None,
            callback=callback,
        )
        return self._run(started, None)

    def _run(self, started: Started, workflow: Workflow[Any, Any] | None) -> Run[Any]:
        return Run(
            self.session,
            started.run,
            started.namespace,
            started.id,
            workflow=workflow,
            fresh=started.fresh,
            conclusion=started.conclusion,
        )

    @overload
    async def get(self, id: str, *, namespace: str | None = None, conn: Any = None) -> Run[Any]: ...

    @overload
    async def get(
        self, id: str, workflow: Workflow[..., R], *, namespace: str | None = None, conn: Any = None
    ) -> Run[R]: ...

    async def get(
        self, id: str, workflow: Workflow[..., Any] | None = None, *, namespace: str | None = None, conn: Any = None
    ) -> Run[Any]:
        """Give a run by its id; `workflow` gives its result the right type. Raises NotFound."""
        row = await self.session.find(namespace or self.namespace, id, within=None if conn is None else conn.store)
        if workflow is None:
            workflow = await self.session.program_of(row.definition)
        return Run(self.session, row.run, row.namespace, row.id, workflow=workflow)

    async def list(
        self,
        *,
        status: Sequence[str] = (),
        workflow: str | None = None,
        where: Mapping[str, str | float | bool] | None = None,
        limit: int = _LISTED,
        conn: Any = None,
    ) -> list[Run[Any]]:
        """Give runs, newest first.

        `status`: only those that stand so, such as ["running", "waiting"]. `workflow`: only those of this name. `where`: the
        attributes that they must have, as set by `set_attributes`. `limit`: how many at most.
        """
        rows = await (self.session.store if conn is None else conn.store).views.runs(
            self.namespace, status, workflow, None, limit, attributes=dict(where or {})
        )
        return [Run(self.session, row.run, row.namespace, row.id, workflow=None) for row in rows]

    # -- what comes from outside ---------------------------------------------------------------------------------

    async def send(
        self, type: str, data: Json = None, *, source: str | None = None, id: str | None = None, conn: Any = None
    ) -> int | None:
        """Send an event to every run of the namespace that waits for such a one; gives how many did.

        None: an event with its source and id was sent before, and is not delivered again.
        """
        given = {"type": type, "data": data, "source": source, "id": id}
        attributes = {name: value for name, value in given.items() if value is not None}
        sent = await events.send(self.session, self.namespace, attributes, within=None if conn is None else conn.store)
        return sent.listeners

    @property
    def tokens(self) -> Tokens:
        """Completes what workflows wait for by `token()`."""
        return Tokens(self.session, self.namespace)

    @property
    def deliveries(self) -> Deliveries:
        """Shows who was told how a run ended, and sends again what failed."""
        return Deliveries(self.session, self.namespace)

    @contextlib.asynccontextmanager
    async def transaction(self, timeout: float = 5.0) -> AsyncIterator[Any]:
        """Open a transaction of the store, which other calls join by `conn=`, and the program's own statements by `execute`.

        async with app.transaction() as tx:
            await tx.execute("INSERT INTO orders (id) VALUES (?)", order.id)
            await app.start(fulfil, order, conn=tx)

        All of it is committed at the end of the block, or nothing. It keeps other writers of a SQLite store waiting, so it
        is to be short: after `timeout` seconds it is rolled back.
        """
        async with self.session.store.transaction(timeout) as joined:
            yield joined


def _arguments(workflow: Any, given: Any) -> Json:
    """Give the arguments of one of many runs as JSON."""
    if not isinstance(workflow, Workflow):
        raise errors.Invalid(f"{workflow!r} is no workflow; decorate it with @workflow")
    if isinstance(given, tuple):
        return workflow.signature.encode(given, {})
    if isinstance(given, Mapping):
        return workflow.signature.encode((), dict(given))
    raise errors.Invalid(
        f"start_many: the arguments of each run are a tuple or a dict; {given!r} is neither, so write ({given!r},)"
    )
