"""CloudEvents as plain JSON envelopes: what workflows emit and listen to.

Source: CloudEvents 1.0.2, "Required Attributes", "Optional Attributes" and "Extension Context Attributes". `source` and
`id` together name an event: two with the same pair are the same one, sent twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from interlock.model import json
from interlock.model.json import Json

MAX_BYTES: Final = 1024 * 1024
"""An event is copied to every listener; what is larger belongs into a store of its own, with a link in the event."""

_TEXTS: Final = ("id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
_REQUIRED: Final = ("id", "source", "type")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,20}\Z")
_NO_URI: Final = re.compile(r"[\s<>\"{}|\\^`]")


def envelope(given: Mapping[str, Json], *, id: str, source: str, now: float) -> dict[str, Json]:
    """Give the envelope of an event; `id`, `source` and `now` (UTC seconds) stand in for what is not given.

    Raises ValueError, which names the attribute, for what is no CloudEvent.
    """
    event: dict[str, Json] = {"specversion": "1.0", "id": id, "source": source, "time": _moment(now)}
    event |= {name: value for name, value in given.items() if value is not None or name == "data"}
    if "data" in event and "datacontenttype" not in event:
        event["datacontenttype"] = "application/json"
    for name, value in event.items():
        _check(name, value)
    for name in _REQUIRED:
        if not event.get(name):
            raise ValueError(f"the event has no `{name}`")
    if len(json.encode(event)) > MAX_BYTES:
        raise ValueError(f"the event is larger than {MAX_BYTES} bytes; send a link to its data instead")
    return event


def data(event: Mapping[str, Json]) -> Json:
    """Give what a listener reads by default: the event's data, null when it has none."""
    return event.get("data")


def raw(event: Mapping[str, Json]) -> Json:
    """Give the data as it was sent: binary data stays base64 text."""
    return event["data_base64"] if "data_base64" in event else event.get("data")


def _check(name: str, value: Json) -> None:
    if name in ("data", "data_base64"):
        return
    if name == "specversion":
        if value != "1.0":
            raise ValueError(f"`specversion` is {value!r}; this is CloudEvents 1.0")
        return
    if name in _TEXTS:
        _check_text(name, value)
    elif not _EXTENSION.match(name):
        raise ValueError(f"`{name}` is no attribute of an event: those of your own have 1 to 20 of a-z and 0-9")
    elif not isinstance(value, str | int | bool):
        raise ValueError(f"`{name}` is {type(value).__name__}; attributes are texts, whole numbers or booleans")


def _check_text(name: str, value: Json) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text that is not empty")
    if name in ("source", "dataschema") and _NO_URI.search(value):
        raise ValueError(f"`{name}` is no URI: {value!r}")
    if name == "time":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError(f"`time` is {value!r}; write it as 2026-01-31T12:00:00Z")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["MAX_BYTES", "data", "envelope", "raw"]
