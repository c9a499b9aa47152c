"""Temporal's activities against the real client and a stub of its service."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

import temporal_stub
from interlock.handshake.outcome import Cancelled, Completed, Failed, Letter, Outcome
from interlock.handshake.sender import Accepted, Alive, Postponed, Refused
from interlock.handshake.temporal import Temporal
from interlock.model import callback
from interlock.model.callback import TemporalTask
from interlock.net.addresses import AddressPolicy
from interlock.testing.clock import VirtualClock
from temporal_stub import Stub

TOKEN = b"\x0a\x24token\xff\x00of an attempt"


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with temporal_stub.serving() as stub:
        stub.tokens.add(TOKEN)
        yield stub


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def temporal(clock: VirtualClock) -> AsyncIterator[Temporal]:
    temporal = Temporal(AddressPolicy(("127.0.0.1",)), clock)
    yield temporal
    await temporal.close()


def task(stub: Stub, **more: Any) -> TemporalTask:
    given = {
        "address": f"127.0.0.1:{stub.port}",
        "namespace": "shop",
        "task_token": base64.b64encode(TOKEN).decode(),
    }
    found = callback.parse({"temporal": given | more})
    assert isinstance(found, TemporalTask)
    return found


def letter(outcome: Outcome, status: str = "completed") -> Letter:
    return Letter(
        delivery="d1", id="order-1", namespace="shop", workflow="order", version="1.0.0", status=status, outcome=outcome, at=1.0
    )  # fmt: skip


async def test_result_completes_the_activity(stub: Stub, temporal: Temporal) -> None:
    """TK-04."""
    output = {"total": 7, "who": "Zoë", "items": [1, 2.5, None, True]}
    assert await temporal.send(letter(Completed(output=output)), task(stub)) == Accepted(status="OK")
    (told,) = stub.reported
    assert (told.how, told.token, told.request.namespace, told.request.identity) == (
        "completed", TOKEN, "shop", "interlock",
    )  # fmt: skip
    assert await told.values() == [output]


@pytest.mark.parametrize("retryable", [True, False])
async def test_failure_fails_the_activity_with_all_that_is_known(
    stub: Stub, temporal: Temporal, retryable: bool
) -> None:
    """TK-04, TK-05."""
    outcome = Failed(type="CardRefused", message="no funds", retryable=retryable, details={"status": 402})
    assert isinstance(await temporal.send(letter(outcome, "faulted"), task(stub)), Accepted)
    (told,) = stub.reported
    failure = told.request.failure
    assert (told.how, failure.message, failure.source) == ("failed", "no funds", "Interlock")
    info = failure.application_failure_info
    assert (info.type, info.non_retryable) == ("CardRefused", not retryable)
    assert await told.values() == [{"status": 402}]


async def test_cancellation_that_temporal_asked_for_is_reported_as_one(stub: Stub, temporal: Temporal) -> None:
    """TK-05, TK-15."""
    stub.cancel.add(TOKEN)
    assert isinstance(await temporal.send(letter(Cancelled(message="stopped"), "cancelled"), task(stub)), Accepted)
    assert [each.how for each in stub.reported] == ["beaten", "cancelled"]


async def test_cancellation_on_our_side_fails_the_activity_for_good(stub: Stub, temporal: Temporal) -> None:
    """TK-05."""
    assert isinstance(await temporal.send(letter(Cancelled(message="stopped"), "cancelled"), task(stub)), Accepted)
    assert [each.how for each in stub.reported] == ["beaten", "failed"]
    info = stub.reported[1].request.failure.application_failure_info
    assert (info.type, info.non_retryable) == ("cancelled", True)


async def test_heartbeat_says_whether_a_cancellation_is_wanted(stub: Stub, temporal: Temporal) -> None:
    """TK-15."""
    assert await temporal.beat("order-1", task(stub)) == Alive(cancel=False)
    stub.cancel.add(TOKEN)
    assert await temporal.beat("order-1", task(stub)) == Alive(cancel=True)
    assert await stub.reported[0].values() == [{"run": "order-1"}]


async def test_token_of_an_attempt_that_is_over_is_refused_for_good(stub: Stub, temporal: Temporal) -> None:
    """TK-08, TK-12."""
    stub.tokens.clear()
    told = await temporal.send(letter(Completed(output=1)), task(stub))
    assert isinstance(told, Refused)
    assert told.status == "NOT_FOUND"
    assert "does not know the task any more" in told.detail
    assert isinstance(await temporal.beat("order-1", task(stub)), Refused)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Refused),
        (grpc.StatusCode.PERMISSION_DENIED, Refused),
        (grpc.StatusCode.UNAUTHENTICATED, Refused),
        (grpc.StatusCode.UNAVAILABLE, Postponed),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Postponed),
        (grpc.StatusCode.INTERNAL, Postponed),
    ],
)
async def test_answers_of_temporal_are_final_or_not(
    stub: Stub, temporal: Temporal, status: grpc.StatusCode, kind: type
) -> None:
    """TK-08."""
    stub.broken = status
    told = await temporal.send(letter(Completed(output=1)), task(stub))
    assert isinstance(told, kind)
    assert told.status == status.name
    stub.broken = None
    assert isinstance(await temporal.send(letter(Completed(output=1)), task(stub)), Accepted)


async def test_refused_connection_is_tried_again_over_the_same_task(clock: VirtualClock) -> None:
    """TK-08."""
    temporal = Temporal(AddressPolicy(("127.0.0.1",)), clock)
    async with temporal_stub.serving() as stub:
        stub.tokens.add(TOKEN)
        assert isinstance(await temporal.beat("order-1", task(stub)), Alive)
    told = await temporal.send(letter(Completed(output=1)), task(stub))
    assert isinstance(told, Postponed)
    # The connection that was kept may break under the call: gRPC calls that by one of the latter two.
    assert told.status in ("UNAVAILABLE", "INTERNAL", "CANCELLED")
    async with temporal_stub.serving(stub, stub.port):
        for _ in range(20):  # the client's channel backs off by itself
            told = await temporal.send(letter(Completed(output=1)), task(stub))
            if isinstance(told, Accepted):
                break
        assert isinstance(told, Accepted)
    await temporal.close()


async def test_api_key_goes_with_every_call(stub: Stub, temporal: Temporal) -> None:
    assert isinstance(await temporal.beat("order-1", task(stub, api_key="k3y", tls=False)), Alive)
    assert stub.reported[0].metadata["authorization"] == "Bearer k3y"


async def test_connections_are_shared_and_let_go_when_idle(stub: Stub, temporal: Temporal, clock: VirtualClock) -> None:
    for _ in range(3):
        await temporal.beat("order-1", task(stub))
    assert len(temporal._connected) == 1
    await temporal.beat("order-1", task(stub, api_key="k3y", tls=False))
    assert len(temporal._connected) == 2
    clock.move_to(clock.now() + 301)
    await temporal.beat("order-1", task(stub))
    assert len(temporal._connected) == 1


async def test_private_addresses_are_not_reached(stub: Stub, clock: VirtualClock) -> None:
    """OP-13."""
    temporal = Temporal(AddressPolicy(False), clock)
    told = await temporal.send(letter(Completed(output=1)), task(stub))
    assert isinstance(told, Refused)
    assert "a loopback address" in told.detail
    assert stub.reported == []


async def test_name_without_an_address_is_tried_again(stub: Stub, clock: VirtualClock) -> None:
    async def nowhere(host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    temporal = Temporal(AddressPolicy(True), clock, nowhere)
    told = await temporal.send(letter(Completed(output=1)), task(stub))
    assert isinstance(told, Postponed)
    assert "Name or service not known" in told.detail


async def test_output_that_temporal_cannot_take_fails_the_activity_and_says_so(stub: Stub, temporal: Temporal) -> None:
    assert isinstance(await temporal.send(letter(Completed(output="x" * 3_000_000)), task(stub)), Accepted)
    assert stub.reported[0].request.failure.application_failure_info.type == "payload-too-large"


async def test_connection_is_made_over_tls_with_both_certificates(temporal: Temporal) -> None:
    authority = temporal_stub.issued("authority")
    server, client = (temporal_stub.issued(name, authority) for name in ("temporal.test", "interlock.test"))
    ours = {"ca": authority.certificate, "certificate": client.certificate, "certificate_key": client.key}
    async with temporal_stub.serving(tls=(authority, server)) as stub:
        stub.tokens.add(TOKEN)
        told = await temporal.send(letter(Completed(output=1)), task(stub, server_name="temporal.test", **ours))
        assert told == Accepted(status="OK")
        stub.tokens.add(TOKEN)
        other = temporal_stub.issued("another authority")
        for wrong in (
            ours | {"server_name": "other.test"},
            ours | {"server_name": "temporal.test", "ca": other.certificate},
            {"server_name": "temporal.test", "ca": authority.certificate},
        ):
            told = await temporal.send(letter(Completed(output=1)), task(stub, **wrong))
            assert isinstance(told, Postponed), wrong
        assert len(stub.reported) == 1
