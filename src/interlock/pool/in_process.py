"""Runs Python functions inside the node: async ones on its loop, sync ones in a pool of threads.

A thread cannot be stopped. When a sync function is cancelled its outcome is Cancelled(abandoned=True) at once and what it
returns later is refused, but its slot stays taken until it does: the pool never runs more threads than it has.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from interlock import errors
from interlock.flow import functions
from interlock.flow.python import registry, step_context
from interlock.flow.python.inside import INSIDE
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Cancelled, Failed, FailureClass, Outcome, PythonTarget, Snoozed
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import Service

THREADS: Final = 16
_SNOOZE_SECONDS: Final = 0.1  # then the lease is beyond doubt again, or lost
_STOP_SECONDS: Final = 1.0  # an async function that ignores its cancellation this long is abandoned

_ANYTHING: Final = (Exception, SystemExit, KeyboardInterrupt)
"""Whatever a function raises is its outcome; the last two would end the node's loop."""


class InProcessPool(Service):
    """`threads`: how many sync functions may run at once; the others wait their turn. `may_begin`: whether nobody else can be
    at work for the same call by now; it is asked last, since finding a function and waiting for a thread take their time, and
    the node may have been given up meanwhile.
    """

    def __init__(self, threads: int = THREADS, may_begin: Callable[[], bool] = lambda: True) -> None:
        self._threads = threads
        self._may_begin = may_begin
        self._executor: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="interlock-step")

    async def stop(self) -> None:
        """Take nothing new; threads that still run are left to end by themselves."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Begin a call. A function that cannot be found, or is called wrongly, is an outcome of the class invalid."""
        assert isinstance(launch.target, PythonTarget)
        assert self._executor is not None
        try:
            call = await self._prepared(launch.target, launch.folder)
        except functions.Unusable as error:
            return _Call(_at_once(functions.invalid(str(error))))
        context = contextvars.copy_context()
        context.run(step_context.set, launch.environment)
        context.run(INSIDE.set, None)  # a workflow's function may have caused this launch; a step is outside of it
        if call.is_async:
            return _Call(self._run_async(call, launch), context)
        return _ThreadCall(launch, self._executor.submit(context.run, self._call, call))

    async def _run_async(self, prepared: functions.Prepared, launch: Launch) -> Outcome:
        return await _within(launch.timeout_seconds, self._called(prepared))

    async def _called(self, prepared: functions.Prepared) -> Outcome:
        if not self._may_begin():
            return Snoozed(_SNOOZE_SECONDS)
        try:
            return prepared.result(await prepared.call())
        except _ANYTHING as error:
            return prepared.failed(error)

    def _call(self, prepared: functions.Prepared) -> Outcome:
        """Call a sync function, in its thread."""
        if not self._may_begin():
            return Snoozed(_SNOOZE_SECONDS)
        try:
            return prepared.result(prepared.call())
        except _ANYTHING as error:
            return prepared.failed(error)

    async def _prepared(self, target: PythonTarget, folder: str) -> functions.Prepared:
        """Find the function: in a thread, since importing a module may take seconds, unless it is here already."""
        if registry.step(target.function) is not None:
            return functions.prepared(target, folder)
        return await asyncio.to_thread(functions.prepared, target, folder)

    def is_left(self, launch: Launch) -> bool:
        """A call ends with its process."""
        return False

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        raise errors.LeaseLost(f"the call {launch.attempt} ended with its process; nothing is left to adopt")


class _Call:
    """A call of an async function."""

    def __init__(self, work: Coroutine[Any, Any, Outcome], context: contextvars.Context | None = None) -> None:
        self._outcome: Outcome | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._coroutine = work
        self._task = asyncio.create_task(self._perform(), context=context)

    async def outcome(self) -> Outcome:
        while self._outcome is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return self._outcome

    async def _perform(self) -> None:
        try:
            self._settle(await self._coroutine)
        finally:
            self._settle(Cancelled())

    async def cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_STOP_SECONDS)
        if self._task.done():
            self._coroutine.close()  # it may never have begun
        self._settle(Cancelled(abandoned=not self._task.done()))

    async def forget(self) -> None:
        return

    async def detach(self) -> None:
        await self.cancel()

    def _settle(self, outcome: Outcome) -> None:
        """Fix the outcome; what comes later is refused."""
        if self._outcome is not None:
            return
        self._outcome = outcome
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class _ThreadCall(_Call):
    """A call of a sync function: once it runs, cancelling it only refuses its result."""

    def __init__(self, launch: Launch, work: Future[Outcome]) -> None:
        super().__init__(_within(launch.timeout_seconds, asyncio.wrap_future(work)))
        self._work = work

    async def cancel(self) -> None:
        if not self._task.done():
            never_ran = self._work.cancel()
            self._settle(Cancelled(abandoned=not never_ran))
            self._task.cancel()
            await asyncio.wait([self._task])
            self._coroutine.close()


async def _at_once(outcome: Outcome) -> Outcome:
    return outcome


async def _within(seconds: float | None, call: Awaitable[Outcome]) -> Outcome:
    if seconds is None:
        return await call
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        detail = f"it ran longer than {seconds:g} s"
        return Failed(FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail))
