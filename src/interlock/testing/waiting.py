"""Async objects for tests that are not: their calls wait for the result, on a loop in a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from interlock.app.run import Run
from interlock.app.tokens import Tokens
from interlock.sync import Portal

_SHOWN: Final = (Run, Tokens)


class Waiting:
    """Has what the object behind it has; what is to be awaited there is waited for here."""

    def __init__(self, inner: Any, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    @classmethod
    @contextlib.contextmanager
    def opened(cls, manager: AbstractAsyncContextManager[Any]) -> Iterator[Waiting]:
        """Enter an async context on a loop of its own, and leave it at the end of the block."""
        portal = Portal()
        try:
            portal.call(_awaited(manager.__aenter__()))
            try:
                yield cls(manager, portal)
            finally:
                portal.call(_awaited(manager.__aexit__(None, None, None)))
        finally:
            portal.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return self._shown(found)

        @functools.wraps(found)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = found(*args, **kwargs)
            return self._shown(self._portal.call(_awaited(given)) if inspect.isawaitable(given) else given)

        return call

    def _shown(self, given: Any) -> Any:
        if isinstance(given, list):
            return [self._shown(each) for each in given]
        return Waiting(given, self._portal) if isinstance(given, _SHOWN) else given


async def _awaited(given: Awaitable[Any]) -> Any:
    return await given
