"""What the engine needs to execute runs, and what it keeps of each run that this node owns."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from interlock.engine.cause import Cause
from interlock.engine.python import Program
from interlock.engine.state import RunState
from interlock.expr.evaluation import Answer
from interlock.expr.evaluation import Request as Evaluate
from interlock.flow.graph import Graph
from interlock.flow.python.workflow import Workflow
from interlock.model.memo import Memo
from interlock.model.task import EffectRequest, Outcome, Place
from interlock.secrets.bound import Bound
from interlock.secrets.markers import Markers
from interlock.store.ports import Committed, NewRun


class Graphs(Protocol):
    """Gives the graph of a definition by its digest; compiled once and kept."""

    async def graph(self, digest: str) -> Graph: ...


class Evaluates(Protocol):
    async def evaluate(self, request: Evaluate) -> Answer: ...


class Keeps(Protocol):
    """Gives the secrets that a run's definition declares, and what stands for them in its data."""

    async def bound(self, run: str, names: tuple[str, ...]) -> Bound: ...

    async def markers(self, run: str) -> Markers:
        """Give the markers of a run. Raises Invalid where no store key was ever configured, Environment where it is away."""
        ...


class Workflows(Protocol):
    """Finds the functions of Python workflows."""

    async def workflow(self, graph: Graph, place: Place) -> Workflow[Any, Any]:
        """Give the workflow that executes the runs of a definition. Raises CannotExecute when this process has none."""
        ...

    async def sign(self, namespace: str, token: str) -> str:
        """Give the text that proves the right to report for a token. Raises Invalid where no store key is configured."""
        ...


class Performs(Protocol):
    """Performs effects in this node."""

    async def perform(self, request: EffectRequest, place: Place) -> Outcome:
        """Give the outcome. Cancelling the call stops the work where it can be stopped."""
        ...


class Refuses(Protocol):
    """Decides whether this node can execute a run, and takes back those that it cannot."""

    async def reason(self, graph: Graph, place: Place) -> str | None:
        """Say why this node cannot execute a run; None when it can."""
        ...

    def refuse(self, run: str, epoch: int, definition: str, reason: str) -> None:
        """Give a run back that this node cannot execute, for another one to claim."""
        ...


@dataclass(slots=True, eq=False)
class LiveRun:
    """A run that this node owns. `state` None: parked, to be loaded when something happens.

    There may be 100,000 parked ones, so what a parked one does not need is not there.
    """

    run: str
    epoch: int
    seq: int = 0
    definition: str = ""
    state: RunState | None = None
    graph: Graph | None = None
    place: Place | None = None
    program: Program | None = None
    """The function of a Python workflow, while it runs here."""
    accept: NewRun | None = None
    accept_large: dict[str, bytes] | None = None
    mailbox: list[tuple[Cause, int]] = field(default_factory=list)
    drained: bool = False
    undos: list[Memo] = field(default_factory=list)
    """In a rollback: the memos of the steps to undo next, in descending order."""
    subscribed: Set[int] = frozenset()
    """The listeners whose subscriptions are in the store."""
    parent: tuple[str, int] | None = None
    """The run that waits for this one, and its effect there."""
    driver: asyncio.Task[None] | None = None
    effects: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    accepted: asyncio.Future[Committed] | None = None
    gone: asyncio.Event | None = None
    """Made by whoever waits for the end."""
    error: BaseException | None = None

    def busy(self) -> str | None:
        """Give what is under way in this node, None when the run waits."""
        if self.driver is not None or self.mailbox:
            return f"the run {self.run} is being decided"
        if self.effects:
            return f"the run {self.run} performs {', '.join(task.get_name() for task in self.effects.values())}"
        if self.program is not None and not self.program.waits and not self.program.has_ended:
            return f"the function of the run {self.run} computes, or awaits what is no call"
        return None
