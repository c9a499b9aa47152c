"""Events from outside: the HTTP binding of CloudEvents 1.0.2, structured, binary and batched."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from interlock.app import events
from interlock.model.access import Right
from interlock.model.json import Json
from interlock.server.access import Sender, chosen, listed, refuse_unless
from interlock.server.bodies import JSON, answer, media_type
from interlock.server.documented import documented
from interlock.server.problems import Refused
from interlock.server.routes.asking import NamespaceQuery, Server
from interlock.wire import events as wire

router = APIRouter(prefix="/api/v1/events", tags=["events"])

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
_SOURCE: Final = "urn:interlock:http"
_MOST: Final = 100  # events of one batch
_EVENT: Final = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "data": {},
    },
    "example": {"specversion": "1.0", "id": "7", "source": "urn:shop", "type": "shop.paid", "data": {"order": 7}},
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": _EVENT},
            BATCHED: {"schema": {"type": "array", "items": _EVENT, "maxItems": _MOST}},
            JSON: {"schema": {"description": "With `ce-*` headers: the data of an event. Without: a whole event."}},
        },
    }
}


@router.post("", **documented(wire.SentMany, status=202, problems=(415,)) | {"openapi_extra": _BODY})
async def send_events(request: Request, sender: Sender, server: Server, namespace: NamespaceQuery = None) -> Response:
    """Send events to the runs of a namespace that listen for such now. Those with a source and id that were sent in the last
    day change nothing. An event of a batch that is none refuses the whole batch before any is sent."""
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.OPERATE, space)
    given = _events(request.headers, media_type(request), await request.body())
    session = server.session
    for each in given:
        events.checked(session, {"source": _SOURCE} | each)
    sent = [await events.send(session, space, {"source": _SOURCE} | each) for each in given]
    items = [
        wire.Sent(
            id=each.event["id"],
            source=each.event["source"],
            listeners=each.listeners,
            namespace=space,
            event=each.event,
        )
        for each in sent
    ]
    return answer(wire.SentMany(items=items), 202)


def _events(headers: Mapping[str, str], kind: str, body: bytes) -> list[dict[str, Json]]:
    if kind == BATCHED:
        found = _decoded(body)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found) or len(found) > _MOST:
            raise Refused(422, "misshapen", f"a batch is a list of at most {_MOST} events")
        return found
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    if attributes and kind != STRUCTURED:
        return [_binary(attributes, headers.get("content-type", ""), kind, body)]
    if kind not in (STRUCTURED, JSON, "", "application/x-www-form-urlencoded"):
        raise Refused(
            415, "unsupported-media-type", f"send {STRUCTURED}, {BATCHED} or `ce-` headers, not {kind[:100]!r}"
        )
    event = _decoded(body)
    if not isinstance(event, dict):
        raise Refused(422, "misshapen", "an event is a JSON object")
    return [event]


def _binary(attributes: dict[str, str], full: str, kind: str, body: bytes) -> dict[str, Json]:
    """Give the event whose attributes are headers and whose data is the body (CloudEvents, HTTP binding 3.1)."""
    event: dict[str, Json] = dict(attributes)
    if not body:
        return event
    if full:
        event["datacontenttype"] = full
    if kind == JSON or kind.endswith("+json") or not kind:
        event["data"] = _decoded(body)
    elif kind.startswith("text/"):
        event["data"] = _text(body)
    else:
        event["data_base64"] = base64.b64encode(body).decode()
    return event


def _decoded(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(422, "misshapen", f"the body is no JSON: {error}") from None
    except RecursionError:
        raise Refused(422, "misshapen", "the body is nested too deeply") from None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refused(422, "misshapen", f"the body is not UTF-8 (byte {error.start})") from None


@router.get("", **documented(wire.KeptEvents))
async def list_events(
    sender: Sender,
    server: Server,
    namespace: NamespaceQuery = None,
    type: Annotated[str | None, Query(max_length=500, description="Only those of this type.")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the events of the last day, newest first."""
    space = listed(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    kept = await events.listed(server.session, space, type, before, limit)
    items = [
        wire.KeptEvent(number=each.number, namespace=each.namespace, at=each.at, event=each.event) for each in kept
    ]
    return answer(wire.KeptEvents(items=items, next=items[-1].number if len(items) == limit else None))
