"""Tokens that steps wait for: how one is issued, and what time does to it.

    Issued -> HandedOver   the step's own effect is done, if it has one; what remains is the report
           -> Expiring     most of its time is over: people are warned, nothing else happens
    ended by a report (`Settled`), by its time, by the silence of its holder, or with its step

The id of a token follows from the run, the visit of the step, and how many tokens of that visit were given up. So it is the
same however often it is asked for, over crashes, attempts and retries by hand, and a fork of the run has another one.
"""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from interlock.engine.bindings import Bindings
from interlock.engine.machine import Machine
from interlock.engine.state import Frame, Scope, Ticket
from interlock.flow.graph import ApprovalWork, Awaits, Node
from interlock.model import event as events
from interlock.model import fault
from interlock.model.call import TokenCall
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import FailureClass

_WARNS_AFTER: Final = 0.8
"""Of a token's time: late enough to mean something, and early enough to act on."""
_SPACE: Final = uuid.UUID("5f6b4d0e-6a1f-5d0c-9a53-0d8f0f6c1c11")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is about to be issued."""

    token: str
    name: str
    seconds: float | None = None
    heartbeat: float | None = None
    terms: dict[str, Json] = {}


def ticket(m: Machine, scope: Scope, node: Node, frame: Frame, awaits: Awaits, visit: str) -> Asked:
    """Give the token that a step waits for. Raises StepFault, Pending."""
    bindings, data = m.bindings(scope, node, frame), frame.input.value
    terms: dict[str, Json] = {}
    if isinstance(node.work, ApprovalWork):
        terms = m.evaluate(node.work.terms, data, bindings)
        if node.work.schema is not None:
            terms = terms | {"schema": node.work.schema}
    if awaits.operations:
        terms = terms | {"operations": list(awaits.operations)}
    return Asked(
        token=uuid.uuid5(_SPACE, f"{visit}#{frame.tickets}").hex,
        name=node.name,
        seconds=_seconds(m, awaits, data, bindings),
        heartbeat=None if awaits.heartbeat is None else m.seconds(awaits.heartbeat, data, bindings),
        terms=terms,
    )


def _seconds(m: Machine, awaits: Awaits, data: Json, bindings: Bindings) -> float | None:
    if awaits.endless:
        return None
    return m.token_seconds if awaits.expires is None else m.seconds(awaits.expires, data, bindings)


def call(m: Machine, scope: Scope, frame: Frame, call: TokenCall) -> None:
    """Issue the token that a Python workflow asks for."""
    terms: dict[str, Json] = {"operations": list(call.operations)} if call.operations else {}
    asked = Asked(
        token=call.token, name=call.name, seconds=call.timeout_seconds, heartbeat=call.heartbeat_seconds, terms=terms
    )
    issue(m, scope, frame.path, asked, waits=True)


def issue(
    m: Machine, scope: Scope, path: str, asked: Asked, *, waits: bool = False, deadline: float | None = None
) -> None:
    """Issue a token: it may be used once this is durable."""
    seconds = asked.seconds
    m.emit(
        events.Issued(
            at=m.now,
            scope=scope.id,
            path=path,
            effect=m.state.head.serial + 1,
            token=asked.token,
            name=asked.name,
            waits=waits,
            expires=None if seconds is None else m.now + seconds,
            warns=None if seconds is None else m.now + seconds * _WARNS_AFTER,
            heartbeat=asked.heartbeat,
            deadline=deadline,
            terms=asked.terms,
        )
    )


# -- time --------------------------------------------------------------------------------------------------------------


def due(m: Machine, ticket: Ticket) -> str | None:
    """Say what is due of a token: "expires", "silent", "warns", or nothing."""
    if ticket.expires is not None and ticket.expires <= m.now:
        return "expires"
    silent_at = m.state.silent_at(ticket)
    if m.heard and silent_at is not None and silent_at <= m.now:
        return "silent"
    return "warns" if ticket.warns is not None and ticket.warns <= m.now else None


def warn(m: Machine, scope: Scope, frame: Frame) -> None:
    """Note that most of a token's time is over."""
    ticket = frame.ticket
    assert ticket is not None
    assert ticket.expires is not None  # or there is nothing to warn of
    m.emit(events.Expiring(at=m.now, scope=scope.id, path=frame.path, token=ticket.token, expires=ticket.expires))


def unreported(name: str, frame: Frame, kind: str) -> tuple[FailureClass, Fault]:
    """Give how a step fails whose token was not used in time (`kind`: "expires"), or whose holder is silent."""
    assert frame.ticket is not None
    if kind == "expires":
        detail = f"nobody reported the outcome of `{name}` before its token expired"
        return FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail)
    detail = f"whoever has the token of `{name}` has given no sign of life for {frame.ticket.heartbeat:g} s"
    return FailureClass.LOST, Fault(type=fault.RUNTIME, status=500, title="Lost", detail=detail, code="lost")
