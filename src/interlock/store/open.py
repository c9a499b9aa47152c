"""Gives the store that a URL names, opened."""

from __future__ import annotations

import os

from interlock import errors
from interlock.store.ports import Store
from interlock.store.sql.store import SqliteStore


def is_there(url: str) -> bool:
    """Say whether a store exists at a URL, without making one; True for every URL that only opening can tell about."""
    scheme, _, path = url.partition("://")
    return scheme != "sqlite" or path == "/:memory:" or os.path.exists(path[1:])


async def open_store(url: str) -> Store:
    """Open a store: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db` or `sqlite:///:memory:`.

    Raises Invalid for a URL that names no store that this version has, StoreUnavailable, StoreCorrupt, StoreFull.
    """
    scheme, separator, path = url.partition("://")
    if scheme != "sqlite" or not separator:
        raise errors.Invalid(
            f"the store URL {url!r} is not supported; write sqlite:///path/to/file.db (other stores come later)"
        )
    if not path.startswith("/") or path == "/":
        raise errors.Invalid(
            f"the store URL {url!r} has no path; write sqlite:///relative.db or sqlite:////absolute.db"
        )
    store = SqliteStore(path[1:])
    await store.open()
    return store
