"""What can happen to a run from outside: the causes of decisions.

Those that come from other processes (settled, event, cancel, suspend, resume, reopen) travel as JSON in the run's inbox, with
the tag `kind`; the store writes `settled` itself when an attempt ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from interlock.model.call import Action
from interlock.model.json import Json
from interlock.model.task import Outcome


class _Cause(msgspec.Struct, frozen=True, tag_field="kind"):
    pass


class Start(_Cause, frozen=True, tag="start"):
    """Begin a run that was accepted."""


class Settled(_Cause, frozen=True, tag="settled"):
    """An effect ended."""

    effect: int
    outcome: Outcome


class Occurred(_Cause, frozen=True, tag="event"):
    """An event was sent that a step of this run may wait for; `event` is its envelope."""

    event: dict[str, Json]


class Tick(_Cause, frozen=True, tag="tick"):
    """Time has passed: timers and deadlines may be due.

    `heard`: when the holders of tokens gave their last sign of life, by the number of the effect, as it was read a moment
    ago; None where nobody looked, so that none of them is taken for silent. Never stored.
    """

    heard: Mapping[int, float] | None = None


class Cancel(_Cause, frozen=True, tag="cancel"):
    """End the run. `rollback`: undo first what it finished."""

    reason: str | None = None
    rollback: bool = False


class Suspend(_Cause, frozen=True, tag="suspend"):
    pass


class Resume(_Cause, frozen=True, tag="resume"):
    pass


class Reopen(_Cause, frozen=True, tag="reopen"):
    """Go on from the step at which the run faulted."""


class Recover(_Cause, frozen=True, tag="recover"):
    """The run was taken over from a process that is gone: what was in flight in it is asked for again."""


class Drain(_Cause, frozen=True, tag="drain"):
    """This node stops: what is in flight in it will be asked for again by the next owner, free of charge."""


class Did(_Cause, frozen=True, tag="did"):
    """The function of a Python workflow went on as far as it could; what it did, in order. Never stored."""

    actions: Sequence[Action]


class Continue(_Cause, frozen=True, tag="continue"):
    """Nothing new: go on where the last decision paused."""


Cause: TypeAlias = (
    Start | Settled | Occurred | Tick | Cancel | Suspend | Resume | Reopen | Recover | Drain | Did | Continue
)

Stored: TypeAlias = Settled | Occurred | Cancel | Suspend | Resume | Reopen
"""Those that an inbox may hold."""

_decoder = msgspec.json.Decoder(Stored)


def encode(cause: Stored) -> bytes:
    return msgspec.json.encode(cause)


def decode(text: bytes) -> Stored:
    cause: Stored = _decoder.decode(text)
    return cause
