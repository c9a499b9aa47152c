"""Commands about events: send one, list those of the last day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from interlock import errors
from interlock.app import events
from interlock.app.session import Session
from interlock.cli import context, far, given
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import json
from interlock.model.json import Json
from interlock.wire import events as wire

_DEFAULT_NAMESPACE: Final = "default"
_PAGE: Final = 1_000


async def send(
    type: str | None,
    *,
    event: str | None,
    data: str | None,
    source: str | None,
    subject: str | None,
    id: str | None,
    attributes: Sequence[str],
    as_json: bool,
) -> int:
    """Send an event to whoever listens now. Raises Invalid for what is no CloudEvent."""
    fields = _fields(event)
    fields |= {
        name: value
        for name, value in {"type": type, "source": source, "subject": subject, "id": id}.items()
        if value is not None
    }
    for attribute in attributes:
        name, separator, value = attribute.partition("=")
        if not separator:
            raise errors.Invalid(f"--attribute {attribute!r} is not NAME=VALUE")
        fields[name] = value
    if data is not None:
        fields["data"] = given.value(data, "--data")
    if "type" not in fields:
        raise errors.Invalid("an event needs a type: `interlock events send TYPE`, or --event with a whole event")
    namespace = options.namespace or _DEFAULT_NAMESPACE
    if options.server is not None:
        sent, namespace = await _sent_far(fields)
    else:
        async with context.opened(Session) as app:
            sent = await events.send(app, namespace, fields)
    if as_json:
        answer(json.encode({"event": sent.event, "namespace": namespace, "listeners": sent.listeners}).decode())
    else:
        answer(sent.event["id"])
        note(_told(sent.listeners, namespace))
    return 0


async def _sent_far(fields: dict[str, Json]) -> tuple[events.Sent, str]:
    """Send an event through the server; give it and the namespace that it went to."""
    body = {"source": events.SOURCE} | fields
    async with far.opened() as server:
        answered = await server.ask(wire.SentMany, "POST", "/events", body=body, safe={"source", "id"} <= fields.keys())
    told = answered.items[0]
    return events.Sent(event=told.event, listeners=told.listeners), told.namespace


async def _kept(type: str | None, before: int | None, limit: int) -> Sequence[events.Kept]:
    """Give the events of the last day, of the server or of the store."""
    if options.server is None:
        async with context.existing(Session) as app:
            return await events.listed(app, options.namespace, type, before, limit)
    found: list[events.Kept] = []
    async with far.opened() as server:
        while len(found) < limit:
            query: dict[str, Json] = {"type": type, "before": before, "limit": min(_PAGE, limit - len(found))}
            page = await server.ask(wire.KeptEvents, "GET", "/events", query=query)
            found += [events.Kept(**msgspec.structs.asdict(each)) for each in page.items]
            before = page.next
            if before is None:
                break
    return found


def _fields(event: str | None) -> dict[str, Json]:
    if event is None:
        return {}
    fields = given.value(event, "--event")
    if not isinstance(fields, dict):
        raise errors.Invalid("--event must be a JSON object: a CloudEvent")
    return fields


def _told(listeners: int | None, namespace: str) -> str:
    match listeners:
        case None:
            return "an event with this source and id was sent before; nothing was sent"
        case 0:
            return f"sent; no run in the namespace {namespace} listens for it"
        case 1:
            return "sent to 1 run"
        case _:
            return f"sent to {listeners} runs"


async def listed(type: str | None, *, before: int | None, limit: int, as_json: bool) -> int:
    """List the events of the last day, newest first."""
    kept = await _kept(type, before, limit)
    if as_json:
        rows = [
            {"number": item.number, "namespace": item.namespace, "at": item.at, "event": item.event} for item in kept
        ]
        answer(json.encode(rows).decode())
        return 0
    for item in kept:
        at = datetime.fromtimestamp(item.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        answer(
            f"{item.number}  {at}  {item.namespace}  {item.event['type']}  {item.event['source']}  {item.event['id']}"
        )
    if not kept:
        note("no events in the last day")
    elif len(kept) == limit:
        note(f"older ones: interlock events list --before {kept[-1].number}")
    return 0
