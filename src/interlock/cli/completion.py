"""Completes the ids of runs while somebody types."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
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
        settings = config.load({"store.url": store}, os.environ, Path.cwd(), Path.home())
        rows = asyncio.run(_newest(settings, namespace)) if is_there(settings.store.url) else []
    except (errors.InterlockError, OSError):
        return []
    return [(row.id, f"{row.workflow}, {row.status}") for row in rows if row.id.startswith(incomplete)]


async def _newest(settings: config.Settings, namespace: str | None) -> Sequence[RunRow]:
    as_it_is = replace(settings.secrets, encrypt_payloads=False)  # looking is not what turns it on
    store = await open_store(settings.store.url, secrets=as_it_is)
    try:
        return await store.views.runs(namespace, [], None, None, _MOST)
    finally:
        await store.close()
