"""A node's lease: renewed from a thread of its own, lost when it cannot be.

    joined --beat every 3 s--> joined        the store moved the lease's end to (time of sending + 10 s)
    joined --beat refused----> lost          somebody gave this node up for dead: its runs belong to others now
    joined --no beat for 8 s-> lost          2 s before the lease ends, whatever the store may think
    joined --loop deaf 120 s-> no more beats alive but deaf is dead: the lease runs out by itself

The holder counts from the moment it sent a renewal, on the monotonic clock. The thread has its own connection, so that
user code on the loop, even one that never yields, does not stop it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, Protocol

from interlock import errors, telemetry
from interlock.service import Clock, Service
from interlock.store.ports import NodeRow, Pulse, Store

BEAT_SECONDS: Final = 3.0
NODE_TTL_SECONDS: Final = 10.0
ATTEMPT_TTL_SECONDS: Final = 60.0
_MARGIN_SECONDS: Final = 2.0
_DEAF_SECONDS: Final = 120.0
_TURN_SECONDS: Final = 1.0
_STALLED_SECONDS: Final = 2.0  # a thread that comes to run so late was kept from it


class Beats(Protocol):
    """What renews the lease again and again: a thread, or what a simulation has in its place."""

    def join(self) -> None: ...


class Membership(Service):
    """Joins the store as a node and keeps the lease; `lost` is called on the loop when that fails for good."""

    def __init__(self, node: NodeRow, store: Store, clock: Clock, lost: Callable[[], None]) -> None:
        self.node = node
        self._store = store
        self._clock = clock
        self._lost = lost
        self._stopping = threading.Event()
        self._thread: Beats | None = None
        self._woken = 0.0
        self._deaf = False
        self._turned = 0.0
        self._turning: asyncio.TimerHandle | None = None
        self._joined = False
        self._confirmed = clock.monotonic()
        self._stalled_seconds = 0.0
        """How much later than it should this thread last came to run: the whole process stood still."""
        self._beat_error = ""
        """What kept the last renewal from the store, such as a disk that is full."""

    @property
    def is_certain(self) -> bool:
        """Say whether nobody can have given this node up for dead: it may begin what others must not begin too."""
        if self._thread is None:  # a store in memory, which no other process sees
            return self._joined
        return self._joined and self._clock.monotonic() - self._confirmed < NODE_TTL_SECONDS - _MARGIN_SECONDS

    @property
    def why_lost(self) -> str:
        """Give what is known of why the lease was lost, to follow a sentence that says so; "" where nothing is."""
        if self._stalled_seconds <= _STALLED_SECONDS:
            return f": {self._beat_error}" if self._beat_error else ""
        return (
            f": the process stood still for {self._stalled_seconds:.0f} s, as when a call into C keeps the interpreter to "
            "itself (a step with isolated=True cannot) or the machine pauses"
        )

    async def start(self) -> None:
        self._confirmed = self._clock.monotonic()
        await self._store.nodes.join(self.node, NODE_TTL_SECONDS)
        self._joined = True
        loop = asyncio.get_running_loop()
        self._turn(loop)
        pulse = await asyncio.to_thread(self._store.pulse, self.node.node)
        if pulse is not None:
            self._woken = self._clock.monotonic()
            self._thread = self._begin_beats(pulse, loop)

    def _begin_beats(self, pulse: Pulse, loop: asyncio.AbstractEventLoop) -> Beats:
        thread = threading.Thread(target=self._beat_for_ever, args=(pulse, loop), name="interlock-lease", daemon=True)
        thread.start()
        return thread

    async def stop(self) -> None:
        """Give the lease, the runs and the attempts back."""
        if self._turning is not None:
            self._turning.cancel()
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        if self._joined:
            self._joined = False
            try:
                await self._store.nodes.leave(self.node.node, self._clock.stamp())
            except errors.Environment as error:  # the lease runs out by itself; why the node stops matters more
                telemetry.emit("node.not_left", node=self.node.node, error=error)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turned = self._clock.monotonic()
        self._turning = loop.call_later(_TURN_SECONDS, self._turn, loop)

    def _beat_for_ever(self, pulse: Pulse, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._stopping.wait(BEAT_SECONDS) and self._beat(pulse, loop):
                pass
        finally:
            pulse.close()

    def _beat(self, pulse: Pulse, loop: asyncio.AbstractEventLoop) -> bool:
        """Renew the lease once. False: it is lost, and the loop is told."""
        sent = self._clock.monotonic()
        self._stalled_seconds, self._woken = sent - self._woken - BEAT_SECONDS, sent
        if sent - self._turned > _DEAF_SECONDS:
            telemetry.emit("node.deaf", node=self.node.node, seconds=sent - self._turned)
            self._deaf = True
            return True
        if self._deaf:
            self._deaf = False
            telemetry.emit("node.heard", node=self.node.node)
        refused, self._beat_error = False, ""
        try:
            if pulse.beat(NODE_TTL_SECONDS, ATTEMPT_TTL_SECONDS, self._clock.stamp()):
                self._confirmed = sent
            else:
                refused = True
        except Exception as error:  # noqa: BLE001 (whatever it is, a lease without beats is lost, not forgotten)
            self._beat_error = str(error)
            telemetry.emit("node.beat_failed", node=self.node.node, error=error)
        if refused or self._clock.monotonic() - self._confirmed > NODE_TTL_SECONDS - _MARGIN_SECONDS:
            self._joined = False
            loop.call_soon_threadsafe(self._lost)
            return False
        return True
