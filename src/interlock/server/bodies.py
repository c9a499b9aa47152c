"""Reads the bodies of requests and writes those of answers."""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeVar

import msgspec
from fastapi import Request
from starlette.responses import Response

from interlock.model import json
from interlock.server.problems import Refused

JSON: Final = "application/json"
T = TypeVar("T")


async def read(request: Request, shape: type[T], *, default: T | None = None) -> T:
    """Give the body of a request in a shape; `default` for an empty one. Raises Refused, which says where it does not fit."""
    raw = await request.body()
    if not raw.strip() and default is not None:
        return default
    kind = media_type(request)
    # curl says that a JSON body is a form, unless it is told otherwise; a form of a page elsewhere says so as well, which is
    # why nothing but JSON is understood whatever the header says, and why the sender's origin is checked.
    if kind not in (JSON, "", "application/x-www-form-urlencoded") and not kind.endswith("+json"):
        raise Refused(415, "unsupported-media-type", f"send JSON, not {kind[:100]!r}")
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Refused(422, "misshapen", f"the body does not fit: {error}") from None
    except UnicodeDecodeError as error:
        raise Refused(422, "misshapen", f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise Refused(422, "misshapen", "the body is nested too deeply") from None


def media_type(request: Request) -> str:
    """Give the type of a request's body without its parameters; "" for none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Give a shape, or plain values, as JSON."""
    return Response(json.encode(body), status, headers=headers, media_type=JSON)


def tagged(request: Request, body: Any, tag: str) -> Response:
    """Give an answer that the caller may have already: 304 when it says so. `tag`: changes whenever the answer does."""
    etag = f'W/"{hashlib.sha256(tag.encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return answer(body, headers=headers)


def is_known(request: Request, etag: str) -> bool:
    """Say whether the caller has what `etag` stands for. Weak and strong tags are compared alike, as RFC 9110 has it."""
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return etag.removeprefix("W/") in known or "*" in known
