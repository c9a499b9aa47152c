"""Events from outside, as answers; a request is a CloudEvent itself."""

from __future__ import annotations

import msgspec

from interlock.model.json import Json


class Sent(msgspec.Struct, kw_only=True):
    """`listeners`: how many runs were told; null when an event with this source and id was sent before. `event`: whole."""

    namespace: str = ""
    event: dict[str, Json] = msgspec.field(default_factory=dict)
    id: str
    source: str
    listeners: int | None


class SentMany(msgspec.Struct, kw_only=True):
    items: list[Sent]


class DeliveryTold(msgspec.Struct, kw_only=True):
    """Who is told how a run ended, and how far that is. `run`: the key of the run. `target`: the host that it goes to.
    `waiting`: the run lives. `due_at`: when something is done next. `problem`: what was wrong last."""

    id: str
    run: str
    namespace: str
    kind: str
    target: str
    state: str
    waiting: bool
    attempts: int
    due_at: float | None
    deadline: float
    created_at: float
    ended_at: float | None
    problem: str | None


class Deliveries(msgspec.Struct, kw_only=True):
    """Newest first. `next`: what `before` is for the page after it."""

    items: list[DeliveryTold]
    next: str | None = None


class Sending(msgspec.Struct, kw_only=True):
    """One sending of a delivery. `status` null: nobody heard how it went; it may have arrived."""

    number: int
    node: str
    at: float
    seconds: float | None
    status: str | None
    detail: str | None


class DeliveryWhole(DeliveryTold, kw_only=True):
    """A delivery with its sendings, the oldest first."""

    attempts_made: list[Sending]


class KeptEvent(msgspec.Struct, kw_only=True):
    number: int
    namespace: str
    at: float
    event: dict[str, Json]


class KeptEvents(msgspec.Struct, kw_only=True):
    """Newest first. `next`: what `before` is for the page after it."""

    items: list[KeptEvent]
    next: int | None = None
