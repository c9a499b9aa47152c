"""Runs, tokens and transactions for programs without an event loop."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from interlock import errors
from interlock.app import interlock as asynchronous
from interlock.app.deliveries import Delivery
from interlock.app.run import Run as AsyncRun
from interlock.app.tokens import Alive, Held, Reported, TokenView
from interlock.flow.python.options import Duration
from interlock.flow.python.workflow import Workflow
from interlock.model.event import Event
from interlock.model.json import Json
from interlock.model.states import RunStatus
from interlock.store.ports import DeliveryAttempt
from interlock.sync.portal import Portal

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Run(Generic[R]):
    """A run; see `interlock.Run`, of which each method waits here."""

    def __init__(self, portal: Portal, run: AsyncRun[R]) -> None:
        self._portal = portal
        self._run = run
        self.run: Final = run.run
        self.namespace: Final = run.namespace
        self.id: Final = run.id
        self.fresh: Final = run.fresh

    def result(self, timeout: Duration | None = None) -> R:
        return self._portal.call(self._run.result(timeout))

    def wait(self, timeout: Duration | None = None) -> RunStatus:
        return self._portal.call(self._run.wait(timeout))

    def status(self, *, conn: Transaction | None = None) -> RunStatus:
        return self._portal.call(self._run.status(conn=_joined(conn)))

    def shown(self, *, conn: Transaction | None = None) -> dict[str, Json]:
        return self._portal.call(self._run.shown(conn=_joined(conn)))

    def history(self) -> list[Event]:
        return self._portal.call(self._run.history())

    def cancel(self, reason: str | None = None, *, rollback: bool = False, conn: Transaction | None = None) -> bool:
        return self._portal.call(self._run.cancel(reason, rollback=rollback, conn=_joined(conn)))

    def suspend(self, *, conn: Transaction | None = None) -> bool:
        return self._portal.call(self._run.suspend(conn=_joined(conn)))

    def resume(self, *, conn: Transaction | None = None) -> bool:
        return self._portal.call(self._run.resume(conn=_joined(conn)))

    def retry(self, *, conn: Transaction | None = None) -> bool:
        return self._portal.call(self._run.retry(conn=_joined(conn)))

    def __repr__(self) -> str:
        return repr(self._run)


class Tokens:
    """Reports outcomes; see `Interlock.tokens`."""

    def __init__(self, portal: Portal, app: asynchronous.Interlock) -> None:
        self._portal = portal
        self._app = app

    def complete(
        self, token: str | Held, result: Any = None, *, by: str | None = None, conn: Transaction | None = None
    ) -> Reported:
        return self._portal.call(self._app.tokens.complete(token, result, by=by, conn=_joined(conn)))

    def fail(
        self,
        token: str | Held,
        message: str,
        *,
        type: str = "Failed",
        retryable: bool = False,
        details: Json = None,
        by: str | None = None,
        conn: Transaction | None = None,
    ) -> Reported:
        failing = self._app.tokens.fail(
            token, message, type=type, retryable=retryable, details=details, by=by, conn=_joined(conn)
        )
        return self._portal.call(failing)

    def heartbeat(self, token: str | Held, details: Json = None) -> Alive:
        return self._portal.call(self._app.tokens.heartbeat(token, details))

    def progress(self, token: str | Held, fraction: float | None = None, message: str | None = None) -> Alive:
        return self._portal.call(self._app.tokens.progress(token, fraction, message))

    def show(self, token: str | Held) -> TokenView:
        return self._portal.call(self._app.tokens.show(token))

    def of_run(self, run: str, *, only_open: bool = True) -> list[TokenView]:
        return self._portal.call(self._app.tokens.of_run(run, only_open=only_open))

    def of_step(self, run: str, step: str) -> Held:
        return self._portal.call(self._app.tokens.of_step(run, step))

    def ages(self) -> dict[int, int]:
        return self._portal.call(self._app.tokens.ages())


class Deliveries:
    """Who was told how a run ended; see `Interlock.deliveries`."""

    def __init__(self, portal: Portal, app: asynchronous.Interlock) -> None:
        self._portal = portal
        self._app = app

    def list(
        self, *, state: str | None = None, run: str | None = None, before: str | None = None, limit: int = 100
    ) -> builtins.list[Delivery]:
        return self._portal.call(self._app.deliveries.list(state=state, run=run, before=before, limit=limit))

    def get(self, id: str) -> Delivery:
        return self._portal.call(self._app.deliveries.get(id))

    def attempts(self, id: str) -> builtins.list[DeliveryAttempt]:
        return self._portal.call(self._app.deliveries.attempts(id))

    def retry(self, id: str) -> Delivery:
        return self._portal.call(self._app.deliveries.retry(id))


class Transaction:
    """An open transaction; see `interlock.Interlock.transaction`."""

    def __init__(self, portal: Portal, joined: Any) -> None:
        self._portal = portal
        self.joined: Final = joined

    def execute(self, sql: str, *parameters: Any) -> int:
        """Run a statement of the program's own; gives how many rows it changed."""
        changed: int = self._portal.call(self.joined.execute(sql, *parameters))
        return changed

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Give the rows of a statement of the program's own."""
        found: list[tuple[Any, ...]] = self._portal.call(self.joined.rows(sql, *parameters))
        return found


def _joined(conn: Transaction | None) -> Any:
    return None if conn is None else conn.joined


class Interlock:
    """See `interlock.Interlock`, of which each method waits here."""

    def __init__(self, store: str | None = None, **options: Any) -> None:
        self._store = store
        self._options = options
        self._portal: Portal | None = None
        self._app: asynchronous.Interlock | None = None

    def __enter__(self) -> Interlock:
        self._portal = Portal()
        try:
            self._app = self._portal.call(asynchronous.Interlock.open(self._store, **self._options))
        except BaseException:
            self._portal.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the runs back and close the store; safe to call twice."""
        app, self._app = self._app, None
        if app is not None and self._portal is not None:
            try:
                self._portal.call(app.close())
            finally:
                self._portal.close()

    @overload
    def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...

    @overload
    def start(
        self,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        id: str | None = None,
        namespace: str | None = None,
        detach: bool = False,
        conn: Transaction | None = None,
        callback: Json = None,
    ) -> Run[R]: ...

    def start(  # type: ignore[misc]  # mypy takes a ParamSpec for more than keywords of any name
        self, workflow: Any, /, *args: Any, conn: Transaction | None = None, **kwargs: Any
    ) -> Run[Any]:
        run = self._call(lambda app: app.start(workflow, *args, conn=_joined(conn), **kwargs))
        return Run(self._entered, run)

    def start_many(
        self,
        workflow: Workflow[..., R],
        arguments: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        /,
        *,
        ids: Iterable[str] | None = None,
        namespace: str | None = None,
        detach: bool = False,
    ) -> builtins.list[Run[R]]:
        runs = self._call(lambda app: app.start_many(workflow, arguments, ids=ids, namespace=namespace, detach=detach))
        return [Run(self._entered, run) for run in runs]

    def start_definition(
        self,
        definition: str | Path,
        input: Json = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        callback: Json = None,
    ) -> Run[Json]:
        run = self._call(
            lambda app: app.start_definition(definition, input, id=id, namespace=namespace, callback=callback)
        )
        return Run(self._entered, run)

    @overload
    def get(self, id: str, *, namespace: str | None = None, conn: Transaction | None = None) -> Run[Any]: ...

    @overload
    def get(
        self, id: str, workflow: Workflow[..., R], *, namespace: str | None = None, conn: Transaction | None = None
    ) -> Run[R]: ...

    def get(
        self, id: str, workflow: Any = None, *, namespace: str | None = None, conn: Transaction | None = None
    ) -> Run[Any]:
        found = self._call(lambda app: app.get(id, workflow, namespace=namespace, conn=_joined(conn)))
        return Run(self._entered, found)

    def list(
        self,
        *,
        status: Sequence[str] = (),
        workflow: str | None = None,
        where: Mapping[str, str | float | bool] | None = None,
        limit: int = 100,
        conn: Transaction | None = None,
    ) -> list[Run[Any]]:
        found = self._call(
            lambda app: app.list(status=status, workflow=workflow, where=where, limit=limit, conn=_joined(conn))
        )
        return [Run(self._entered, run) for run in found]

    def send(
        self,
        type: str,
        data: Json = None,
        *,
        source: str | None = None,
        id: str | None = None,
        conn: Transaction | None = None,
    ) -> int | None:
        return self._call(lambda app: app.send(type, data, source=source, id=id, conn=_joined(conn)))

    @property
    def tokens(self) -> Tokens:
        return Tokens(self._entered, self._opened)

    @property
    def deliveries(self) -> Deliveries:
        return Deliveries(self._entered, self._opened)

    @contextmanager
    def transaction(self, timeout: float = 5.0) -> Iterator[Transaction]:
        """As `interlock.Interlock.transaction`."""
        portal, app = self._entered, self._opened
        holding = portal.call(_Holding.begun(app, timeout))
        try:
            yield Transaction(portal, holding.joined)
        except BaseException as error:
            portal.call(holding.end(error))
            raise
        portal.call(holding.end(None))

    def _call(self, work: Callable[[asynchronous.Interlock], Coroutine[Any, Any, T]]) -> T:
        return self._entered.call(work(self._opened))

    @property
    def _entered(self) -> Portal:
        if self._portal is None:
            raise errors.Invalid("this Interlock is not open; use it within `with Interlock(url) as app:`")
        return self._portal

    @property
    def _opened(self) -> asynchronous.Interlock:
        if self._app is None:
            raise errors.Invalid("this Interlock is not open; use it within `with Interlock(url) as app:`")
        return self._app


class _Holding:
    """A transaction in the task that began it, which alone may end it."""

    def __init__(self, app: asynchronous.Interlock, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[Any] = loop.create_future()
        self._ending: asyncio.Future[BaseException | None] = loop.create_future()
        self._task = loop.create_task(self._hold(app, timeout))
        self.joined: Any = None

    @classmethod
    async def begun(cls, app: asynchronous.Interlock, timeout: float) -> _Holding:
        holding = cls(app, timeout)
        await asyncio.wait([holding._begun, holding._task], return_when=asyncio.FIRST_COMPLETED)
        if not holding._begun.done():
            await holding._task  # raises why it could not begin
        holding.joined = holding._begun.result()
        return holding

    async def _hold(self, app: asynchronous.Interlock, timeout: float) -> None:
        async with app.transaction(timeout) as joined:
            self._begun.set_result(joined)
            error = await self._ending
            if error is not None:
                raise _Undone

    async def end(self, error: BaseException | None) -> None:
        """Commit, or roll back for an error. Raises what the commit met."""
        self._ending.set_result(error)
        try:
            await self._task
        except _Undone:
            return


class _Undone(Exception):
    """The block ended with an error; it is raised where the block is."""


__all__ = ["Deliveries", "Interlock", "Run", "Tokens", "Transaction"]
