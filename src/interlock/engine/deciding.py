"""Decides for a run that is loaded: in slices, so that others have their turn, with slow expressions evaluated elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from interlock import errors
from interlock.engine.cause import Cause, Continue, Drain, Tick
from interlock.engine.decide import decide
from interlock.engine.live import Evaluates, Keeps, LiveRun
from interlock.engine.machine import Decision
from interlock.engine.state import RunState
from interlock.expr.evaluation import Answer
from interlock.model.memo import Memo
from interlock.service import Clock

_SLICE_SECONDS: Final = 0.01  # a decision yields to the loop this often
_GAP_SECONDS: Final = 0.005  # and then leaves it, and the interpreter, to others for this long
_POSITION_SECONDS: Final = 1.0  # and commits its position at least this often


class Deciding:
    """Makes the decisions of one node's runs.

    `undos`: gives a page of memos with an undo, below a number, descending. `heard`: gives when the holders of a run's tokens
    gave their last sign of life. `token_seconds`: how long a token may be used whose author does not say it.
    """

    def __init__(
        self,
        clock: Clock,
        evaluators: Evaluates,
        secrets: Keeps,
        max_payload_bytes: int,
        undos: Callable[[str, int | None], Awaitable[list[Memo]]],
        heard: Callable[[str], Awaitable[Mapping[int, float]]],
        token_seconds: float,
    ) -> None:
        self._undos = undos
        self._heard = heard
        self._token_seconds = token_seconds
        self._clock = clock
        self._evaluators = evaluators
        self._secrets = secrets
        self._max_payload_bytes = max_payload_bytes

    async def next(self, live: LiveRun) -> tuple[Decision, list[int]]:
        """Decide about what waits for a run, in slices; give what follows and the rows of the inbox that it applies."""
        work = Decision()
        consumed: list[int] = []
        cause, number = live.mailbox.pop(0)
        started = self._clock.monotonic()
        while True:
            decision = await self.decide(live, cause)
            add(work, decision)
            if number:
                consumed.append(number)
            live.drained = live.drained or isinstance(cause, Drain)
            if not decision.more:
                break
            if self._clock.monotonic() - started > _POSITION_SECONDS:
                live.mailbox.insert(0, (Continue(), 0))
                break
            await asyncio.sleep(_GAP_SECONDS)
            cause, number = self._interruption(live)
        return work, consumed

    def _interruption(self, live: LiveRun) -> tuple[Cause, int]:
        """Give what a long decision must see now: a cause from outside, a deadline, or nothing but to go on."""
        if live.mailbox:
            return live.mailbox.pop(0)
        assert live.state is not None
        wake_at = live.state.wake_at()
        return (Tick() if wake_at is not None and wake_at <= self._clock.now() else Continue()), 0

    async def decide(self, live: LiveRun, cause: Cause) -> Decision:
        """Decide about one cause; slow expressions are evaluated in between, elsewhere."""
        assert live.graph is not None
        assert live.state is not None
        if isinstance(cause, Tick) and live.state.awaits_signs_of_life:
            cause = Tick(heard=await self._heard(live.run))
        total: Decision | None = None
        answers: list[Answer] = []
        declared = live.graph.secrets
        leaves = isinstance(cause, Drain)  # which evaluates nothing, and must not wait for a vault
        secrets = await self._secrets.bound(live.run, declared) if declared and not leaves else None
        while True:
            decision = decide(
                live.graph,
                live.state,
                cause,
                now=self._clock.now(),
                uniform=self._clock.uniform,
                answers=answers,
                pause=_never if live.graph.program else self._later_than(self._clock.monotonic() + _SLICE_SECONDS),
                max_payload_bytes=self._max_payload_bytes,
                secrets=secrets,
                undos=live.undos,
                token_seconds=self._token_seconds,
            )
            if total is None and decision.pending is None and not decision.wants_undos:
                return decision
            total = total or Decision()
            add(total, decision)
            if decision.wants_undos:
                live.undos = await self._next_undos(live.run, live.state)
                cause, answers = Continue(), []
                continue
            if decision.pending is None:
                return total
            if decision.events:
                answers = []
            if decision.consumed:
                cause = Continue()
            answers.append(await self._evaluators.evaluate(decision.pending))

    async def _next_undos(self, run: str, state: RunState) -> list[Memo]:
        """Give the memos of the undos that come next in a rollback. Raises StoreCorrupt when there are none."""
        assert state.head.rollback is not None
        before = state.head.rollback.before
        found = await self._undos(run, before)
        if not found:
            place = "" if before is None else f" below {before}"
            text = f"the run {run} has {state.head.undos} steps to undo, and the store remembers none{place}"
            raise errors.StoreCorrupt(text)
        return found

    def _later_than(self, end: float) -> Callable[[], bool]:
        return lambda: self._clock.monotonic() > end


def _never() -> bool:
    return False


def add(total: Decision, part: Decision) -> None:
    """Join two decisions about the same run into one commit."""
    total.events += part.events
    total.requests += part.requests
    total.emitted += part.emitted
    total.memory += part.memory
    total.interrupts |= part.interrupts
    total.more = part.more
    if part.interrupts:
        total.requests = [request for request in total.requests if request.effect not in part.interrupts]
