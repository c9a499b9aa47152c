"""The thread in which the function of a sync workflow spends its life, waiting."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any


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


__all__ = ["Thread"]
