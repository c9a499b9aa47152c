"""Functions inside the node: the suite for functions, and what a thread cannot do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.model.task import Cancelled, Done, Failed, FailureClass, PythonTarget, Snoozed
from interlock.pool.in_process import InProcessPool
from interlock.pool.launcher import Running
from pool.conformance import Attempts, FunctionConformance, attempts
from pool.conftest import until

__all__ = ["attempts"]

WAITING = [("linger", {"seconds": 0}), ("later", {"value": 1})]


@pytest.fixture
async def launcher() -> AsyncIterator[InProcessPool]:
    pool = InProcessPool(threads=2)
    await pool.start()
    yield pool
    await pool.stop()
    await pool.stop()


class TestInProcessPool(FunctionConformance):
    """The suite for functions. An abandoned one goes on in its thread, which Python waits for at its end."""

    slack = 20.0
    endless = 25.0

    async def lingering(self, attempts: Attempts, seconds: float, nth: int = 1) -> Running:
        """Start a sync function and wait until it runs."""
        target = PythonTarget(function=f"{self.module}:linger", arguments={"seconds": seconds})
        running = await attempts.start(target)
        await until(lambda: started(attempts) == nth, "it does not run")
        return running

    @pytest.fixture(autouse=True)
    def _in_its_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    async def test_cancelled_sync_function_is_abandoned_at_once(self, attempts: Attempts) -> None:
        running = await self.lingering(attempts, 12)
        before = time.monotonic()
        await running.cancel()
        assert await running.outcome() == Cancelled(abandoned=True)
        assert time.monotonic() - before < 10
        await running.cancel()
        assert await running.outcome() == Cancelled(abandoned=True)

    async def test_abandoned_function_keeps_its_slot_until_it_returns(self, attempts: Attempts) -> None:
        first, second = await self.lingering(attempts, 0.8), await self.lingering(attempts, 0.8, nth=2)
        await first.cancel()
        await second.cancel()
        before = time.monotonic()
        assert await attempts.run(self.call("add", a=1)) == Done({"sum": 2})
        assert time.monotonic() - before > 0.2

    async def test_late_result_of_an_abandoned_function_is_refused(self, attempts: Attempts) -> None:
        running = await self.lingering(attempts, 0.1)
        await running.cancel()
        await attempts.run(self.call("sleep", seconds=0.3))
        assert await running.outcome() == Cancelled(abandoned=True)

    async def test_function_that_waits_for_a_thread_is_cancelled_whole(self, attempts: Attempts) -> None:
        for nth in (1, 2):
            await self.lingering(attempts, 0.4, nth)
        waiting = await attempts.start(self.call("linger", seconds=0))
        await waiting.cancel()
        assert await waiting.outcome() == Cancelled()
        await attempts.run(self.call("add", a=1))
        assert started(attempts) == 2

    async def test_async_function_that_ignores_its_cancellation_is_abandoned(self, attempts: Attempts) -> None:
        running = await attempts.start(self.call("stubborn", seconds=12))
        waiting = asyncio.create_task(running.outcome())
        await asyncio.sleep(0)
        before = time.monotonic()
        await running.cancel()
        assert await waiting == await running.outcome() == Cancelled(abandoned=True)
        assert time.monotonic() - before < 10

    async def test_function_is_not_called_once_the_node_is_in_doubt(
        self, attempts: Attempts, launcher: InProcessPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It waited for a thread, or for its module, and somebody else may be at work for the same call by now."""
        for nth in (1, 2):
            await self.lingering(attempts, 0.4, nth)
        waiting = [await attempts.start(self.call(name, **given)) for name, given in WAITING]
        monkeypatch.setattr(launcher, "_may_begin", lambda: False)
        for running in waiting:
            assert isinstance(await running.outcome(), Snoozed)
        assert started(attempts) == 2

    async def test_module_of_another_folder_is_not_taken_for_ones_own(self, attempts: Attempts) -> None:
        assert await attempts.run(self.call("add", a=1)) == Done({"sum": 2})
        other = attempts.folder / "other"
        other.mkdir()
        (other / f"{self.module}.py").write_text("def add(a): return 'another'")
        outcome = await attempts.run(self.call("add", a=1), folder=str(other))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID
        assert "run the step isolated" in str(outcome.fault.detail)


def started(attempts: Attempts) -> int:
    """Give how many functions have begun to linger."""
    mark = attempts.folder / "lingering"
    return len(mark.read_text()) if mark.exists() else 0
