"""Sending events from outside, and looking at those that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interlock import errors
from interlock.app.actor import actor
from interlock.app.session import Session
from interlock.engine import exchange
from interlock.model import cloud_event, json
from interlock.model.json import Json
from interlock.store.ports import Store

SOURCE: Final = "urn:interlock:cli"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """`listeners`: how many runs were told; None when an event with this source and id was there already."""

    event: dict[str, Json]
    listeners: int | None


async def send(app: Session, namespace: str, attributes: Mapping[str, Json], *, within: Store | None = None) -> Sent:
    """Deliver an event to every run of a namespace that listens for it now. Durable when it returns.

    Raises Invalid for what is no CloudEvent. Sending the same `source` and `id` again within a day changes nothing.
    `within`: the store of a transaction to join.
    """
    event = checked(app, attributes)
    delivered = await (within or app.store).journal.send(exchange.sent(namespace, event), actor(), app.clock.now())
    return Sent(event=event, listeners=delivered)


def checked(app: Session, attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Give the whole event that attributes make. Raises Invalid for what is no CloudEvent."""
    try:
        return cloud_event.envelope(attributes, id=app.clock.uuid(), source=SOURCE, now=app.clock.now())
    except ValueError as error:
        raise errors.Invalid(f"this is no CloudEvent: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An event as it was sent. `number` is its place in the order of sending."""

    number: int
    namespace: str
    at: float
    event: dict[str, Json]


async def listed(app: Session, namespace: str | None, type: str | None, before: int | None, limit: int) -> list[Kept]:
    """Give the events of the last day, newest first."""
    rows = await app.store.views.events(namespace, type, before, limit)
    return [Kept(number=row.number, namespace=row.namespace, at=row.at, event=json.decode(row.body)) for row in rows]
