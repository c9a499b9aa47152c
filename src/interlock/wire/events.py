"""Events from outside, as answers; a request is a CloudEvent itself."""

from __future__ import annotations

import msgspec

from interlock.model.json import Json


class Sent(msgspec.Struct, kw_only=True):
    """`listeners`: how many runs were told; null when an event with this source and id was sent before."""

    id: str
    source: str
    listeners: int | None


class SentMany(msgspec.Struct, kw_only=True):
    items: list[Sent]


class KeptEvent(msgspec.Struct, kw_only=True):
    number: int
    namespace: str
    at: float
    event: dict[str, Json]


class KeptEvents(msgspec.Struct, kw_only=True):
    """Newest first. `next`: what `before` is for the page after it."""

    items: list[KeptEvent]
    next: int | None = None
