"""Shared memory: values that all processes see, by space and key, each change after the other.

    memory = MemorySyncManager(store, SystemClock(), "default", "worker-1", cache=1000)
    async with memory:
        await memory.set("plan", {"phase": 2}, space="swarm")
        await memory.set("seen", ["a"], resolver="union")
        async for change in memory.watch("tasks/*/state"): ...

Every write is decided in the store: the later stamp wins, or, with `base`, who read the version that is still there. Memory
offers no lock, and none should be built of `get` and `set`: locks have fences and end with their holders (`coord.locks`).

Read your own writes: always, also those that wait to be flushed. Others' writes: at once without a cache, and with one
after `sync_seconds` at the latest.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

import msgspec

from interlock import errors
from interlock.coord import patterns, resolvers
from interlock.coord.answers import answered
from interlock.coord.behind import WriteBehind
from interlock.coord.cache import Cache, Sync
from interlock.coord.cell import Cell, MemoryMetrics, Outcome, cell_of
from interlock.coord.patterns import DEFAULT_SPACE
from interlock.coord.resolvers import Resolve
from interlock.coord.watch import Watch
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.model.memory_names import LARGEST_VALUE as LARGEST_VALUE
from interlock.service import Clock, Service
from interlock.store.ports import CellRow, CellWrite, Store, WriteResult, Written

Duration: TypeAlias = str | float | timedelta | Mapping[str, float]
"""A time span: "30s", "5m", "PT5M", a number of seconds, a timedelta, {"minutes": 5}."""

SYNC_SECONDS: Final = 5.0
FLUSH_SECONDS: Final = 0.1

_PAGE: Final = 500
_ROUNDS: Final = 32  # of a resolver against others who write the same cell; each round one of them succeeds
_CONTENTION_SECONDS: Final = 0.005
_SHORTEST_TTL: Final = 0.001
_END: Final = 2**63  # of what a store can hold


class Grant(Protocol):
    """A lock that is held, as `set` needs it to write under it."""

    @property
    def name(self) -> str: ...

    @property
    def fence(self) -> int: ...


class MemorySyncManager(Service):
    """The shared memory of one namespace, as `writer`, whose name must be this process's alone.

    `cache`: how many cells are kept here, 0 for none. `sync_seconds`: how old a value of the cache may be. `flush_seconds`:
    how long a write that nobody waits for stays here. Cache and such writes need `start`; all else works without.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        namespace: str,
        writer: str,
        *,
        cache: int = 0,
        sync_seconds: float = SYNC_SECONDS,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._writer = patterns.check_writer(writer)
        self._cache = Cache(cache, sync_seconds, clock)
        self._is_cached = cache > 0
        self._sync = Sync(self._cache, store, clock, namespace, sync_seconds)
        self._behind = WriteBehind(self._send, flush_seconds)
        self._is_started = False
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._reads = 0
        self._writes = 0
        self._conflicts = 0

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        if not self._is_started:
            self._is_started = True
            await self._behind.start()
            if self._is_cached:
                await self._sync.start()

    async def stop(self) -> None:
        """End the watches, flush what waits, and stop; safe to call twice.

        Raises StoreUnavailable when something could not be stored.
        """
        for watch in tuple(self._watches):
            await watch.aclose()
        if self._is_started:
            self._is_started = False
            await self._sync.stop()
            self._cache.clear()
            await self._behind.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(self, key: str, space: str = DEFAULT_SPACE, default: Json = None, *, fresh: bool = False) -> Json:
        """Give a value, `default` where there is none. `fresh`: not from the cache. Raises StoreUnavailable."""
        self._reads += 1
        if waiting := self._behind.latest(_space(space), _key(key)):
            return default if waiting.value is None else json.decode(waiting.value)
        row = await self._row(space, key, fresh=fresh)
        return default if row is None or row.value is None else json.decode(row.value)

    async def cell(self, key: str, space: str = DEFAULT_SPACE) -> Cell | None:
        """Give a cell as the store has it, a deleted one too; None: there was none, or long ago. For `set(base=...)`."""
        self._reads += 1
        await self._flush_of(_space(space), _key(key))
        row = await self._store.cells.read(self._namespace, space, key, self._clock.stamp())
        return None if row is None else cell_of(row)

    async def list(self, prefix: str = "", space: str = DEFAULT_SPACE) -> list[str]:
        """Give the keys that begin with a prefix, or match a pattern, in their order."""
        return [cell.key for cell in await self.cells(prefix, space)]

    async def cells(self, prefix: str = "", space: str = DEFAULT_SPACE) -> Sequence[Cell]:
        """Give the cells whose keys begin with a prefix, or match a pattern, by their keys; those that have a value."""
        is_wanted = patterns.matcher(prefix) if patterns.is_pattern(prefix) else None
        patterns.check_prefix(prefix)
        _space(space)
        await self.flush()
        self._reads += 1
        found: list[Cell] = []
        after = ""
        while True:
            page = await self._store.cells.list(
                self._namespace,
                space,
                prefix=patterns.prefix_of(prefix),
                after=after,
                limit=_PAGE,
                now=self._clock.stamp(),
            )
            found += [cell_of(row) for row in page if is_wanted is None or is_wanted(row.key)]
            if len(page) < _PAGE:
                return found
            after = page[-1].key

    async def _row(self, space: str, key: str, *, fresh: bool) -> CellRow | None:
        if not self._is_cached or not self._is_started:
            return await self._store.cells.read(self._namespace, space, key, self._clock.stamp())
        if not fresh and (entry := self._cache.get((space, key))):
            return entry.row
        asked = self._cache.round
        row = await self._store.cells.read(self._namespace, space, key, self._clock.stamp())
        self._cache.put((space, key), row, asked)
        return row

    # -- writing -------------------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: Json,
        space: str = DEFAULT_SPACE,
        *,
        ttl: Duration | None = None,
        base: int | None = None,
        resolver: str | Resolve | None = None,
        stamp: int | None = None,
        under: Grant | tuple[str, int] | None = None,
        wait: bool = True,
    ) -> Outcome:
        """Set a value, and say what became of it; it is durable then.

        `ttl`: how long it lasts, for ever if not told. `base`: the version that was read; another one that is there now
        refuses the write, or, with a `resolver`, is resolved with it. 0: no value may be there. A resolver without a base
        resolves with whatever is there. `stamp`: microseconds since 1970, for a write that was made elsewhere and then.
        `under`: a lock that has to be held. `wait` False: written within a tenth of a second, in order, with others;
        a failure is repeated.

        Raises Invalid, LockError, Misfit, StoreUnavailable.
        """
        write = self._written(_key(key), _encoded(key, value), _space(space), _seconds(ttl), base, stamp)
        if not wait:
            if not (base is None and resolver is None and stamp is None and under is None):
                raise errors.Invalid("wait=False takes no base, resolver, stamp or under: nobody waits for the answer")
            if not self._is_started:
                raise errors.Invalid(
                    "wait=False needs a memory that was started: `async with` it, or it is never flushed"
                )
            await self._behind.add(write)
            return Outcome(result=WriteResult.APPLIED, cell=None)
        await self._flush_of(space, key)
        resolve = None if resolver is None else resolvers.find(resolver)
        if resolve is not None:
            return await self._resolved(write, value, resolve, _under(under))
        if resolver is not None:  # the last write wins, whatever was read
            write = msgspec.structs.replace(write, base=None)
        return self._outcome(await self._write(write, _under(under)))

    async def delete(
        self,
        key: str,
        space: str = DEFAULT_SPACE,
        *,
        base: int | None = None,
        stamp: int | None = None,
        under: Grant | tuple[str, int] | None = None,
    ) -> bool:
        """Delete a value. False: there was none, or not the one that was read (`base`), or a later one (`stamp`)."""
        write = self._written(_key(key), None, _space(space), None, base, stamp)
        await self._flush_of(space, key)
        return self._outcome(await self._write(write, _under(under))).is_applied

    async def flush(self) -> None:
        """Write what waits. Raises StoreUnavailable; what was not stored waits on."""
        await self._behind.flush()

    async def sync(self, space: str | None = None) -> int:
        """Flush, and forget what the cache knows of a space, or of all; gives how many cells. What is read next is fresh."""
        if space is not None:
            _space(space)
        await self.flush()
        forgotten = self._cache.clear(space)
        if self._is_cached and self._is_started:
            self._sync.wake()
        return forgotten

    def watch(self, pattern: str, space: str = DEFAULT_SPACE, *, after: str | None = None) -> Watch:
        """Give the changes of the keys that match, as they come, by whomever; `after` a cursor: also those since then.

        Raises Invalid. See Watch for how it begins and ends, and for SyncError.
        """
        watch = Watch(self._store, self._namespace, _space(space), pattern, after)
        self._watches.add(watch)
        return watch

    @property
    def is_watched(self) -> bool:
        """Whether this process watches something."""
        return bool(self._watches)

    @property
    def metrics(self) -> MemoryMetrics:
        return MemoryMetrics(
            reads=self._reads,
            writes=self._writes,
            conflicts=self._conflicts,
            cache_hits=self._cache.hits,
            cache_misses=self._cache.misses,
            syncs=self._sync.syncs,
            flushes=self._behind.flushes,
            pending=len(self._behind),
        )

    async def _resolved(
        self, write: CellWrite, value: Json, resolve: Resolve, under: tuple[str, int] | None
    ) -> Outcome:
        """Set what the resolver makes of the value that is there, as often as somebody else was faster."""
        write = msgspec.structs.replace(write, base=write.base or 0)
        for attempt in range(_ROUNDS):
            written = await self._write(write, under)
            if written.result is not WriteResult.DIFFERS:
                break
            if attempt:
                await asyncio.sleep(self._clock.uniform(0, attempt * _CONTENTION_SECONDS))
            present = written.cell
            if present is None or present.value is None:
                made = value
            else:
                made = resolve(json.decode(present.value), json.copy(value))
            write = msgspec.structs.replace(
                write,
                value=_encoded(write.key, made),
                base=0 if present is None else present.version,
                nonce=self._clock.uuid(),
            )
        return self._outcome(written)

    async def _write(self, write: CellWrite, under: tuple[str, int] | None) -> Written:
        """Write one cell. An answer that was lost is asked for again: it may tell of this very write."""

        async def send(again: bool) -> Written:
            sent = msgspec.structs.replace(write, again=again)
            try:
                [written] = await self._store.cells.write(self._namespace, [sent], self._clock.stamp(), under=under)
            finally:
                self._cache.forget((write.space, write.key))
            return written

        written = await answered(send)
        self._count(written)
        return written

    async def _send(self, writes: Sequence[CellWrite]) -> None:
        try:
            for written in await self._store.cells.write(self._namespace, writes, self._clock.stamp()):
                self._count(written)
        finally:
            self._cache.forget(*((write.space, write.key) for write in writes))

    async def _flush_of(self, space: str, key: str) -> None:
        """Keep the order of the writes of one cell."""
        if self._behind.latest(space, key) is not None:
            await self.flush()

    def _written(
        self, key: str, value: bytes | None, space: str, ttl: float | None, base: int | None, stamp: int | None
    ) -> CellWrite:
        return CellWrite(
            space=space,
            key=key,
            value=value,
            writer=self._writer,
            base=_whole("base", base),
            stamp=_whole("stamp", stamp),
            ttl_seconds=ttl,
            nonce=self._clock.uuid(),
        )

    def _count(self, written: Written) -> None:
        self._writes += written.result is WriteResult.APPLIED
        self._conflicts += written.result in (WriteResult.DIFFERS, WriteResult.OLDER)

    def _outcome(self, written: Written) -> Outcome:
        return Outcome(result=written.result, cell=None if written.cell is None else cell_of(written.cell))


_key = patterns.check_key
_space = patterns.check_space


def _encoded(key: str, value: Json) -> bytes:
    try:
        encoded = json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.Misfit(f"the value of {key!r} cannot be stored: {error}; shared memory holds JSON") from error
    if len(encoded) > LARGEST_VALUE:
        raise errors.Invalid(
            f"the value of {key!r} has {len(encoded)} bytes of JSON, more than the {LARGEST_VALUE} that a cell may have; "
            "store it elsewhere and set where it is"
        )
    return encoded


def _seconds(ttl: Duration | None) -> float | None:
    if ttl is None:
        return None
    try:
        seconds = duration.parse(ttl.total_seconds() if isinstance(ttl, timedelta) else ttl)
    except ValueError as error:
        raise errors.Invalid(f"ttl: {error}") from None
    if seconds < _SHORTEST_TTL:
        raise errors.Invalid(f"ttl: {ttl!r} is no time to last; leave it out for ever, or delete the key")
    return seconds


def _whole(name: str, value: int | None) -> int | None:
    if value is not None and not 0 <= value < _END:
        raise errors.Invalid(f"{name}: {value} is none that a cell can have; they are whole numbers from 0 up")
    return value


def _under(grant: Grant | tuple[str, int] | None) -> tuple[str, int] | None:
    if grant is None or isinstance(grant, tuple):
        return grant
    return grant.name, grant.fence
