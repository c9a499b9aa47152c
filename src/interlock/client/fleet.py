"""Workers and nodes of a server's store."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from interlock.client.connection import Connection
from interlock.model.json import Json
from interlock.wire import coordination as wire


class RemoteFleet:
    """Who takes tasks, and who executes runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def workers(
        self,
        *,
        status: Sequence[str] = (),
        free: bool = False,
        type: str | None = None,
        skills: Sequence[str] = (),
        region: str | None = None,
    ) -> list[wire.WorkerTold]:
        """Give the workers. `status`: only those that stand so; `free`: that take a task now, of this `type`; `skills`: that
        have all of these; `region`: of this one."""
        query: dict[str, Json] = {
            "status": [*status] or None,
            "free": "true" if free else None,
            "type": type,
            "skill": [*skills] or None,
            "region": region,
        }
        return (await self._connection.ask(wire.Workers, "GET", "/api/v1/workers", query=query)).items

    async def worker(self, id: str) -> wire.WorkerWhole:
        """Give a worker with its tasks. Raises NotFound."""
        return await self._connection.ask(wire.WorkerWhole, "GET", _worker(id))

    async def drain_worker(self, id: str) -> wire.WorkerTold:
        """Let a worker take no new tasks. Raises NotFound, Conflict."""
        return await self._connection.ask(wire.WorkerTold, "POST", f"{_worker(id)}/drain", safe=True)

    async def undrain_worker(self, id: str) -> wire.WorkerTold:
        """Let a worker that drains take tasks again. Raises NotFound, Conflict."""
        return await self._connection.ask(wire.WorkerTold, "POST", f"{_worker(id)}/undrain", safe=True)

    async def worker_events(self, after: int = 0, limit: int = 100) -> list[wire.WorkerHappened]:
        """Give what became of workers in the last day, the oldest first; `after`: `number` of the last one that is known."""
        query = {"after": after, "limit": limit}
        return (await self._connection.ask(wire.WorkerHistory, "GET", "/api/v1/worker-events", query=query)).items

    async def nodes(self) -> list[wire.NodeTold]:
        """Give the processes that share the store, those that left today too."""
        return (await self._connection.ask(wire.Nodes, "GET", "/api/v1/nodes")).items

    async def drain_node(self, node: str) -> list[wire.NodeTold]:
        """Ask a node to claim nothing more, finish what it does, and leave. Raises NotFound."""
        path = f"/api/v1/nodes/{quote(node, safe='')}/drain"
        return (await self._connection.ask(wire.Nodes, "POST", path, safe=True)).items


def _worker(id: str) -> str:
    return f"/api/v1/workers/{quote(id, safe='')}"
