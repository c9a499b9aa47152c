"""One event loop for a whole cluster: time is virtual, and chance, drawn from a seed, decides who goes on next.

Everything that is called belongs to an *actor*: a process of the simulated world. A context variable says to which, and
tasks and timers inherit it, so no code of the product has to know. Within an actor callbacks keep the order that asyncio
promises; between actors there is none. An actor that is paused is not called, while time goes on, as by SIGSTOP; one that
has crashed is never called again, and nothing of it is cleaned up, as by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")

TURN_SECONDS: Final = 0.00005  # what each callback costs of the world's time
_MOST_BURST: Final = 6  # callbacks of one actor in a row
_COMPACT: Final = 500  # cancelled timers that may wait for their time
ACTOR: Final[ContextVar[Actor | None]] = ContextVar("ACTOR", default=None)


class Stuck(Exception):
    """The world has come to no end in the time that it was given, or nobody has anything to do."""


class Actor:
    """A process of the simulated world."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.is_dead = False
        self.paused_until = 0.0
        self.turns = 0
        """How many of its callbacks were called."""
        self.on_turn: Callable[[Actor], None] | None = None
        """Called before each of its turns: the faults that are planned for it."""
        self.context: Final = copy_context()
        self.context.run(ACTOR.set, self)

    def crash(self) -> None:
        self.is_dead = True

    def pause(self, until: float) -> None:
        self.paused_until = max(self.paused_until, until)

    def __repr__(self) -> str:
        return self.name


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the module. `seed`: of the order in which actors go on."""

    def __init__(self, seed: int | str) -> None:
        self.world: Final = Actor("world")
        self._actors: list[Actor] = [self.world]
        super().__init__()
        self._chance = random.Random(seed)
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        """A heap: when, in which order they were made, and what."""
        self._made = 0
        self._cancelled = 0
        self._is_over = False
        self.tasks: list[asyncio.Task[Any]] = []
        """All that were ever made: what belongs to a crashed actor must not be cleaned up by the garbage collector."""
        self.broken: list[str] = []
        """What was raised where nobody caught it."""
        self.turns = 0
        self.set_exception_handler(self._note_broken)
        self.set_task_factory(self._make_task)

    # -- who is there --------------------------------------------------------------------------------------------

    def add(self, actor: Actor) -> None:
        self._actors.append(actor)

    def remove(self, actor: Actor) -> None:
        self._actors.remove(actor)

    @property
    def _ready(self) -> deque[asyncio.Handle]:
        """What asyncio's loop is about to call; here: of the actor that asks, as if its loop were its own."""
        return (ACTOR.get() or self.world).ready

    @_ready.setter
    def _ready(self, value: object) -> None:
        """BaseEventLoop makes one for itself, which is not used."""

    @property
    def _scheduled(self) -> list[asyncio.TimerHandle]:
        return [timer for _, _, timer in self._timers]

    @_scheduled.setter
    def _scheduled(self, value: object) -> None:
        """As for `_ready`."""

    # -- asyncio's side ------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]  # the type stubs use TypeVarTuple here
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        if not self._is_over:
            (context.get(ACTOR) or self.world).ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there is one thread

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._is_over:
            self._made += 1
            heapq.heappush(self._timers, (when, self._made, handle))
            handle._scheduled = True
        return handle

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled += 1

    def run_in_executor(self, executor: Any, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Call a function a moment later: a thread of the actor does it, and chance says when."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            try:
                given = function(*args)
            except Exception as error:  # noqa: BLE001 (it is its caller's)
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(given)

        self.call_later(self._chance.uniform(0.0, 0.002), work)
        return future

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **kwargs: Any
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=loop, **kwargs)
        self.tasks.append(task)
        return task

    def _note_broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self._is_over:
            self.broken.append(f"{context.get('message')}: {context.get('exception')!r}")

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, coro: Coroutine[Any, Any, T], *, seconds: float, turns: int) -> T:
        """Run the world until a coroutine of it has ended. Raises Stuck when that takes longer, in either measure."""
        task: asyncio.Task[T] = self.world.context.run(self.create_task, coro)  # type: ignore[arg-type]
        events._set_running_loop(self)
        try:
            while not task.done():
                self._go_on()
                if self._now > seconds:
                    raise Stuck(f"after {self._now:.1f} s of its time the world has not come to rest")
                if self.turns > turns:
                    raise Stuck(f"after {self.turns} turns, at {self._now:.1f} s, the world has not come to rest")
        finally:
            events._set_running_loop(None)
        return task.result()

    def _go_on(self) -> None:
        """Let one actor go on for a few turns; or, if nobody can, let time pass."""
        if self._timers and self._timers[0][0] <= self._now:
            self._fire()
        now = self._now
        able = [each for each in self._actors if each.ready and each.paused_until <= now and not each.is_dead]
        if not able:
            self._wait()
            return
        chance = self._chance.random
        actor = able[int(chance() * len(able))]
        for _ in range(1 + int(chance() * _MOST_BURST)):
            if not actor.ready:
                return
            self.turns += 1
            actor.turns += 1
            if actor.on_turn is not None:
                actor.on_turn(actor)
                if actor.is_dead or actor.paused_until > self._now:
                    return
            handle = actor.ready.popleft()
            if not handle._cancelled:
                self._now += TURN_SECONDS
                handle._run()
                if actor.is_dead or actor.paused_until > self._now:
                    return

    def _wait(self) -> None:
        """Let time pass until something is due."""
        self._forget_cancelled()
        moments = [each.paused_until for each in self._actors if each.ready and not each.is_dead]
        if self._timers:
            moments.append(self._timers[0][0])
        if not moments:
            raise Stuck("nobody has anything to do, or to wait for")
        self._now = max(self._now, min(moments))

    def _fire(self) -> None:
        """Let those timers call whose time has come."""
        timers, now = self._timers, self._now
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            if not timer._cancelled:
                (timer._context.get(ACTOR) or self.world).ready.append(timer)

    def _forget_cancelled(self) -> None:
        """Let nobody wait for timers that will not call."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)[2]._scheduled = False
        if self._cancelled > _COMPACT:
            self._cancelled = 0
            timers[:] = [entry for entry in timers if not entry[2]._cancelled]
            heapq.heapify(timers)

    def end(self) -> None:
        """Forget everything: nothing is called any more, whatever the end of coroutines asks for."""
        self._is_over = True
        self._timers.clear()
        for actor in self._actors:
            actor.ready.clear()
        events._set_running_loop(self)
        try:
            while self.tasks:
                _close(self.tasks.pop())
        finally:
            events._set_running_loop(None)
        self.close()


def _close(task: asyncio.Task[Any]) -> None:
    """End what belongs to a process that crashed, or was there to the end. It may say no, or ask for more."""
    if not task.done():
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is destroyed on purpose
        with contextlib.suppress(BaseException):
            task.get_coro().close()  # type: ignore[union-attr]  # a coroutine


__all__ = ["ACTOR", "Actor", "SimulatedLoop", "Stuck"]
