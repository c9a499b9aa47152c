"""A world of one run for tests of the pure core: no store, no clock but its own.

Every decision is checked for what the shell relies on: folding the history gives the state, and the rows of the state can
be read back, and no moment is left over that time alone would bring again at once. Slow expressions are answered as an
evaluator would.
"""

from __future__ import annotations

import textwrap
from typing import Any

from interlock.engine import decide as core
from interlock.engine import fold
from interlock.engine import state as states
from interlock.engine.cause import Cause, Settled, Start, Tick
from interlock.engine.machine import Decision
from interlock.engine.rows import Rows
from interlock.expr import evaluation
from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.model.event import Event
from interlock.model.fault import RUNTIME, Fault
from interlock.model.memo import Memo
from interlock.model.payload import Payload
from interlock.model.task import Cancelled, Done, EffectRequest, Failed, FailureClass, Outcome, Snoozed

PAGE = 2
"""How many undos a rollback is given at once: few, so that it has to ask again."""

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"


class World:
    """One run of one document; `requests` are the effects that wait for an outcome, by the name of their step."""

    def __init__(self, text: str, input: Any = None, *, fetched: dict[str, str] | None = None, **options: Any) -> None:
        source = HEADER + textwrap.dedent(text)
        loaded = check.load(source, "tested.yaml")
        self.graph = flow_compile.compile(loaded.required(), loaded.value, fetched or {})
        self.now = 1000.0
        self.jitter = 0.5
        self.options = options
        self.state = states.new("run", "default", "id", Payload({} if input is None else input))
        self.history: list[Event] = []
        self.requests: dict[str, EffectRequest] = {}
        self.interrupts: dict[int, bool] = {}
        self.decisions = 0
        self.memos: list[Memo] = []
        self._page: list[Memo] = []

    def decide(self, cause: Cause) -> list[Event]:
        """Apply a cause as the shell does and give the events that followed."""
        news: list[Event] = []
        answers: list[evaluation.Answer] = []
        looks = isinstance(cause, Tick) and (cause.heard is not None or not self.state.awaits_signs_of_life)
        while True:
            decision = self._decide(cause, answers)
            news += decision.events
            if decision.wants_undos:
                self._page = self._undos()
                cause, answers = core.Continue(), []
                continue
            if decision.pending is not None:
                if decision.events:
                    answers = []
                answers.append(evaluation.answer(decision.pending))
                cause = core.Continue() if decision.consumed else cause
                continue
            if not decision.more:
                break
            wake_at = self.state.wake_at()
            cause = Tick() if wake_at is not None and wake_at <= self.now else core.Continue()
        self._check()
        if looks and not news:  # or the shell would be woken for the same moment again and again
            wake_at = self.state.wake_at()
            assert wake_at is None or wake_at > self.now
        return news

    def _decide(self, cause: Cause, answers: list[evaluation.Answer]) -> Decision:
        decision = core.decide(
            self.graph,
            self.state,
            cause,
            now=self.now,
            uniform=lambda low, high: low + (high - low) * self.jitter,
            answers=answers,
            undos=self._page,
            **self.options,
        )
        self.decisions += 1
        self.history += decision.events
        for effect in decision.interrupts:
            self.requests = {name: request for name, request in self.requests.items() if request.effect != effect}
        self.interrupts |= decision.interrupts
        for request in decision.requests:
            self.requests[self.graph.nodes[request.path].name] = request
        return decision

    def _undos(self) -> list[Memo]:
        """Give the undos that come next, of those that were stored."""
        assert self.state.head.rollback is not None
        before = self.state.head.rollback.before
        found = [memo for memo in reversed(self.memos) if memo.undo and (before is None or memo.number < before)]
        assert found, "the rollback asked for undos that nobody remembers"
        return found[:PAGE]

    def apply(self, event: Event) -> None:
        """Let something be part of the history that no decision caused."""
        fold.apply(self.state, event)
        self.history.append(event)

    def _check(self) -> None:
        rows = Rows()
        fresh = states.new("run", "default", "id", self.state.input)
        folded = rows.folded(fresh, self.history)
        stored = rows.folded(self.state, [])
        self.memos += self.state.memos
        self.state.memos.clear()
        assert folded == stored
        assert fresh.memos == self.memos
        assert fresh.effects == ({} if self.state.ended else self.state.effects)
        assert fresh.output == self.state.output
        assert fresh.fault == self.state.fault

    # -- what tests do -------------------------------------------------------------------------------------------

    def start(self) -> list[Event]:
        return self.decide(Start())

    def done(self, step: str, value: Any = None) -> list[Event]:
        return self.decide(Settled(self.requests.pop(step).effect, Done(value)))

    def failed(
        self, step: str, failure: FailureClass = FailureClass.APPLICATION, fault: Fault | None = None
    ) -> list[Event]:
        error = fault or Fault(type=RUNTIME, status=500, title="Broken", detail="it broke")
        return self.decide(Settled(self.requests.pop(step).effect, Failed(failure, error)))

    def snoozed(self, step: str, seconds: float) -> list[Event]:
        return self.decide(Settled(self.requests.pop(step).effect, Snoozed(seconds)))

    def cancelled(self, step: str) -> list[Event]:
        return self.decide(Settled(self.requests.pop(step).effect, Cancelled()))

    def later(self, seconds: float, heard: dict[int, float] | None = None) -> list[Event]:
        """Let time pass. `heard`: when the holders of tokens gave a sign of life, by `ticket`; None: nobody looked."""
        self.now += seconds
        return self.decide(Tick(heard))

    def ticket(self, step: str) -> int:
        """Give the number under which a report about the token of an open step comes."""
        frames = [frame for scope in self.state.scopes.values() for frame in scope.frames]
        (found,) = [frame.ticket.number for frame in frames if frame.path.endswith(step) and frame.ticket is not None]
        return found

    def report(self, step: str, outcome: Outcome) -> list[Event]:
        """Let whoever has the token of a step report."""
        return self.decide(Settled(self.ticket(step), outcome))

    @property
    def output(self) -> Any:
        assert self.state.fault is None, self.state.fault
        assert self.state.output is not None, self.state.live_status()
        return self.state.output.value

    @property
    def fault(self) -> Fault:
        assert self.state.fault is not None
        return self.state.fault

    def names(self) -> list[str]:
        """The steps that completed, in order."""
        return [event.path.rsplit("/", 1)[-1] for event in self.history if type(event).__name__ == "Completed"]


def run(text: str, input: Any = None) -> Any:
    """Run a document without effects and give its output."""
    world = World(text, input)
    world.start()
    return world.output
