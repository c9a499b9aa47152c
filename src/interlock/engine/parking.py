"""Puts away the runs of a node that will wait for long: what they need is in the store, and read when something happens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from interlock.engine import resting
from interlock.engine.live import LiveRun
from interlock.engine.programs import leave
from interlock.engine.resting import Resting
from interlock.engine.timers import Timers
from interlock.model.states import RunStatus
from interlock.service import Clock

_PARK_SECONDS: Final = 5.0  # a run that waits longer than this keeps no state in memory
_PARKED_AT_ONCE: Final = 1_000
_SWEEP_SECONDS: Final = 1.0


class Parking:
    """Says of each of a node's `runs` when it goes on by itself, and keeps no state of it until then."""

    def __init__(self, clock: Clock, runs: Mapping[str, LiveRun], timers: Timers) -> None:
        self._clock = clock
        self._runs = runs
        self._timers = timers
        self._resting = Resting(clock)
        self._sweeping: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._sweep()

    def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()

    def rest(self, live: LiveRun) -> None:
        """After a driver's work: arm the next timer; drop the state of a run that will wait for long."""
        state = live.state
        assert state is not None
        wake_at = state.wake_at()
        if wake_at is None:
            self._timers.forget(live.run)
        else:
            self._timers.arm(live.run, wake_at)
        self._resting.end(live.run)
        far = wake_at is None or wake_at - self._clock.now() > _PARK_SECONDS
        if not far or live.effects or state.status not in (RunStatus.WAITING, RunStatus.SUSPENDED):
            return
        if live.program is None or state.status is RunStatus.SUSPENDED:
            self._put_away(live.run)
        else:
            self._rest_again(live.run)

    def _rest_again(self, run: str) -> None:
        crowded = self._resting.begin(run)
        if crowded is not None:
            self._put_away(crowded)

    def _put_away(self, run: str) -> None:
        """Keep no state of a run in memory, until something happens in it."""
        live = self._runs.get(run)
        if live is not None and live.driver is None and not live.mailbox:
            leave(live, "parked")
            live.state = live.graph = live.place = None

    def forget(self, run: str) -> None:
        """This node has nothing to do with a run any more."""
        self._timers.forget(run)
        self._resting.end(run)

    def _sweep(self) -> None:
        """Put away the functions of Python workflows that have only waited for a while; they are called again in time."""
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        timed = resting.timed()
        for _ in range(_PARKED_AT_ONCE):
            late = self._resting.late()
            if late is None:
                return
            live = self._runs.get(late)
            program = None if live is None else live.program
            if program is None or (program.is_quiet and program not in timed):
                self._put_away(late)
            else:
                self._rest_again(late)
