"""Looks after the pools of a node: tries whether they can launch, and removes what dead dispatchers left in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, runtime_checkable

from interlock import errors, telemetry
from interlock.dispatch import attempt_name
from interlock.pool.launcher import Launcher
from interlock.service import Clock, Loop
from interlock.store.ports import Store

_ATTEMPT: Final = "interlock.attempt"
SWEEP_SECONDS: Final = 60.0


@runtime_checkable
class Probed(Protocol):
    """A launcher that can say whether it is well."""

    async def probe(self, seconds: float) -> str | None: ...


@runtime_checkable
class Swept(Protocol):
    """A launcher whose attempts may outlive every node, and so may be left behind."""

    async def left(self) -> list[Mapping[str, str]]: ...

    async def sweep(self, is_over: Callable[[Mapping[str, str]], bool]) -> int: ...


@runtime_checkable
class SweptByName(Protocol):
    """The same for a launcher that asks for every attempt by its id."""

    async def sweep(self, is_over: Callable[[str], Awaitable[bool]]) -> list[str]: ...


class Health(Loop):
    """Tries each pool every `interval_seconds`, for at most `timeout_seconds`. One that fails is tried again after
    `again_seconds`, and gets nothing from this node before it is well (checklist PO-05). `changed` hears of every change.

    What the store is told lasts until a look that comes late must be over: a pool whose time ran out while nobody had tried
    it would be given tasks, which fail there. After that nobody is left who would look.
    """

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        launchers: Mapping[str, Launcher],
        *,
        interval_seconds: float,
        timeout_seconds: float,
        again_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        super().__init__("pool-health", interval_seconds)
        self._node = node
        self._store = store
        self._clock = clock
        self._launchers = launchers
        self._timeout_seconds = timeout_seconds
        self._again_seconds = again_seconds
        self._changed = changed
        self._ill: dict[str, float] = {}
        """By pool, when it is tried again."""
        self._is_new = False

    async def start(self) -> None:
        """Try all first: who is started after this must not place anything in a pool whose engine is away."""
        await self.round()
        self._is_new = True
        await super().start()

    async def round(self) -> bool:
        if self._is_new:  # as its start was a look
            self._is_new = False
            return False
        now = self._clock.monotonic()
        due = {  # one that starts late comes in later
            pool: launcher
            for pool, launcher in self._launchers.items()
            if isinstance(launcher, Probed) and self._ill.get(pool, 0.0) <= now
        }
        reasons = await asyncio.gather(*map(self._trouble, due.values()))
        for pool, reason in zip(due, reasons, strict=True):
            await self._note(pool, reason)
        return False

    async def _trouble(self, launcher: Probed) -> str | None:
        try:
            return await launcher.probe(self._timeout_seconds)
        except Exception as error:  # noqa: BLE001 (one launcher must not keep the others from being tried)
            return f"it met {type(error).__name__}: {error}"

    async def stop(self) -> None:
        await super().stop()
        for pool in self._ill:
            await self._store.pools.well(pool, self._node)

    async def _note(self, pool: str, reason: str | None) -> None:
        if reason is not None:
            until = self._clock.now() + self._again_seconds + self._interval_seconds + self._timeout_seconds
            await self._store.pools.ill(pool, self._node, reason, until, self._clock.stamp())
            self._ill[pool] = self._clock.monotonic() + self._again_seconds
            telemetry.emit("pool.ill", pool=pool, reason=reason)
        elif pool in self._ill:
            await self._store.pools.well(pool, self._node)
            del self._ill[pool]
            telemetry.emit("pool.well", pool=pool)
        else:
            return
        self._changed()


class Sweeps(Loop):
    """Removes from pools what belongs to attempts that are over: their dispatcher died before it could."""

    def __init__(self, store: Store, launchers: Mapping[str, Launcher]) -> None:
        super().__init__("pool-sweeps", SWEEP_SECONDS)
        self._store = store
        self._launchers = launchers

    async def round(self) -> bool:
        for pool, launcher in list(self._launchers.items()):
            if not isinstance(launcher, Swept | SweptByName):
                continue
            try:
                if isinstance(launcher, Swept):
                    removed = await self._sweep(launcher)
                else:
                    removed = len(await launcher.sweep(self._is_over))
            except errors.Environment as error:  # of the engine: the health check tells of it
                telemetry.emit("pool.not_swept", pool=pool, error=error)
                continue
            if removed:
                telemetry.emit("pool.swept", pool=pool, removed=removed)
        return False

    async def _sweep(self, launcher: Swept) -> int:
        """Ask the store of each that is there first: what is new meanwhile is not among them."""
        over = set()
        for labels in await launcher.left():
            if (attempt := labels.get(_ATTEMPT)) and await self._is_over(attempt):
                over.add(attempt)
        return await launcher.sweep(lambda labels: labels.get(_ATTEMPT) in over) if over else 0

    async def _is_over(self, attempt: str) -> bool:
        """Say whether the store knows an attempt of its own no more; what is another store's is for that to remove."""
        found = attempt_name.of_store(await self._store.queue.identity(), attempt)
        return found is not None and await self._store.queue.attempt(*found) is None
