"""What effects did, kept by the effects themselves, outside of everything that can crash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from interlock.pool.launcher import Launch

LAUNCH: Final[ContextVar[Launch | None]] = ContextVar("LAUNCH", default=None)
"""What the effect that runs here was launched with."""


@dataclass(slots=True, eq=False)
class Entry:
    """One execution of an effect. `run`: the id of its run; `undoes`: it undoes the effect of this label."""

    at: str
    run: str
    path: str
    launch: str
    actor: str
    started: float
    number: int
    undoes: bool = False
    ended: float | None = None
    outcome: str = ""


@dataclass(slots=True)
class Ledger:
    """`time`: of the world. `problems`: what an effect saw that must not be."""

    time: Callable[[], float]
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failures: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How often an effect that is to fail at first did so."""
    tokens: dict[str, str] = field(default_factory=dict)
    """The texts that were handed out, by label."""
    remembered: set[str] = field(default_factory=set)
    """The effects that write to shared memory when they are done, by label."""

    def begin(self, at: str, actor: object, *, undoes: bool = False) -> Entry:
        launch = LAUNCH.get()
        environment = {} if launch is None else launch.environment
        entry = Entry(
            at=at,
            run=environment.get("INTERLOCK_RUN", "?"),
            path=environment.get("INTERLOCK_STEP", "?"),
            launch="?" if launch is None else launch.attempt,
            actor=str(actor),
            started=self.time(),
            number=len(self.entries),
            undoes=undoes,
        )
        self.entries.append(entry)
        return entry

    def end(self, entry: Entry, outcome: str) -> None:
        entry.ended = self.time()
        entry.outcome = outcome

    def of(self, at: str, *, undoes: bool = False) -> list[Entry]:
        return [entry for entry in self.entries if entry.at == at and entry.undoes is undoes]


CURRENT: Ledger | None = None
"""That of the world that is simulated now: effects are plain functions, and there is one world at a time."""


def current() -> Ledger:
    assert CURRENT is not None
    return CURRENT
