"""Completion tokens as requests and answers. The token itself stands in the path, and in no answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.model.json import Json


class Complete(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The outcome: any JSON."""

    result: Json = None


class Fail(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`retryable`: whether the step may be tried again, if its author allows it."""

    message: Annotated[str, Meta(max_length=100_000)]
    type: Annotated[str, Meta(min_length=1, max_length=200)] = "Failed"
    retryable: bool = False
    details: Json = None


class Heartbeat(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A sign of life. `details` are kept until the next one, and shown."""

    details: Json = None


class Progress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far the work is: `fraction` from 0 to 1, `message` in words."""

    fraction: Annotated[float, Meta(ge=0, le=1)] | None = None
    message: Annotated[str, Meta(max_length=1000)] | None = None


class Log(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Output of an attempt, as it is."""

    text: Annotated[str, Meta(min_length=1, max_length=65_536)]


class Logged(msgspec.Struct, kw_only=True):
    characters: int


class Reported(msgspec.Struct, kw_only=True):
    """`applied` false: the same outcome was reported before, which is as good."""

    state: str
    run: str
    namespace: str
    step: str
    applied: bool
    key: str = ""
    """Of the run, its own in the whole store; the same below."""


class Heard(msgspec.Struct, kw_only=True):
    """`cancel_requested`: stop, nobody will want the outcome; `reason` says why. `silent_at`: until when the next
    sign of life is due."""

    run: str
    namespace: str
    step: str
    key: str = ""
    cancel_requested: bool
    reason: str | None = None
    expires_at: float | None = None
    silent_at: float | None = None


class TokenTold(msgspec.Struct, kw_only=True):
    """A token as it stands. `state`: open, completed, failed, expired, revoked or superseded."""

    state: str
    run: str
    namespace: str
    step: str
    name: str
    key: str = ""
    id: str = ""
    operations: list[str] = []
    created_at: float
    expires_at: float | None = None
    heartbeat_at: float | None = None
    heartbeat_seconds: float | None = None
    progress: Json = None
    detail: Json = None
    completed_at: float | None = None
    completed_by: str | None = None
    reason: str | None = None
    to: Json = None
    question: Json = None
    schema: Json = None


class TokenList(msgspec.Struct, kw_only=True):
    items: list[TokenTold]
