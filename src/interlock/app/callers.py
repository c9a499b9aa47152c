"""Whom a run tells how it ended: callbacks as they are handed in, sealed for the store."""

from __future__ import annotations

import msgspec

from interlock import telemetry
from interlock.model import callback as callbacks
from interlock.model.callback import Callback, TemporalTask
from interlock.secrets.callback import SEALED
from interlock.secrets.keeper import Keeper
from interlock.service import Clock
from interlock.store.ports import NewDelivery, NewRun, Store


class Callers:
    """Seals callbacks. `deadline_seconds`: how long a caller waits that does not say."""

    def __init__(self, secrets: Keeper, clock: Clock, deadline_seconds: float) -> None:
        self._secrets = secrets
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    async def with_callback(self, new: NewRun, callback: Callback | None) -> NewRun:
        """Give a run that is to be accepted with its caller. Raises Invalid where no store key is configured."""
        if callback is None:
            return new
        return msgspec.structs.replace(new, callback=await self._sealed(new.run, new.namespace, callback))

    async def join(self, store: Store, run: str, namespace: str, callback: Callback | None) -> None:
        """Add a caller to a run that is there; one that hands in the same again is known, and not told twice."""
        if callback is None:
            return
        added = await store.deliveries.add(run, await self._sealed(run, namespace, callback), self._clock.now())
        if added is not None and added.superseded:
            telemetry.emit("delivery.superseded", run=run, delivery=added.row.delivery, deliveries=added.superseded)

    async def _sealed(self, run: str, namespace: str, callback: Callback) -> NewDelivery:
        ring = await self._secrets.ring()
        text = callbacks.encode(callback)
        beats = callback.heartbeat_seconds if isinstance(callback, TemporalTask) else None
        wait = self._deadline_seconds if callback.deadline_seconds is None else callback.deadline_seconds
        return NewDelivery(
            delivery=self._clock.uuid(),
            namespace=namespace,
            kind="temporal" if isinstance(callback, TemporalTask) else "webhook",
            target=callback.target,
            receiver=ring.sign("receiver", run, *callback.receiver),
            identity=ring.sign("identity", run, text.decode()),
            sealed=ring.seal(text, SEALED, namespace, run),
            deadline=self._clock.now() + wait,
            beat_seconds=beats,
        )
