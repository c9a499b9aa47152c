"""Sends requests with the authentications of the specification: tokens of OAuth 2 and OpenID Connect are fetched first.

A token is kept until shortly before it expires and shared by all runs that authenticate alike. One request at a time asks
an authority for the same token. A resource that answers 401 makes its token be dropped and fetched once more.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from interlock.model import json
from interlock.model.json import Json
from interlock.model.task import Credentials
from interlock.net import oauth
from interlock.net.client import Answer, Cause, Client, NoResponse, Request, Response, UnusableCredentials
from interlock.net.oauth import Grant
from interlock.service import Clock

_TOKENS: Final = frozenset({"oauth2", "oidc"})
_KEPT: Final = 1000  # authentications with a token
_MARGIN_SECONDS: Final = 30.0  # a token must not expire on its way; a short one is used for half of its time
_UNSAID_SECONDS: Final = 300.0  # a token whose authority does not say how long it lasts; a 401 ends it sooner
_DISCOVERED_SECONDS: Final = 600.0


@dataclass(slots=True, eq=False)
class _Kept:
    """The token of one authentication. `until` and `endpoint_until`: on the monotonic clock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: str | None = None
    until: float = 0.0
    refresh_token: str | None = None
    endpoint: str | None = None
    endpoint_until: float = 0.0


class Authenticator:
    """A client that can authenticate in every way of the specification."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def send(self, request: Request) -> Answer:
        """Send a request as `Client.send` does. A token that cannot be had is a `NoResponse` too, of its own causes."""
        credentials = request.credentials
        if credentials is None or credentials.scheme not in _TOKENS:
            return await self._client.send(request)
        if not isinstance(credentials.properties, dict):
            detail = f"{credentials.scheme} authentication needs properties, and its secret is a text; write it as JSON"
            return NoResponse(Cause.INVALID_CREDENTIALS, detail)
        answer, token = await self._with_token(request, credentials, credentials.properties)
        if not isinstance(answer, Response) or answer.status != 401 or token is None:
            return answer
        self._drop(credentials, token)
        return (await self._with_token(request, credentials, credentials.properties))[0]

    async def _with_token(
        self, request: Request, credentials: Credentials, properties: Mapping[str, Json]
    ) -> tuple[Answer, str | None]:
        try:
            token = await self._token(credentials, properties)
        except UnusableCredentials as error:
            return NoResponse(Cause.INVALID_CREDENTIALS, f"{credentials.scheme} authentication: {error}"), None
        if isinstance(token, NoResponse):
            return token, None
        bearer = Credentials(scheme="bearer", properties=token)
        return await self._client.send(replace(request, credentials=bearer)), token

    async def _token(self, credentials: Credentials, properties: Mapping[str, Json]) -> str | NoResponse:
        kept = self._of(credentials)
        async with kept.lock:
            if kept.token is not None and self._clock.monotonic() < kept.until:
                return kept.token
            endpoint = await self._endpoint(credentials.scheme, properties, kept)
            if isinstance(endpoint, NoResponse):
                return endpoint
            grant = await self._granted(properties, endpoint, kept)
            if isinstance(grant, NoResponse):
                return grant
            lasts = _UNSAID_SECONDS if grant.lasts_seconds is None else grant.lasts_seconds
            kept.until = self._clock.monotonic() + max(lasts - _MARGIN_SECONDS, lasts / 2)
            kept.token, kept.refresh_token = grant.token, grant.refresh_token
            return grant.token

    async def _granted(self, properties: Mapping[str, Json], endpoint: str, kept: _Kept) -> Grant | NoResponse:
        """Ask with the refresh token that came with the last token, if one did; when it is refused, as at first."""
        refresh_token, kept.refresh_token = kept.refresh_token, None
        if refresh_token is not None:
            grant = await self._asked(properties, endpoint, refresh_token)
            if isinstance(grant, Grant):
                return replace(grant, refresh_token=grant.refresh_token or refresh_token)
        return await self._asked(properties, endpoint, None)

    async def _asked(
        self, properties: Mapping[str, Json], endpoint: str, refresh_token: str | None
    ) -> Grant | NoResponse:
        request = oauth.request(properties, endpoint, self._clock.now(), self._clock.uuid, refresh_token)
        answer = await self._client.send(request)
        if isinstance(answer, NoResponse):
            return _of_authority(properties, endpoint, answer)
        return oauth.granted(properties, answer)

    async def _endpoint(self, scheme: str, properties: Mapping[str, Json], kept: _Kept) -> str | NoResponse:
        if scheme == "oauth2":
            return oauth.endpoint(properties)
        if kept.endpoint is None or self._clock.monotonic() >= kept.endpoint_until:
            request = oauth.discovery(properties)
            answer = await self._client.send(request)
            if isinstance(answer, NoResponse):
                return _of_authority(properties, request.uri, answer)
            kept.endpoint = oauth.discovered(properties, answer)
            kept.endpoint_until = self._clock.monotonic() + _DISCOVERED_SECONDS
        return kept.endpoint

    def _of(self, credentials: Credentials) -> _Kept:
        """Give what is kept for an authentication, found by the digest of its properties."""
        written = json.encode([credentials.scheme, msgspec.to_builtins(credentials.properties, order="sorted")])
        key = hashlib.sha256(written).hexdigest()
        kept = self._kept.setdefault(key, _Kept())
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept

    def _drop(self, credentials: Credentials, token: str) -> None:
        """Forget a token that was refused, unless another one took its place meanwhile."""
        kept = self._of(credentials)
        if kept.token == token:
            kept.token = None


def _of_authority(properties: Mapping[str, Json], uri: str, answer: NoResponse) -> NoResponse:
    return NoResponse(answer.cause, oauth.hidden(properties, f"asking {uri} for a token: {answer.detail}"))
