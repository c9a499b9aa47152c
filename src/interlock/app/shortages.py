"""What a process is short of: it says so, takes no new work, keeps what it has, and goes on when there is enough again.

    enough --less than a reserve is left, or an error says that it ran out--> short
    short  --the reserve is there, and no error said so for 10 s-----------> enough

A node that is short claims no runs and no tasks, and refuses the runs that its own program starts. Its lease, which is a
write every 3 s, shows whether the disk takes anything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from interlock import errors, telemetry
from interlock.app.readiness import Readiness
from interlock.app.supplies import Supply
from interlock.service import Clock, Loop

_ROUND_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 10.0  # of no such error: three beats of the lease, and the longest pause of who tries again
_REASON: Final = "short of "


class Shortages(Loop):
    """Looks every second, and hears the errors that tell what ran out. `measures`: what there is to look at."""

    def __init__(self, measures: Sequence[Callable[[], Supply | None]], clock: Clock, readiness: Readiness) -> None:
        super().__init__("shortages", _ROUND_SECONDS)
        self._measures = measures
        self._clock = clock
        self._readiness = readiness
        self._short: dict[str, str] = {}
        self._told: dict[str, tuple[float, str]] = {}
        self._detach: Callable[[], None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def any(self) -> bool:
        """Say whether new work must wait."""
        return bool(self._short)

    def tell(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever there is enough again; what this gives ends that."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def refuse(self) -> None:
        """Raise Exhausted when new work must wait."""
        if self._short:
            why = "; ".join(self._short.values())
            raise errors.Exhausted(f"this process takes no new runs: {why}", short_of=next(iter(self._short)))

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._detach = telemetry.attach(self._hear)
        await self.round()
        await super().start()

    async def stop(self) -> None:
        if self._detach is not None:
            self._detach()
            self._detach = None
        await super().stop()

    async def round(self) -> bool:
        now = self._clock.monotonic()
        found = {what: text for what, (at, text) in self._told.items() if now - at < _QUIET_SECONDS}
        for measure in self._measures:
            supply = measure()
            if supply is not None and supply.is_short:
                found[supply.what] = f"{supply.left} of {supply.limit} {_UNITS[supply.what]} are left; {supply.advice}"
        self._change(found)
        return False

    def _change(self, found: dict[str, str]) -> None:
        before, self._short = self._short, found
        for what in before.keys() - found.keys():
            self._told.pop(what, None)
            self._readiness.remove(_REASON + what)
            telemetry.emit("node.enough", what=what)
        if before and not found:
            for wake in tuple(self._listeners):
                wake()
        for what in found.keys() - before.keys():
            self._readiness.add(_REASON + what)
            telemetry.emit("node.short", what=what, because=found[what])

    def _hear(self, _name: str, fields: dict[str, Any]) -> None:
        """Take note of an error, in whatever thread it was told."""
        error = fields.get("error")
        what = errors.short_of(error) if isinstance(error, Exception) else ""
        if what:
            is_new = what not in self._told
            self._told[what] = self._clock.monotonic(), str(error)
            if is_new and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.wake)


_UNITS: Final = {errors.DESCRIPTORS: "descriptors", errors.MEMORY: "bytes of memory", errors.DISK: "bytes of the disk"}
