"""An open store, as whoever only asks it something needs it: no node, nothing checked, nothing compiled.

    Opened   the store, its settings, a clock, its secrets
    Records  and the runs in it: read, followed, asked to stop or to go on        (`records`)
    Session  and what starts runs, and a node of this process that executes them  (`session`)

Each is a module of its own because commands are processes: listing locks must not wait for the engine to be loaded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from functools import cached_property
from typing import TYPE_CHECKING, Self

from interlock import errors
from interlock.config import Settings
from interlock.service import Clock, SystemClock
from interlock.store.open import open_store
from interlock.store.ports import RunRow, Store

if TYPE_CHECKING:
    from interlock.secrets.keeper import Keeper


class Opened:
    """An open store. `async with Opened.open(settings) as app` closes it at the end."""

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, public_url: str | None = None, socket: str = ""
    ) -> None:
        """`public_url`: where those who were given tokens find a server of this store; None: as the settings say.
        `socket`: where programs of this machine find it."""
        self.settings = settings
        self.store = store
        self.clock = clock
        self._public_url = public_url
        self._socket = socket

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        """Open the store that the settings name, and close it at the end."""
        async with opened_store(settings) as store:
            yield cls(settings, store, SystemClock())

    @cached_property
    def secrets(self) -> Keeper:
        """Who has the secrets of the store, and its key."""
        from interlock.secrets.keeper import Keeper  # noqa: PLC0415 (start-up: most commands need none)

        settings = self.settings
        return Keeper(
            settings.store.url,
            settings.secrets,
            self.clock,
            os.environ,
            self._public_url or settings.server.public_url or None,
            self._socket,
        )

    async def find(self, namespace: str | None, id: str, *, within: Store | None = None) -> RunRow:
        """Give a run by id or unique prefix; `namespace` None for any. Raises NotFound, Conflict.

        `within`: the store of a transaction to join.
        """
        row = await (within or self.store).views.run(namespace, id)
        if row is None:
            where = "" if namespace is None else f" in the namespace {namespace!r}"
            raise errors.NotFound(f"there is no run {id!r}{where}; `interlock list` shows those there are")
        return row


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the store that settings name, and close it at the end."""
    store = await open_store(
        settings.store.url,
        connections=settings.store.connections,
        listen_url=settings.store.listen_url,
        secrets=settings.secrets,
    )
    try:
        yield store
    finally:
        await store.close()
