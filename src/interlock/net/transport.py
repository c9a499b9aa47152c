"""The transport under the client: every connection goes to an address that was checked, at every redirect too.

A name is looked up once per connection, and the connection is made to the address that was looked up; a second look-up
by the socket layer could give another answer (DNS rebinding). The host name stays in the `Host` header and in the TLS
handshake, so certificates are verified as usual. Proxies of the environment are not used: a proxy would look the name
up again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeAlias, cast

import httpcore
import httpx

from interlock.net.addresses import AddressPolicy

Resolve: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""Gives the addresses of a host, the preferred first. Raises OSError where there is none."""

_NEXT_ADDRESS_SECONDS: Final = 3.0
"""How long an address may take to answer while the host has others: long enough for a lost SYN (1 s) and one more."""

_SocketOptions: TypeAlias = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


class AddressRefused(httpcore.ConnectError):
    """The host leads to addresses that may not be reached, and to no other."""


async def lookup(host: str) -> list[str]:
    """Look a host up as the system does."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. `exempt` are (host, port) pairs that need no check."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, exempt: frozenset[tuple[str, int]]) -> None:
        self._policy = policy
        self._resolve = resolve
        self._exempt = exempt
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._permitted(host, port)
        for address in addresses[:-1]:
            try:
                return await self._sockets.connect_tcp(
                    address, port, _NEXT_ADDRESS_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def _permitted(self, host: str, port: int) -> list[str]:
        """Give the addresses of `host` that may be reached, at least one."""
        try:
            addresses = await self._resolve(host)
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host} cannot be looked up: {error.strerror or error}") from error
        if (host, port) in self._exempt:
            return addresses
        refusals = {address: self._policy.refusal(host, address) for address in addresses}
        if permitted := [address for address, refusal in refusals.items() if refusal is None]:
            return permitted
        shown = ", ".join(f"{address} ({refusal})" for address, refusal in refusals.items())
        raise AddressRefused(f"{host} leads to {shown}")


class PinnedTransport(httpx.AsyncBaseTransport):
    """Carries the requests of an httpx client over a pool of pinned connections.

    `hosts` maps a host to `address:port`, where its requests go without TLS; for tests.
    """

    def __init__(self, policy: AddressPolicy, hosts: Mapping[str, str], resolve: Resolve = lookup) -> None:
        self._destinations = {host: _destination(place) for host, place in hosts.items()}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,  # seconds; the default of most servers, and a name is looked up anew after it
            network_backend=PinnedBackend(policy, resolve, frozenset(self._destinations.values())),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=self._url(request.url),
                headers=request.headers.raw,
                content=cast("AsyncIterable[bytes]", request.stream),
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=dict(answer.extensions)
        )

    async def aclose(self) -> None:
        await self._pool.aclose()

    def _url(self, url: httpx.URL) -> httpcore.URL:
        scheme, host, port = url.raw_scheme, url.raw_host, url.port
        if (destination := self._destinations.get(url.host)) is not None:
            scheme, host, port = b"http", destination[0].encode("ascii"), destination[1]
        return httpcore.URL(scheme=scheme, host=host, port=port, target=url.raw_path)


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


def _destination(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)
