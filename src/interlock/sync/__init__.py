"""Interlock for programs without an event loop: the same names, and every call waits.

    from interlock.sync import Interlock

    with Interlock("sqlite:///shop.db") as app:
        run = app.start(fulfil, order, id=f"order-{order.id}")
        print(run.result())

One thread runs the loop behind it; any number of threads may call. Steps and workflows of the program run as they do
anywhere: async ones on that loop, sync ones in threads. What a name stands for is imported when it is first asked for:
who only coordinates does not load the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.sync.application import Deliveries, Interlock, Run, Tokens, Transaction
    from interlock.sync.client import Client
    from interlock.sync.coordination import Coordination
    from interlock.sync.fleet import HeartbeatMonitor, LoadBalancer, WorkerRegistry
    from interlock.sync.locks import Lock, LockManager
    from interlock.sync.memory import MemorySyncManager, Watch
    from interlock.sync.portal import Portal

_WHERE = {
    "interlock.sync.application": ["Deliveries", "Interlock", "Run", "Tokens", "Transaction"],
    "interlock.sync.client": ["Client"],
    "interlock.sync.coordination": ["Coordination"],
    "interlock.sync.fleet": ["HeartbeatMonitor", "LoadBalancer", "WorkerRegistry"],
    "interlock.sync.locks": ["Lock", "LockManager"],
    "interlock.sync.memory": ["MemorySyncManager", "Watch"],
    "interlock.sync.portal": ["Portal"],
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Client", "Coordination", "Deliveries", "HeartbeatMonitor", "Interlock", "LoadBalancer", "Lock", "LockManager",
    "MemorySyncManager", "Portal", "Run", "Tokens", "Transaction", "Watch", "WorkerRegistry",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import what a public name stands for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'interlock.sync' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
