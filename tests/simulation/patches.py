"""What the product takes from the machine that has no seam of its own: who a process is, and random ids."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

from interlock.engine import identity
from interlock.flow.python import durable
from interlock.service import Clock
from interlock.store.ports import NodeRow
from interlock.version import VERSION
from simulation.clock import SimulatedClock
from simulation.loop import ACTOR
from simulation.world import World


@contextlib.contextmanager
def applied(world: World) -> Iterator[None]:
    """Let every actor be a process of its own, on the machine of its slot."""
    pids: dict[str, int] = {}
    ids = SimulatedClock(world.loop, f"ids {world.plan.seed}")

    def name() -> str:
        actor = ACTOR.get()
        return "world" if actor is None else actor.name

    def host() -> str:
        return f"host-{name().partition('.')[0]}"

    def here(clock: Clock, roles: str, *, pinned: bool) -> NodeRow:
        pid = pids.setdefault(name(), len(pids) + 1)
        return NodeRow(
            node=clock.uuid(),
            host=host(),
            boot="boot",
            pid=pid,
            started=float(pid),
            roles=roles,
            version=VERSION,
            joined_at=clock.stamp(),
            pinned=pinned,
        )

    def started(pid: int) -> float | None:
        alive = {pids.get(slot.actor.name) for slot in world.slots if slot.actor is not None}
        return float(pid) if pid in alive else None

    changes: list[tuple[Any, str, Any]] = [
        (identity, "here", here),
        (identity, "host", host),
        (identity, "started", started),
        (identity, "_boot", lambda: "boot"),
        (identity, "socket", types.SimpleNamespace(gethostname=host)),
        (durable, "stdlib_uuid", types.SimpleNamespace(**vars(durable.stdlib_uuid) | {"uuid4": ids.uuid4})),
    ]
    with contextlib.ExitStack() as stack:
        for target, attribute, value in changes:
            stack.enter_context(mock.patch.object(target, attribute, value))
        yield
