"""A pool as a round of placing sees it, and as whoever explains its choice does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from interlock.decisions.pools import PoolView
from interlock.store.ports import PoolRow


class Preferences(Protocol):
    """What a choice goes by beside room: of a configuration that was read here, or that nodes declared."""

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def cost(self) -> float: ...

    @property
    def weight(self) -> float: ...


def view(row: PoolRow, settings: Preferences, node: str, now: float) -> PoolView:
    """Give a pool as a round sees it. `node`: whose troubles count."""
    ill = next((each.reason for each in row.ills if each.node == node and each.again_at > now), None)
    return PoolView(
        name=row.pool,
        type=row.type,
        running=row.running + row.routed,
        capacity=row.capacity,
        cpu=row.cpu,
        cpu_taken=row.cpu_taken,
        memory=row.memory,
        memory_taken=row.memory_taken,
        gpus=row.gpus or 0,
        gpus_taken=len(row.devices_taken),
        turn=row.turn,
        state=row.state,
        ill=ill,
        labels=settings.labels,
        cost=settings.cost,
        weight=settings.weight,
    )
