"""In-process events: the seam where the core says what happened, and observers listen. Standard library only.

The core imports no observer. An observer that raises is reported on standard error once and detached, never felt by the
work it watched.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

Observer: TypeAlias = Callable[[str, dict[str, Any]], None]

_observers: list[Observer] = []


def attach(observer: Observer) -> Callable[[], None]:
    """Call `observer(name, fields)` for every event from now on; the returned function ends it."""
    _observers.append(observer)

    def detach() -> None:
        if observer in _observers:
            _observers.remove(observer)

    return detach


def emit(name: str, **fields: Any) -> None:
    """Tell the observers that `name` happened. Costs nothing when there are none."""
    for observer in tuple(_observers):
        try:
            observer(name, fields)
        except Exception:  # noqa: BLE001 (an observer's fault must not reach the work)
            _observers.remove(observer)
            traceback.print_exc(file=sys.stderr)
