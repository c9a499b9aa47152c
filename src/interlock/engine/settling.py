"""What the outcome of an effect does to the step that waits for it.

A step may wait for an effect of its own, for the report of whoever holds its token, or first for the one and then for the
other: what such an effect gives is no output, it only says that the work was handed over.
"""

from __future__ import annotations

from interlock.engine import calls, compensation, faults, requests, steps
from interlock.engine.machine import Machine, StepFault
from interlock.model import event as events
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Cancelled, Done, Outcome, Snoozed


def settle(m: Machine, effect: int, outcome: Outcome) -> None:
    """Apply an outcome to the step that waits for it, or whose token it reports for; to none, when nothing waits any more."""
    waiting = m.state.waiting_frame(effect)
    if waiting is None:
        return  # superseded: its step was left, timed out or asked again
    scope, frame = waiting
    m.settling = effect
    if frame.call is not None:
        calls.settle(m, scope, frame, outcome)
        return
    node = m.graph.nodes[frame.path]
    ticket = frame.ticket
    is_report = ticket is not None and ticket.number == effect
    match outcome:
        case Done(memory=memory) if ticket is not None and not is_report:
            m.emit(events.HandedOver(at=m.now, scope=scope.id, path=node.path, effect=effect))
            m.decision.memory.extend(memory)
        case Done(value=value, memory=memory, reported=is_told):
            try:
                output = m.payload(
                    value if is_report or is_told else requests.shaped(node.work, value, frame.input.value)
                )
                steps.complete(m, scope, node, frame, output)
                m.decision.memory.extend(memory)
                if compensation.awaits(m, scope):
                    compensation.awaited(m, scope, node.path, None)
            except StepFault as found:
                faults.raise_fault(m, scope, node.path, found.fault)
        case Snoozed(delay_seconds=delay):
            m.emit(events.Waited(at=m.now, scope=scope.id, path=node.path, until=m.now + delay))
        case Cancelled():
            error = Fault(
                type=fault.RUNTIME, status=500, title="Cancelled", detail="the attempt was cancelled by itself"
            )
            faults.raise_fault(m, scope, node.path, error)
        case _:
            is_final = is_report and outcome.final
            if is_final or not faults.try_again(m, scope, frame, outcome.failure, outcome.fault, effect):
                faults.raise_fault(m, scope, node.path, outcome.fault)
