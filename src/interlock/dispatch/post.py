"""The post of a worker."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.decisions.strategies import Strategy
from interlock.model.worker import Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Who a worker is: its id, the pool it serves, what it can do, and the folder for tasks whose own is not here."""

    worker: str
    pool: str
    slots: int
    capabilities: Capabilities
    folder: str
    strategy: Strategy = Strategy.LEAST_LOADED
