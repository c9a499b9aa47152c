"""Whoever has the work of the storm done: stores runs and answers their tokens, whatever becomes of the store."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from chaos import marks, works
from chaos.works import Work, Works
from interlock import errors
from interlock.app.session import Session
from interlock.app.tokens import Tokens

T = TypeVar("T")

_PAUSE_SECONDS = 0.05
_LOOK_SECONDS = 0.1


class Patron:
    """Starts works through one store URL. A call that fails is repeated: the same start is one run, the same report one."""

    def __init__(self, url: str, folder: Path, of: Works, seed: int) -> None:
        self._settings = works.settings(url)
        self._works = of
        self._random = random.Random(seed)
        self._ledger = marks.Reader(folder)
        self.accepted: dict[str, Work] = {}
        self.answers: dict[str, int] = {}
        """By run id, what was reported to its token: by exactly one of two who tried."""
        self.wrong: list[str] = []

    async def start(self, runs: int, per_second: float) -> None:
        """Have so many works done, begun evenly."""
        begin = time.monotonic()
        async with Session.open(self._settings) as app:
            await works.publish(app)
            for number in range(runs):
                await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
                work = self._works.work(number)
                await _until_it_is_there(lambda: self._works.start(app, work))  # noqa: B023 (awaited here)
                self.accepted[work.id] = work

    async def answer(self) -> None:
        """Report to each token that is handed out, for ever; two at once, of whom one comes first."""
        seen: set[str] = set()
        async with Session.open(self._settings) as app, asyncio.TaskGroup() as group:
            while True:
                for mark in self._ledger.more():
                    if mark.what == marks.BEGIN and "/hand_out" in mark.step and mark.key not in seen:
                        seen.add(mark.key)
                        group.create_task(self._answer(Tokens(app, works.NAMESPACE), mark.run, mark.said))
                await asyncio.sleep(_LOOK_SECONDS)

    async def _answer(self, tokens: Tokens, run: str, text: str) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 1.0))  # as those do who are asked
        answers = [self._random.randrange(1_000_000) for _ in range(2)]
        won = await asyncio.gather(*[self._reported(tokens, text, answer) for answer in answers])
        if sum(won) != 1:
            self.wrong.append(f"{sum(won)} of two different reports to the token of {run} were accepted")
        self.answers[run] = answers[won.index(True)] if any(won) else -1

    @staticmethod
    async def _reported(tokens: Tokens, text: str, answer: int) -> bool:
        """Say whether this is the report that counts."""
        try:
            await _until_it_is_there(lambda: tokens.complete(text, answer))
        except errors.Conflict:
            return False
        return True


async def _until_it_is_there(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except (errors.StoreUnavailable, errors.StoreFull):
            await asyncio.sleep(_PAUSE_SECONDS)
