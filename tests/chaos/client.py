"""Whoever stores runs: goes on until each is accepted, whatever becomes of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from chaos import load
from chaos.cluster import until
from interlock import config, errors
from interlock.app.session import Session

_PAUSE_SECONDS = 0.05


class Client:
    """Starts runs in a folder by a store of its own; a start that fails is repeated, since the same start is one run."""

    def __init__(self, url: str, folder: Path, looking: str | None = None) -> None:
        """`looking`: where to look for what became of the runs, without what stands before the server."""
        self._settings = _settings(url)
        self._looking = _settings(looking or url)
        self._folder = folder
        self.seeds: dict[str, int] = {}
        self.waits: list[float] = []
        """Seconds that each accepted start took, in their order."""

    async def publish(self) -> None:
        async with Session.open(self._settings) as app:
            await app.publish(load.CHILD, None)

    async def start(self, count: int, seconds: float) -> None:
        """Start so many more runs, spread evenly over the time."""
        await self._start_each(seconds / count, lambda started: started < count)

    async def start_until(self, enough: asyncio.Event, per_second: float) -> None:
        """Start more runs for as long as it takes."""
        await self._start_each(1 / per_second, lambda _: not enough.is_set())

    async def _start_each(self, every: float, wanted: Callable[[int], bool]) -> None:
        begin, first = time.monotonic(), len(self.seeds)
        async with Session.open(self._settings) as app:
            while wanted(len(self.seeds) - first):
                number = len(self.seeds) - first
                await asyncio.sleep(max(0.0, begin + every * number - time.monotonic()))
                await self._start(app, first + number)

    async def _start(self, app: Session, seed: int) -> None:
        run = f"run-{seed}"
        begin = time.monotonic()
        while True:
            try:
                await app.start(load.document(seed), input={}, id=run, folder=self._folder, detach=True)
            except errors.StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self.waits.append(time.monotonic() - begin)
                self.seeds[run] = seed
                return

    async def all_have_ended(self, seconds: float) -> None:
        async with Session.open(self._looking) as app:

            async def none_is_live() -> bool:
                try:
                    return not (await app.store.views.counts())["live runs"]
                except errors.StoreUnavailable:
                    return False

            await until(none_is_live, seconds)


def _settings(url: str) -> config.Settings:
    return config.Settings(store=config.Store(url=url), python=config.Python(allow=(load.MODULE,)))
