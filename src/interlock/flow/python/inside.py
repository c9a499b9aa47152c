"""What a workflow function finds around it while it runs, and how its calls reach it.

A function of a workflow runs in a context that has an `Inside`; steps run in one that does not, and neither does any other
code of the program: there a step is the plain function it was made of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, Protocol, TypeVar

from interlock import errors
from interlock.model.call import Call, Show
from interlock.model.json import Json
from interlock.service import Clock

T = TypeVar("T")


class Inside(Protocol):
    """A workflow that runs. `ask` and `gathered` from its loop only; the others from its thread too."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def run(self) -> str:
        """The run's key, unique in the store."""
        ...

    @property
    def id(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def clock(self) -> Clock:
        """Where time, chance and ids come from, before they are remembered."""
        ...

    async def ask(self, name: str, key: str, call: Call, arguments: Json) -> Json:
        """Give the output of a call: the one it gave before, or else that of making it. Raises what it failed with.

        `name` and `key` are its identity; calls with the same are numbered.
        """
        ...

    async def gathered(self, all: asyncio.Future[T]) -> T:
        """Await `all`, which does nothing but wait for calls that are made in tasks of their own (`alone`)."""
        ...

    def alone(self, call: Awaitable[T]) -> asyncio.Task[T]:
        """Make a call in a task of its own."""
        ...

    def note(self, name: str, key: str, make: Callable[[], Json]) -> Json:
        """Give what was made under this identity before, or else make it now and remember it."""
        ...

    def is_patched(self, name: str) -> bool: ...

    def show(self, show: Show) -> None: ...

    def renew(self, arguments: dict[str, Json]) -> None: ...

    async def token(self, token: str) -> str:
        """Give the text that proves the right to report for `token`, once it is issued for good."""
        ...


class Leaving(BaseException):
    """The run leaves this process, or begins anew: its function ends here, and nothing that it does now counts.

    No `Exception`, so that no handler of the workflow takes it for a failure.
    """


WAITING: Final = frozenset({"gather", "sleep", "sleep_until", "wait_for_event", "token", "run_workflow"})
"""The functions for workflows that wait; the others answer at once."""

INSIDE: Final[ContextVar[Inside | None]] = ContextVar("interlock_inside", default=None)


def here(what: str) -> Inside:
    """Give the workflow that runs here. Raises Invalid outside of one, naming `what` was wanted."""
    inside = INSIDE.get()
    if inside is None:
        raise errors.Invalid(f"`{what}` is for workflow functions; it was used outside of a running workflow")
    return inside
