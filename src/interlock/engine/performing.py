"""Performs the effects that begin in the node itself: once their commit is durable, and no later than it has the run.

Each is a task. One that nobody waits for any more is cancelled; what it gives then counts no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from interlock import telemetry
from interlock.engine.cause import Settled
from interlock.engine.live import LiveRun, Performs
from interlock.engine.machine import Decision
from interlock.model import fault, payload
from interlock.model.fault import Fault
from interlock.model.task import Done, EffectRequest, Failed, FailureClass

_LARGE_BYTES: Final = 256 * 1024  # a result above this is encoded and hashed in a thread, not on the loop
_DOUBT_SECONDS: Final = (
    0.1  # between looks whether the lease is beyond doubt again; it is, or it is lost, within seconds
)


class Performing:
    """Begins, ends and awaits the effects of one node's runs.

    `may_act`: whether the node's lease is beyond doubt; no effect begins before it is. `settled`: told, in the task of the
    effect, how one ended that somebody waits for.
    """

    def __init__(
        self,
        performer: Performs,
        may_act: Callable[[], bool],
        settled: Callable[[LiveRun, Settled], Awaitable[None]],
    ) -> None:
        self._performer = performer
        self._may_act = may_act
        self._settled = settled
        self.ending: set[asyncio.Task[None]] = set()
        """Tasks that were cancelled and may still clean up."""
        self.is_closed = False

    def close(self) -> None:
        """Begin no effect any more."""
        self.is_closed = True

    def follow(self, live: LiveRun, work: Decision) -> None:
        """Stop and begin the effects of a run as a decision asks for that is durable."""
        for effect in work.interrupts:
            task = live.effects.pop(effect, None)
            if task is not None:
                self.end(task)
        for request in work.requests:
            if not request.queued and request.effect not in work.interrupts and not self.is_closed:
                live.effects[request.effect] = asyncio.create_task(
                    self._perform(live, request), name=f"effect-{live.run}-{request.effect}"
                )

    def end(self, task: asyncio.Task[None]) -> None:
        """Stop a task that may take a while to clean up; `stop` waits for it."""
        task.cancel()
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    async def _perform(self, live: LiveRun, request: EffectRequest) -> None:
        assert live.place is not None
        task = asyncio.current_task()
        assert task is not None
        # The process was stopped: somebody else may have this run by now.
        while not self._may_act():  # noqa: ASYNC110 (what renews the lease is a thread, and says nothing)
            await asyncio.sleep(_DOUBT_SECONDS)
        try:
            outcome = await self._performer.perform(request, live.place)
            if isinstance(outcome, Done) and payload.exceeds(outcome.value, _LARGE_BYTES):
                value = await asyncio.to_thread(payload.prepared, outcome.value)
                outcome = msgspec.structs.replace(outcome, value=value)
        except (Exception, asyncio.CancelledError) as error:
            if (
                isinstance(error, asyncio.CancelledError) and task.cancelling()
            ):  # else by nobody here: it is an end as any
                raise
            telemetry.emit("effect.broken", run=live.run, path=request.path, error=error)
            outcome = _broken(error)
        if live.effects.pop(request.effect, None) is not None:
            await self._settled(live, Settled(request.effect, outcome))


def _broken(error: BaseException) -> Failed:
    """Give the outcome of an effect that ended without one. Its text may hold anything, so only its kind is told."""
    detail = f"the node met {type(error).__name__} while it performed this step"
    return Failed(
        FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500, title="Internal error", detail=detail)
    )
