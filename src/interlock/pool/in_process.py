"""Runs Python functions inside the node: async ones on its loop, sync ones in a pool of threads.

A thread cannot be stopped. When a sync function is cancelled its outcome is Cancelled(abandoned=True) at once and what it
returns later is refused, but its slot stays taken until it does: the pool never runs more threads than it has.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from interlock import errors
from interlock.flow import functions
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Cancelled, Failed, FailureClass, Outcome, PythonTarget
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import Service

THREADS: Final = 16
_STOP_SECONDS: Final = 1.0  # an async function that ignores its cancellation this long is abandoned

_ANYTHING: Final = (Exception, SystemExit, KeyboardInterrupt)
"""Whatever a function raises is its outcome; the last two would end the node's loop."""


class InProcessPool(Service):
    """`threads`: how many sync functions may run at once; the others wait their turn."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads
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
        try:  # in a thread, since importing a module may take seconds
            function = await asyncio.to_thread(_callable, launch.target, launch.folder)
        except functions.Unusable as error:
            return _Call(asyncio.create_task(_at_once(functions.invalid(str(error)))))
        if inspect.iscoroutinefunction(function):
            return _Call(asyncio.create_task(_run_async(function, launch)))
        return _ThreadCall(launch, self._executor.submit(_call, function, launch.target))

    def is_left(self, launch: Launch) -> bool:
        """A call ends with its process."""
        return False

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        raise errors.LeaseLost(f"the call {launch.attempt} ended with its process; nothing is left to adopt")


class _Call:
    """A call of an async function."""

    def __init__(self, task: asyncio.Task[Outcome]) -> None:
        self._task = task
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        task.add_done_callback(lambda task: self._settle(Cancelled() if task.cancelled() else task.result()))

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self._outcome)

    async def cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_STOP_SECONDS)
        self._settle(Cancelled(abandoned=True))

    async def forget(self) -> None:
        return

    async def detach(self) -> None:
        await self.cancel()

    def _settle(self, outcome: Outcome) -> None:
        """Fix the outcome; what comes later is refused."""
        if not self._outcome.done():
            self._outcome.set_result(outcome)


class _ThreadCall(_Call):
    """A call of a sync function: once it runs, cancelling it only refuses its result."""

    def __init__(self, launch: Launch, work: Future[Outcome]) -> None:
        super().__init__(asyncio.create_task(_within(launch.timeout_seconds, asyncio.wrap_future(work))))
        self._work = work

    async def cancel(self) -> None:
        if not self._task.done():
            never_ran = self._work.cancel()
            self._settle(Cancelled(abandoned=not never_ran))
            self._task.cancel()
            await asyncio.wait([self._task])


def _call(function: Callable[..., Json], target: PythonTarget) -> Outcome:
    try:
        return functions.result(function(**target.arguments))
    except _ANYTHING as error:
        return functions.failed(error)


def _callable(target: PythonTarget, folder: str) -> Callable[..., Json]:
    function = functions.find(target.function, folder)
    functions.check_call(function, target)
    return function


async def _at_once(outcome: Outcome) -> Outcome:
    return outcome


async def _run_async(function: Callable[..., Json], launch: Launch) -> Outcome:
    assert isinstance(launch.target, PythonTarget)

    async def call() -> Outcome:
        assert isinstance(launch.target, PythonTarget)
        try:
            return functions.result(await function(**launch.target.arguments))
        except _ANYTHING as error:
            return functions.failed(error)

    return await _within(launch.timeout_seconds, call())


async def _within(seconds: float | None, call: Awaitable[Outcome]) -> Outcome:
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        detail = f"it ran longer than {seconds:g} s"
        return Failed(FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail))
