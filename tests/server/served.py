"""A server in a thread of its own, and the commands of this one: with --server, and the same at its store."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import os
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import main
from interlock.cli.options import options
from server import site as sites
from server.site import Site

_SECONDS = 180.0


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Served:
    """A server in a thread of its own, and the commands of this one."""

    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop, capture: pytest.CaptureFixture[str]) -> None:
        self.site = site
        self._loop = loop
        self._capture = capture

    def ask(self, work: Callable[[Site], Awaitable[object]]) -> object:
        """Do something at the server's store."""

        async def doing() -> object:
            return await work(self.site)

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(_SECONDS)

    def begin(self, work: Callable[[Site], Coroutine[Any, Any, None]]) -> concurrent.futures.Future[None]:
        """Begin to do something at the server's store."""
        return asyncio.run_coroutine_threadsafe(work(self.site), self._loop)

    def far(self, *arguments: str) -> Ended:
        """Type a command that asks the server."""
        return self.typed("--server", self.site.url, *arguments)

    def near(self, *arguments: str) -> Ended:
        """Type the same at its store."""
        return self.typed("--store", self.site.session.settings.store.url, *arguments)

    def typed(self, *arguments: str) -> Ended:
        options.store = options.server = options.namespace = None
        options.debug = False
        self._capture.readouterr()
        code = main.outcome(list(arguments))
        out, err = self._capture.readouterr()
        return Ended(code, out, err)


@pytest.fixture
def served(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for name in os.environ:
        if name.startswith(("INTERLOCK_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    opened: list[tuple[Site, asyncio.AbstractEventLoop]] = []
    is_open = threading.Event()
    closing: list[asyncio.Event] = []

    async def serve() -> None:
        async with sites.opened(tmp_path) as site:
            closing.append(asyncio.Event())
            opened.append((site, asyncio.get_running_loop()))
            is_open.set()
            await closing[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert is_open.wait(_SECONDS)
        yield Served(*opened[0], capsys)
    finally:
        if opened:
            opened[0][1].call_soon_threadsafe(closing[0].set)
        thread.join(_SECONDS)


def plain(text: str) -> str:
    """Give what was printed without what the time between two commands changes."""
    text = re.sub(r"started +took", "started took", text)  # the columns are as wide as the spans
    return re.sub(r" *\b\d+(\.\d+)? ?(ms|s|m|h|d)\b( \d+ (ms|s|m|h)\b)?( ago)?", " SPAN", text)
