"""The table from how a run ended to what its caller is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from interlock.handshake import outcome
from interlock.handshake.outcome import Cancelled, Completed, Failed
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.raised import Raised
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import Ended


class Texts:
    """Large values, by digest."""

    def __init__(self, texts: dict[str, bytes] | None = None) -> None:
        self.found = texts or {}

    async def texts(self, run: str, digests: list[str]) -> dict[str, bytes]:
        return {digest: self.found[digest] for digest in digests}


def ended(status: RunStatus, **more: Any) -> Ended:
    given: dict[str, Any] = {
        "run": "r1", "namespace": "shop", "id": "order-1", "workflow": "order", "version": "1.0.0", "status": status,
        "output": None, "fault": None, "ended_at": 100.0,
    }  # fmt: skip
    return Ended(**given | more)


async def told(row: Ended | None, texts: Any = None) -> outcome.Outcome | None:
    return await outcome.of_run(row, "r1", texts or Texts())


TIMEOUT = msgspec.json.encode(Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail="after 5 s"))

TABLE: dict[RunStatus, type | None] = {
    RunStatus.PENDING: None,
    RunStatus.RUNNING: None,
    RunStatus.WAITING: None,
    RunStatus.SUSPENDED: None,
    RunStatus.COMPLETED: Completed,
    RunStatus.FAULTED: Failed,
    RunStatus.CANCELLED: Cancelled,
}


@pytest.mark.parametrize("status", RunStatus)
async def test_only_what_completed_is_told_as_a_success(status: RunStatus) -> None:
    """TK-05: whatever else the row holds."""
    found = await told(ended(status, output=b'["left over"]', fault=TIMEOUT))
    assert (None if found is None else type(found)) is TABLE[status]
    assert (found is not None) == (status in ENDED_RUN)


async def test_output_is_told_as_it_is() -> None:
    assert await told(ended(RunStatus.COMPLETED, output=b'[{"a":[1,null]}]')) == Completed(output={"a": [1, None]})
    assert await told(ended(RunStatus.COMPLETED)) == Completed(output=None)


async def test_large_output_is_fetched() -> None:
    from interlock.model.payload import INLINE_BYTES, Codec, Payload

    text, large = Codec(Payload, 16).encode(Payload("x" * 100))
    assert len(text) < INLINE_BYTES
    found = await told(ended(RunStatus.COMPLETED, output=text), Texts(dict(large)))
    assert found == Completed(output="x" * 100)


async def test_failure_tells_type_message_and_whether_to_try_again() -> None:
    """TK-04, TK-06."""
    assert await told(ended(RunStatus.FAULTED, fault=TIMEOUT)) == Failed(
        type="timeout",
        message="Timeout: after 5 s",
        retryable=True,
        details={"type": fault.TIMEOUT, "status": 408, "title": "Timeout", "detail": "after 5 s"},
    )


KINDS: list[tuple[Fault, str, str, bool]] = [
    (Fault(type=fault.VALIDATION, status=400, detail="no"), "validation", "validation: no", False),
    (Fault(type=fault.COMMUNICATION, status=503), "communication", "communication", True),
    (Fault(type=fault.AUTHORIZATION, status=403), "authorization", "authorization", False),
    (Fault(type="https://shop.example/no-funds", status=402), "no-funds", "no-funds", False),
    (Fault(type="no-funds/", status=429, title="None"), "no-funds", "None", True),
    (Fault(type="", status=0, title="None"), "", "None", False),
    (Fault(type="x", status=500, raised=Raised(type="shop.errors:NoFunds", message="empty")), "NoFunds", "empty", True),
    (Fault(type="x", status=500, raised=Raised(type="ValueError", message="")), "ValueError", "ValueError", True),
]


@pytest.mark.parametrize(("given", "type_", "message", "retryable"), KINDS)
def test_kinds_of_failures(given: Fault, type_: str, message: str, retryable: bool) -> None:
    """TK-04."""
    found = outcome.failed(given, "order-1")
    assert (found.type, found.message, found.retryable) == (type_, message, retryable)


def test_code_of_a_failure_is_told() -> None:
    found = outcome.failed(Fault(type=fault.RUNTIME, status=500, code="payload-too-large"), "order-1")
    assert found.details["code"] == "payload-too-large"


async def test_run_that_is_gone_or_lost_its_error_is_told_as_failed() -> None:
    """TK-05."""
    gone = await told(None)
    assert isinstance(gone, Failed)
    assert (gone.type, gone.retryable) == ("lost", False)
    bare = await told(ended(RunStatus.FAULTED))
    assert isinstance(bare, Failed)
    assert bare.type == "unknown"


def test_deadline_is_told_as_failed() -> None:
    """TK-10."""
    late = outcome.overdue("order-1", 86_400.0)
    assert (late.type, late.retryable) == ("deadline", True)
    assert "86400 s" in late.message
