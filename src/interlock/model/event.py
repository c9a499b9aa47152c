"""What happened in a run: the events of its history, in order.

The engine changes a run's state only by applying these, so that folding the history gives the state. An event therefore
carries the results of decisions (the next position, the moment to wake, the data), never what must be decided again.
`at` is UTC seconds. `scope` names the scope that the event happened in, `path` the step as a JSON pointer.

Positions: a step's path; `LIST_END` when the list of the scope's innermost open step is done; `RUN_END` when `then: end`
was reached; `STEP_END` when an extension said `then: exit` before the step that it extends, which is thereby done.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from interlock.model.call import Call, Show, StepCall
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.task import Failed, FailureClass

LIST_END: Final = ""
RUN_END: Final = "end"
STEP_END: Final = "exit"
EXTENDED: Final = "#extended"
"""How the path of the node around a step with extensions ends; people are not shown it."""
UNDO: Final = "/metadata/interlock/compensate"
"""What stands between the path of a step and that of its undo, which is a step too."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, array_like=False, omit_defaults=True):
    at: float


class Started(_Event, frozen=True, kw_only=True, tag="started"):
    """The run began with `value` (its input after `input.from`) at the step `first`; None: it is a Python workflow."""

    value: Payload
    first: str | None
    deadline: float | None = None


class Entered(_Event, frozen=True, kw_only=True, tag="entered"):
    """A step was opened. `input` is None when the raw input was not transformed. `first`: where its own list begins."""

    scope: str
    path: str
    input: Payload | None = None
    deadline: float | None = None
    first: str | None = None


class Requested(_Event, frozen=True, kw_only=True, tag="requested"):
    """The open step asked for an effect, numbered within the run. `queued`: through the queue, not in the node.

    `waits`: the step waits for others meanwhile, for a run or for the holder of a token.
    """

    scope: str
    path: str
    effect: int
    queued: bool = False
    waits: bool = False
    deadline: float | None = None


class Issued(_Event, frozen=True, kw_only=True, tag="token-issued"):
    """The open step waits for a report about the token `token`, which ends the effect numbered `effect`.

    `waits`: nothing is performed for it; else its holder is whoever the step's own effect gives it to. `expires`: until when
    it may be used, `warns`: when people are warned of that; `heartbeat`: for how many seconds its holder may be silent.
    `deadline`: of the step, where it is tried again. `terms`: what the holder is told and bound to.
    """

    scope: str
    path: str
    effect: int
    token: str
    name: str
    waits: bool = False
    expires: float | None = None
    warns: float | None = None
    heartbeat: float | None = None
    deadline: float | None = None
    terms: dict[str, Json] = {}


class HandedOver(_Event, frozen=True, kw_only=True, tag="handed-over"):
    """The step's own effect is done; what remains is the report of whoever has its token."""

    scope: str
    path: str
    effect: int


class Expiring(_Event, frozen=True, kw_only=True, tag="token-expiring"):
    """Most of the time is over in which a token may be used."""

    scope: str
    path: str
    token: str
    expires: float


class Waited(_Event, frozen=True, kw_only=True, tag="waited"):
    """The open step waits until a moment."""

    scope: str
    path: str
    until: float


class Emitted(_Event, frozen=True, kw_only=True, tag="emitted"):
    """The step sent an event to whoever listens; the event itself is the step's output."""

    scope: str
    path: str
    id: str
    source: str
    kind: str
    """The `type` of the event."""


class Listened(_Event, frozen=True, kw_only=True, tag="listened"):
    """The open step listens from now on; `listener` numbers its subscription within the run."""

    scope: str
    path: str
    listener: int


class Heard(_Event, frozen=True, kw_only=True, tag="heard"):
    """The listening step was given an event.

    `filter`: the first of its filters that the event fits, -1 where it takes any. `until`: the event is one of those that
    end the listening and is no part of the output. `correlation`: the values that later events must agree with.
    """

    scope: str
    path: str
    event: Payload
    filter: int = -1
    until: bool = False
    correlation: dict[str, Json] | None = None


class Sealed(_Event, frozen=True, kw_only=True, tag="sealed"):
    """The listening step takes no more events; those it was given before are still processed."""

    scope: str
    path: str


class Taken(_Event, frozen=True, kw_only=True, tag="taken"):
    """The `foreach` of a listening step began with the next event it was given, as the item `value`."""

    scope: str
    path: str
    value: Payload
    first: str


class Processed(_Event, frozen=True, kw_only=True, tag="processed"):
    """The listening step is done with one event. `output` None: nothing is kept of it, since nobody will ever read it."""

    scope: str
    path: str
    output: Payload | None = None
    context: Payload | None = None


class Extended(_Event, frozen=True, kw_only=True, tag="extended"):
    """The extensions of a step moved on: the part `part` begins at `first` with `value`.

    Parts are the lists of the extensions before the step, the step, the lists after it. `then` and `output` keep, while
    the lists after it run, where the step leads and what it gave. `active`: the extensions that apply.
    """

    scope: str
    path: str
    part: int
    first: str
    value: Payload
    active: list[int]
    then: str | None = None
    output: Payload | None = None


class Called(_Event, frozen=True, kw_only=True, tag="called"):
    """A Python workflow made a call, as the scope `scope`. `deadline`: until when it waits for it."""

    scope: str
    path: str
    call: Call
    arguments: Payload
    deadline: float | None = None


class Returned(_Event, frozen=True, kw_only=True, tag="returned"):
    """A call of a Python workflow ended: with `output`, or with an error."""

    scope: str
    path: str
    output: Payload | None = None
    failed: Failed | None = None


class Noted(_Event, frozen=True, kw_only=True, tag="noted"):
    """A Python workflow was told a value that it must be told again; or was given the result of a call from the cache."""

    call: str
    value: Payload


class Left(_Event, frozen=True, kw_only=True, tag="left"):
    """A Python workflow waits no more for a call that it made."""

    scope: str
    path: str


class Shown(_Event, frozen=True, kw_only=True, tag="shown"):
    """A run told people how it stands, or how it wants to be found."""

    shown: Show


class Renewed(_Event, frozen=True, kw_only=True, tag="renewed"):
    """A Python workflow began anew with another input; what it did before is forgotten."""

    input: Payload
    deadline: float | None = None


class Looped(_Event, frozen=True, kw_only=True, tag="looped"):
    """A `for` began the iteration `index`; `items` comes with the first."""

    scope: str
    path: str
    index: int
    first: str
    items: Payload | None = None


class Forked(_Event, frozen=True, kw_only=True, tag="forked"):
    """A `fork` opened the scopes `base.0`, `base.1`, ... at its branches."""

    scope: str
    path: str
    base: int
    branches: list[str]


class BranchEnded(_Event, frozen=True, kw_only=True, tag="branch-ended"):
    """The list of a branch's scope is done; its value stays there until the fork completes."""

    scope: str


class Completed(_Event, frozen=True, kw_only=True, tag="completed"):
    """A step ended well. `since`: it was opened and ended in one go. `back`: `next` lies before it in its list.

    `undo`: the position of what undoes it, empty for nothing; `input` is what it was given, where it was never opened.
    """

    scope: str
    path: str
    output: Payload
    next: str
    context: Payload | None = None
    since: float | None = None
    back: bool = False
    undo: str = ""
    input: Payload | None = None


class Skipped(_Event, frozen=True, kw_only=True, tag="skipped"):
    """The `if` of a step was false: its raw input goes on to `next`."""

    scope: str
    path: str
    next: str
    back: bool = False


class Tolerated(_Event, frozen=True, kw_only=True, tag="tolerated"):
    """A step failed and its author said `on_error: continue`: the output is null and the run is partial."""

    scope: str
    path: str
    fault: Fault
    next: str
    back: bool = False


class AttemptFailed(_Event, frozen=True, kw_only=True, tag="attempt-failed"):
    """An attempt failed and will be made again at `until`, within the budget of its failure class."""

    scope: str
    path: str
    effect: int
    failure: FailureClass
    fault: Fault
    until: float


class Caught(_Event, frozen=True, kw_only=True, tag="caught"):
    """A `try` caught an error; its handlers begin at `first`. Everything open inside the `try` is closed."""

    scope: str
    path: str
    fault: Fault
    first: str


class RetryScheduled(_Event, frozen=True, kw_only=True, tag="retry-scheduled"):
    """A `try` caught an error and will run its list again at `until`."""

    scope: str
    path: str
    fault: Fault
    until: float


class Retried(_Event, frozen=True, kw_only=True, tag="retried"):
    """A `try` began its list again: round `round`, counted from 1 for the first retry."""

    scope: str
    path: str
    round: int
    first: str
    deadline: float | None = None


class Faulted(_Event, frozen=True, kw_only=True, tag="faulted"):
    """The run failed at the step `path` of `scope`. What was open stays as it was, for `retry`."""

    scope: str
    path: str
    fault: Fault
    memo: int | None = None
    """In a Python workflow: the memo that the error came from."""
    rolled_back: bool = False
    """After a rollback, which told of the fault when it began: nothing is left to go on with."""


class Ended(_Event, frozen=True, kw_only=True, tag="ended"):
    """The run completed with this output."""

    output: Payload


class Cancelled(_Event, frozen=True, kw_only=True, tag="cancelled"):
    """The run was cancelled."""

    reason: str | None = None


class RollbackBegan(_Event, frozen=True, kw_only=True, tag="rollback-began"):
    """The run failed at the step `path` of `scope`, or is cancelled (`fault` None), and undoes first what it finished.

    `awaited`: the scopes that wait for an effect which has an undo, each with its step. All others are closed.
    """

    scope: str
    path: str
    fault: Fault | None = None
    reason: str | None = None
    awaited: dict[str, str] = {}


class Awaited(_Event, frozen=True, kw_only=True, tag="awaited"):
    """An effect that a rollback waited for has ended. `fault`: not well, so that there is nothing to undo."""

    scope: str
    path: str
    fault: Fault | None = None


class UndoBegan(_Event, frozen=True, kw_only=True, tag="undo-began"):
    """The undo of the step `path` began, at the node `node` or, in a Python workflow, as the call `call`. `number`: that of
    its memo.

    `output` is what the step gave and `input` what it was given.
    """

    number: int
    path: str
    output: Payload
    input: Payload
    node: str = ""
    call: StepCall | None = None


class Undone(_Event, frozen=True, kw_only=True, tag="undone"):
    """The undo of the step `path` ended well."""

    number: int
    path: str


class UndoFailed(_Event, frozen=True, kw_only=True, tag="undo-failed"):
    """The undo of the step `path` failed for good; the rollback goes on with the next one."""

    number: int
    path: str
    fault: Fault


class Suspended(_Event, frozen=True, kw_only=True, tag="suspended"):
    """Nothing new starts until the run is resumed."""


class Resumed(_Event, frozen=True, kw_only=True, tag="resumed"):
    """The run goes on after a suspension."""


class Reopened(_Event, frozen=True, kw_only=True, tag="reopened"):
    """A faulted run goes on from the step that failed, under a new epoch and, where it had one, a new deadline."""

    deadline: float | None = None


class Recovered(_Event, frozen=True, kw_only=True, tag="recovered"):
    """Another process took the run over; the effects named were in flight in the one that is gone and are due again."""

    lost: list[int] = []


class Copied(_Event, frozen=True, kw_only=True, tag="copied"):
    """The history up to here is that of the run `origin`; this run goes its own way from now on.

    `since`: when the last copied event happened, so that deadlines and timers keep the time that was left of them.
    """

    origin: str
    since: float | None = None


Event: TypeAlias = (
    Started | Entered | Requested | Waited | Looped | Forked | BranchEnded | Completed | Skipped | Tolerated
    | AttemptFailed | Caught | RetryScheduled | Retried | Faulted | Ended | Cancelled | Suspended | Resumed
    | Called | Returned | Noted | Left | Shown | Renewed
    | Reopened | Recovered | Copied | Emitted | Listened | Heard | Sealed | Taken | Processed | Extended
    | RollbackBegan | Awaited | UndoBegan | Undone | UndoFailed | Issued | HandedOver | Expiring
)  # fmt: skip
