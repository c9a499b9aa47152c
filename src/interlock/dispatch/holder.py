"""Who holds attempts: one process, with what every attempt of it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interlock import errors
from interlock.dispatch.logbook import Logbook
from interlock.secrets.keeper import Keeper
from interlock.service import Clock
from interlock.store.ports import Store


@dataclass(frozen=True, slots=True)
class Holder:
    """`node`: its name, under which it leases. `orphan_grace_seconds`: how long an attempt may outlive it.

    `away` hears of every settle that failed because of the store: a node without patience ends then. `may_act`: whether the
    node's lease is beyond doubt.
    """

    node: str
    store: Store
    clock: Clock
    logbook: Logbook
    secrets: Keeper
    orphan_grace_seconds: float
    away: Callable[[errors.Environment], None]
    may_act: Callable[[], bool]
