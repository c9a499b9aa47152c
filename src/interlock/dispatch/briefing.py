"""What the program of a graph's task is told: a JSON file, and variables.

    INTERLOCK_TASK   the file: id, graph, title, description, inputs, attempt, what it waited for and what that gave, ...
    INTERLOCK_GRAPH, INTERLOCK_POOL, INTERLOCK_RUNNER, CUDA_VISIBLE_DEVICES (where devices were given)
    RUNNER_ID, POOL_NAME, TASK_CONTEXT   the names of the contract that this one replaces (requirements 3.2)

Where the file is depends on the pool: in the spool of a local process, in a volume of a container.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from interlock.model import json, task_graph
from interlock.model.json import Json
from interlock.model.task_graph import TaskSpec
from interlock.store.ports import ClaimedTask, Store

if TYPE_CHECKING:
    from interlock.pool.workspaces import Workspace

VARIABLE: Final = "INTERLOCK_TASK"
_MOST_RESULTS: Final = 100
"""Results of predecessors that are handed on; whoever waits for more of them reads them from the server."""


async def briefing(store: Store, task: ClaimedTask, spec: TaskSpec, workspace: Json) -> str:
    """Give the text of INTERLOCK_TASK. `workspace`: where it works, None for its graph's folder. Raises StoreUnavailable."""
    results: dict[str, Json] = {}
    for id in list(spec.dependencies)[:_MOST_RESULTS]:
        tries = await store.tasks.tries(f"{task.run}/{id}", 1)
        if tries and tries[0].outcome == "done" and tries[0].detail is not None:
            results[id] = json.decode(tries[0].detail)
    return json.encode(_briefing(task, spec, results, workspace)).decode()


def variables(task: ClaimedTask, spec: TaskSpec, workspace: Workspace | None) -> dict[str, str]:
    """Give what the environment of an attempt says of it."""
    graph = task.run.rpartition("/")[2]
    context = {
        "task_id": spec.id,
        "spec_name": graph,
        "task_title": spec.title,
        "task_description": spec.description,
        "dependencies": list(spec.dependencies),
        "required_skill": spec.skills[0] if spec.skills else None,
        "slot_id": None if workspace is None else workspace.path.name,
        "slot_path": None if workspace is None else str(workspace.path),
        "repo_url": None if workspace is None else str(workspace.repository),
        "branch_name": None if workspace is None else workspace.branch,
        "metadata": spec.metadata,
    }
    return {"INTERLOCK_GRAPH": graph, "TASK_CONTEXT": json.encode(context).decode()} | place(task)


def place(task: ClaimedTask) -> dict[str, str]:
    """Give what the environment of an attempt says of where it is."""
    runner = runner_id(task)
    return {
        "INTERLOCK_POOL": task.pool,
        "INTERLOCK_RUNNER": runner,
        "RUNNER_ID": runner,
        "POOL_NAME": task.pool,
    }


def runner_id(task: ClaimedTask) -> str:
    """Give the name of the runner of an attempt, `runner-` and 12 hexadecimal digits, which no other one has."""
    return runner_of(task.task, task.fence)


def runner_of(task: str, fence: int) -> str:
    """Give the name of the runner of the attempt of a task that has this fence."""
    return f"runner-{hashlib.sha256(f'{task}.{fence}'.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def labels(task: ClaimedTask) -> dict[str, str]:
    """Give what marks an attempt in a pool that can mark it, so that what a dead dispatcher left is found again."""
    return {
        "interlock.task": task.task,
        "interlock.fence": str(task.fence),
        "interlock.pool": task.pool,
    }


def _briefing(task: ClaimedTask, spec: TaskSpec, results: Mapping[str, Json], workspace: Json) -> dict[str, Json]:
    told: dict[str, Json] = {
        "id": spec.id,
        "graph": task.run.rpartition("/")[2],
        "namespace": task.namespace,
        "title": spec.title,
        "description": spec.description,
        "inputs": spec.inputs,
        "attempt": task.attempt,
        "attempts": task_graph.executions(spec.retry),
        "pool": task.pool,
        "skills": list(spec.skills),
        "dependencies": list(spec.dependencies),
        "results": dict(results),
        "timeout_seconds": spec.timeout_seconds,
        "deadline": spec.deadline,
        "metadata": spec.metadata,
        "workspace": workspace,
    }
    if spec.agent is not None:
        told["agent"] = {
            "prompt": spec.agent.prompt,
            "context": list(spec.agent.context),
            "result": spec.agent.result or None,
        }
    return told
