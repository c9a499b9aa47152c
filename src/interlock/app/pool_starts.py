"""Starts the launchers of a node's pools, again and again those whose engine is not to be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Protocol, runtime_checkable

from interlock import errors, telemetry
from interlock.model.task import Resources
from interlock.pool.launcher import Launcher
from interlock.service import Clock, Loop
from interlock.store.ports import Store


class Launching(Launcher, Protocol):
    """A launcher that is started and stopped with its node."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@runtime_checkable
class Sized(Protocol):
    """A launcher whose attempts run on one machine, which is not that of the node."""

    async def size(self) -> Resources | None:
        """Give what that machine has; None: it does not tell now."""
        ...


class Starts(Loop):
    """Starts `wanted`, and adds each to `started` when it has. One that cannot start now makes its pool ill, and is tried
    again after `again_seconds`. `changed` hears of each that starts later."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        wanted: Mapping[str, Launching],
        started: dict[str, Launcher],
        *,
        again_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        super().__init__("pool-starts", again_seconds)
        self._node = node
        self._store = store
        self._clock = clock
        self._wanted = dict(wanted)
        self._started = started
        self._again_seconds = again_seconds
        self._changed = changed
        self._reasons: dict[str, str] = {}
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start every launcher that can. Raises what is wrong with a configuration, not what is wrong with an engine."""
        try:
            await self.round()
        except BaseException:
            await self._stack.aclose()
            raise
        if self._wanted:
            await super().start()

    async def stop(self) -> None:
        await super().stop()
        for pool in self._reasons:
            await self._store.pools.well(pool, self._node)
        await self._stack.aclose()

    async def round(self) -> bool:
        for pool, launcher in list(self._wanted.items()):
            try:
                await launcher.start()
            except errors.Environment as error:
                await self._note(pool, str(error))
                continue
            self._stack.push_async_callback(launcher.stop)
            self._started[pool] = launcher
            del self._wanted[pool]
            if self._reasons.pop(pool, None) is not None:
                await self._store.pools.well(pool, self._node)
                telemetry.emit("pool.well", pool=pool)
                self._changed()
        return False

    async def _note(self, pool: str, reason: str) -> None:
        self._reasons[pool] = reason
        again_at = self._clock.now() + self._again_seconds
        await self._store.pools.ill(pool, self._node, reason, again_at, self._clock.stamp())
        telemetry.emit("pool.ill", pool=pool, reason=reason)
