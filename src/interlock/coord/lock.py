"""A lock that was granted, as its holder has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from interlock import errors
from interlock.model import json
from interlock.model.json import Json
from interlock.model.lock_state import LockState, moved
from interlock.store.ports import LockMode, LockRow

if TYPE_CHECKING:
    from interlock.coord.locks import LockManager


class Held:
    """Who has a lock, as others see it. Times are UTC seconds by the store's clock."""

    def __init__(self, row: LockRow) -> None:
        self.name: Final = row.name
        self.holder: Final = row.holder
        self.fence: Final = row.fence
        self.mode: Final = row.mode
        self.limit: Final = row.limit
        self.acquired_at: Final = row.granted_at
        self.expires_at: Final = row.expires_at
        """When its time is over, unless it is renewed; of a lock of one's own, as it was when it was granted."""
        self.ttl_seconds: Final = row.ttl_seconds
        self.session: Final = row.session
        self.metadata: Final[Mapping[str, Json]] = json.decode(row.metadata)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} fence={self.fence} holder={self.holder!r}>"


class Lock(Held):
    """A grant. It is renewed until it is released; `fence` is larger than that of every grant of the name before.

    Everything that is done under it should carry the fence: one who was paused for longer than the lock's time and goes on
    does not know yet that another one has it.
    """

    def __init__(self, row: LockRow, manager: LockManager) -> None:
        super().__init__(row)
        self.row: Final = row
        self._manager = manager
        self._state = LockState.ACQUIRED
        self._lost = asyncio.Event()
        self._callbacks: list[Callable[[Lock], None]] = []

    @property
    def state(self) -> LockState:
        return self._state

    @property
    def is_held(self) -> bool:
        """Whether it was neither released nor lost, as far as this process knows."""
        return self._state in (LockState.ACQUIRED, LockState.EXECUTING)

    @property
    def is_lost(self) -> bool:
        return self._state is LockState.EXPIRED

    def executing(self) -> None:
        """Note that its holder is at work under it. Raises LockError when it is not held any more."""
        if not self.is_held:
            raise self.expired()
        if self._state is LockState.ACQUIRED:
            self._state = moved(self._state, LockState.EXECUTING)

    async def release(self) -> None:
        """Free the lock. Raises LockError ("lock-expired") when it was lost before; releasing twice does nothing."""
        if self._state is LockState.RELEASED:
            return
        if self.is_lost:
            raise self.expired()
        await self._manager.release(self)

    async def check(self) -> bool:
        """Ask the store whether this grant is still in force."""
        return self.is_held and await self._manager.is_in_force(self)

    def on_lost(self, callback: Callable[[Lock], None]) -> None:
        """Call `callback` on the event loop when the lock is lost, at once if it was."""
        if self.is_lost:
            callback(self)
        else:
            self._callbacks.append(callback)

    async def wait_lost(self) -> None:
        """Wait until the lock is lost."""
        await self._lost.wait()

    def expired(self) -> errors.LockError:
        text = f"the lock {self.name!r} is not held any more under the number {self.fence}: "
        if self._state is LockState.RELEASED:
            return errors.LockError(f"{text}it was released", "lock-expired")
        return errors.LockError(f"{text}its time was over, or another one took it", "lock-expired")

    # -- for the manager -----------------------------------------------------------------------------------------

    def released(self) -> None:
        self._state = moved(self._state, LockState.RELEASED)
        self._callbacks.clear()

    def lost(self) -> None:
        """Note that the lock is lost, and tell who asked to be told."""
        if not self.is_held:
            return
        self._state = moved(self._state, LockState.EXPIRED)
        self._lost.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)


__all__ = ["Held", "Lock", "LockMode"]
