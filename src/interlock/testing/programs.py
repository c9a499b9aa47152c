"""Watches the functions of workflows: who asks for what, in which branch, and what they ask for after they were put away."""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Final, TypeVar

import interlock
from interlock.engine.python import Program
from interlock.engine.unwinding import is_on_the_way_out
from interlock.flow.python.workflow import Workflow
from interlock.model.call import Call
from interlock.model.json import Json
from interlock.service import Clock

T = TypeVar("T")

_OURS: Final = tuple(str(Path(str(module.__file__)).parent) for module in (interlock, asyncio))
_BRANCH: Final[ContextVar[tuple[int, ...]]] = ContextVar("interlock_branch", default=())
_SITE: Final[ContextVar[Site | None]] = ContextVar("interlock_site", default=None)
"""Where the calls were gathered that this task makes one of."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place in somebody's code."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that a function made. `branch`: which of the gathered calls it is part of, however these end."""

    run: str
    name: str
    base: str
    identity: str
    branch: tuple[object, ...]
    site: Site
    workflow: Workflow[Any, Any]


@dataclass(slots=True, eq=False)
class Watcher:
    """What was seen of the functions of one Interlock. `seed`: of what they take for chance."""

    clock: Clock
    seed: int | str = 0
    asked: list[Asked] = field(default_factory=list)
    late: list[Asked] = field(default_factory=list)
    """Calls that were made while the function was being put away: nobody performs them."""
    programs: list[Program] = field(default_factory=list)
    moments: dict[str, Json] = field(default_factory=dict)
    """What time it was for who asked, by run and identity; so that a repetition is told the same."""

    def program(self) -> type[Program]:
        """Give the class that drives functions so that they are seen here."""
        watcher = self

        class Watched(WatchedProgram):
            seen_by = watcher

        return Watched


class WatchedProgram(Program):
    """The function of one run, watched."""

    seen_by: ClassVar[Watcher]

    def __init__(self, workflow: Workflow[Any, Any], **given: Any) -> None:
        super().__init__(workflow, **given)
        self._of = workflow
        self._children: dict[tuple[int, ...], int] = {}
        self._labels: dict[int, int] = {}
        self.seen_by.programs.append(self)

    def noted(self, identity: str, make: Callable[[], Json]) -> Json:
        """Make up what comes from the clock or from chance, the same for the same run and identity."""
        seen, about = self.seen_by, f"{self.id}:{identity}"
        chance = random.Random(f"{seen.seed}:{about}")  # noqa: S311 (repeatable on purpose)
        match identity.partition(":")[0]:
            case "now":
                return seen.moments.setdefault(about, seen.clock.now())
            case "random":
                return chance.random()
            case "uuid":
                return str(uuid.UUID(int=chance.getrandbits(128), version=4))
            case "token":
                return uuid.UUID(int=chance.getrandbits(128), version=4).hex
            case _:
                return make()

    def alone(self, call: Awaitable[T]) -> asyncio.Task[T]:
        around, site = _BRANCH.get(), _site()
        number = self._children[around] = self._children.get(around, 0) + 1

        async def branched() -> T:
            _BRANCH.set((*around, number))
            _SITE.set(site)
            return await call

        return super().alone(branched())

    async def ask(self, name: str, key: str, call: Call, arguments: Json) -> Json:
        if self.closed and (self.thread is None or is_on_the_way_out(self.thread)):
            self.seen_by.late.append(self._seen(name, name, name))
        return await super().ask(name, key, call, arguments)

    def _identity(self, name: str, key: str) -> str:
        identity = super()._identity(name, key)
        self.seen_by.asked.append(self._seen(name, identity.partition("#")[0], identity))
        return identity

    def _seen(self, name: str, base: str, identity: str) -> Asked:
        branch: tuple[object, ...] = (*_BRANCH.get(), self._label())
        site = _site() or _SITE.get() or _beginning(self._of)
        return Asked(run=self.id, name=name, base=base, identity=identity, branch=branch, site=site, workflow=self._of)

    def _label(self) -> int:
        """Number the tasks that a function makes itself, in the order in which they first make a call."""
        task = asyncio.current_task() if asyncio._get_running_loop() is self.loop else None
        return self._labels.setdefault(id(task), len(self._labels)) if not _BRANCH.get() else 0


def _site() -> Site | None:
    """Find the innermost line of somebody's code that leads here; None in a task that only makes the call."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_OURS):
            return Site(file, frame.f_lineno)
        frame = frame.f_back
    return None


def _beginning(workflow: Workflow[Any, Any]) -> Site:
    code = workflow.function.__code__
    return Site(code.co_filename, code.co_firstlineno)
