"""What forms of the dashboard do, once they have proved that they come from one of its pages."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import Request

from interlock import errors
from interlock.app.actor import actor
from interlock.app.session import Session
from interlock.handshake.tokens import Tokens
from interlock.model import json
from interlock.model.json import Json
from interlock.store.ports import RunRow

_LONGEST_FORM: Final = 256 * 1024
_LONGEST_REASON: Final = 500
_TYPE: Final = "Rejected"
"""The error of a step that somebody failed here."""

DONE: Final[Mapping[str, str]] = {
    "cancel": "The run is asked to end.",
    "suspend": "The run is asked to rest: what is at work ends first.",
    "resume": "The run goes on.",
    "retry": "The run goes on from the step that failed.",
    "complete": "The answer was taken; the run goes on with it.",
    "fail": "The failure was taken; the run goes on with it.",
}
"""What was done, for the page that is shown next."""


class Forbidden(Exception):
    """Whoever asks may not do this, or the request does not come from a page of ours."""


async def form(request: Request) -> dict[str, str]:
    """Give the fields of a form. Raises Invalid for what is none, or too long."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise errors.Invalid("a form was expected")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            raise errors.Invalid(f"the form has more than {_LONGEST_FORM} bytes")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict"))
    except ValueError:
        raise errors.Invalid("the form cannot be read") from None


def prove(given: Mapping[str, str], csrf: str) -> None:
    """Refuse a change that does not come from a page of this session, of which `csrf` is the proof. Raises Forbidden."""
    if not hmac.compare_digest(csrf.encode(), given.get("csrf", "").encode()):
        raise Forbidden("This form is not of your present session; reload the page and try again.")


async def act(session: Session, row: RunRow, action: str, given: Mapping[str, str]) -> None:
    """Do what a form asks for. Raises NotFound for an action that there is none of, Conflict when the run has moved on."""
    actions: Mapping[str, Callable[[], Awaitable[bool]]] = {
        "cancel": lambda: session.cancel(row, _line(given, "reason") or None, rollback=given.get("rollback") == "yes"),
        "suspend": lambda: session.suspend(row),
        "resume": lambda: session.resume(row),
        "retry": lambda: session.retry(row),
        "complete": lambda: _complete(session, row, given),
        "fail": lambda: _fail(session, row, given),
    }
    if action not in actions:
        raise errors.NotFound(f"a run has no action {action!r}; there are {', '.join(actions)}")
    if not await actions[action]():
        raise errors.Conflict(f"the run {row.id} is {row.status}: there is nothing to {action}")


async def _complete(session: Session, row: RunRow, given: Mapping[str, str]) -> bool:
    result = _value(given.get("result", ""))
    tokens = Tokens(session.store, session.secrets, session.clock, row.namespace)
    await tokens.complete(await tokens.of_step(row.run, given.get("step", "")), result, by=actor())
    return True


async def _fail(session: Session, row: RunRow, given: Mapping[str, str]) -> bool:
    tokens = Tokens(session.store, session.secrets, session.clock, row.namespace)
    message = _line(given, "message") or f"failed in the dashboard by {actor()}"
    await tokens.fail(await tokens.of_step(row.run, given.get("step", "")), _TYPE, message, by=actor())
    return True


def _value(text: str) -> Json:
    if not text.strip():
        return None
    try:
        return json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.Invalid(f"the result is not JSON: {error}; a text is written in quotes") from None


def _line(given: Mapping[str, str], name: str) -> str:
    return given.get(name, "").strip()[:_LONGEST_REASON]
