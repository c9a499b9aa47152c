"""What the events of a token do to the step that waits for its report: the part of `fold` that `issuing` relies on.

Issued -> HandedOver, Expiring     the step waits, alone or beside an effect of its own
settled                            its step ended well: it was reported, and is not to be revoked
superseded                         its step is tried again, with the next token
given up                           with its step (`RunState.give_up`): whoever holds it is to stop
"""

from __future__ import annotations

import msgspec

from interlock.engine.state import Frame, Gone, RunState, Scope, Ticket
from interlock.model import event as events
from interlock.model.call import TokenCall


def apply(state: RunState, scope: Scope, event: events.Issued | events.HandedOver | events.Expiring) -> None:
    """Change what the innermost step of a scope waits for."""
    frame = scope.frames[-1]
    match event:
        case events.Issued():
            frame.ticket = Ticket(
                number=event.effect,
                token=event.token,
                name=event.name,
                since=event.at,
                expires=event.expires,
                warns=event.warns,
                heartbeat=event.heartbeat,
            )
            frame.until = None
            if event.deadline is not None:
                frame.deadline = event.deadline
            state.effects[event.effect] = scope.id
            state.head.serial = max(state.head.serial, event.effect)
        case events.HandedOver():
            state.effects.pop(frame.effect, None)
            frame.effect, frame.queued = 0, False
        case _:
            assert frame.ticket is not None
            frame.ticket = msgspec.structs.replace(frame.ticket, warns=None)


def settle(state: RunState, scope: Scope, path: str) -> None:
    """Forget the token of a step that ends well: it was reported, and is not to be revoked."""
    frames = scope.frames
    if frames and frames[-1].path == path and frames[-1].ticket is not None:
        state.effects.pop(frames[-1].ticket.number, None)
        frames[-1].ticket = None


def supersede(state: RunState, frame: Frame, event: events.AttemptFailed) -> None:
    """Give the token of a step up whose report failed it: the next attempt has another one."""
    if frame.ticket is not None and frame.ticket.number == event.effect:
        state.give_up(frame, f"the step is given to somebody else: {event.fault}", superseded=True)
        frame.tickets += 1


def leave_call(state: RunState, scope: Scope, reason: str) -> None:
    """Give up the token of an open call that was asked for by a version before tickets."""
    if scope.frames and isinstance(scope.frames[-1].call, TokenCall) and scope.frames[-1].effect:
        state.tokens.append(Gone(scope.frames[-1].call.token, reason))
