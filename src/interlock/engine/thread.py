"""The thread in which the function of a sync workflow spends its life, waiting."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, Final

_PAUSE_SECONDS: Final = 0.05  # that a function is given to come to its next call


class Thread:
    """Calls a function in a thread of its own, in the context of the caller. `ended`: called on the loop when it is over.

    Nobody can stop a thread, so it keeps no process alive.
    """

    def __init__(self, name: str, function: Callable[[], Any], ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Any] = self._loop.create_future()
        self._ended = ended
        context = contextvars.copy_context()

        def work() -> None:
            value, failure = None, None
            try:
                value = context.run(function)
            except BaseException as error:  # noqa: BLE001 (it is raised where the function's end is awaited)
                failure = error
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._settle, value, failure)

        self._thread = threading.Thread(target=work, name=f"interlock-workflow-{name}", daemon=True)
        self._thread.start()

    def _settle(self, value: Any, failure: BaseException | None) -> None:
        self._ended()
        if self.result.done():
            return
        if failure is None:
            self.result.set_result(value)
        else:
            self.result.set_exception(RuntimeError(str(failure)) if isinstance(failure, StopIteration) else failure)

    @property
    def is_current(self) -> bool:
        """Whether this is called in the thread."""
        return threading.current_thread() is self._thread

    @property
    def ident(self) -> int | None:
        return self._thread.ident


async def paused(busy: asyncio.Event, waits: Callable[[], bool]) -> None:
    """Wait until the function has come to a call, or to its end; one that computes is not waited for.

    `waits`: whether it has. `busy` is set whenever it does something.
    """
    for _ in range(2):
        await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    end = loop.time() + _PAUSE_SECONDS
    while not waits():
        busy.clear()
        left = end - loop.time()
        if left <= 0:
            return
        try:
            async with asyncio.timeout(left):
                await busy.wait()
        except TimeoutError:
            return
    for _ in range(2):
        await asyncio.sleep(0)


__all__ = ["Thread", "paused"]
