"""Who changes something, as the audit log and the store name them."""

from __future__ import annotations

import functools
import getpass
from contextvars import ContextVar
from typing import Final

_ACTING: Final[ContextVar[str | None]] = ContextVar("interlock_actor", default=None)


def actor() -> str:
    """Give the name that changes are recorded under: of whoever asked a server for them, else the user of this process."""
    acting = _ACTING.get()
    if acting is not None:
        return acting
    return _own_name()


@functools.cache  # looked up in /etc/passwd where the environment has no name: a tenth of the cost of a report by token
def _own_name() -> str:
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # a process without a name for its user id
        return "user:unknown"


def act_as(name: str) -> None:
    """Let what the present task changes from now on be recorded under a name, such as key:ci."""
    _ACTING.set(name)
