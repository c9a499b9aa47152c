"""Who changes something, as the audit log and the store name them."""

from __future__ import annotations

import getpass


def actor() -> str:
    """Give the name that changes are recorded under: the user of this process."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # a process without a name for its user id
        return "user:unknown"
