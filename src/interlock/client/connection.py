"""One connection to servers: requests that are tried again where that is safe, and problems as the errors that they are."""

from __future__ import annotations

import asyncio
import builtins
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.request import getproxies

import httpx
import msgspec

from interlock import errors
from interlock.model import json
from interlock.model.json import Json

T = TypeVar("T")

_PAUSES: Final = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries; a server that restarts is back within them."""
_LONGEST_PAUSE: Final = 10.0
_AGAIN: Final = frozenset({429, 502, 503, 504})
_UNIX: Final = "unix:"


def _authorities(base: str) -> ssl.SSLContext | bool:
    """Give whom a connection trusts. Without TLS nobody, which spares a command the tenth of a second that it takes to read
    the authorities of this machine. A proxy may want them whatever the address is."""
    return True if base.startswith("https://") or getproxies() else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Connection:
    """Sends requests to one server, as the holder of `key`."""

    def __init__(self, url: str, key: str | None, timeout_seconds: float, pauses: Sequence[float] = _PAUSES) -> None:
        """`url`: such as http://127.0.0.1:7070, or unix:PATH. `pauses`: seconds between tries. Raises Invalid."""
        self._pauses = pauses
        if url.startswith(_UNIX):
            transport: httpx.AsyncBaseTransport | None = httpx.AsyncHTTPTransport(
                uds=url.removeprefix(_UNIX), verify=_authorities(_UNIX)
            )
            base = "http://localhost"
        elif url.startswith(("http://", "https://")):
            transport, base = None, url.rstrip("/")
        else:
            raise errors.Invalid(f"{url[:200]!r} is no server: write http://HOST:PORT, https://HOST or unix:PATH")
        self.url: Final = url
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(
            base_url=base,
            headers=headers,
            timeout=timeout_seconds,
            transport=transport,
            follow_redirects=False,
            verify=_authorities(base),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        shape: builtins.type[T],
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Json] | None = None,
        safe: bool | None = None,
        timeout: float | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a request and give its answer in a shape.

        `safe`: it may be sent twice, so a lost answer is asked for again; None: only what reads. `timeout`: seconds for this
        request, instead of the usual. Raises what the problem of the answer stands for, StoreUnavailable when no server
        answers.
        """
        again = method in ("GET", "HEAD") if safe is None else safe
        given = {name: value for name, value in (query or {}).items() if value is not None}
        raw = content if content is not None else b"" if body is None else json.encode(body)
        kinds = {"Content-Type": "application/json"} if raw else {}
        for pause in (*self._pauses, None):
            try:
                answer = await self._http.request(
                    method,
                    path,
                    params=given,
                    content=raw,
                    headers={**kinds, **(headers or {})},
                    timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
                )
            except httpx.TransportError as error:
                # Nothing was sent when there was no connection, so that everything may be tried again.
                if pause is None or not (again or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)):
                    raise errors.StoreUnavailable(
                        f"the server {self.url} does not answer: {error or type(error).__name__}"
                    ) from error
                await asyncio.sleep(pause)
                continue
            if answer.status_code in _AGAIN and pause is not None and (again or answer.status_code == 429):
                await asyncio.sleep(_after(answer, pause))
                continue
            return _read(answer, shape)
        raise AssertionError("the last try raises or returns")

    async def download(self, path: str, query: Mapping[str, Json]) -> AsyncIterator[bytes]:
        """Give a file in pieces. Raises what a problem stands for, StoreUnavailable for an answer that breaks."""
        given = {name: value for name, value in query.items() if value is not None}
        try:
            async with self._http.stream("GET", path, params=given) as answer:
                if not answer.is_success:
                    raise problem(answer.status_code, await answer.aread())
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise errors.StoreUnavailable(
                f"the server {self.url} does not answer: {error or type(error).__name__}"
            ) from error

    def stream(self, path: str, query: Mapping[str, Json], headers: Mapping[str, str]) -> Any:
        """Open a stream of server-sent events, for `client.stream`."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._http.stream(
            "GET", path, params=given, headers=dict(headers), timeout=httpx.Timeout(10.0, read=60.0)
        )


def _after(answer: httpx.Response, pause: float) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), _LONGEST_PAUSE) if said.isdecimal() else pause


def _read(answer: httpx.Response, shape: builtins.type[T]) -> T:
    # /cluster/health tells of a cluster that is down with 503, and that is its answer; a problem is none.
    if answer.is_success or (answer.status_code == 503 and "problem" not in answer.headers.get("content-type", "")):
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except msgspec.MsgspecError as error:
            raise errors.Invalid(f"{answer.url.host} gave no answer that this client understands: {error}") from error
    raise problem(answer.status_code, answer.content)


def problem(status: int, content: bytes) -> errors.InterlockError:
    """Give the error that an answer tells."""
    try:
        told = json.decode(content)
    except msgspec.DecodeError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("detail"), str):
        return errors.Environment(f"the server answered {status}, and not as Interlock does; is the address right?")
    detail, code = told["detail"], str(told.get("type", "")).rpartition("/")[2]
    if code.startswith("lock-") or code == "invalid-owner":
        return errors.LockError(detail, code)
    if code.startswith("token-") and code != "token-unknown":
        return errors.TokenError(
            detail, code, state=str(told.get("state", "")), completed_at=told.get("completed_at"), by=told.get("by")
        )
    if code == "token-unknown":
        return errors.TokenUnknown(detail)
    match status:
        case 401 | 403 | 421:
            return errors.Denied(detail)
        case 404:
            return errors.NotFound(detail)
        case 409 | 410 | 412:
            return errors.Conflict(detail)
        case 400 | 405 | 413 | 415 | 422:
            return errors.Invalid(detail)
        case 507:
            return errors.StoreFull(detail)
        case 429 | 502 | 503 | 504:
            return errors.StoreUnavailable(detail)
        case _:
            return errors.Environment(f"the server failed ({status}): {detail}")
