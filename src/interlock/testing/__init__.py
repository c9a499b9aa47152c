"""For who tests workflows: Interlock in memory, with a clock that is moved by hand and steps that can be replaced.

`plugin` is the pytest plugin, `kit.Kit` what its fixture `interlock` gives, and outside of pytest an `Interlock` like any
other. What tests Interlock itself does not belong here, and nothing of the rest of Interlock imports this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.testing.clock import VirtualClock
    from interlock.testing.kit import Kit

__all__ = ["Kit", "VirtualClock"]

_HOMES = {"Kit": "kit", "VirtualClock": "clock"}


def __getattr__(name: str) -> Any:
    """Load what is asked for: pytest imports this package for its plugin, also where nobody uses it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
