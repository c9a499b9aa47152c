"""Server-sent events: a stream that goes on where it broke, and ends by itself when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import Request
from starlette.responses import StreamingResponse

from interlock import errors
from interlock.model import json
from interlock.server.access import may_go_on
from interlock.server.gateway import Gateway

MEDIA_TYPE: Final = "text/event-stream"
_KEEP_ALIVE_SECONDS: Final = 15.0
"""Between signs of life on a silent stream: what is in between closes connections after half a minute or more."""
_RETRY_MILLISECONDS: Final = 1000


class Item:
    """One event of a stream. `id`: where to go on after it."""

    __slots__ = ("data", "id", "name")

    def __init__(self, name: str, data: Any, id: str | None = None) -> None:
        self.name = name
        self.data = data
        self.id = id

    def __bytes__(self) -> bytes:
        head = f"event: {self.name}\n" + ("" if self.id is None else f"id: {self.id}\n")
        return head.encode() + b"data: " + json.encode(self.data) + b"\n\n"


def stream(gateway: Gateway, items: AsyncIterator[Item], request: Request) -> StreamingResponse:
    """Give a response of events. An error in the middle is an event `problem`, after which it ends.

    It ends too when who sent the request may not see it any more: nothing is told after that.
    """
    return StreamingResponse(
        _bytes(gateway, items, request),
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _bytes(gateway: Gateway, items: AsyncIterator[Item], request: Request) -> AsyncIterator[bytes]:
    yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
    closing = asyncio.create_task(gateway.closing.wait())
    upcoming: asyncio.Task[Item] | None = None
    try:
        while not gateway.closing.is_set():
            upcoming = upcoming or asyncio.create_task(_next(items))
            await asyncio.wait({upcoming, closing}, timeout=_KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                yield b": alive\n\n"
                continue
            done, upcoming = upcoming, None
            try:
                item = done.result()
                if not await may_go_on(request):
                    break
            except StopAsyncIteration:
                break
            except errors.InterlockError as error:
                yield bytes(Item("problem", {"detail": str(error)}))
                break
            yield bytes(item)
    finally:
        closing.cancel()
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.wait({upcoming})
        closed = getattr(items, "aclose", None)
        if closed is not None:
            with contextlib.suppress(RuntimeError):  # it is being closed by the cancellation above
                await closed()


async def _next(items: AsyncIterator[Item]) -> Item:
    return await anext(items)


def resumed(request: Request, after: int) -> int:
    """Give where a numbered stream goes on: what the browser says it had last, else `after`."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isdecimal() and len(last) < 19 else after
