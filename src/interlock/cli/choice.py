"""Whether a command works at a store or through a server. Light: it is asked before every command."""

from __future__ import annotations

import os
from typing import Final

from interlock import errors
from interlock.cli.options import options

VARIABLE: Final = "INTERLOCK_SERVER"

_AT_THE_STORE: Final = {
    "node": "start it where the store is, with --store or the settings",
    "worker": "start it where the store is, with --store or the settings",
    "up": "it is the server: start it where the store is, with --store or the settings",
    "doctor": "it measures a store: name that by --store; GET /cluster/health tells how a server stands",
    "prune": "whoever runs the server prunes its store, with --store",
    "backup": "whoever runs the server backs its store up, with --store",
    "restore": "whoever runs the server restores its store, with --store",
    "check-deploy": "it compares the code of this folder with a store: name that by --store",
    "demo": "it executes on this machine, in a store of its own",
}
"""Commands that make sense at a store only, and what to do instead."""
_LOCAL: Final = frozenset({"validate", "graph", "eval", "config"})
"""Commands that need neither."""


def server(given: str | None, store: str | None, command: str | None) -> str | None:
    """Give the server that a command is to ask, None for a store. Raises Invalid for a command that cannot.

    `given`: by --server, which counts before the environment; so does `store`.
    """
    if given is not None and store is not None:
        raise errors.Invalid("--server and --store exclude each other: a server has its store")
    if command in _AT_THE_STORE:
        if given is not None:
            raise errors.Invalid(f"`interlock {command}` does not work with --server: {_AT_THE_STORE[command]}")
        return None  # the variable is for commands that may ask a server
    if command in _LOCAL or store is not None:
        return None
    return given or os.environ.get(VARIABLE) or None


def is_far(given: str | None, store: str | None) -> bool:
    """Say whether a command that may ask a server would, with these options."""
    return given is not None or (store is None and bool(os.environ.get(VARIABLE)))


def refuse_server() -> None:
    """Raises Invalid for a command that was to ask a server, and has to be at the store."""
    if options.server is not None:
        raise errors.Invalid(
            f"this does not work through the server {options.server}; do it where its store is, with --store"
        )
