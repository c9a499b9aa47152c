"""Interlock runs work that must not be lost.

This file holds the public names only and imports nothing heavy: runner processes start in milliseconds because of it.
What a name stands for is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.app.interlock import Interlock
    from interlock.app.run import Run
    from interlock.client.client import Client
    from interlock.coord.coordination import Coordination
    from interlock.errors import (
        Conflict,
        Denied,
        InterlockError,
        Invalid,
        LeaseLost,
        LockError,
        NotFound,
        RunCancelled,
        RunFaulted,
        StepFailed,
        StepLost,
        StepTimeout,
        SyncError,
        WorkerError,
    )
    from interlock.flow.python.durable import (
        Token,
        continue_as_new,
        gather,
        now,
        patched,
        random,
        run_workflow,
        set_attributes,
        set_progress,
        set_status,
        sleep,
        sleep_until,
        token,
        uuid,
        wait_for_event,
    )
    from interlock.flow.python.options import Limit, Rate, Retries
    from interlock.flow.python.step import Step, step
    from interlock.flow.python.step_context import StepContext, step_context
    from interlock.flow.python.workflow import Workflow, workflow

from interlock.version import VERSION as __version__

_WHERE = {
    "interlock.app.interlock": ["Interlock"],
    "interlock.app.run": ["Run"],
    "interlock.client.client": ["Client"],
    "interlock.coord.coordination": ["Coordination"],
    "interlock.errors": [
        "Conflict", "Denied", "InterlockError", "Invalid", "LeaseLost", "LockError", "NotFound", "RunCancelled", "RunFaulted",
        "StepFailed", "StepLost", "StepTimeout", "SyncError", "WorkerError",
    ],
    "interlock.flow.python.durable": [
        "Token", "continue_as_new", "gather", "now", "patched", "random", "run_workflow", "set_attributes",
        "set_progress", "set_status", "sleep", "sleep_until", "token", "uuid", "wait_for_event",
    ],
    "interlock.flow.python.options": ["Limit", "Rate", "Retries"],
    "interlock.flow.python.step": ["Step", "step"],
    "interlock.flow.python.step_context": ["StepContext", "step_context"],
    "interlock.flow.python.workflow": ["Workflow", "workflow"],
}  # fmt: skip
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Client", "Conflict", "Coordination", "Denied", "Interlock", "InterlockError", "Invalid", "LeaseLost", "Limit",
    "LockError", "NotFound", "Rate", "Retries", "Run", "RunCancelled", "RunFaulted", "Step", "StepContext",
    "StepFailed", "StepLost", "StepTimeout", "SyncError", "Token", "WorkerError", "Workflow", "__version__",
    "continue_as_new", "gather", "now", "patched", "random", "run_workflow", "set_attributes", "set_progress",
    "set_status", "sleep", "sleep_until", "step", "step_context", "token", "uuid", "wait_for_event", "workflow",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import what a public name stands for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'interlock' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
