"""A workflow that seems to run here: what is asked of it is written down, and answered from what a test laid out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from interlock.flow.python.inside import INSIDE
from interlock.model.call import Call, Show
from interlock.model.json import Json


class Fixed:
    """A clock that stands, and a chance that always gives the middle."""

    def now(self) -> float:
        return 1000.0

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class Fake:
    """An `Inside` without an engine. `asked`: the calls, as (name, key, call, arguments). `answer`: what each gives. Notes are
    numbered by nobody: a second one of the same name and key is the first, as when a run is resumed."""

    run, id, namespace = "run", "id", "shop"

    def __init__(self, answer: Json = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Call, Json]] = []
        self.shown: list[Show] = []
        self.noted: dict[tuple[str, str], Json] = {}
        self.patches: set[str] = set()
        self.clock = Fixed()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def ask(self, name: str, key: str, call: Call, arguments: Json) -> Json:
        self.asked.append((name, key, call, arguments))
        return self.answer

    async def gathered(self, all: asyncio.Future[Any]) -> Any:
        return await all

    def alone(self, call: Awaitable[Any]) -> asyncio.Task[Any]:
        return asyncio.ensure_future(call)  # type: ignore[return-value]  # coroutines become tasks

    def note(self, name: str, key: str, make: Callable[[], Json]) -> Json:
        if (name, key) not in self.noted:
            self.noted[name, key] = make()
        return self.noted[name, key]

    def is_patched(self, name: str) -> bool:
        return name in self.patches

    def show(self, show: Show) -> None:
        self.shown.append(show)


@contextmanager
def inside(answer: Json = None) -> Iterator[Fake]:
    """Let what is called here find itself in a workflow."""
    fake = Fake(answer)
    token = INSIDE.set(fake)  # type: ignore[arg-type]  # what no test asks for is left out
    try:
        yield fake
    finally:
        INSIDE.reset(token)
