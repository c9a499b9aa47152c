"""Tells callers how their runs ended, and Temporal that they live: one courier per node.

    due --claim: the fence grows, the sending is written down--> claimed --sent--> delivered | failed
                                                                         --no answer--> due again, later each time
                                                                         --no answer, and the deadline is over--> expired
        claimed by a node that is gone, or for a minute: due again, under the same delivery id

A sending is in the log before it goes out, so of a node that dies in between both sendings are seen. Whether the first one
arrived nobody knows: the receiver tells by the delivery id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from interlock import errors, telemetry
from interlock.handshake import outcome
from interlock.handshake.outcome import Letter
from interlock.handshake.sender import Accepted, Alive, Answer, Postponed, Refused, Sender
from interlock.model import callback as callbacks
from interlock.model.callback import Callback
from interlock.secrets.callback import SEALED
from interlock.secrets.keeper import Keeper
from interlock.service import RESTING_SECONDS, Clock, Service
from interlock.store.ports import ClaimedDelivery, DeliveryState, Sent, Store, news

AT_ONCE: Final = 16
"""Sendings of one node at the same time: receivers that are slow must not hold up the others."""
CLAIM_SECONDS: Final = 90.0
"""How long a claim lasts when its node lives and says nothing: longer than any sending takes."""
_LOOK_SECONDS: Final = 5.0  # the net under the bell
_ELSEWHERE_SECONDS: Final = 1.0  # what is due is another node's: only when it does not do it, it is ours
_SPACING_SECONDS: Final = 0.02  # between looks, however many runs end
_FIRST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 300.0
_JITTER: Final = 1.25
_STOP_SECONDS: Final = 5.0

Cancel: TypeAlias = Callable[[str, str], Awaitable[None]]
"""Asks for a run (its key) to be cancelled, on behalf of a delivery (its id); twice does no harm."""


def pause(attempt: int, clock: Clock) -> float:
    """Give the seconds between a sending and the next: 1, 2, 4 ... up to 300, and up to a quarter more."""
    return min(_FIRST_SECONDS * 2.0 ** min(attempt - 1, 16) * clock.uniform(1.0, _JITTER), _MOST_SECONDS)


class Courier(Service):
    """Sends what is due. `senders`: by the kind of callback. `may_act`: whether this node still has its lease.

    `own`: only for the runs of this node, which leaves with them and is not to wait for the callers of others.
    """

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        secrets: Keeper,
        senders: Mapping[str, Sender[Any]],
        cancel: Cancel,
        may_act: Callable[[], bool],
        *,
        own: bool = False,
    ) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._secrets = secrets
        self._senders = senders
        self._cancel = cancel
        self._may_act = may_act
        self._own = own
        self._woken = asyncio.Event()
        self._expects = True
        self._stopping = False
        self._sending: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._unlisten: list[Callable[[], None]] = []

    async def start(self) -> None:
        bell = self._store.bell
        self._unlisten = [bell.listen(self.look, news.DELIVERIES), bell.listen(self._ended, news.ENDS)]
        self._stopping = False
        self._task = asyncio.create_task(self._repeat(), name="courier")

    async def stop(self) -> None:
        """Claim nothing more, and let what is on its way arrive, for a short while."""
        for end in self._unlisten:
            end()
        task, self._task = self._task, None
        if task is not None:
            # Not cancelled at once: what a claim has taken by then would be sent by nobody until the claim is over.
            self._stopping = True
            self._woken.set()
            await asyncio.wait({task}, timeout=_STOP_SECONDS)
            task.cancel()
            await asyncio.wait({task})
        await self._look_once_more()
        if self._sending:
            await asyncio.wait(self._sending, timeout=_STOP_SECONDS)
        left = tuple(self._sending)
        for each in left:
            each.cancel()
        if left:
            await asyncio.wait(left)

    async def _look_once_more(self) -> None:
        """Begin with what came due last: a process that leaves with its run is to tell how that ended."""
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.round()
        except (TimeoutError, errors.InterlockError) as error:  # another node will
            telemetry.emit("delivery.left", error=error)

    def look(self) -> None:
        """Look now what is due."""
        self._expects = True
        self._woken.set()

    @property
    def busy(self) -> bool:
        return bool(self._sending)

    def _ended(self) -> None:
        if self._expects:  # where nobody waits for any run, ends are nothing to look at
            self._woken.set()

    async def _repeat(self) -> None:
        while not self._stopping:
            self._woken.clear()
            wait = _LOOK_SECONDS
            try:
                wait = await self.round()
            except Exception as error:  # noqa: BLE001 (it outlives its errors; the next round tries again)
                telemetry.emit("loop.failed", loop="courier", error=error)
            # Not wait_for: in Python 3.11 it loses a cancellation that comes as the event is set.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.0 if self._stopping else wait):
                    await self._woken.wait()
            await asyncio.sleep(_SPACING_SECONDS)

    async def round(self) -> float:
        """Take what is due and begin to send it; give the seconds until there is more to do, at most."""
        room = AT_ONCE - len(self._sending)
        if room <= 0 or not self._may_act():
            return _LOOK_SECONDS
        now = self._clock.now()
        due = await self._store.deliveries.next_due()
        self._expects = due is not None
        if due is None:
            return RESTING_SECONDS
        if due > now:
            return min(due - now, _LOOK_SECONDS)
        taken = await self._store.deliveries.claim(self._node, room, now, now + CLAIM_SECONDS, own=self._own)
        for claimed in taken:
            task = asyncio.create_task(self._perform(claimed), name=f"delivery-{claimed.delivery}")
            self._sending.add(task)
            task.add_done_callback(self._arrived)
        return 0.0 if taken else _ELSEWHERE_SECONDS

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            telemetry.emit("loop.failed", loop="courier", error=error)  # due again when its claim is over

    # -- one delivery --------------------------------------------------------------------------------------------

    async def _perform(self, claimed: ClaimedDelivery) -> None:
        try:
            callback = await self._opened(claimed)
        except errors.StoreCorrupt as error:
            await self._settle(claimed, DeliveryState.FAILED, Refused(status="unreadable", detail=str(error)), 0.0)
            return
        except errors.InterlockError as error:  # a key that is not here may be on another node, or come back
            await self._again(claimed, Postponed(status="no-key", detail=str(error)), 0.0)
            return
        if claimed.beats:
            await self._beat(claimed, callback)
        else:
            await self._send(claimed, callback)

    async def _opened(self, claimed: ClaimedDelivery) -> Callback:
        ring = await self._secrets.ring()
        return callbacks.decode(ring.unseal(claimed.sealed, SEALED, claimed.namespace, claimed.run))

    async def _send(self, claimed: ClaimedDelivery, callback: Callback) -> None:
        letter = await self._letter(claimed)
        if letter is None:  # somebody reopened the run; its next end makes it due
            await self._store.deliveries.beaten(claimed.delivery, claimed.fence, claimed.deadline, None)
            return
        if not self._may_act():
            return  # another node will
        began = self._clock.monotonic()
        answer = await self._senders[claimed.kind].send(letter, callback)
        seconds = self._clock.monotonic() - began
        telemetry.emit(
            "delivery.sent", delivery=claimed.delivery, kind=claimed.kind, status=answer.status, seconds=seconds
        )
        match answer:
            case Accepted():
                is_late = claimed.waiting  # the caller knows now that it waits in vain
                state = DeliveryState.EXPIRED if is_late else DeliveryState.DELIVERED
                await self._settle(claimed, state, answer, seconds)
            case Refused():
                await self._settle(claimed, DeliveryState.FAILED, answer, seconds)
            case Postponed():
                await self._again(claimed, answer, seconds)

    async def _letter(self, claimed: ClaimedDelivery) -> Letter | None:
        """Give what is told now; None when there is nothing to tell."""
        ended = await self._store.deliveries.ending(claimed.run)
        told = await outcome.of_run(ended, claimed.run, self._store.journal)
        if told is None:
            if not claimed.waiting or ended is None:
                return None
            told = outcome.overdue(ended.id, claimed.deadline - claimed.created_at)
        if ended is None:
            return Letter(
                delivery=claimed.delivery, id=claimed.run, namespace=claimed.namespace, workflow="", version="",
                status="lost", outcome=told, at=self._clock.now(),
            )  # fmt: skip
        return Letter(
            delivery=claimed.delivery,
            id=ended.id,
            namespace=ended.namespace,
            workflow=ended.workflow,
            version=ended.version,
            status=ended.status,
            outcome=told,
            at=ended.ended_at or self._clock.now(),
        )

    async def _again(self, claimed: ClaimedDelivery, answer: Postponed, seconds: float) -> None:
        """Try once more later, at the latest at the deadline; after it no more."""
        now = self._clock.now()
        if claimed.deadline <= now:
            await self._settle(claimed, DeliveryState.EXPIRED, answer, seconds)
            return
        wait = max(pause(max(claimed.attempts, 1), self._clock), answer.after_seconds or 0.0)
        await self._store.deliveries.settle(
            claimed.delivery,
            claimed.fence,
            DeliveryState.PENDING,
            now,
            due_at=min(now + wait, claimed.deadline),
            problem=answer.detail,
            sent=_sent(claimed, answer, seconds),
        )

    async def _settle(self, claimed: ClaimedDelivery, state: DeliveryState, answer: Answer, seconds: float) -> None:
        now = self._clock.now()
        problem = None if isinstance(answer, Accepted) else answer.detail
        if state is DeliveryState.EXPIRED:
            problem = "the run had not ended at the deadline of its caller" if claimed.waiting else problem
        settled = await self._store.deliveries.settle(
            claimed.delivery,
            claimed.fence,
            state,
            now,
            due_at=now,
            problem=problem,
            sent=_sent(claimed, answer, seconds),
        )
        if settled:
            telemetry.emit(
                f"delivery.{state}",
                delivery=claimed.delivery,
                kind=claimed.kind,
                run=claimed.run,
                attempts=claimed.attempts,
                status=answer.status,
                problem=problem,
                seconds=seconds,
                age_seconds=now - claimed.created_at,
            )

    async def _beat(self, claimed: ClaimedDelivery, callback: Callback) -> None:
        """Say that the run lives; pass on that the caller wants it no more."""
        beat_seconds = claimed.beat_seconds or claimed.deadline - self._clock.now()
        answer = await self._senders[claimed.kind].beat(claimed.run, callback)
        telemetry.emit("delivery.beat", delivery=claimed.delivery, kind=claimed.kind, answer=type(answer).__name__)
        if isinstance(answer, Alive) and answer.cancel:
            await self._cancel(claimed.run, claimed.delivery)
        if isinstance(answer, Refused):
            await self._settle(claimed, DeliveryState.FAILED, answer, 0.0)
            return
        due_at = min(self._clock.now() + beat_seconds, claimed.deadline)
        problem = answer.detail if isinstance(answer, Postponed) else None
        await self._store.deliveries.beaten(claimed.delivery, claimed.fence, due_at, problem)


def _sent(claimed: ClaimedDelivery, answer: Answer, seconds: float) -> Sent:
    detail = None if isinstance(answer, Accepted) else answer.detail
    return Sent(number=claimed.attempts, seconds=seconds, status=answer.status, detail=detail)
