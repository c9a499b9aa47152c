"""The state of a run: its open scopes, and in each the stack of open steps.

A scope is one thread of control: the root, or a branch of a fork. Its frames are the open steps from the outermost list
to the innermost step; its `at` says what comes next:

    a path       the step to enter, with `value` as its raw input
    LIST_END     the innermost list is done; `value` is its output
    RUN_END      `then: end` was reached; `value` is the output of the run before `output.as`
    None         the scope waits: for an effect, for a moment, for its branches, or (a branch) for its siblings

A few small scopes stand in the run's own row, so that a small run is one row. More of them have a row each, which is
rewritten only when the scope changed; `touched` and `removed` collect that between commits.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from interlock.model.call import Call, Show
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.memo import Memo
from interlock.model.payload import NULL, Payload
from interlock.model.states import ENDED_RUN, RunStatus

ROOT = ""
UNDO = "~undo"
"""The scope of the undo that runs; there is one at a time. No step of a Python workflow can be called so."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token that an open step waits for; see the event `Issued`. `number`: of the effect that a report ends."""

    number: int
    token: str
    name: str
    since: float
    expires: float | None = None
    warns: float | None = None  # None: nobody is to be warned, or somebody was
    heartbeat: float | None = None


class Gone(msgspec.Struct, frozen=True):
    """A token that nobody waits for any more. `superseded`: another one takes its place."""

    token: str
    reason: str
    superseded: bool = False


class Frame(msgspec.Struct, kw_only=True, omit_defaults=True, rename={"input_": "input"}):
    """One open step. Times are UTC seconds."""

    path: str
    since: float
    raw: Payload
    input_: Payload | None = None  # None: the raw input was not transformed
    deadline: float | None = None  # the step's own timeout
    until: float | None = None  # a wait, a back-off
    effect: int = 0  # the number of the effect in flight, 0 for none
    queued: bool = False  # the effect went through the queue: its task row is the truth
    waits: bool = False  # the effect is a run of its own: others are at work, this run waits
    ticket: Ticket | None = None  # the token that is waited for, beside the effect or alone
    tickets: int = 0  # how many tokens of this visit were given up
    retries: dict[str, int] = {}  # retries used by failure class
    items: Payload | None = None  # for
    index: int = 0  # for
    phase: str = ""  # try: "" runs its list, "backoff" waits to run it again, "catch" runs the handlers
    round: int = 0  # try: how often the list was begun again
    round_deadline: float | None = None  # try: limit.attempt.duration
    error: Fault | None = None  # try: what was caught
    base: int = 0  # fork: the number in its branches' scope ids
    branches: int = 0  # fork: how many
    listener: int = 0  # listen: the number of its subscription
    heard: list[Payload] = []  # listen: events that wait to be processed
    item: Payload | None = None  # listen: what `foreach` is busy with
    outputs: list[Payload] = []  # listen: what was made of the events
    processed: int = 0  # listen: how many events were
    fitted: list[int] = []  # listen: the filters that an event fitted, for `all`
    ended_by: list[int] = []  # listen: the filters of `until` that an event fitted
    correlation: dict[str, Json] = {}  # listen: what later events must agree with
    sealed: bool = False  # listen: no more events are taken
    active: list[int] = []  # extensions: which of them apply
    part: int = 0  # extensions: which of their lists, or the step itself, runs
    then: str | None = None  # extensions: where the step leads once the lists after it are done
    output: Payload | None = None  # extensions: what the step gave
    call: Call | None = None  # the call of a Python workflow that this is; `raw` are its arguments

    @property
    def input(self) -> Payload:
        return self.raw if self.input_ is None else self.input_


EMPTY = Payload({})
"""The context that a run begins with; see decision 2 of docs/explanation/ambiguities.md."""


class Scope(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    value: Payload
    context: Payload
    at: str | None = None
    parent: str | None = None
    frames: list[Frame] = []
    laps: int = 0  # jumps back by `then`: tells apart the visits of one step in idempotency keys
    done: bool = False  # a branch that ended; its value waits for the join
    given: Payload | None = None  # an undo: what the step that it undoes was given


class Rollback(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A rollback in progress: what the run ends with afterwards, and how far it came.

    `fault` None: the run ends cancelled, for `reason`. `before`: the number of the last memo whose undo was begun, None at
    first; the next one is the greatest below it. `failed`: how many undos failed for good. `awaited`: the scopes whose
    effects in flight are waited for, before the first undo. `undoing`: the path of the step whose undo runs.
    """

    scope: str
    path: str
    fault: Fault | None = None
    reason: str | None = None
    before: int | None = None
    failed: int = 0
    awaited: list[str] = []
    undoing: str = ""


class Head(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a run is besides its scopes; one row with the root scope."""

    started_at: float = 0.0
    serial: int = 0
    """The last number given to an effect or a fork; the same number never means two things in one run."""
    deadline: float | None = None
    partial: bool = False
    suspended: bool = False
    failed_scope: str | None = None
    failed_path: str | None = None
    failed_at: float | None = None
    program: bool = False
    """It is a Python workflow: each scope but the root is an open call, named by its identity."""
    input: Payload | None = None
    """The input of a Python workflow that continued as new; None: the run's own."""
    rounds: int = 0
    """How often a Python workflow continued as new."""
    shown: Show | None = None
    """What the run shows of itself, but for its attributes."""
    dropped: list[int] = []
    """Memos of failed calls that a retry by hand makes again."""
    memos: int = 0
    """The number of the last memo."""
    undos: int = 0
    """How many memos name an undo that was not begun."""
    rollback: Rollback | None = None
    root: Scope | None = None
    others: list[Scope] = []
    """Scopes that have no rows of their own."""


class Kept(msgspec.Struct, frozen=True):
    """A result that any run of the namespace may use until a moment."""

    name: str
    key: str
    value: Payload
    until: float


class RunState(msgspec.Struct, kw_only=True):
    """A run in memory. `input` is the raw input, written once when the run is accepted."""

    run: str
    namespace: str
    id: str
    input: Payload
    status: RunStatus = RunStatus.PENDING
    head: Head
    scopes: dict[str, Scope]
    output: Payload | None = None
    fault: Fault | None = None
    effects: dict[int, str] = {}
    """Which scope waits for which effect: an index over the frames, rebuilt when a run is loaded."""
    touched: set[str] = set()
    removed: set[str] = set()
    in_rows: set[str] = set()
    """The scopes that have rows of their own since the last commit."""
    memos: list[Memo] = []
    """What is to be remembered with the next commit."""
    renewed: bool = False
    """With the next commit, what was remembered before is forgotten."""
    cached: list[Kept] = []
    """Results that other runs may use, with the next commit."""
    tokens: list[Gone] = []
    """The tokens that nobody waits for any more, with the next commit."""
    heard: dict[int, float] = {}
    """When the holders of tokens gave a sign of life, as far as this node knows: the truth is in the tokens' rows."""
    attributes: dict[str, Json] = {}
    """By what the next commit lets the run be found."""
    shows: bool = False
    """Whether the next commit changes what the run shows."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED_RUN

    def waiting_frame(self, effect: int) -> tuple[Scope, Frame] | None:
        """Give the scope and the frame that wait for an effect, None when nothing does any more."""
        scope = self.scopes.get(self.effects.get(effect, "?"))
        if scope is None or not scope.frames:
            return None
        frame = scope.frames[-1]
        is_reported = frame.ticket is not None and frame.ticket.number == effect
        return (scope, frame) if frame.effect == effect or is_reported else None

    def give_up(self, frame: Frame, reason: str, *, superseded: bool = False) -> None:
        """Wait no more for the token of a step, if it has one."""
        if frame.ticket is not None:
            self.effects.pop(frame.ticket.number, None)
            self.tokens.append(Gone(frame.ticket.token, reason, superseded))
            frame.ticket = None

    @property
    def awaits_signs_of_life(self) -> bool:
        """Whether the holder of any token must not be silent for too long."""
        tickets = (frame.ticket for scope in self.scopes.values() for frame in scope.frames[-1:])
        return any(ticket is not None and ticket.heartbeat is not None for ticket in tickets)

    def silent_at(self, ticket: Ticket) -> float | None:
        """Give when the holder of a token has been silent for too long, as far as is known here; None for never."""
        if ticket.heartbeat is None:
            return None
        return max(ticket.since, self.heard.get(ticket.number, 0.0)) + ticket.heartbeat

    @property
    def listeners(self) -> dict[int, Frame]:
        """The steps that take events now, by the number of their subscription; none once the run has ended."""
        if self.ended:
            return {}
        return {
            frame.listener: frame
            for scope in self.scopes.values()
            for frame in scope.frames
            if frame.listener and not frame.sealed
        }

    def lineage(self, scope: Scope) -> Iterator[Scope]:
        """Give the scope itself, then its parents up to the root."""
        current: Scope | None = scope
        while current is not None:
            yield current
            current = None if current.parent is None else self.scopes[current.parent]

    def wake_at(self) -> float | None:
        """Give the earliest moment at which time alone moves the run on, None when none does."""
        if self.ended or self.head.suspended:
            return None
        moments = [self.head.deadline] if self.head.deadline is not None else []
        for scope in self.scopes.values():
            if scope.done:
                continue
            for frame in scope.frames:
                moments += [m for m in (frame.deadline, frame.until, frame.round_deadline) if m is not None]
                if frame.ticket is not None:
                    ticket = frame.ticket
                    moments += [m for m in (ticket.expires, ticket.warns, self.silent_at(ticket)) if m is not None]
        return min(moments, default=None)

    def live_status(self) -> RunStatus:
        """Give running while an effect is in flight or a step is ready, waiting when every open step waits."""
        if self.ended or self.status is RunStatus.PENDING:
            return self.status
        if self.head.suspended:
            return RunStatus.SUSPENDED
        frames = (self.scopes[scope].frames[-1] for scope in self.effects.values())
        busy = any(frame.effect and not frame.waits for frame in frames)
        ready = any(scope.at is not None for scope in self.scopes.values())
        computes = self.head.program and len(self.scopes) == 1  # it asks for nothing: the function itself is at work
        return RunStatus.RUNNING if busy or ready or computes else RunStatus.WAITING


def new(run: str, namespace: str, id: str, input: Payload) -> RunState:
    """Give the state of a run that has not begun."""
    return RunState(
        run=run,
        namespace=namespace,
        id=id,
        input=input,
        head=Head(),
        scopes={},
        effects={},
        touched=set(),
        removed=set(),
        in_rows=set(),
        memos=[],
        attributes={},
        tokens=[],
        heard={},
        cached=[],
    )


def root_scope(value: Payload, first: str | None) -> Scope:
    return Scope(id=ROOT, value=value, context=EMPTY, at=first, frames=[])


__all__ = ["EMPTY", "NULL", "ROOT", "UNDO", "Frame", "Gone", "Head", "RunState", "Scope", "Ticket", "new", "root_scope"]
