"""Rows for store tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from interlock.model.states import RunStatus
from interlock.model.task import ShellTarget
from interlock.model.task_graph import TaskSpec
from interlock.store.ports import Batch, Definition, GraphTask, NewGraph, NewRun, NewTask, NodeRow


def new_run(run: str = "r1", **more: Any) -> NewRun:
    fields: dict[str, Any] = {
        "run": run,
        "namespace": "default",
        "id": run,
        "definition": "d1",
        "workflow": "w",
        "version": "1.0.0",
        "input": b"[{}]",
        "folder": "/",
        "owner": "n1",
    }
    return NewRun(**fields | more)


def batch(run: str = "r1", seq: int = 0, **more: Any) -> Batch:
    fields: dict[str, Any] = {
        "run": run,
        "epoch": 1,
        "seq": seq,
        "at": 100.0 + seq,
        "history": b"[%d]" % seq,
        "status": RunStatus.RUNNING,
        "wake_at": None,
        "head": b"{}",
        "started_at": 100.0,
    }
    return Batch(**fields | more)


def accepting(run: str = "r1", **more: Any) -> Batch:
    """The first commit of a run."""
    return batch(run, accept=new_run(run, **more.pop("new", {})), **more)


def new_task(task: str = "t1", run: str = "r1", effect: int = 1, **more: Any) -> NewTask:
    fields: dict[str, Any] = {
        "task": task,
        "run": run,
        "effect": effect,
        "path": "/do/0/a",
        "pool": "local",
        "priority": 0,
        "target": ShellTarget(command="true"),
        "folder": "/",
        "idempotency_key": "k",
        "attempt": 1,
        "any_exit_code": False,
    }
    return NewTask(**fields | more)


def node(name: str = "n1", **more: Any) -> NodeRow:
    fields: dict[str, Any] = {
        "node": name,
        "host": "h",
        "boot": "b",
        "pid": 1,
        "started": 1.0,
        "roles": "engine",
        "version": "0",
        "joined_at": 100.0,
    }
    return NodeRow(**fields | more)


def definition(digest: str = "d1", version: str = "1.0.0", **more: Any) -> Definition:
    fields: dict[str, Any] = {
        "digest": digest,
        "namespace": "default",
        "name": "w",
        "version": version,
        "source": "text",
    }
    return Definition(**fields | more)


def graph_task(id: str, number: int, after: dict[str, bool] | None = None, lane: str = "?", **more: Any) -> GraphTask:
    """A task of the graph default/g; `after`: ids. `limits` and `rank` are the row's, the rest goes to its spec."""
    limits, rank = more.pop("limits", ()), more.pop("rank", None)
    priority = more.pop("priority", 0)
    spec = {"id": id, "digest": f"d-{id}", "priority": priority, "dependencies": after or {}} | more
    return GraphTask(
        task=new_task(f"default/g/{id}", "default/g", number, path=id, pool=lane, priority=priority),
        after={f"default/g/{name}": blocking for name, blocking in (after or {}).items()},
        limits=limits,
        spec=TaskSpec(**spec),
        rank=rank,
    )


def graph(name: str = "g", digest: str = "1") -> NewGraph:
    return NewGraph(graph=f"default/{name}", namespace="default", name=name, digest=digest, document=b"{}", folder="/")
