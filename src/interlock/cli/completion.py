"""Completes the ids of runs while somebody types."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from interlock import config, errors
from interlock.store.open import is_there, open_store
from interlock.store.ports import RunRow

_MOST: Final = 200


def run_ids(incomplete: str, store: str | None, namespace: str | None) -> list[tuple[str, str]]:
    """Give the ids of the newest runs that begin so, each with a word about it; `store` None: that of the settings.

    None when there is no store to read: completing must neither fail nor create one.
    """
    try:
        url = config.load({"store.url": store}, os.environ, Path.cwd(), Path.home()).store.url
        rows = asyncio.run(_newest(url, namespace)) if is_there(url) else []
    except (errors.InterlockError, OSError):
        return []
    return [(row.id, f"{row.workflow}, {row.status}") for row in rows if row.id.startswith(incomplete)]


async def _newest(url: str, namespace: str | None) -> Sequence[RunRow]:
    store = await open_store(url)
    try:
        return await store.views.runs(namespace, [], None, None, _MOST)
    finally:
        await store.close()
