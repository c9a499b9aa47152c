"""What a Python workflow asks for: the calls that are open in it, and what it does between them.

A call has an identity within its run: the name of what is called and its key, and a number where identical calls were made
before. Everything that is needed to make a call again stands in it, so a retry needs neither the function that asked nor
its decorators.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload


class Backoff(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The wait before a retry: `kind` is fixed, linear, exponential or random; see `retry.call_delay` for the formulas.

    `jitter`: the part of a delay that is random, 0 to 1.
    """

    kind: str = "exponential"
    delay_seconds: float = 1.0
    longest_seconds: float = 60.0
    jitter: float = 0.0


class LimitOf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit that attempts name: `capacity` of them at a time, one start per `interval_seconds`, `burst` at once."""

    name: str
    capacity: int | None = None
    interval_seconds: float | None = None
    burst: int = 1


class Requirements(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task asks of the worker that performs it: all of `skills`, the same `region`, one that takes tasks of this
    `type`, at least so many cores (`cpu`) and megabytes (`memory`)."""

    skills: tuple[str, ...] = ()
    region: str | None = None
    type: str = ""
    cpu: float = 0.0
    memory: float = 0.0


class StepCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="step"):
    """A call of the function `package.module:function`.

    `pool`: where it runs, "" for the node itself. `retries`: author's budgets by failure class. `undo`: the call that undoes
    it, of the same function with `undoes`. `idempotency_key`: "" for the run's and the call's own. `cache`: the name and key
    under which its result may be kept, and for how many seconds. `requires`: of the worker that performs it.
    """

    function: str
    pool: str = ""
    isolated: bool = False
    priority: int = 0
    timeout_seconds: float | None = None
    retries: dict[str, int] = {}
    backoff: Backoff | None = None
    undo: StepCall | None = None
    undoes: bool = False
    idempotency_key: str = ""
    limits: tuple[LimitOf, ...] = ()
    cache: tuple[str, str, float] | None = None
    requires: Requirements | None = None


class SleepCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="sleep"):
    """A wait: for so long, or until a moment."""

    seconds: float | None = None
    until: float | None = None


class EventCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="event"):
    """A wait for an event of the namespace; `kind` (its type) and `source` are empty for any. `data`: what it must have."""

    kind: str = ""
    source: str = ""
    data: dict[str, Json] = {}
    timeout_seconds: float | None = None


TOKEN_OPERATIONS: Final = ("complete", "fail", "heartbeat", "progress", "show")
"""What a token may be used for."""


class TokenCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="token"):
    """A wait for somebody who holds the token `token` to report an outcome.

    `heartbeat_seconds`: for how long the holder may be silent, None for ever. `operations`: what the token may be used for,
    everything when empty.
    """

    token: str
    name: str
    timeout_seconds: float | None = None
    heartbeat_seconds: float | None = None
    operations: tuple[str, ...] = ()


class ChildCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="child"):
    """A run of another workflow: the published `name:version`, or the definition with a digest."""

    namespace: str
    name: str
    version: str = "latest"
    definition: str = ""


Call: TypeAlias = StepCall | SleepCall | EventCall | TokenCall | ChildCall


# -- what a workflow does between two waits --------------------------------------------------------------------------


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """It makes a call. `identity` names it within the run, `arguments` are the call's."""

    identity: str
    call: Call
    arguments: Payload


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """It waits no more for a call that it made."""

    identity: str


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """It was told something that must be the same when it runs again: a moment, a random number."""

    identity: str
    value: Payload


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """It was given the result of a call out of the cache; nothing was performed."""

    identity: str
    value: Payload


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """It tells people how it stands, or how it wants to be found."""

    progress: float | None = None
    message: str | None = None
    status: str | None = None
    attributes: dict[str, Json] = {}

    def then(self, later: Show) -> Show:
        """Give what is shown after something more was shown."""
        return Show(
            progress=self.progress if later.progress is None else later.progress,
            message=self.message if later.message is None else later.message,
            status=self.status if later.status is None else later.status,
            attributes=self.attributes | later.attributes,
        )


class Renew(msgspec.Struct, frozen=True, kw_only=True):
    """It begins anew with other arguments, and forgets what it did."""

    input: Payload


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """It ended well."""

    output: Payload


class Raise(msgspec.Struct, frozen=True, kw_only=True):
    """It ended with an error; `memo` is the number of the memo that the error came from, None for its own."""

    fault: Fault
    memo: int | None = None


Action: TypeAlias = Ask | Leave | Note | Keep | Show | Renew | Return | Raise
