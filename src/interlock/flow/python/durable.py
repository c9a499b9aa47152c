"""What a workflow function may use besides steps: waits that cost nothing, values that stay, and how it shows itself.

All of it survives the end of the process. The functions that wait are awaited, or in a sync workflow asked for their
`.result()`; the others answer at once.
"""

from __future__ import annotations

import asyncio
import uuid as stdlib_uuid
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NoReturn, TypeVar, cast, overload

from interlock import errors
from interlock.flow.python.awaiting import Call
from interlock.flow.python.inside import INSIDE, Leaving, here
from interlock.flow.python.options import Duration, seconds
from interlock.flow.python.values import Coder
from interlock.flow.python.workflow import CURRENT
from interlock.model.call import TOKEN_OPERATIONS, ChildCall, EventCall, Show, SleepCall, TokenCall
from interlock.model.json import Json

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")

_PLAIN: Final = Coder(Any)
"""Copies plain JSON: what a function is given is its own to change, and what it gave may change later."""

# -- several at once -------------------------------------------------------------------------------------------------


@overload
def gather(call: Awaitable[T1], /) -> Call[tuple[T1]]: ...
@overload
def gather(call: Awaitable[T1], second: Awaitable[T2], /) -> Call[tuple[T1, T2]]: ...
@overload
def gather(call: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], /) -> Call[tuple[T1, T2, T3]]: ...
@overload
def gather(
    call: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], fourth: Awaitable[T4], /
) -> Call[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(
    call: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], fourth: Awaitable[T4], fifth: Awaitable[T5], /
) -> Call[tuple[T1, T2, T3, T4, T5]]: ...
@overload
def gather(
    call: Awaitable[T1],
    second: Awaitable[T2],
    third: Awaitable[T3],
    fourth: Awaitable[T4],
    fifth: Awaitable[T5],
    sixth: Awaitable[T6],
    /,
) -> Call[tuple[T1, T2, T3, T4, T5, T6]]: ...
@overload
def gather(*calls: Awaitable[T]) -> Call[list[T]]: ...
@overload
def gather(*calls: Awaitable[T], return_exceptions: Literal[True]) -> Call[list[T | BaseException]]: ...
def gather(*calls: Awaitable[Any], return_exceptions: bool = False) -> Call[Any]:
    """Wait for several calls at once; gives their results in the order of the calls.

    As `asyncio.gather`: the first error is raised at once and the others go on, or, with `return_exceptions`, errors are
    results too. Each call is made in a task of its own; identity does not depend on which ends first.
    """

    async def all() -> Any:
        inside = INSIDE.get()
        if inside is None:
            return await asyncio.gather(*calls, return_exceptions=return_exceptions)
        alone = [inside.alone(call) for call in calls]
        return await inside.gathered(asyncio.gather(*alone, return_exceptions=return_exceptions))

    return Call("gather", all)


# -- waiting ---------------------------------------------------------------------------------------------------------


def sleep(duration: Duration, *, key: str = "") -> Call[None]:
    """Wait; for days, if need be, and across restarts. `duration`: "30s", "2d", a number of seconds, a timedelta.

    Outside of a workflow this is `asyncio.sleep`.
    """
    length = seconds(duration, "sleep")

    async def slept() -> None:
        inside = INSIDE.get()
        if inside is None:
            await asyncio.sleep(length)
            return
        await inside.ask("sleep", key or f"{length:g}s", SleepCall(seconds=length), None)

    return Call("sleep", slept)


def sleep_until(moment: datetime, *, key: str = "") -> Call[None]:
    """Wait until a moment; one that has passed is over at once. Raises Invalid for a moment without a time zone."""
    if moment.tzinfo is None:
        raise errors.Invalid(f"sleep_until: {moment.isoformat()} has no time zone; give it one, such as datetime.UTC")
    until = moment.timestamp()
    inside = here("sleep_until")

    async def slept() -> None:
        await inside.ask("sleep_until", key or moment.isoformat(), SleepCall(until=until), None)

    return Call("sleep_until", slept)


def wait_for_event(
    type: str = "",
    *,
    source: str = "",
    data: Mapping[str, Json] | None = None,
    timeout: Duration | None = None,
    key: str = "",
) -> Call[dict[str, Json]]:
    """Wait for an event of the namespace and give it, as the map of its CloudEvents attributes.

    It hears what is sent from now on, each event once. Raises StepTimeout when none comes in time.

    `type`: that of the event, "" for any. `source`: that of the event, "" for any. `data`: fields that the event's data must
    have, such as `{"order": order.id}`. `timeout`: how long to wait; None: for ever.
    """
    inside = here("wait_for_event")
    call = EventCall(
        kind=type,
        source=source,
        data=_PLAIN.encode(data or {}),
        timeout_seconds=None if timeout is None else seconds(timeout, "timeout"),
    )
    named = key or ",".join([type or "*", *([source] if source else []), *(f"{k}={v}" for k, v in call.data.items())])

    async def heard() -> dict[str, Json]:
        return cast("dict[str, Json]", _PLAIN.decode(await inside.ask("event", named, call, None)))

    return Call("wait_for_event", heard)


class Token:
    """The right to report an outcome once, for who is far away: a person, an agent, another engine.

    `await token.text()` gives what to hand out; `await token.result(bool)` waits for what is reported. The text is the same
    however often it is asked for, also after a crash.
    """

    def __init__(
        self,
        name: str,
        key: str,
        timeout_seconds: float | None,
        heartbeat_seconds: float | None,
        operations: tuple[str, ...],
    ) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._operations = operations
        self._inside = here("token")
        self._name = name
        self._key = key
        self._timeout_seconds = timeout_seconds
        named = f"{name},{key}" if key else name
        self._mark = str(self._inside.note("token", named, lambda: stdlib_uuid.uuid4().hex))
        # A fork of this run has the same mark, and must not have the same token.
        self._id = stdlib_uuid.uuid5(stdlib_uuid.UUID(self._mark), self._inside.run).hex
        self._waiting: asyncio.Task[Json] | None = None

    @property
    def id(self) -> str:
        """What the token is called in lists and logs; it gives no right."""
        return self._id

    def text(self) -> Call[str]:
        """Give the text to hand out. The token is issued by now: whoever has it may report at once."""

        async def given() -> str:
            self._issue()
            return await self._inside.token(self._id)

        return Call("token.text", given)

    @overload
    def result(self) -> Call[Any]: ...
    @overload
    def result(self, type: type[T]) -> Call[T]: ...
    def result(self, type: Any = Any) -> Call[Any]:
        """Wait for the outcome and give it as `type`. Raises StepFailed for a failure that was reported, StepTimeout."""

        async def reported() -> Any:
            return Coder(type).decode(await self._inside.gathered(self._issue()))

        return Call("token.result", reported)

    def _issue(self) -> asyncio.Future[Json]:
        if self._waiting is None:
            call = TokenCall(
                token=self._id,
                name=self._name,
                timeout_seconds=self._timeout_seconds,
                heartbeat_seconds=self._heartbeat_seconds,
                operations=self._operations,
            )
            asked = self._inside.ask("token", f"{self._name},{self._mark[:8]}", call, None)
            self._waiting = self._inside.alone(asked)
        return self._waiting


def token(
    name: str,
    *,
    expires: Duration | None = None,
    heartbeat: Duration | None = None,
    operations: Sequence[str] = (),
    key: str = "",
) -> Token:
    """Issue a token. `name`: what is waited for, as people see it. `expires`: how long it may be used, None for ever.

    `heartbeat`: for how long its holder may be silent; after that `result` raises StepLost. None: for ever. `operations`:
    what it may be used for (complete, fail, heartbeat, progress, show); everything when empty.
    """
    if unknown := [each for each in operations if each not in TOKEN_OPERATIONS]:
        known = ", ".join(TOKEN_OPERATIONS)
        raise errors.Invalid(f"token: there is no operation {unknown[0]!r}; there are {known}")
    return Token(
        name,
        key,
        None if expires is None else seconds(expires, "expires"),
        None if heartbeat is None else seconds(heartbeat, "heartbeat"),
        tuple(operations),
    )


def run_workflow(name: str, input: Json = None, *, key: str = "") -> Call[Json]:
    """Run a published workflow of the same store, such as `shop/order:1.2.0`, as a child, and give its output.

    Without a namespace it is that of this run, without a version the newest.
    """
    inside = here("run_workflow")
    space, _, rest = name.rpartition("/")
    title, _, version = rest.partition(":")
    call = ChildCall(namespace=space or inside.namespace, name=title, version=version or "latest")
    given = Coder(what=f"the input of {name}").encode(input)

    async def ended() -> Json:
        return cast("Json", _PLAIN.decode(await inside.ask("run_workflow", key or name, call, given)))

    return Call("run_workflow", ended)


# -- values that stay ------------------------------------------------------------------------------------------------


def now(key: str = "") -> datetime:
    """Give the time, in UTC; the same when the run is resumed."""
    inside = here("now")
    made = inside.note("now", key, lambda: inside.clock.now())
    return datetime.fromtimestamp(made, UTC)


def random(key: str = "") -> float:
    """Give a random number in [0, 1); the same when the run is resumed."""
    inside = here("random")
    made: float = inside.note("random", key, lambda: inside.clock.uniform(0.0, 1.0))
    return made


def uuid(key: str = "") -> stdlib_uuid.UUID:
    """Give a random UUID; the same when the run is resumed."""
    return stdlib_uuid.UUID(here("uuid").note("uuid", key, lambda: str(stdlib_uuid.uuid4())))


def patched(name: str) -> bool:
    """Say whether this run takes the new way at a place where the code was changed.

    True for runs that come here with the new code, False for those that were here before; a run that got one answer keeps it.
    """
    return here("patched").is_patched(name)


# -- how the run shows itself ----------------------------------------------------------------------------------------


def set_progress(fraction: float, message: str | None = None) -> None:
    """Show how far the run is, from 0 to 1."""
    if not 0.0 <= fraction <= 1.0:
        raise errors.Invalid(f"set_progress: {fraction} lies outside of 0 to 1")
    here("set_progress").show(Show(progress=float(fraction), message=message))


def set_status(text: str) -> None:
    """Show people what the run is at, in the workflow's own words."""
    here("set_status").show(Show(status=text))


def set_attributes(
    attributes: Mapping[str, str | float | bool | None] | None = None, /, **more: str | float | bool | None
) -> None:
    """Let the run be found by these values, as by `interlock list --where customer=42`; None takes one away."""
    here("set_attributes").show(Show(attributes=dict(attributes or {}) | more))


# -- for ever --------------------------------------------------------------------------------------------------------


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End this round of the run and begin the next with these arguments; what the round remembers is forgotten.

    For workflows that never end: a round that is closed cannot be undone any more, and costs nothing when the run is
    resumed.
    """
    inside = here("continue_as_new")
    workflow = CURRENT.get()
    inside.renew(workflow.signature.encode(args, kwargs))
    raise Leaving("continued as new")
