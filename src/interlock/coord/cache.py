"""The local cache of shared memory: what this process has read, as long as it is known to be so.

An entry is given while the changes were looked at less than `sync_seconds` ago, and none of them was of that cell. So no
value is given that another process replaced longer ago than that; when the changes cannot be read, or are held back by an
older transaction, the cache falls silent. What was being read while a change came in is not kept: it may be what was before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from interlock.service import Clock, Loop
from interlock.store.ports import CellRow, Store, news

Key: TypeAlias = tuple[str, str]
"""A space and a key."""

_PAGE: Final = 1_000
_HELD_SECONDS: Final = 0.25  # until a look whether an older transaction has ended, which nobody tells


@dataclass(frozen=True, slots=True)
class Entry:
    """What was read. `row` None: there was no cell."""

    row: CellRow | None
    read_at: float


class Cache:
    """At most `size` cells, those that were used last."""

    def __init__(self, size: int, sync_seconds: float, clock: Clock) -> None:
        self._size = size
        self._sync_seconds = sync_seconds
        self._clock = clock
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._fresh_until = float("-inf")
        self.round = 0
        """Grows with whatever makes what is being read doubtful; see `put`."""
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """Give what is known of a cell; None: nothing that may be relied on."""
        entry = self._entries.get(key)
        if entry is None or not self._is_fresh(entry):
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry

    def put(self, key: Key, row: CellRow | None, asked: int) -> None:
        """Keep what was read. `asked`: the round when the reading began; what came between makes it worthless."""
        if asked != self.round or not self._size:
            return
        self._entries[key] = Entry(row, self._clock.monotonic())
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def forget(self, *keys: Key) -> None:
        """Cells were written, or may have been."""
        self.round += 1
        for key in keys:
            self._entries.pop(key, None)

    def changed(self, key: Key, version: int) -> None:
        """Somebody changed a cell, perhaps this process: what is known of it may be that version, or a later one."""
        self.round += 1
        entry = self._entries.get(key)
        if entry is not None and (entry.row is None or entry.row.version < version):
            del self._entries[key]

    def clear(self, space: str | None = None) -> int:
        """Forget the cells of a space, or all; gives how many."""
        found = [key for key in self._entries if space in (None, key[0])]
        self.forget(*found)
        return len(found)

    def synced(self, at: float) -> None:
        """Every change of before `at`, by the monotonic clock, was told to `changed`."""
        self._fresh_until = at + self._sync_seconds

    def _is_fresh(self, entry: Entry) -> bool:
        now = self._clock.monotonic()
        if now >= self._fresh_until:
            return False
        if entry.row is None or entry.row.expires_at is None:
            return True
        # The end of a time is told of only when it is swept; and the store's clock may be another one than this.
        return self._clock.now() < entry.row.expires_at and now < entry.read_at + self._sync_seconds


class Sync(Loop):
    """Tells a cache what has changed: when the bell rings, and in any case before the cache falls silent."""

    def __init__(self, cache: Cache, store: Store, clock: Clock, namespace: str, sync_seconds: float) -> None:
        super().__init__("memory-sync", sync_seconds / 3)
        self._cache = cache
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._cursor: str | None = None
        self._unlisten: Callable[[], None] = lambda: None
        self.syncs = 0

    async def start(self) -> None:
        self._unlisten = self._store.bell.listen(self.wake, news.CELLS)
        await super().start()

    async def stop(self) -> None:
        self._unlisten()
        await super().stop()

    async def round(self) -> bool:
        began = self._clock.monotonic()
        page = await self._store.cells.changes(self._namespace, None, self._cursor, _PAGE)
        if page.is_cut or self._cursor is None:
            self._cache.clear()
        else:
            for change in page.changes:
                self._cache.changed((change.space, change.key), change.version)
        self._cursor = page.cursor
        if len(page.changes) == _PAGE:
            return True
        self.syncs += 1
        if page.is_held:
            asyncio.get_running_loop().call_later(_HELD_SECONDS, self.wake)
        else:
            self._cache.synced(began)
        return False
