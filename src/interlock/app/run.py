"""A run in the hands of a Python program."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, Generic, TypeVar

import msgspec

from interlock import errors
from interlock.app.session import Session
from interlock.engine.conclusion import Conclusion
from interlock.flow.python import raised
from interlock.flow.python.options import Duration, seconds
from interlock.flow.python.workflow import Workflow
from interlock.model import json
from interlock.model.event import Event
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow, Store, news

R = TypeVar("R")

_LOOK_SECONDS: Final = 1.0  # the net under the bell
_SPACING_SECONDS: Final = 0.02  # between looks at a run of another process, however often the bell rings

_fault = msgspec.json.Decoder(Fault)


class Run(Generic[R]):
    """A run: wait for its result, look at it, change it. Waiting costs the run nothing: who stops waiting stops nothing."""

    def __init__(
        self,
        session: Session,
        run: str,
        namespace: str,
        id: str,
        *,
        workflow: Workflow[Any, R] | None,
        fresh: bool = False,
        conclusion: Conclusion | None = None,
    ) -> None:
        self._session = session
        self._workflow = workflow
        self._conclusion = conclusion
        self.run: Final = run
        """The run's key, unique in the store."""
        self.namespace: Final = namespace
        self.id: Final = id
        self.fresh: Final = fresh
        """Whether the call that gave this started the run; False when it was there before."""

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for the end of the run and give its result.

        Raises what the workflow raised, as it was raised where its class is known here, or else RunFaulted; RunCancelled;
        TimeoutError when it takes longer than `timeout`, which the run does not notice.
        """
        if timeout is None:
            return await self._result()
        async with asyncio.timeout(seconds(timeout, "timeout")):
            return await self._result()

    async def _result(self) -> R:
        if self._conclusion is not None:
            await self._conclusion.told()
            if self._conclusion.status is RunStatus.COMPLETED:
                return self._decoded(_anew(self._conclusion.output))
        row = await self._ended()
        if row.status is RunStatus.CANCELLED:
            raise errors.RunCancelled(self.id)
        if row.status is RunStatus.FAULTED:
            assert row.fault is not None
            raise raised.of_run(_fault.decode(row.fault), self.id)
        return self._decoded(await self._output(row))

    async def wait(self, timeout: Duration | None = None) -> RunStatus:
        """Wait for the end of the run, however it ends, and give its status. Raises TimeoutError."""
        async with asyncio.timeout(None if timeout is None else seconds(timeout, "timeout")):
            if self._conclusion is not None:
                await self._conclusion.told()
                if self._conclusion.status is not None:
                    return self._conclusion.status
            return (await self._ended()).status

    async def status(self, *, conn: Any = None) -> RunStatus:
        """Give how the run stands."""
        return (await self._row(_store(self._session, conn))).status

    async def shown(self, *, conn: Any = None) -> dict[str, Json]:
        """Give what the run shows of itself: `progress` (0 to 1), `message`, `status`, and its search `attributes`."""
        store = _store(self._session, conn)
        row = await self._row(store)
        told = json.decode(row.shown) if row.shown else {}
        fields = {name: told.get(name) for name in ("progress", "message", "status")}
        return fields | {"attributes": await store.views.attributes(self.run)}

    async def history(self) -> list[Event]:
        """Give the events of the run, oldest first."""
        return await self._session.history(self.run)

    async def cancel(self, reason: str | None = None, *, rollback: bool = False, conn: Any = None) -> bool:
        """Ask for the run to be cancelled; gives False when it has ended already.

        Durable when it returns; `wait` tells when it took effect. `reason`: for the history. `rollback`: what its steps
        did is undone first.
        """
        row = await self._row(_store(self._session, conn))
        return await self._session.cancel(row, reason, rollback=rollback, within=_within(conn))

    async def suspend(self, *, conn: Any = None) -> bool:
        """Let nothing new start in the run until it is resumed. False: it has ended."""
        return await self._session.suspend(await self._row(_store(self._session, conn)), within=_within(conn))

    async def resume(self, *, conn: Any = None) -> bool:
        """Lift a suspension. False: it has ended."""
        return await self._session.resume(await self._row(_store(self._session, conn)), within=_within(conn))

    async def retry(self, *, conn: Any = None) -> bool:
        """Go on with a faulted run from the step that failed. False: it is not faulted. Raises Conflict for one that was
        undone."""
        row = await self._row(_store(self._session, conn))
        return await self._session.retry(row, within=_within(conn))

    def __repr__(self) -> str:
        return f"<run {self.namespace}/{self.id}>"

    async def _ended(self) -> RunRow:
        """Wait for the end: of what this process executes by its own engine, of the rest by the bell."""
        rung = asyncio.Event()
        end = self._session.store.bell.listen(rung.set, news.ENDS)
        try:
            while True:
                rung.clear()
                node = self._session.node
                if node is not None and node.engine.knows(self.run):
                    with contextlib.suppress(errors.InterlockError):  # it was given up here; its row says what is true
                        await node.engine.wait(self.run)
                row = await self._row(self._session.store)
                if row.status in ENDED_RUN:
                    return row
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await rung.wait()
                await asyncio.sleep(_SPACING_SECONDS)
        finally:
            end()

    async def _row(self, store: Store) -> RunRow:
        row = await store.views.run(self.namespace, self.id)
        if row is None or row.run != self.run:
            raise errors.NotFound(f"the run {self.id} is not in the store any more: retention has removed it")
        return row

    async def _output(self, row: RunRow) -> Json:
        if row.output is None:
            return None
        return (await self._session.rows.value(row.run, row.output, self._session.store.journal)).value

    def _decoded(self, output: Json) -> R:
        value: R = output if self._workflow is None else self._workflow.signature.decode_result(output)
        return value


def _anew(output: Payload | None) -> Json:
    """Give a value that nobody else holds."""
    return None if output is None else json.decode(output.text)


def _store(session: Session, conn: Any) -> Store:
    return session.store if conn is None else conn.store


def _within(conn: Any) -> Store | None:
    return None if conn is None else conn.store
