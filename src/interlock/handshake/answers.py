"""What the holder of a token is told: what became of a report, how the token stands, or why it is refused."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from interlock import errors
from interlock.model import json
from interlock.model.json import Json
from interlock.store.ports import TokenRow, TokenState

_ENDED = (TokenState.COMPLETED, TokenState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What became of a report.

    `state`: how the token stands, such as "completed". `run`: the key of the run that goes on. `run_id`: its id.
    `namespace`: where it is. `step`: the path of its step. `applied`: False when the same outcome was reported
    before, which is as good.
    """

    state: str
    run: str
    applied: bool
    step: str = ""
    run_id: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The answer to a sign of life.

    `run`: the key of the run that waits. `run_id`: its id. `namespace`: where it is. `step`: the path of its step.
    `cancel_requested`: stop, since nobody will want the result. `reason`: why. `expires_at`: until when the token may
    be used, UTC seconds, None for ever. `silent_at`: when the next sign of life is due at the latest, UTC seconds,
    None for never.
    """

    run: str
    step: str
    cancel_requested: bool
    reason: str | None = None
    expires_at: float | None = None
    silent_at: float | None = None
    run_id: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """How a token stands; never its text. Times are UTC seconds.

    `id`: what it is called. `state`: open, completed, failed, expired, revoked or superseded. `run`: the key of its
    run. `run_id`: the id of its run. `namespace`: where that is. `step`: the path of its step. `name`: what is waited
    for. `created_at`: since when. `expires_at`: until when, None for ever. `heartbeat_at`: when its holder gave the
    last sign of life. `heartbeat_seconds`: for how long he may be silent, None for ever. `progress`: of the work,
    such as {"fraction": 0.5}. `detail`: what else its holder told. `completed_at`: when it was reported.
    `completed_by`: by whom. `reason`: why nobody waits for it any more. `to` and `question`: who is asked what.
    `schema`: what a result must fit. `operations`: what it may be used for, all when empty.
    """

    id: str
    state: str
    run: str
    step: str
    name: str
    created_at: float
    expires_at: float | None
    heartbeat_at: float | None
    heartbeat_seconds: float | None
    progress: Json
    detail: Json
    completed_at: float | None
    completed_by: str | None
    reason: str | None
    to: Json = None
    question: Json = None
    schema: Json = None
    operations: tuple[str, ...] = field(default=())
    run_id: str = ""
    namespace: str = ""


def view(row: TokenRow) -> TokenView:
    """Give a token as people may see it."""
    terms = terms_of(row)
    return TokenView(
        id=row.token,
        state="superseded" if row.superseded else str(row.state),
        run=row.run,
        step=row.step or f"/{row.name}",
        name=row.name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        heartbeat_at=row.heartbeat_at,
        heartbeat_seconds=row.heartbeat_seconds,
        progress=None if row.progress is None else json.decode(row.progress),
        detail=None if row.detail is None else json.decode(row.detail),
        completed_at=row.completed_at,
        completed_by=row.completed_by,
        reason=row.reason,
        to=terms.get("to"),
        question=terms.get("question"),
        schema=terms.get("schema"),
        operations=tuple(terms.get("operations", ())),
        run_id=row.run_id,
        namespace=row.namespace,
    )


def terms_of(row: TokenRow) -> dict[str, Json]:
    """Give what the holder of a token is told and bound to."""
    return {} if row.terms is None else json.decode(row.terms)


def alive(row: TokenRow, cancel: bytes | None, found: TokenRow) -> Alive:
    """Give the answer to a sign of life that counted; `cancel`: the cause that asks the run to end; `found`: the token as it
    was looked up, with the names of its run."""
    reason = row.reason if cancel is None else msgspec.json.decode(cancel, type=_Asked).reason
    return Alive(
        run=row.run,
        step=row.step,
        cancel_requested=cancel is not None or row.reason is not None,
        reason=reason,
        expires_at=row.expires_at,
        silent_at=row.silent_at,
        run_id=found.run_id,
        namespace=found.namespace,
    )


class _Asked(msgspec.Struct):
    """As much of the cause `cancel` as is told to others."""

    reason: str | None = None


# -- refusals ----------------------------------------------------------------------------------------------------------


def unknown() -> errors.TokenUnknown:
    """Give the answer to a text that is no token of this store and namespace: one for all that it may be."""
    return errors.TokenUnknown("this is no token of this store and namespace; check that all of it was passed on")


def refused(row: TokenRow, shown: str) -> errors.TokenError:
    """Give the answer about a token that cannot be used any more. `shown`: as much of it as may be shown."""
    error = functools.partial(
        errors.TokenError, state=str(row.state), completed_at=row.completed_at, by=row.completed_by
    )
    if row.state in _ENDED:
        when = "" if row.completed_at is None else f" at {_moment(row.completed_at)}"
        text = f"the token {shown} was {row.state} before, with another outcome, by {row.completed_by}{when}"
        return error(text, "token-already-completed")
    if row.superseded:
        text = f"the token {shown} was given up, and the step to somebody else: {row.reason}; stop the work for it"
        return error(text, "token-superseded")
    if row.state is TokenState.REVOKED:
        why = row.reason or "the run has ended"
        text = f"the token {shown} was revoked: {why}; nobody waits for it any more"
        return error(text, "token-revoked")
    if row.state is TokenState.OPEN and row.silent_at is not None:
        text = (
            f"the token {shown} was given up: its holder was silent for more than {row.heartbeat_seconds:g} s, until"
            f" {_moment(row.silent_at)}"
        )
        return error(text, "token-expired")
    when = "" if row.expires_at is None else f" at {_moment(row.expires_at)}"
    return error(f"the token {shown} expired{when}", "token-expired")


def out_of_scope(row: TokenRow, operation: str, shown: str) -> errors.TokenError:
    """Give the answer to a use that the token is not for."""
    allowed = ", ".join(terms_of(row).get("operations", ()))
    text = f"the token {shown} is not for `{operation}`; it may be used for {allowed}"
    return errors.TokenError(text, "token-forbidden", state=str(row.state))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
