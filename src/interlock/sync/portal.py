"""A loop in a thread of its own, and the way into it: what lets programs without a loop wait for coroutines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from interlock import errors

T = TypeVar("T")

_START_SECONDS: Final = 30.0


class Portal:
    """A loop in a thread of its own, and the way into it. Any number of threads may call."""

    def __init__(self) -> None:
        self._ready: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="interlock-loop", daemon=True)
        self._thread.start()
        self._loop = self._ready.result(_START_SECONDS)

    async def _serve(self) -> None:
        self._ready.set_result(asyncio.get_running_loop())
        await self._closed.wait()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result; who is interrupted stops it.

        Raises Invalid on the loop itself, where waiting would never end, and after `close`.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise errors.Invalid(
                "this would wait for the loop that it runs on: in async functions use the class of this name in `interlock`"
            )
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:  # the loop is closed
            work.close()
            raise errors.Invalid("what this belongs to was closed; open it again") from error
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def is_closed(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the loop; safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closed.set)
            self._thread.join()


async def within(work: Callable[[], Awaitable[object]], seconds: float | None) -> bool:
    """Await something for so many seconds at most, None for ever; False: it had not ended by then."""
    try:
        async with asyncio.timeout(seconds):
            await work()
    except TimeoutError:
        return False
    return True
