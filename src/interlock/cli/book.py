"""Where the commands that look read: a store or, with --server, a server; both give the same values."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from interlock.app import telling
from interlock.app.records import Records
from interlock.app.stranded import Stranded
from interlock.app.tokens import Tokens, TokenView
from interlock.cli import context, far
from interlock.cli.options import options
from interlock.model.event import Event
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN
from interlock.model.story import Rollback
from interlock.store.ports import LogLine, RunRow

if TYPE_CHECKING:
    from interlock.flow.graph import Graph

_PAGE: Final = 1_000
_FOLLOW_SECONDS: Final = 0.5
_MOST_STRANDED: Final = 10_000


class Book(Protocol):
    """What there is to read about runs."""

    def now(self) -> float: ...

    async def find(self, namespace: str | None, id: str) -> RunRow:
        """Give a run by its id or a unique beginning of it. Raises NotFound, Conflict."""
        ...

    async def runs(
        self, status: Sequence[str], workflow: str | None, before: str | None, limit: int, attributes: Mapping[str, Any]
    ) -> Sequence[RunRow]: ...

    async def stranded(self) -> Sequence[Stranded]: ...

    async def unattended(self, row: RunRow) -> Stranded | None:
        """Give why no process executes a run; None where one does, or is about to."""
        ...

    async def history(self, row: RunRow) -> Sequence[Event]: ...

    async def graph(self, row: RunRow) -> Graph: ...

    async def output(self, row: RunRow) -> Payload | None: ...

    async def rollback(self, row: RunRow) -> Rollback | None: ...

    async def of_itself(self, row: RunRow) -> dict[str, Json]:
        """Give what its author shows of a run."""
        ...

    async def attributes(self, row: RunRow) -> Mapping[str, Json]: ...

    async def tokens(self, row: RunRow) -> Sequence[TokenView]: ...

    def logs(self, row: RunRow, step: str | None, *, follow: bool) -> AsyncIterator[LogLine]: ...


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Book]:
    """Open what the command is to read. Raises NotFound where there is no store."""
    if options.server is not None:
        async with far.opened() as server:
            yield server
        return
    async with context.existing(Records) as app:
        yield StoreBook(app)


class StoreBook:
    """A store."""

    def __init__(self, app: Records) -> None:
        self._app = app

    def now(self) -> float:
        return self._app.clock.now()

    async def find(self, namespace: str | None, id: str) -> RunRow:
        return await self._app.find(namespace, id)

    async def runs(
        self, status: Sequence[str], workflow: str | None, before: str | None, limit: int, attributes: Mapping[str, Any]
    ) -> Sequence[RunRow]:
        return await self._app.store.views.runs(
            options.namespace, status, workflow, before, limit, attributes=attributes
        )

    async def stranded(self) -> Sequence[Stranded]:
        return await self._app.stranded(_MOST_STRANDED)

    async def unattended(self, row: RunRow) -> Stranded | None:
        app = self._app
        found = next((each for each in await app.unattended(_MOST_STRANDED) if each.row.run == row.run), None)
        if found is None:
            return None
        alive = {node.node for node in await app.store.nodes.live(app.clock.stamp())}
        is_about_to = found.row.owner not in alive and await app.is_served(row)
        return None if is_about_to else found

    async def history(self, row: RunRow) -> Sequence[Event]:
        return await self._app.history(row.run)

    async def graph(self, row: RunRow) -> Graph:
        return await self._app.graphs.graph(row.definition)

    async def output(self, row: RunRow) -> Payload | None:
        app = self._app
        return None if row.output is None else await app.rows.value(row.run, row.output, app.store.journal)

    async def rollback(self, row: RunRow) -> Rollback | None:
        return await self._app.rollback(row)

    async def of_itself(self, row: RunRow) -> dict[str, Json]:
        return telling.of_itself(row)

    async def attributes(self, row: RunRow) -> Mapping[str, Json]:
        return await self._app.store.views.attributes(row.run)

    async def tokens(self, row: RunRow) -> Sequence[TokenView]:
        return await Tokens(self._app, row.namespace).of_run(row.run)

    async def logs(self, row: RunRow, step: str | None, *, follow: bool) -> AsyncIterator[LogLine]:
        app = self._app
        path = None if step is None else (await self.graph(row)).named(step)
        rung = asyncio.Event()
        end = app.store.bell.listen(rung.set)
        cursor = 0
        try:
            while True:
                rung.clear()
                ended = (await app.find(row.namespace, row.id)).status in ENDED_RUN
                pieces = await app.store.views.logs(row.run, cursor, _PAGE, path)
                for piece in pieces:
                    cursor = piece.number
                    yield piece
                if not pieces and (not follow or ended):
                    return
                if not pieces:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_FOLLOW_SECONDS):
                            await rung.wait()
        finally:
            end()
