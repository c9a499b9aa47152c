"""OpenAPI documents, fetched once and kept for a few minutes."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import msgspec

from interlock.effects import http
from interlock.flow import yaml
from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Credentials, Failed, FailureClass
from interlock.net.client import Response
from interlock.service import Clock

_KEPT: Final = 64
_KEPT_SECONDS: Final = 300.0  # a document changes when its service is deployed, which a run may have to follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`uri`: where it was asked for; what is relative in it is relative to that."""

    uri: str
    content: dict[str, Json]


@dataclass(slots=True, eq=False)
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    document: Document | None = None
    until: float = 0.0


class Documents:
    """The documents of one node. What one authentication may read is not shown to another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def get(self, uri: str, credentials: Credentials | None, client: http.Sends) -> Document | Failed:
        """Give a document, or the failure of fetching or reading it."""
        kept = self._of(uri, credentials)
        async with kept.lock:
            if kept.document is not None and self._clock.monotonic() < kept.until:
                return kept.document
            answer = await http.fetch(uri, credentials, client)
            if isinstance(answer, Failed):
                return answer
            content = await asyncio.to_thread(_read, answer)  # a large one takes a second
            if isinstance(content, str):
                return _unreadable(uri, content)
            kept.document = Document(uri=uri, content=content)
            kept.until = self._clock.monotonic() + _KEPT_SECONDS
            return kept.document

    def _of(self, uri: str, credentials: Credentials | None) -> _Kept:
        key = hashlib.sha256(msgspec.json.encode([uri, credentials])).hexdigest()
        kept = self._kept.setdefault(key, _Kept())
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept


def _read(answer: Response) -> dict[str, Json] | str:
    """Give the content of a document in JSON or YAML, or what is wrong with it."""
    try:
        content = json.decode(answer.body)
    except msgspec.DecodeError:
        source = yaml.read(answer.body.decode(errors="replace"))
        if source.flaws:
            flaw = source.flaws[0]
            return f"it is neither JSON nor YAML: line {flaw.line}, column {flaw.column}: {flaw.message}"
        content = source.value
    if not isinstance(content, dict) or not ("swagger" in content or "openapi" in content):
        return "it has neither `openapi` nor `swagger`"
    version = str(content.get("openapi") or content.get("swagger"))
    if not version.startswith(("2.", "3.0", "3.1")):
        return f"it is written for version {version}; 2.0, 3.0 and 3.1 are known"
    return content


def _unreadable(uri: str, reason: str) -> Failed:
    detail = f"{uri.partition('?')[0]} is no OpenAPI document: {reason}"
    return Failed(
        FailureClass.INVALID, Fault(type=fault.CONFIGURATION, status=400, title="No OpenAPI document", detail=detail)
    )
