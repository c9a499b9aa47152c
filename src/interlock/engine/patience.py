"""Waits for a store that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from interlock import errors, telemetry

_RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)  # between attempts

T = TypeVar("T")


class Patience:
    """Calls the store, again and again while it is away; without `patient`, the caller sees the error."""

    def __init__(self, node: str, *, patient: bool) -> None:
        self._node = node
        self._patient = patient

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        while True:
            try:
                return await call()
            except (errors.StoreUnavailable, errors.StoreFull) as error:
                if not self._patient:
                    raise
                telemetry.emit("store.away", node=self._node, error=error)
                await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                attempt += 1
