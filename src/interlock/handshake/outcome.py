"""How a run ended, as its caller is told: one table from what the store says to what is sent.

    status       told as                       type
    completed    completed, with the output    -
    faulted      failed                        of the error: `timeout`, `communication`, the class of an exception
    cancelled    cancelled                     `cancelled`
    (removed)    failed                        `lost`: the run is not in the store any more
    (lives)      failed, at the deadline       `deadline`

Nothing but `completed` is ever told as a success.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from interlock.model import payload
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Codec, Payload
from interlock.model.states import RunStatus
from interlock.store.ports import Ended, Journal

_PASSING: Final = frozenset({408, 425, 429})
_fault = msgspec.json.Decoder(Fault)
_payload: Final[Codec[Payload]] = Codec(Payload, payload.INLINE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """It gave a result."""

    output: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It gave none. `retryable`: whether the same may go well another time. `details`: the error as `$error` shows it."""

    type: str
    message: str
    retryable: bool
    details: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """Somebody ended it."""

    message: str


Outcome: TypeAlias = Completed | Failed | Cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What one sending says. `delivery`: its id, the same however often it is sent. `status`: of the run, as stored.

    `at`: when the run ended; UTC seconds.
    """

    delivery: str
    id: str
    namespace: str
    workflow: str
    version: str
    status: str
    outcome: Outcome
    at: float


async def of_run(ended: Ended | None, run: str, journal: Journal) -> Outcome | None:
    """Give what the caller of a run is told; None while it lives."""
    if ended is None:
        message = f"the run {run} is not in the store any more: it was removed before its outcome was told"
        return Failed(type="lost", message=message, retryable=False)
    match ended.status:
        case RunStatus.COMPLETED:
            return Completed(output=await _output(ended, journal))
        case RunStatus.FAULTED:
            return failed(None if ended.fault is None else _fault.decode(ended.fault), ended.id)
        case RunStatus.CANCELLED:
            return Cancelled(message=f"the run {ended.id} was cancelled")
        case RunStatus.PENDING | RunStatus.RUNNING | RunStatus.WAITING | RunStatus.SUSPENDED:
            return None


def failed(fault: Fault | None, id: str) -> Failed:
    """Give what is told of an error."""
    if fault is None:
        return Failed(type="unknown", message=f"the run {id} faulted, and its error was not kept", retryable=False)
    details = fault.described()
    if fault.code is not None:
        details["code"] = fault.code
    return Failed(
        type=_type(fault),
        message=str(fault) if fault.raised is None else fault.raised.message or fault.raised.type,
        retryable=fault.status >= 500 or fault.status in _PASSING,
        details=details,
    )


def overdue(id: str, seconds: float) -> Failed:
    """Give what is told at the deadline of a caller whose run still lives."""
    message = f"the run {id} had not ended when the {seconds:g} s were over that its caller waits; it goes on"
    return Failed(type="deadline", message=message, retryable=True)


def _type(fault: Fault) -> str:
    """Give the class of an exception, the last word of a standard type, or the type as it is."""
    if fault.raised is not None:
        return fault.raised.type.rpartition(":")[2]
    return fault.type.rstrip("/").rpartition("/")[2] or fault.type


async def _output(ended: Ended, journal: Journal) -> Json:
    if ended.output is None:
        return None
    found, references = _payload.decode(ended.output)
    if references:
        payload.resolve(references, await journal.texts(ended.run, list(references)))
    return found.value
