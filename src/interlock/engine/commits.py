"""From a decision to the commit that makes it durable.

A commit whose reply was lost is looked for in the store, so it is neither made twice nor taken for refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock import telemetry
from interlock.decisions import steps
from interlock.engine import exchange
from interlock.engine.children import Children
from interlock.engine.live import LiveRun
from interlock.engine.machine import Decision
from interlock.engine.patience import Patience
from interlock.engine.rows import Rows
from interlock.engine.state import RunState
from interlock.model import json
from interlock.model.call import LimitOf
from interlock.model.event import Cancelled, Faulted, Issued, RollbackBegan
from interlock.model.task import EffectRequest, GraphTarget, MemoryWrite, Place, WorkflowTarget
from interlock.service import Clock
from interlock.store.ports import (
    Batch,
    CellWrite,
    Committed,
    LimitSet,
    NewCells,
    NewRun,
    NewTask,
    NewToken,
    Post,
    RevokedToken,
    Store,
)


class Commits:
    """Makes the commits of one node's runs."""

    def __init__(self, store: Store, clock: Clock, rows: Rows, children: Children, patiently: Patience) -> None:
        self._store = store
        self._clock = clock
        self._rows = rows
        self._children = children
        self._patiently = patiently

    async def commit(self, live: LiveRun, work: Decision, consumed: list[int]) -> Batch | None:
        """Commit what was decided for a run, and tell whoever waits for its acceptance. None: refused, it is not ours.

        `consumed`: the rows of its inbox that are applied with it.
        """
        place = live.place
        assert place is not None
        batch, listeners = await self._batch(live, work, consumed)
        committed = await self._patiently(lambda: self._store.journal.commit(batch))
        if committed is not Committed.APPLIED and await self._was_applied(batch):
            committed = Committed.APPLIED
        _settle_acceptance(live, committed)
        if committed is not Committed.APPLIED:
            return None
        live.seq += 1
        live.subscribed = listeners
        telemetry.emit("run.committed", run=live.run, namespace=place.namespace, id=place.id, events=work.events)
        exchange.warn(place, work.events)
        return batch

    async def _was_applied(self, batch: Batch) -> bool:
        """After a lost reply: say whether this very commit is in the store. Nobody else commits with this epoch."""
        stored = await self._patiently(lambda: self._store.journal.load(batch.run))
        return stored is not None and (stored.epoch, stored.seq) == (batch.epoch, batch.seq + 1)

    async def _batch(self, live: LiveRun, work: Decision, consumed: list[int]) -> tuple[Batch, frozenset[int]]:
        """Give the commit of what was decided for a run, and the listeners that it has afterwards."""
        state, place = live.state, live.place
        assert state is not None
        assert place is not None
        children: list[NewRun] = []
        posts: list[Post] = []
        if any(isinstance(request.target, WorkflowTarget) for request in work.requests):
            children, posts = await self._patiently(lambda: self._children.of(place, work.requests))
        if live.parent is not None and state.ended:
            posts += await self._patiently(lambda: self._children.told(live))
        queued = [request for request in work.requests if request.queued and not _is_elsewhere(request)]
        listeners = exchange.listeners(live)
        batch = self._rows.batch(
            state,
            work.events,
            epoch=live.epoch,
            seq=live.seq,
            at=self._clock.now(),
            tasks=[self._task(place, request) for request in queued],
            limits=[_limit(limit) for request in queued for limit in request.limits],
            tokens=[_token(event) for event in work.events if isinstance(event, Issued)],
            asked_tokens=_asked(state, work),
            end_reason=_end_reason(work) if state.ended else None,
            cancelled_tasks=[effect for effect, is_queued in work.interrupts.items() if is_queued],
            consumed=consumed,
            accept=live.accept,
            children=children,
            posts=posts,
            emitted=[exchange.sent(place.namespace, envelope) for envelope in work.emitted],
            subscriptions=exchange.wanted(live, listeners - live.subscribed) if listeners else (),
            unsubscribed=sorted(live.subscribed - listeners) if live.subscribed and not state.ended else (),
            release=live.drained and not state.ended,
        )
        if live.accept_large:
            batch = msgspec.structs.replace(batch, large={**batch.large, **live.accept_large})
        if work.memory:
            batch = msgspec.structs.replace(batch, cells=_cells(place, work.memory, self._clock.stamp()))
        return batch, listeners

    def _task(self, place: Place, request: EffectRequest) -> NewTask:
        assert not isinstance(request.target, GraphTarget)  # which the node loads itself
        return NewTask(
            task=self._clock.uuid(),
            run=place.run,
            effect=request.effect,
            path=request.path,
            pool=steps.lane(request.pool or steps.LOCAL, request.target),
            priority=request.priority,
            target=request.target,
            folder=place.folder,
            idempotency_key=request.idempotency_key,
            attempt=request.attempt,
            any_exit_code=request.result in ("code", "all"),
            limits=[limit.name for limit in request.limits],
            requires=request.requires,
        )


def _settle_acceptance(live: LiveRun, committed: Committed) -> None:
    live.accept = None
    live.accept_large = None
    if live.accepted is not None and not live.accepted.done():
        live.accepted.set_result(committed)
    live.accepted = None


def _cells(place: Place, memory: Sequence[MemoryWrite], now: float | None) -> NewCells:
    return NewCells(
        namespace=place.namespace,
        now=now,
        writes=[
            CellWrite(
                space=write.space,
                key=write.key,
                value=None if write.deletes else json.encode(write.value),
                writer=place.id,
                ttl_seconds=write.ttl_seconds,
            )
            for write in memory
        ],
    )


def _is_elsewhere(request: EffectRequest) -> bool:
    return isinstance(request.target, WorkflowTarget)


def _limit(limit: LimitOf) -> LimitSet:
    return LimitSet(
        name=limit.name, capacity=limit.capacity, interval_seconds=limit.interval_seconds, burst=limit.burst
    )


def _token(event: Issued) -> NewToken:
    return NewToken(
        token=event.token,
        effect=event.effect,
        name=event.name,
        expires_at=event.expires,
        step=event.path,
        terms=json.encode(event.terms) if event.terms else None,
        heartbeat_seconds=event.heartbeat,
    )


def _asked(state: RunState, work: Decision) -> list[RevokedToken]:
    """Give the tokens whose holders are to stop: a rollback that begins waits for what became of their work."""
    began = next((event for event in work.events if isinstance(event, RollbackBegan)), None)
    if began is None or state.ended:
        return []
    why = f"it faulted: {began.fault}" if began.fault is not None else began.reason
    reason = "the run is being rolled back" + (f": {why}" if why else "")
    frames = (frame for scope in began.awaited if scope in state.scopes for frame in state.scopes[scope].frames)
    return [RevokedToken(token=frame.ticket.token, reason=reason) for frame in frames if frame.ticket is not None]


def _end_reason(work: Decision) -> str:
    """Say why a run ended, for whoever still holds a token of it."""
    match work.events[-1]:
        case Cancelled(reason=reason):
            return f"the run was cancelled: {reason}" if reason else "the run was cancelled"
        case Faulted(fault=error):
            return f"the run faulted: {error}"
        case _:
            return "the run completed"
