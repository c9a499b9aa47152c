"""Runs Python functions inside the node: async ones on its loop, sync ones in a pool of threads.

A thread cannot be stopped. When a sync function is cancelled its outcome is Cancelled(abandoned=True) at once and what it
returns later is refused, but its slot stays taken until it does: the pool never runs more threads than it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from interlock.flow import functions
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Cancelled, Failed, FailureClass, Outcome, PythonTarget
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import Service

THREADS: Final = 16
_STOP_SECONDS: Final = 1.0  # an async function that ignores its cancellation this long is abandoned


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
        try:
            function = functions.find(launch.target.function, launch.folder)
            functions.check_call(function, launch.target)
        except functions.Unusable as error:
            return _Call(asyncio.create_task(_at_once(functions.invalid(str(error)))))
        if inspect.iscoroutinefunction(function):
            return _Call(asyncio.create_task(_run_async(function, launch)))
        return _ThreadCall(asyncio.create_task(self._run_sync(function, launch)))

    async def _run_sync(self, function: Callable[..., Json], launch: Launch) -> Outcome:
        assert isinstance(launch.target, PythonTarget)
        arguments = launch.target.arguments

        def call() -> Outcome:
            try:
                return functions.result(function(**arguments))
            except Exception as error:  # noqa: BLE001 (whatever the function raises is its outcome)
                return functions.failed(error)

        loop = asyncio.get_running_loop()
        assert self._executor is not None
        return await _within(launch.timeout_seconds, loop.run_in_executor(self._executor, call))


class _Call:
    """A call of an async function."""

    def __init__(self, task: asyncio.Task[Outcome]) -> None:
        self._task = task
        self._cancelled: Outcome | None = None

    async def outcome(self) -> Outcome:
        if self._cancelled is None:
            await asyncio.wait([self._task])
        if self._cancelled is not None:
            return self._cancelled
        return Cancelled() if self._task.cancelled() else self._task.result()

    async def cancel(self) -> None:
        if self._task.done():
            return
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_STOP_SECONDS)
        if not self._task.done():
            self._cancelled = Cancelled(abandoned=True)


class _ThreadCall(_Call):
    """A call of a sync function: cancelling it only refuses its result."""

    async def cancel(self) -> None:
        if not self._task.done():
            self._cancelled = Cancelled(abandoned=True)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


async def _at_once(outcome: Outcome) -> Outcome:
    return outcome


async def _run_async(function: Callable[..., Json], launch: Launch) -> Outcome:
    assert isinstance(launch.target, PythonTarget)

    async def call() -> Outcome:
        assert isinstance(launch.target, PythonTarget)
        try:
            return functions.result(await function(**launch.target.arguments))
        except Exception as error:  # noqa: BLE001 (whatever the function raises is its outcome)
            return functions.failed(error)

    return await _within(launch.timeout_seconds, call())


async def _within(seconds: float | None, call: asyncio.Future[Outcome] | object) -> Outcome:
    try:
        async with asyncio.timeout(seconds):
            return await call  # type: ignore[misc,no-any-return]
    except TimeoutError:
        detail = f"it ran longer than {seconds} s"
        return Failed(FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail))
