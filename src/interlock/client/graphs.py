"""Task graphs and pools of a server."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

from interlock.client.connection import Connection
from interlock.model.json import Json
from interlock.wire import artifacts, runs
from interlock.wire import graphs as wire

_GRAPHS: Final = "/api/v1/graphs"
_POOLS: Final = "/api/v1/pools"
_LOOK_SECONDS: Final = 0.5  # between looks at a graph that is waited for
_LONG_SECONDS: Final = 600.0  # of a request about every task of a large graph
_RESTING: Final = frozenset({"done", "failed", "cancelled", "skipped", "quarantined"})


class RemoteGraphs:
    """Task graphs: loaded, read, steered. A task is named by its graph and its id."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def load(self, document: dict[str, Json] | str, *, folder: str | None = None) -> wire.LoadedTold:
        """Store a task graph, or what has changed of it. The same once more is as good.

        `document`: as JSON, or its text in YAML or JSON; it names its namespace. `folder`: on the server's machine, where its
        tasks start; None for the server's own. Raises Invalid, Conflict while another process loads it.
        """
        asked = wire.LoadGraph(document=document, folder=folder)
        return await self._connection.ask(
            wire.LoadedTold, "POST", _GRAPHS, body=asked, safe=True, timeout=_LONG_SECONDS
        )

    async def list(self, *, after: str | None = None, limit: int = 100) -> wire.Graphs:
        """Give a page of graphs, by namespace and name. `after`: `next` of the page before."""
        query = {"after": after, "limit": limit, **self._where}
        return await self._connection.ask(wire.Graphs, "GET", _GRAPHS, query=query)

    async def get(self, graph: str) -> wire.GraphWhole:
        """Give a graph, how many of its tasks are in each state, and whether a node places tasks. Raises NotFound."""
        return await self._connection.ask(wire.GraphWhole, "GET", _graph(graph), query=self._where)

    async def document(self, graph: str) -> wire.GraphSource:
        """Give what the author of a graph wrote, as it was loaded last. Raises NotFound."""
        return await self._connection.ask(wire.GraphSource, "GET", f"{_graph(graph)}/document", query=self._where)

    async def wait(self, graph: str, timeout: float | None = None) -> wire.GraphWhole:
        """Wait until every task of a graph is over, or in quarantine, for so many seconds at most; None for ever.

        Raises TimeoutError, NotFound.
        """
        async with asyncio.timeout(timeout):
            while True:
                found = await self.get(graph)
                if found.loads and not set(found.states) - _RESTING:
                    return found
                await asyncio.sleep(_LOOK_SECONDS)

    async def cancel_all(self, graph: str) -> int:
        """Cancel every task of a graph that is not over; gives how many. Raises NotFound."""
        path = f"{_graph(graph)}/cancel"
        told = await self._connection.ask(
            wire.CancelledTasks, "POST", path, query=self._where, safe=True, timeout=_LONG_SECONDS
        )
        return told.count

    async def tasks(self, graph: str, *, state: str | None = None, after: int = 0, limit: int = 100) -> wire.GraphTasks:
        """Give a page of the tasks of a graph in its order. `state`: only such; `after`: `next` of the page before."""
        query = {"state": state, "after": after, "limit": limit, **self._where}
        return await self._connection.ask(wire.GraphTasks, "GET", f"{_graph(graph)}/tasks", query=query)

    async def task(self, graph: str, id: str) -> wire.GraphTaskWhole:
        """Give a task with its last attempts. Raises NotFound."""
        return await self._connection.ask(wire.GraphTaskWhole, "GET", _task(graph, id), query=self._where)

    async def find(self, id: str) -> wire.GraphTaskWhole:
        """Give a task by its id alone, while only one graph has it. Raises NotFound, Conflict."""
        path = f"/api/v1/tasks/{quote(id, safe='')}"
        return await self._connection.ask(wire.GraphTaskWhole, "GET", path, query=self._where)

    async def explain(self, graph: str, id: str) -> wire.Explained:
        """Say why a task is where it is, and what it waits for. Raises NotFound."""
        path = f"{_task(graph, id)}/explanation"
        return await self._connection.ask(wire.Explained, "GET", path, query=self._where)

    async def logs(self, graph: str, id: str, *, after: int = 0, limit: int = 100) -> runs.Logs:
        """Give what the attempts of a task printed, in pages. Raises NotFound."""
        query = {"after": after, "limit": limit, **self._where}
        return await self._connection.ask(runs.Logs, "GET", f"{_task(graph, id)}/logs", query=query)

    async def artifacts(
        self, graph: str, id: str, *, after: str | None = None, limit: int = 100
    ) -> artifacts.ArtifactPage:
        """Give a page of the files that the attempts of a task kept. `after`: `next` of the page before. Raises NotFound."""
        query = {"after": after, "limit": limit, **self._where}
        return await self._connection.ask(artifacts.ArtifactPage, "GET", f"{_task(graph, id)}/artifacts", query=query)

    async def artifact(self, graph: str, id: str, name: str, *, attempt: int | None = None) -> AsyncIterator[bytes]:
        """Give a file that a task kept, in pieces; of several with the name the newest one. Raises NotFound."""
        query = {"attempt": attempt, **self._where}
        async for piece in self._connection.download(f"{_task(graph, id)}/artifacts/{quote(name, safe='')}", query):
            yield piece

    async def explain_step(self, run: str, step: str) -> wire.StepExplained:
        """Say why a step of a run that has a task in a pool is where it is. `step`: its path, or a name that only one has.

        Raises NotFound, also for a step that has no task.
        """
        path = f"/api/v1/runs/{quote(run, safe='')}/explanation"
        return await self._connection.ask(wire.StepExplained, "GET", path, query={"step": step, **self._where})

    async def retry(self, graph: str, id: str) -> wire.GraphTaskTold:
        """Try a task again that is over without success, waits for its retry, or is in quarantine.

        Raises NotFound, Conflict.
        """
        return await self._post(graph, id, "retry")

    async def cancel(self, graph: str, id: str) -> wire.GraphTaskTold:
        """Cancel a task; one that runs is asked to stop. Raises NotFound, Conflict for one that is over."""
        return await self._post(graph, id, "cancel")

    async def reprioritise(self, graph: str, id: str, priority: int) -> wire.GraphTaskTold:
        """Give a task another priority, the higher the sooner. Raises NotFound, Conflict for one that is over."""
        return await self._post(graph, id, "reprioritise", wire.Reprioritise(priority=priority), safe=True)

    async def _post(
        self, graph: str, id: str, action: str, body: object = None, *, safe: bool = False
    ) -> wire.GraphTaskTold:
        path = f"{_task(graph, id)}/{action}"
        return await self._connection.ask(wire.GraphTaskTold, "POST", path, body=body, query=self._where, safe=safe)


class RemotePools:
    """The pools that tasks run in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> builtins.list[wire.PoolTold]:
        """Give the pools with what is taken of each."""
        return (await self._connection.ask(wire.Pools, "GET", _POOLS)).items

    async def enable(self, pool: str) -> wire.PoolMoved:
        """Let a pool have tasks again. Raises NotFound."""
        return await self._move(pool, "enable")

    async def disable(self, pool: str) -> wire.PoolMoved:
        """Give a pool no new tasks; what runs there goes on. Raises NotFound."""
        return await self._move(pool, "disable")

    async def drain(self, pool: str) -> wire.PoolMoved:
        """Give a pool no new tasks, since it is about to go. Raises NotFound."""
        return await self._move(pool, "drain")

    async def policy(self) -> str:
        """Give the scheduling policy by which tasks are ordered."""
        return (await self._connection.ask(wire.Pools, "GET", _POOLS)).policy

    async def choose_policy(self, policy: str | None) -> wire.PolicyChosen:
        """Order all tasks by a policy, those that wait already too; None: by the configured one.

        Raises Invalid for one that the server does not know, Conflict before a node has declared its pools.
        """
        asked = wire.ChoosePolicy(policy=policy)
        return await self._connection.ask(
            wire.PolicyChosen, "POST", f"{_POOLS}/policy", body=asked, safe=True, timeout=_LONG_SECONDS
        )

    async def _move(self, pool: str, action: str) -> wire.PoolMoved:
        path = f"{_POOLS}/{quote(pool, safe='')}/{action}"
        return await self._connection.ask(wire.PoolMoved, "POST", path, safe=True)


def _graph(graph: str) -> str:
    return f"{_GRAPHS}/{quote(graph, safe='')}"


def _task(graph: str, id: str) -> str:
    return f"{_graph(graph)}/tasks/{quote(id, safe='')}"
