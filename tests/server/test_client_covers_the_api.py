"""What the HTTP API offers, the client has a method for: each is called, and what it asks for is looked up in the document."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx

from interlock import errors
from interlock.client import client as clients
from interlock.client.client import Client
from server.site import Site

EXCEPTIONS: Final = {
    ("get", "/health"): "for probes, which have no client",
    ("get", "/ready"): "for probes, which have no client",
    ("get", "/metrics"): "for Prometheus",
}
PARTS: Final = (
    "tokens",
    "locks",
    "memory",
    "artifacts",
    "definitions",
    "deliveries",
    "fleet",
    "keys",
    "graphs",
    "pools",
)
GIVEN: Final[dict[str, Any]] = {
    "inputs": [{}],
    "content": b"x",
    "fence": 1,
    "role": "viewer",
    "value": 1,
    "fraction": 0.5,
    "priority": 1,
}
"""What a parameter gets that needs no text."""


async def test_every_operation_has_a_method_of_the_client(site: Site) -> None:
    """A route that is added needs a method, or a reason above."""
    async with site.http() as http:
        document = (await http.get("/api/v1/openapi.json")).json()
    offered = {(method, path) for path, operations in document["paths"].items() for method in operations}
    asked = {_operation(offered, *each) for each in await everything_asked()}

    assert sorted(offered - asked - set(EXCEPTIONS)) == []
    assert sorted(set(EXCEPTIONS) - offered) == []
    assert sorted(asked & set(EXCEPTIONS)) == []


async def everything_asked() -> list[tuple[str, str]]:
    """Call every public method of the client and of its parts, and give the method and path of each request."""
    found: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        found.append((request.method.lower(), request.url.raw_path.decode().partition("?")[0]))
        return httpx.Response(404, json={"type": "/problems/not-found", "detail": "nothing here"})

    async with Client("http://127.0.0.1:1") as client:
        client._connection._http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://x")
        for part in (client, *(getattr(client, name) for name in PARTS)):
            for name, method in inspect.getmembers(part, inspect.ismethod):
                if not name.startswith("_") and name != "close":
                    await _called(method, full=False)
                    await _called(method, full=True)
    return found


async def _called(method: Callable[..., Any], *, full: bool) -> None:
    """Call a method with something for what it needs; `full`: also for what may be left out."""
    given: dict[str, Any] = {}
    for each in inspect.signature(method).parameters.values():
        if each.default is inspect.Parameter.empty:
            given[each.name] = GIVEN.get(each.name, "x")
        elif full and each.name in ("version", "document"):
            given[each.name] = "x"
    try:
        answer = method(**given)
        if isinstance(answer, AsyncIterator):
            await anext(answer)
        else:
            await answer
    except errors.NotFound:
        return
    raise AssertionError(f"{method} asked for nothing")


def _operation(offered: set[tuple[str, str]], method: str, path: str) -> tuple[str, str]:
    """Give the operation that a request is for; the one with fewest parameters counts, as the server has it."""
    fits = [
        each for each in offered if each[0] == method and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", each[1]), path)
    ]
    assert fits, f"the client asks for {method} {path}, which the API does not have"
    return min(fits, key=lambda each: each[1].count("{"))


def test_every_part_of_the_client_is_looked_at() -> None:
    parts = {name for name, member in vars(clients.Client).items() if isinstance(member, property)}
    assert parts == set(PARTS)
