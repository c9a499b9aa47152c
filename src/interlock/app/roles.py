"""The roles that a node can have: what it does for the runs of others."""

from __future__ import annotations

from typing import Final

ENGINE: Final = "engine"
"""It claims runs and goes on with them."""
DISPATCHER: Final = "dispatcher"
"""It performs their commands and scripts, and places tasks in pools."""
ROLES: Final = (ENGINE, DISPATCHER)
