"""What the pure steps share: the graph, the state, the moment, and what comes out of a decision.

Every rule computes first and emits then, so that a computation that needs a slow expression (`Pending`) can be dropped
and made again from the same state once its answer is there. `emit` is the only way to change the state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from interlock import errors
from interlock.engine import authorization, fold
from interlock.engine.bindings import Bindings
from interlock.engine.state import Frame, RunState, Scope
from interlock.expr.evaluation import Answer, Evaluation
from interlock.expr.evaluation import Request as Evaluate
from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.flow.graph import Graph, Node
from interlock.model import duration, fault
from interlock.model.event import BranchEnded, Called, Event, Expiring, Issued, Looped, Requested, Returned, Waited
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.task import EffectRequest, MemoryWrite
from interlock.secrets.bound import Bound

MAX_PAYLOAD_BYTES: Final = 64 * 1024 * 1024
TOKEN_SECONDS: Final = 24 * 3600.0


class StepFault(Exception):
    """A step failed while it was computed. Internal to the pure core: always caught there."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True)
class Decision:
    """What follows from one cause.

    events       what happened, already applied to the state
    requests     effects to perform after the commit
    emitted      events to deliver with the commit, as CloudEvents
    interrupts   effects in flight that nobody waits for any more, to stop after the commit; True: through the queue
    pending      an expression to evaluate elsewhere first; then decide again with its answer added
    consumed     False while the cause itself still waits for that answer
    more         there is more to do at once: the decision only paused to let others run
    memory       what a finished step writes to shared memory
    wants_undos  the rollback needs the next memos with an undo; then decide again with them
    """

    events: list[Event] = field(default_factory=list)
    requests: list[EffectRequest] = field(default_factory=list)
    emitted: list[dict[str, Json]] = field(default_factory=list)
    interrupts: dict[int, bool] = field(default_factory=dict)
    pending: Evaluate | None = None
    consumed: bool = True
    more: bool = False
    memory: list[MemoryWrite] = field(default_factory=list)
    wants_undos: bool = False


_OURS: Final = frozenset({"secrets", "authorization"})
"""The arguments that are made here and not by the bindings."""

# These never close a step, so no effect in flight can lose its waiter by them.
_OPENING: Final = (Called, Requested, Waited, Looped, BranchEnded, Issued, Expiring)


class Machine:
    """One decision in the making."""

    def __init__(
        self,
        graph: Graph,
        state: RunState,
        now: float,
        uniform: Callable[[float, float], float],
        answers: Sequence[Answer] = (),
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        secrets: Bound | None = None,
        token_seconds: float = TOKEN_SECONDS,
    ) -> None:
        self.graph = graph
        self.state = state
        self.now = now
        self.uniform = uniform
        self.decision = Decision()
        self._answers = answers
        self._evaluation: Evaluation | None = None
        self.settling = 0
        """The effect whose outcome is being applied: it has ended by itself and needs no interruption."""
        self._max_payload_bytes = max_payload_bytes
        self.token_seconds = token_seconds
        """How long a token may be used whose author does not say it."""
        self.heard = False
        """Whether the state knows of every sign of life that holders of tokens gave until now."""
        self.secrets = secrets
        """The secrets that the graph declares; None when it declares none."""

    def emit(self, event: Event) -> None:
        """Apply an event, record it, and note the effects that nobody waits for after it."""
        in_flight = self._in_flight(event) if self.state.effects and not isinstance(event, _OPENING) else {}
        fold.apply(self.state, event)
        self.decision.events.append(event)
        self._answers, self._evaluation = (), None
        for effect, queued in in_flight.items():
            if effect not in self.state.effects and effect != self.settling:
                self.decision.interrupts[effect] = queued

    def _in_flight(self, event: Event) -> dict[int, bool]:
        """Give the effects that may lose their waiter by an event, and which of them went through the queue."""
        if isinstance(event, Returned):  # it closes its own scope: all of a wide fan-out would be looked at for each
            frame = self.state.scopes[event.scope].frames[-1]
            return {frame.effect: frame.queued} if frame.effect in self.state.effects else {}
        frames = {effect: self.state.scopes[scope].frames[-1] for effect, scope in self.state.effects.items()}
        return {
            effect: frame.queued for effect, frame in frames.items() if frame.effect == effect
        }  # a token is no work

    def evaluate(self, what: Expression | Template, data: Json, bindings: Bindings, *, goes_out: bool = False) -> Json:
        """Give the value of an expression or a template, with markers for the secrets in it.

        `goes_out`: it is a part of an effect's request. Raises StepFault, or Pending for a slow one.
        """
        if "secrets" in what.arguments and (self.secrets is not None or "secrets" not in _dispensable(what)):
            return self._with_secrets(what, data, bindings, goes_out=goes_out)
        try:
            return self._evaluate(what, data, self._picked(what, bindings))
        except errors.ExpressionError as error:
            raise _failed(error, str(error)) from None

    def _with_secrets(self, what: Expression | Template, data: Json, bindings: Bindings, *, goes_out: bool) -> Json:
        secrets = self.secrets
        if secrets is None:
            raise _failed(errors.ExpressionError(), "$secrets is empty: `use.secrets` declares none")
        names = what.secrets
        if (problem := secrets.problem(names)) is not None:
            raise StepFault(
                Fault(
                    type=fault.AUTHORIZATION, status=403, title="Secret not available", detail=problem, code="no-secret"
                )
            )
        try:
            arguments = {**self._picked(what, bindings), "secrets": secrets.values}
            return secrets.concealed(self._evaluate(what, data, arguments), names, goes_out=goes_out)
        except errors.ExpressionError as error:  # its text may quote the data
            raise _failed(error, secrets.masked(str(error))) from None

    def _picked(self, what: Expression | Template, bindings: Bindings) -> dict[str, Json]:
        dispensable = _dispensable(what)
        if what.arguments.isdisjoint(_OURS) and not dispensable:
            return bindings.pick(what.arguments)
        picked = bindings.pick(what.arguments - _OURS - dispensable) | bindings.pick_any(dispensable - _OURS)
        if "authorization" in what.arguments:
            with contextlib.suppress(*((errors.ExpressionError,) if "authorization" in dispensable else ())):
                picked["authorization"] = self._authorization(bindings)
        return picked

    def _authorization(self, bindings: Bindings) -> Json:
        """Give how the step's request authenticates itself, null when it does not. Raises ExpressionError."""
        credentials, data = bindings.credentials()
        return None if credentials is None else authorization.described(self.evaluate(credentials, data, bindings))

    def _evaluate(self, what: Expression | Template, data: Json, arguments: Mapping[str, Json]) -> Json:
        self._evaluation = self._evaluation or Evaluation(self._answers)
        if isinstance(what, Template):
            return what.evaluate(self._evaluation, data, arguments)
        return self._evaluation.run(what, data, arguments)

    def seconds(self, what: Template, data: Json, bindings: Bindings) -> float:
        """Give the seconds of a duration in the document, literal or expression. Raises StepFault."""
        value = self.evaluate(what, data, bindings)
        try:
            return duration.parse(value)
        except ValueError as error:
            raise StepFault(
                Fault(type=fault.EXPRESSION, status=400, title="Not a duration", detail=str(error))
            ) from None

    def payload(self, value: Json) -> Payload:
        """Give the payload of a value that a step made. Raises StepFault when it is larger than allowed."""
        payload = value if isinstance(value, Payload) else Payload(value)
        if payload.size > self._max_payload_bytes:
            raise StepFault(
                Fault(
                    type=fault.RUNTIME,
                    status=500,
                    title="Value too large",
                    detail=f"the value has {payload.size} bytes, {self._max_payload_bytes} are allowed (payload.max)",
                    code="payload-too-large",
                )
            )
        return payload

    def bindings(
        self,
        scope: Scope,
        node: Node,
        frame: Frame,
        *,
        output: Payload | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> Bindings:
        """Give the arguments for the definition of an open step; `output` is its transformed output, where it has one."""
        return Bindings(
            self.graph,
            self.state,
            scope,
            node,
            raw=frame.raw,
            since=frame.since,
            input=frame.input,
            output=output,
            extra=extra,
        )


def _dispensable(what: Expression | Template) -> frozenset[str]:
    return what.dispensable if isinstance(what, Template) else frozenset()


def _failed(error: errors.ExpressionError, detail: str) -> StepFault:
    code = None if error.code == "expression" else error.code
    return StepFault(Fault(type=fault.EXPRESSION, status=400, title="Expression failed", detail=detail, code=code))
