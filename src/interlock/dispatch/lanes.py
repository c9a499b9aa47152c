"""Lanes: the ready tasks that can run in the same places, in their order.

What is ready for a pool that is full stands in a lane of its own, so a round never reads past it: a decision costs the same
with ten tasks behind a full pool and with a hundred thousand.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from interlock.model.task_graph import TaskSpec

PREFIX: Final = "?"
"""What every lane begins with: no pool does, so a lane is never one."""
SERVES: Final = "pool"
"""The key of a worker's metadata that names the pool whose tasks it takes."""
_ANYWHERE: Final = "any"
_LONGEST: Final = 200
_PARTED: Final = frozenset({"container", "workflow", "python"})
"""Kinds that some types of pools take and others do not; all others are programs, which run wherever programs do."""


def lane(spec: TaskSpec) -> str:
    """Give the lane of a task: a text of all that decides where it can run."""
    wants = spec.resources
    parts = {
        "kind": spec.kind if spec.kind in _PARTED else "",
        "pool": "|".join(spec.pools),
        "skill": "" if spec.pools else "&".join(spec.skills),
        "cpu": f"{wants.cpu:g}" if wants.cpu else "",
        "memory": f"{wants.memory:g}" if wants.memory else "",
        "gpu": str(wants.gpus) if wants.gpus else "",
        "workspace": "own" if spec.workspace is not None else "",
        "label": msgspec.json.encode(spec.labels, order="sorted").decode() if spec.labels else "",
    }
    text = PREFIX + (",".join(f"{name}={value}" for name, value in parts.items() if value) or _ANYWHERE)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:100]}#{hashlib.sha256(text.encode()).hexdigest()[:32]}"
