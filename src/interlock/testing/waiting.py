"""Async objects for code that is not: their calls wait for the result, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from interlock.app.run import Run
from interlock.app.tokens import Tokens

_WRAPPED = (Run, Tokens)


class Waiting:
    """Has what the object behind it has; what is awaited there is waited for here."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop

    @classmethod
    @contextlib.contextmanager
    def opened(cls, manager: AbstractAsyncContextManager[Any]) -> Iterator[Waiting]:
        """Enter an async context on a loop of its own, and leave it at the end of the block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="interlock-waiting", daemon=True)
        thread.start()
        waiting = cls(manager, loop)
        try:
            waiting._wait(manager.__aenter__())
            try:
                yield waiting
            finally:
                waiting._wait(manager.__aexit__(None, None, None))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return self._shown(found)

        @functools.wraps(found)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._wait(found(*args, **kwargs))

        return call

    def _wait(self, given: Any) -> Any:
        if inspect.isawaitable(given):
            given = asyncio.run_coroutine_threadsafe(_awaited(given), self._loop).result()
        return self._shown(given)

    def _shown(self, given: Any) -> Any:
        if isinstance(given, list):
            return [self._shown(each) for each in given]
        return Waiting(given, self._loop) if isinstance(given, _WRAPPED) else given


async def _awaited(given: Any) -> Any:
    return await given
