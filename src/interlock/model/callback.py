"""Callbacks: where the caller of a run wants to be told how it ended.

    {"url": "https://caller.example/done", "secret": "whsec_…", "headers": {"X-Team": "a"}, "deadline": "2h"}
    {"temporal": {"address": "temporal:7233", "namespace": "shop", "task_token": "<base64>", "heartbeat": "30s"}}

They hold secrets: nothing shows one, `repr` included. Empty (None, {}, "") means that nobody wants to be told.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from interlock import errors
from interlock.model import duration, json
from interlock.model.json import Json

DEADLINE_SECONDS: Final = 86_400.0
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 (what a secret begins with)
_LEAST_SECRET_BYTES: Final = 24  # Standard Webhooks, "Signature scheme": between 24 and 64 bytes
_MOST_SECRET_BYTES: Final = 64
_MOST_BYTES: Final = 64 * 1024
_LONGEST_DEADLINE_SECONDS: Final = 365 * 86_400.0
_LEAST_HEARTBEAT_SECONDS: Final = 1.0
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110: a token
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?|")
_OURS: Final = frozenset(
    {"webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "content-length", "host",
     "transfer-encoding", "connection"}
)  # fmt: skip
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


class _Callback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every kind has; each kind says by itself where it goes and who is there (`target`, `receiver`)."""

    deadline_seconds: float | None = None
    """How long the caller waits, from when the run was asked for; None for the setting `deliveries.deadline`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target}>"

    @property
    def target(self) -> str:
        """Where it goes, as people may read it."""
        raise NotImplementedError

    @property
    def receiver(self) -> list[str]:
        """What two callbacks of the same caller have in common, and others have not."""
        raise NotImplementedError


class Webhook(_Callback, frozen=True, kw_only=True, tag="webhook", tag_field="kind", repr_omit_defaults=True):
    """A POST of JSON, signed as Standard Webhooks say where there is a secret (`whsec_` and base64)."""

    url: str
    secret: str | None = None
    headers: dict[str, str] = {}

    __repr__ = _Callback.__repr__

    @property
    def target(self) -> str:
        """Its host only: paths and queries of webhooks often are secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def receiver(self) -> list[str]:
        return [self.url]

    @property
    def secret_bytes(self) -> bytes | None:
        return None if self.secret is None else base64.b64decode(self.secret.removeprefix(SECRET_PREFIX))


class TemporalTask(_Callback, frozen=True, kw_only=True, tag="temporal", tag_field="kind", repr_omit_defaults=True):
    """An activity of Temporal that waits for its completion from outside.

    `workflow` and `activity`: their ids, by which a newer token of the same activity is known to replace an older one.
    """

    address: str
    namespace: str
    task_token: bytes
    workflow: str | None = None
    activity: str | None = None
    heartbeat_seconds: float | None = None
    tls: bool = False
    server_name: str | None = None
    ca: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    api_key: str | None = None

    __repr__ = _Callback.__repr__

    @property
    def target(self) -> str:
        return f"temporal://{self.address}/{self.namespace}"

    @property
    def receiver(self) -> list[str]:
        """Without ids a token is its own receiver: an older one is then found out by Temporal, which does not know it."""
        place = [self.address, self.namespace]
        if self.workflow is not None and self.activity is not None:
            return [*place, "activity", self.workflow, self.activity]
        return [*place, "token", base64.b64encode(self.task_token).decode()]


Callback: TypeAlias = Webhook | TemporalTask

_decoder: Final[msgspec.json.Decoder[Callback]] = msgspec.json.Decoder(Callback)


def encode(callback: Callback) -> bytes:
    """Give its text, which has to be sealed before it is stored."""
    return msgspec.json.encode(callback)


def decode(text: bytes) -> Callback:
    return _decoder.decode(text)


def parse(given: Json) -> Callback | None:
    """Give a callback as it was written, checked; None for none at all. Raises Invalid, which quotes no secret."""
    if given in (None, {}, ""):
        return None
    if isinstance(given, Webhook | TemporalTask):
        return given
    if not isinstance(given, dict):
        raise _wrong(f"is a {type(given).__name__}", 'a map with "url", or with "temporal"')
    if len(json.encode(given)) > _MOST_BYTES:
        raise _wrong(f"is larger than {_MOST_BYTES // 1024} KiB", "what names the caller and no more")
    deadline = _seconds(given.get("deadline"), "deadline", most=_LONGEST_DEADLINE_SECONDS)
    if "temporal" in given:
        _only(given, {"temporal", "deadline"}, "")
        return _temporal(given["temporal"], deadline)
    _only(given, {"url", "secret", "headers", "deadline"}, "")
    return Webhook(
        url=_url(given.get("url")),
        secret=_secret(given.get("secret")),
        headers=_headers(given.get("headers")),
        deadline_seconds=deadline,
    )


# -- webhooks --------------------------------------------------------------------------------------------------------


def _url(value: Json) -> str:
    wanted = "an absolute http:// or https:// URL"
    if not isinstance(value, str) or not value.isascii() or any(each <= " " or each == "\x7f" for each in value):
        raise _wrong("has no `url` that can be called", wanted)
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise _wrong("has no `url` that can be called", wanted)
    if parts.fragment or parts.username is not None or parts.password is not None:
        raise _wrong("has a `url` with a user, a password or a fragment", "credentials in `headers`, and no fragment")
    return value


def _secret(value: Json) -> str | None:
    if value is None:
        return None
    wanted = f"{SECRET_PREFIX} and the base64 of {_LEAST_SECRET_BYTES} to {_MOST_SECRET_BYTES} bytes"
    if not isinstance(value, str):
        raise _wrong("has a `secret` that is no text", wanted)
    raw = _base64(value.removeprefix(SECRET_PREFIX))
    if raw is None or not _LEAST_SECRET_BYTES <= len(raw) <= _MOST_SECRET_BYTES:
        raise _wrong("has a `secret` of another form", wanted)
    return value


def _headers(value: Json) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong("has `headers` that are no map", "names and texts")
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise _wrong(f"has the header {name[:40]!r}", "names that HTTP allows, and none that is set here")
        if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise _wrong(f"has a header {name} that HTTP does not allow", "a text in one line")
    return dict(value)


# -- Temporal --------------------------------------------------------------------------------------------------------

_TEMPORAL: Final = {
    "address", "namespace", "task_token", "workflow", "activity", "heartbeat", "tls", "server_name", "ca", "certificate",
    "certificate_key", "api_key",
}  # fmt: skip


def _temporal(given: Json, deadline: float | None) -> TemporalTask | None:
    if not isinstance(given, dict):
        raise _wrong("has a `temporal` that is no map", "its `address`, `namespace` and `task_token`")
    _only(given, _TEMPORAL, "temporal.")
    if given.get("task_token") in (None, ""):
        return None  # an activity that does not wait: fire and forget
    address = _text(given, "address")
    found = _ADDRESS.fullmatch(address or "")
    if found is None or not 0 < int(found.group(2)) < 65536:
        raise _wrong("has no `temporal.address`", "HOST:PORT, such as temporal.example:7233")
    token = _base64(_text(given, "task_token") or "")
    if not token:
        raise _wrong("has a `temporal.task_token` of another form", "base64 of the bytes that the activity was given")
    if not isinstance(given.get("tls", False), bool):
        raise _wrong("has a `temporal.tls` of another form", "true or false")
    certificate, key = _text(given, "certificate"), _text(given, "certificate_key")
    if (certificate is None) != (key is None):
        raise _wrong("has one of `temporal.certificate` and `temporal.certificate_key`", "both, as PEM texts, or none")
    secured = any(_text(given, name) for name in ("server_name", "ca", "certificate", "api_key"))
    beat = _seconds(given.get("heartbeat"), "temporal.heartbeat", least=_LEAST_HEARTBEAT_SECONDS)
    return TemporalTask(
        address=found.group(0),
        namespace=_text(given, "namespace") or "default",
        task_token=token,
        workflow=_text(given, "workflow"),
        activity=_text(given, "activity"),
        heartbeat_seconds=beat,
        tls=given.get("tls", secured),
        server_name=_text(given, "server_name"),
        ca=_text(given, "ca"),
        certificate=certificate,
        certificate_key=key,
        api_key=_text(given, "api_key"),
        deadline_seconds=deadline,
    )


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not (isinstance(value, str) and value):
        raise _wrong(f"has a `temporal.{name}` of another form", "a text that is not empty")
    return value


# -- shared ----------------------------------------------------------------------------------------------------------


def _seconds(value: Json, name: str, *, least: float = 0.0, most: float | None = None) -> float | None:
    if value is None:
        return None
    try:
        seconds = duration.parse(value)
    except ValueError:
        seconds = -1.0
    if seconds <= 0 or seconds < least or (most is not None and seconds > most):
        upto = "" if most is None else f", at most {most / 86_400:g} days"
        raise _wrong(f"has a `{name}` of another form", f"a duration such as 30s or 2h{upto}")
    return seconds


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _only(given: dict[str, Any], known: set[str], place: str) -> None:
    for name in given:
        if name not in known:
            raise _wrong(f"has {place}{str(name)[:40]}, which is unknown", ", ".join(sorted(known)))


def _wrong(what: str, wanted: str) -> errors.Invalid:
    return errors.Invalid(f"the callback {what}; wanted: {wanted}")
