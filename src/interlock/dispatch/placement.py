"""Which attempts are in a pool that they were given, and which a node claimed for itself."""

from __future__ import annotations

from interlock.decisions import steps
from interlock.model.task import ContainerTarget
from interlock.store.ports import ClaimedTask


def is_placed(task: ClaimedTask) -> bool:
    """Say whether an attempt is in a pool of a configuration or of workers.

    A node claims for itself only steps of the pools that are called as its own; a task of a graph, or a container, in a pool
    of such a name is there because a placement said so.
    """
    return task.spec is not None or isinstance(task.target, ContainerTarget) or task.pool not in steps.NODE_POOLS
