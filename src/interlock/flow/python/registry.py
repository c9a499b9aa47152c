"""The steps and workflows of this process, by the names under which runs know them.

Decorating a function registers it; importing a module is how a program says what it can execute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interlock.model import versions

if TYPE_CHECKING:
    from interlock.flow.python.step import Step
    from interlock.flow.python.workflow import Workflow

_steps: Final[dict[str, Step[Any, Any]]] = {}
_workflows: Final[dict[tuple[str, str], dict[str, Workflow[Any, Any]]]] = {}


def add_step(step: Step[Any, Any]) -> None:
    """Register a step; one of the same reference replaces it, as when its module is loaded again."""
    _steps[step.reference] = step


def add_workflow(workflow: Workflow[Any, Any]) -> None:
    """Register a workflow; one of the same name and version replaces it."""
    _workflows.setdefault((workflow.namespace, workflow.name), {})[workflow.version] = workflow


def has_queued_steps() -> bool:
    """Say whether any step's attempts go through the queue and back into the node."""
    return any(step.options.queues_here for step in _steps.values())


def step(reference: str) -> Step[Any, Any] | None:
    return _steps.get(reference)


def has_step(name: str) -> bool:
    """Say whether any step has a name."""
    return any(step.name == name for step in _steps.values())


def named(name: str) -> Step[Any, Any] | None:
    """Give the step that a definition calls by its name; None when there is none, or several."""
    found = {id(step.function): step for step in _steps.values() if step.name == name}
    return next(iter(found.values())) if len(found) == 1 else None


def workflow(namespace: str, name: str, version: str) -> Workflow[Any, Any] | None:
    """Give the workflow that executes runs of a version: that version, else the newest that is compatible with it.

    Compatible is, as semantic versioning has it, what has the same major version and is not older.
    """
    known = _workflows.get((namespace, name), {})
    if version in known:
        return known[version]
    fitting = [other for other in known if versions.is_compatible(other, version)]
    newest = versions.newest(fitting)
    return None if newest is None else known[newest]


def versions_of(namespace: str, name: str) -> list[str]:
    """Give the versions of a workflow that this process has."""
    return sorted(_workflows.get((namespace, name), {}))


def workflows() -> list[Workflow[Any, Any]]:
    """Give every workflow of this process."""
    return [workflow for known in _workflows.values() for workflow in known.values()]
