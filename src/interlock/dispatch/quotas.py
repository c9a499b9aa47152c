"""Warns when a quota of a pool is used up: once, until something of it is free again (checklist PO-03)."""

from __future__ import annotations

from collections.abc import Mapping

from interlock import telemetry
from interlock.decisions import pools as choosing
from interlock.decisions.pools import PoolView


class Quotas:
    """What one node has told of the quotas of its pools."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def look(self, pools: Mapping[str, PoolView]) -> None:
        """Tell of every quota that is used up and was not when these pools were looked at before."""
        found = {
            (name, quota): words for name, pool in pools.items() for quota, words in choosing.reached(pool).items()
        }
        for (name, quota), words in found.items():
            if (name, quota) not in self._told:
                telemetry.emit("pool.quota_reached", pool=name, quota=quota, warning=words)
        self._told = set(found)
