"""A task graph, typed: what its text means once it has no mistakes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from interlock.flow.taskgraph import grammar
from interlock.model.call import LimitOf
from interlock.model.json import Json
from interlock.model.task import (
    CommandTarget,
    ContainerTarget,
    PythonTarget,
    Resources,
    ShellTarget,
    Target,
    WorkflowTarget,
)
from interlock.model.task_graph import AgentTerms, RetryTerms, TaskSpec, WorkspaceTerms

DEFAULT_NAMESPACE: Final = "default"
_NO_DEFAULT: Final = frozenset({"environment", "labels", "metadata", "retry"})
"""Maps, of which a task's own entries count before those of `defaults`, one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """One task. `limits`: those that its attempts count against, with what they allow."""

    target: Target
    spec: TaskSpec
    deadline_seconds: float | None = None
    limits: tuple[LimitOf, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDocument:
    """A graph. `value`: what its author wrote, as plain JSON; `digest`: of that."""

    name: str
    namespace: str
    title: str
    repository: str
    tasks: tuple[TaskDefinition, ...]
    value: dict[str, Json]
    digest: str


def graph(value: dict[str, Json], retry: RetryTerms = RetryTerms()) -> GraphDocument:  # noqa: B008 (it is frozen)
    """Type a document that the grammar found no mistake in. `retry`: for tasks that say nothing of it."""
    defaults = value.get("defaults") or {}
    namespace = value.get("namespace", DEFAULT_NAMESPACE)
    optional = {task["id"] for task in value["tasks"] if _with(defaults, task).get("optional")}
    repository = value.get("repository", "")
    tasks = tuple(_task(_with(defaults, task), namespace, repository, optional, retry) for task in value["tasks"])
    return GraphDocument(
        name=value["graph"],
        namespace=namespace,
        title=value.get("title", ""),
        repository=repository,
        tasks=tasks,
        value=value,
        digest=_digest(value),
    )


def _with(defaults: Mapping[str, Json], task: Mapping[str, Json]) -> dict[str, Json]:
    if "workflow" in task:
        defaults = {name: each for name, each in defaults.items() if name not in grammar.OF_PROGRAMS}
    merged = {**defaults, **task}
    for name in _NO_DEFAULT & defaults.keys() & task.keys():
        merged[name] = {**defaults[name], **task[name]}
    return merged


def _task(
    task: dict[str, Json], namespace: str, repository: str, optional: set[str], retry: RetryTerms
) -> TaskDefinition:
    id = task["id"]
    dependencies = {}
    for each in task.get("dependencies", ()):
        name, blocking = (each, True) if isinstance(each, str) else (each["id"], each.get("blocking", True))
        dependencies[name] = blocking and name not in optional
    skills = tuple(
        dict.fromkeys([*([task["required_skill"]] if "required_skill" in task else []), *task.get("skills", ())])
    )
    pool = task.get("pool", ())
    workspace = task.get("workspace")
    spec = TaskSpec(
        id=id,
        digest=_digest([task, repository]),
        kind=next(kind for kind in grammar.TARGETS if kind in task),
        title=task.get("title", ""),
        description=task.get("description", ""),
        priority=int(task.get("priority", 0)),
        pools=(pool,) if isinstance(pool, str) else tuple(pool),
        skills=skills,
        labels=task.get("labels", {}),
        resources=Resources(
            cpu=float(task.get("cpu", 0.0)),
            memory=grammar.megabytes(task.get("memory", 0.0)) or 0.0,
            gpus=int(task.get("gpu", 0)),
        ),
        retry=grammar.retry(task.get("retry", {}), retry),
        timeout_seconds=_seconds(task, "timeout"),
        key=task.get("key", ""),
        expected_seconds=_seconds(task, "expected"),
        optional=bool(task.get("optional")),
        workspace=None
        if workspace is None
        else WorkspaceTerms(
            branch=workspace.get("branch", "").replace("{id}", id),
            base=workspace.get("base", "HEAD"),
            clean=workspace.get("clean", "always"),
        ),
        dependencies=dependencies,
        inputs=task.get("inputs"),
        metadata=task.get("metadata", {}),
        agent=_agent(task),
    )
    return TaskDefinition(
        target=_target(task, namespace),
        spec=spec,
        deadline_seconds=_seconds(task, "deadline"),
        limits=tuple(_limits(task, namespace)),
    )


def _target(task: dict[str, Json], namespace: str) -> Target:
    environment, stdin = task.get("environment", {}), task.get("stdin")
    common: dict[str, Any] = {"environment": environment, "stdin": stdin}
    if "python" in task:
        return PythonTarget(function=task["python"], arguments=task.get("with", {}))
    if "container" in task:
        given = task["container"]
        given = {"image": given} if isinstance(given, str) else given
        return ContainerTarget(
            image=given["image"],
            command=given.get("command", ""),
            arguments=tuple(given.get("arguments", ())),
            environment={**environment, **given.get("environment", {})},
            ports={name: int(port) for name, port in given.get("ports", {}).items()},
            volumes=given.get("volumes", {}),
            stdin=given.get("stdin", stdin),
            name=given.get("name", ""),
            pull_policy=given.get("pull_policy", ""),
        )
    if "workflow" in task:
        given = task["workflow"]
        if isinstance(given, str):
            name, _, version = given.partition(":")
            given = {"name": name, "version": version or "latest"}
        return WorkflowTarget(
            namespace=given.get("namespace", namespace),
            name=given["name"],
            version=given.get("version", "latest"),
            input=given.get("input"),
        )
    run = task["run"] if "run" in task else task["agent"]
    if isinstance(run, dict) and "shell" in run:
        return ShellTarget(command=run["shell"], arguments=tuple(run.get("arguments", ())), **common)
    return CommandTarget(argv=tuple(run["command"] if isinstance(run, dict) else run), **common)


def _agent(task: dict[str, Json]) -> AgentTerms | None:
    if "agent" not in task:
        return None
    given = task["agent"] if isinstance(task["agent"], dict) else {}
    return AgentTerms(
        prompt=given.get("prompt", task.get("description", "")) or "",
        context=tuple(given.get("context", ())),
        result=given.get("result", ""),
    )


def _limits(task: dict[str, Json], namespace: str) -> list[LimitOf]:
    """Give the limits of a task by their names in the store, which holds those of all namespaces."""
    found = []
    if "concurrency" in task:
        given = task["concurrency"]
        found.append(LimitOf(name=f"concurrency/{namespace}/{given['key']}", capacity=int(given["limit"])))
    if "rate" in task:
        given = task["rate"]
        count = int(given["limit"])
        every = (grammar.seconds(given["per"]) or 0.0) / count
        found.append(LimitOf(name=f"rate/{namespace}/{given['key']}", interval_seconds=every, burst=count))
    return found


def _seconds(given: Mapping[str, Json], name: str, default: float | None = None) -> float | None:
    return grammar.seconds(given[name]) if name in given else default


def _digest(value: Json) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
