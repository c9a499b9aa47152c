"""What every step does at its end: transform and check its output, export to the context, go on.

Source: OWS 1.0.3, "Data Flow", steps 5 to 9.
"""

from __future__ import annotations

from interlock.engine import compensation, extending
from interlock.engine.bindings import Bindings
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import Frame, Scope
from interlock.flow.graph import Checker, Node
from interlock.model import event as events
from interlock.model import fault
from interlock.model.event import LIST_END
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import NULL, Payload


def complete(
    m: Machine,
    scope: Scope,
    node: Node,
    frame: Frame,
    raw_output: Payload,
    *,
    next_: str | None = None,
    context: Payload | None = None,
) -> None:
    """End a step well: transform and check its output, export to the context, go on. Raises StepFault, Pending."""
    output = raw_output
    if node.output_as is not None:
        bindings = Bindings(
            m.graph, m.state, scope, node, raw=frame.raw, since=frame.since, input=frame.input, raw_output=raw_output,
        )  # fmt: skip
        output = m.payload(m.evaluate(node.output_as, raw_output.value, bindings))
    check(node.output_schema, output, "output")
    exported = context
    if node.export_as is not None:
        bindings = Bindings(
            m.graph, m.state, scope, node, raw=frame.raw, since=frame.since, input=frame.input, raw_output=raw_output,
            output=output,
        )  # fmt: skip
        exported = m.payload(m.evaluate(node.export_as, output.value, bindings))
    if node.export_schema is not None:
        check(node.export_schema, scope.context if exported is None else exported, "export")
    position = node.next if next_ is None else next_
    opened = any(open_.path == node.path for open_ in scope.frames)
    extended = extending.around(m, scope, node)
    undo = compensation.undo_of(m, scope, node)
    m.emit(
        events.Completed(
            at=m.now,
            scope=scope.id,
            path=node.path,
            output=output,
            next=position if extended is None else LIST_END,
            context=None if exported is scope.context else exported,
            since=None if opened else frame.since,
            back=extended is None and m.graph.leads_back(node, position),
            undo="" if undo is None else undo,
            input=frame.input if undo is not None and not opened else None,
        )
    )
    if extended is not None:
        extending.after(m, scope, extended, output, position)


def tolerate(m: Machine, scope: Scope, node: Node, error: Fault) -> None:
    """End a step that failed and may: its output is null and the run is partial."""
    extended = extending.around(m, scope, node)
    position = node.next if extended is None else LIST_END
    back = m.graph.leads_back(node, position)
    m.emit(events.Tolerated(at=m.now, scope=scope.id, path=node.path, fault=error, next=position, back=back))
    if extended is not None:
        extending.after(m, scope, extended, NULL, node.next)


def check(checker: Checker | None, payload: Payload, what: str) -> None:
    """Raise StepFault when a value does not fit its schema."""
    complaint = None if checker is None else checker.complaint(payload.value)
    if complaint is not None:
        raise StepFault(
            Fault(type=fault.VALIDATION, status=400, title=f"The {what} does not fit its schema", detail=complaint)
        )


def truthy(value: Json) -> bool:
    """Say whether a condition holds: everything but false and null, as in jq."""
    return value is not None and value is not False
