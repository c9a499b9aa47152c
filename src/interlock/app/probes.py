"""What a simulation puts between a node and what it works with. Every other node has none of it."""

from __future__ import annotations

from interlock.engine.membership import Membership
from interlock.engine.python import Program
from interlock.pool.launcher import Launcher
from interlock.store.ports import Store


class Probes:
    """Lets a node have everything as it is; who simulates overrides what they want to see, or to break."""

    program: type[Program] = Program
    """Drives the functions of Python workflows."""
    membership: type[Membership] = Membership
    """Keeps the node's lease."""

    def store(self, store: Store) -> Store:
        """Give the store as the node is to have it."""
        return store

    def launcher(self, launcher: Launcher) -> Launcher:
        """Give a place that runs attempts as the node is to have it."""
        return launcher


NONE = Probes()
