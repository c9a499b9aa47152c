"""Watches the attempts of steps: which were made, with which key, and what came of them; and puts stubs in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from interlock import errors
from interlock.flow.python import registry
from interlock.flow.python.step import Step
from interlock.model.task import Cancelled, Outcome, PythonTarget
from interlock.pool.launcher import Launch, Launcher, OnOutput, Running
from interlock.testing.gates import STEP, Gate
from interlock.testing.stubs import Stub, Stubs

_ALONE_SECONDS: Final = 1.0  # that a function is waited for by the next one, when they are to run one by one


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt of a step. `key`: its idempotency key; `undoes`: it is of what undoes the step. `outcome` None: none yet.

    `before`, `after`: the world around it, where somebody looked.
    """

    name: str
    key: str
    step: Step[Any, Any] | None
    undoes: bool
    outcome: Outcome | None = None
    before: object = None
    after: object = None


class Attempts:
    """Those of one Interlock, over all of its nodes.

    `look`, if given, is called around each attempt whose key was performed before, and gives the world. With `orders` set,
    outcomes are kept until `release` lets them go, so that a test decides who comes first. Once `is_careful`, one function
    runs at a time, so that a change of the world has one author.
    """

    def __init__(self, stubs: Stubs, look: Callable[[], object] | None = None, *, orders: bool = False) -> None:
        self.stubs = stubs
        self.all: list[Attempt] = []
        self._look = look
        self._orders = orders
        self._busy: set[asyncio.Future[None]] = set()
        """The functions that run."""
        self.is_careful = False
        self._alone = asyncio.Lock()
        self.most_kept = 0
        """How many outcomes waited at once: above 1, it matters who comes first."""
        self._kept: dict[int, asyncio.Event] = {}
        """Outcomes that wait for `release`, by the number of their attempt."""

    def begin(self, launch: Launch) -> Attempt:
        target = launch.target
        step = registry.step(target.function) if isinstance(target, PythonTarget) else None
        undoes = isinstance(target, PythonTarget) and target.undoes
        key = launch.environment["INTERLOCK_IDEMPOTENCY_KEY"]
        attempt = Attempt(name=_name(launch, step, undoes=undoes), key=key, step=step, undoes=undoes)
        self.all.append(attempt)
        return attempt

    async def perform(self, attempt: Attempt, act: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Let an attempt act, and note what came of it."""
        work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._busy.add(work)
        is_alone = self.is_careful and await self._became_alone()
        try:
            seen = any(other.key == attempt.key and other.outcome is not None for other in self.all)
            attempt.before = self._look() if seen and self._look is not None else None
            attempt.outcome = await act()
            attempt.after = self._look() if seen and self._look is not None else None
            return attempt.outcome
        finally:
            if is_alone:
                self._alone.release()
            self._busy.discard(work)
            work.set_result(None)

    async def _became_alone(self) -> bool:
        """Wait for the turn to run alone; False after a while: the others may wait for this one."""
        try:
            async with asyncio.timeout(_ALONE_SECONDS):
                return await self._alone.acquire()
        except TimeoutError:
            return False

    async def in_turn(self, attempt: Attempt) -> None:
        """Wait until the outcome of an attempt may be known."""
        if not self._orders:
            return
        number = next(number for number, other in enumerate(self.all) if other is attempt)
        turn = self._kept[number] = asyncio.Event()
        self.most_kept = max(self.most_kept, len(self._kept))
        try:
            await turn.wait()
        finally:
            self._kept.pop(number, None)

    def release(self, *, latest: bool) -> bool:
        """Let one outcome be known: that of the attempt that began last, or first. False: none is kept."""
        if not self._kept:
            return False
        number = max(self._kept) if latest else min(self._kept)
        self._kept.pop(number).set()
        return True

    @property
    def performing(self) -> int:
        """How many functions run at this moment."""
        return len(self._busy)

    async def finished(self, seconds: float) -> None:
        """Wait until no function runs, at most so long."""
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=seconds)


class WatchedLauncher:
    """A place that runs attempts, as one node has it."""

    def __init__(self, launcher: Launcher, attempts: Attempts, gate: Gate) -> None:
        self._launcher = launcher
        self._attempts = attempts
        self._gate = gate

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        return _Watched(self._launcher, self._attempts, self._gate, launch, on_output)

    def is_left(self, launch: Launch) -> bool:
        return self._launcher.is_left(launch)

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        return await self._launcher.adopt(launch, on_output)


class _Watched:
    """An attempt that is watched."""

    def __init__(self, launcher: Launcher, attempts: Attempts, gate: Gate, launch: Launch, on_output: OnOutput) -> None:
        self._launcher = launcher
        self._attempts = attempts
        self._gate = gate
        self._launch = launch
        self._on_output = on_output
        self._inner: Running | None = None
        self._stub = attempts.stubs.of(launch)
        self._task = asyncio.create_task(self._run(), name=f"attempt-{launch.attempt}")

    async def outcome(self) -> Outcome:
        await asyncio.wait([self._task])
        return Cancelled() if self._task.cancelled() else self._task.result()

    async def cancel(self) -> None:
        if self._inner is not None:
            await self._inner.cancel()
        await self._end()

    async def forget(self) -> None:
        if self._inner is not None:
            await self._inner.forget()

    async def detach(self) -> None:
        if self._inner is not None:
            await self._inner.detach()
        await self._end()

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> Outcome:
        attempt = self._attempts.begin(self._launch)
        attempts, stub = self._attempts, self._stub
        try:
            outcome = await self._gate.passed(
                STEP, attempt.name, lambda: attempts.perform(attempt, lambda: self._performed(stub))
            )
        except errors.LeaseLost:  # the node is dead
            return Cancelled()
        await self._attempts.in_turn(attempt)
        return outcome

    async def _performed(self, stub: Stub | None) -> Outcome:
        if stub is not None:
            return await stub.perform(self._launch)
        self._inner = await self._launcher.launch(self._launch, self._on_output)
        return await self._inner.outcome()


def _name(launch: Launch, step: Step[Any, Any] | None, *, undoes: bool) -> str:
    name = launch.environment["INTERLOCK_STEP"] if step is None else step.name
    return f"the undo of {name}" if undoes else name
