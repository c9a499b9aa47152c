"""What keeps a task out of every pool that it may have until somebody changes something, and what helps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from interlock.decisions.pools import Asked, PoolView, impossible
from interlock.model.task_graph import TaskSpec

_ENABLED: Final = "enabled"


def standing(spec: TaskSpec, found: Asked, pools: Mapping[str, PoolView], *, ills: bool = False) -> str | None:
    """Give a warning that stands until somebody acts, with what to do; None: the task only has to wait for room.

    `ills`: whether a pool that cannot launch now counts too; who places knows other reasons by that name, which pass.
    """
    told = [_told(name, spec, pools.get(name), ills=ills) for name in found.pools]
    obstacles = [each for each in told if each is not None]
    if not obstacles or len(obstacles) < len(told):
        return found.warning
    reasons = "; ".join(reason for reason, _ in obstacles)
    helps = "; or ".join(dict.fromkeys(help for _, help in obstacles))
    return f"no pool can run it: {reasons}. What helps: {helps}"


def _told(name: str, spec: TaskSpec, pool: PoolView | None, *, ills: bool) -> tuple[str, str] | None:
    """Say why a pool cannot have a task, and what helps; None: it can, now or when there is room."""
    if pool is None:
        return f"{name} is not configured", f"add {name} to agent-pools.yaml and start the nodes again, or name another"
    if (never := impossible(spec, pool)) is not None:
        reason, help = never
        return f"{name} {reason}", help
    if pool.state != _ENABLED:
        return f"{name} is {pool.state}", f"`interlock pools enable {name}`"
    if ills and pool.ill is not None:
        return f"{name} is ill: {pool.ill}", "see to its engine; `interlock pools list` shows when it is tried again"
    return None
