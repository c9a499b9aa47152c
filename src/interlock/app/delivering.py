"""What a node needs to tell callers how their runs ended: the senders, and the courier with its net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from interlock.config import Settings
from interlock.engine import cause as causes
from interlock.handshake.courier import Courier
from interlock.handshake.reconciler import Reconciler
from interlock.handshake.sender import Sender
from interlock.handshake.temporal import Temporal
from interlock.handshake.webhook import Webhooks
from interlock.net.addresses import AddressPolicy
from interlock.net.client import Client
from interlock.secrets.keeper import Keeper
from interlock.service import Clock, Service
from interlock.store.ports import Store

_CALL_SECONDS: Final = 30.0  # a receiver that takes longer answers, and does its work afterwards
_ANSWER_BYTES: Final = 2**16


class Delivering(Service):
    """The part of a node that tells callers."""

    def __init__(
        self,
        node: str,
        settings: Settings,
        store: Store,
        clock: Clock,
        secrets: Keeper,
        may_act: Callable[[], bool],
        *,
        own: bool,
    ) -> None:
        self._store = store
        self._clock = clock
        bounded = replace(settings.http, timeout_seconds=min(settings.http.timeout_seconds, _CALL_SECONDS))
        self._client = Client(bounded, _ANSWER_BYTES)
        self._temporal = Temporal(AddressPolicy(settings.http.allow_private), clock)
        senders: dict[str, Sender[Any]] = {"webhook": Webhooks(self._client, clock), "temporal": self._temporal}
        self.courier = Courier(node, store, clock, secrets, senders, self._cancel, may_act, own=own)
        self._reconciler = Reconciler(store, clock)

    async def start(self) -> None:
        await self.courier.start()
        await self._reconciler.start()

    async def stop(self) -> None:
        await self._reconciler.stop()
        await self.courier.stop()
        await self._temporal.close()
        await self._client.close()

    def look(self) -> None:
        """Go on with what is due by now: somebody moved the clock."""
        self.courier.look()
        self._reconciler.wake()

    async def _cancel(self, run: str, delivery: str) -> None:
        """Pass on that the caller of a run wants it no more; its later heartbeats say the same again."""
        cause = causes.encode(causes.Cancel("its caller was cancelled"))
        await self._store.journal.post(run, f"cancel:{delivery}", cause, f"caller:{delivery}", self._clock.now())
