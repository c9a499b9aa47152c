"""Task graphs and pools of a server, for programs without an event loop."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from interlock.client import graphs
from interlock.model.json import Json
from interlock.sync.portal import Portal
from interlock.sync.remote import each
from interlock.wire import artifacts, runs
from interlock.wire import graphs as wire


class RemoteGraphs:
    """Task graphs; see `interlock.Client.graphs`."""

    def __init__(self, portal: Portal, remote: graphs.RemoteGraphs) -> None:
        self._portal = portal
        self._remote = remote

    def load(self, document: dict[str, Json] | str, *, folder: str | None = None) -> wire.LoadedTold:
        return self._portal.call(self._remote.load(document, folder=folder))

    def list(self, *, after: str | None = None, limit: int = 100) -> wire.Graphs:
        return self._portal.call(self._remote.list(after=after, limit=limit))

    def get(self, graph: str) -> wire.GraphWhole:
        return self._portal.call(self._remote.get(graph))

    def document(self, graph: str) -> wire.GraphSource:
        return self._portal.call(self._remote.document(graph))

    def wait(self, graph: str, timeout: float | None = None) -> wire.GraphWhole:
        return self._portal.call(self._remote.wait(graph, timeout))

    def cancel_all(self, graph: str) -> int:
        return self._portal.call(self._remote.cancel_all(graph))

    def tasks(self, graph: str, *, state: str | None = None, after: int = 0, limit: int = 100) -> wire.GraphTasks:
        return self._portal.call(self._remote.tasks(graph, state=state, after=after, limit=limit))

    def task(self, graph: str, id: str) -> wire.GraphTaskWhole:
        return self._portal.call(self._remote.task(graph, id))

    def find(self, id: str) -> wire.GraphTaskWhole:
        return self._portal.call(self._remote.find(id))

    def explain(self, graph: str, id: str) -> wire.Explained:
        return self._portal.call(self._remote.explain(graph, id))

    def logs(self, graph: str, id: str, *, after: int = 0, limit: int = 100) -> runs.Logs:
        return self._portal.call(self._remote.logs(graph, id, after=after, limit=limit))

    def artifacts(self, graph: str, id: str, *, after: str | None = None, limit: int = 100) -> artifacts.ArtifactPage:
        return self._portal.call(self._remote.artifacts(graph, id, after=after, limit=limit))

    def artifact(self, graph: str, id: str, name: str, *, attempt: int | None = None) -> Iterator[bytes]:
        return each(self._portal, self._remote.artifact(graph, id, name, attempt=attempt))

    def explain_step(self, run: str, step: str) -> wire.StepExplained:
        return self._portal.call(self._remote.explain_step(run, step))

    def retry(self, graph: str, id: str) -> wire.GraphTaskTold:
        return self._portal.call(self._remote.retry(graph, id))

    def cancel(self, graph: str, id: str) -> wire.GraphTaskTold:
        return self._portal.call(self._remote.cancel(graph, id))

    def reprioritise(self, graph: str, id: str, priority: int) -> wire.GraphTaskTold:
        return self._portal.call(self._remote.reprioritise(graph, id, priority))


class RemotePools:
    """Pools; see `interlock.Client.pools`."""

    def __init__(self, portal: Portal, remote: graphs.RemotePools) -> None:
        self._portal = portal
        self._remote = remote

    def list(self) -> builtins.list[wire.PoolTold]:
        return self._portal.call(self._remote.list())

    def enable(self, pool: str) -> wire.PoolMoved:
        return self._portal.call(self._remote.enable(pool))

    def disable(self, pool: str) -> wire.PoolMoved:
        return self._portal.call(self._remote.disable(pool))

    def drain(self, pool: str) -> wire.PoolMoved:
        return self._portal.call(self._remote.drain(pool))

    def policy(self) -> str:
        return self._portal.call(self._remote.policy())

    def choose_policy(self, policy: str | None) -> wire.PolicyChosen:
        return self._portal.call(self._remote.choose_policy(policy))
