"""The OpenAPI document against what the server does: no answer that it does not promise, and never a 500."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from interlock.server import documented
from server import site as sites
from server.site import Site

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 2
"""Of each operation, right ones and wrong ones; `make test-long` sends thirty times as many."""
STREAMS = ("/stream", "/watch")


async def test_every_shape_is_known_and_every_operation_is_told(site: Site) -> None:
    async with site.http() as http:
        document = (await http.get("/api/v1/openapi.json")).json()
    assert {shape.__name__ for shape in documented.shapes()} < set(document["components"]["schemas"])
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [each["operationId"] for each in operations]
    assert len(set(ids)) == len(ids)
    assert all(each.get("description") for each in operations)


@pytest.mark.timeout(900)
async def test_no_request_is_answered_otherwise_than_promised(site: Site) -> None:
    assert await asked(site, EXAMPLES) == []


@pytest.mark.chaos
@pytest.mark.timeout(1200)
async def test_thousands_of_requests_are_answered_as_promised(site: Site) -> None:
    assert await asked(site, EXAMPLES * 30) == []


async def asked(site: Site, examples: int) -> list[str]:
    async with site.client() as client:
        for definition in (sites.ORDER, sites.WAITING, sites.PRINTING, sites.FAILING):
            await client.publish(definition)
        await client.start("shop/order", {"amount": 1}, id="o1")
        await client.start("shop/waiting", id="w1")
        await client.memory.set("k", 1)
        await client.graphs.load({"graph": "g", "tasks": [{"id": "t", "run": ["true"]}]})

    return await asyncio.to_thread(broken, site.url, examples)


def broken(url: str, examples: int) -> list[str]:
    """Send requests that the document allows, and some that it does not; give what was answered otherwise than promised."""
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    found: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(STREAMS):
            continue  # they end when their run does, and not before
        for mode in GenerationMode:
            found += _of(operation, mode, examples)
    return found


def _of(operation: Any, mode: GenerationMode, examples: int) -> list[str]:
    found: list[str] = []

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        try:
            case.call_and_validate(checks=CHECKS, timeout=20)
        except BaseExceptionGroup as group:
            found.append(f"{operation.label}: {[str(each) for each in group.exceptions]}")
        except AssertionError as error:
            found.append(f"{operation.label}: {error}")

    with contextlib.suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
        send()
    return found[:3]
