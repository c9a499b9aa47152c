"""What shared memory holds for a task, as a file that its process can read.

    {"task": <the value of `<task>/context` in the space `tasks`>, "pool": <that of `context/<pool>` in the space `global`>}

Only what is there is in it; where there is nothing, there is no file. It is made before the attempt begins, and its name
follows from the attempt, so that the worker which adopts an attempt removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from interlock.model import json
from interlock.model.json import Json
from interlock.service import Clock
from interlock.store.ports import ClaimedTask, Store

VARIABLE: Final = "INTERLOCK_CONTEXT"
_PREFIX: Final = "interlock-context-"
NAMESPACE: Final = "default"  # of what belongs to no run


class Contexts:
    """The contexts of the tasks of one pool."""

    def __init__(self, store: Store, clock: Clock, pool: str) -> None:
        self._store = store
        self._clock = clock
        self._pool = pool

    async def prepare(self, task: ClaimedTask, attempt: str) -> None:
        """Make the file of an attempt, called `attempt`, if there is anything for it. Raises StoreUnavailable."""
        namespace, now = task.namespace or NAMESPACE, self._clock.stamp()
        found: dict[str, Json] = {}
        places = {"task": ("tasks", f"{task.task}/context"), "pool": ("global", f"context/{self._pool}")}
        for name, (space, key) in places.items():
            cell = await self._store.cells.read(namespace, space, key, now)
            if cell is not None and cell.value is not None:
                found[name] = json.decode(cell.value)
        if found:
            await asyncio.to_thread(_write, path(attempt), json.encode(found))

    async def forget(self, attempt: str) -> None:
        """Remove the file of an attempt."""
        await asyncio.to_thread(path(attempt).unlink, missing_ok=True)


def path(attempt: str) -> Path:
    """Give where the context of an attempt is, if it has one."""
    name = hashlib.sha256(attempt.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Path(tempfile.gettempdir(), f"{_PREFIX}{name}.json")


def _write(file: Path, text: bytes) -> None:
    """Write a file that nobody else may read; one that another user put there is not followed."""
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
        out.write(text)
