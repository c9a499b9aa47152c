"""What a node may be for a store: the roles that it takes."""

from __future__ import annotations

from typing import Final

ENGINE: Final = "engine"
"""Decides what runs do, and performs the effects that happen in the node itself."""
DISPATCHER: Final = "dispatcher"
"""Performs what goes through the queue, and places the tasks of graphs in pools."""
ROLES: Final = (ENGINE, DISPATCHER)
