"""What a listening step does with events: which it takes, what it makes of each, when it is done.

    enter -> Listened          its subscription is stored in the commit that opens it
    event -> Heard             the event fits: it waits in the step's own queue, in the order of the inbox
             Sealed            no more are wanted
    queue -> Taken             `foreach` begins with the next one ...
             Processed         ... or is done with it; without a list both are one
    done  -> Completed         the output is the array of what was made of the events

Source: OWS 1.0.3, "Listen", "Event Consumption Strategy", "Event Filter", "Correlation" and "Subscription Iterator".
Decided here: a filter whose expression fails on an event does not fit it, since one malformed event must not end every
listener; the `.` of an expression about an attribute is that attribute; the input of a `foreach` list is the item.
"""

from __future__ import annotations

from collections.abc import Mapping

from interlock.engine.bindings import Bindings
from interlock.engine.ending import check, complete, truthy
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import Frame, Scope
from interlock.expr.template import Template
from interlock.flow.graph import Correlation, Fitting, ListenWork, Node, Strategy
from interlock.model import cloud_event
from interlock.model import event as events
from interlock.model.event import LIST_END
from interlock.model.json import Json
from interlock.model.payload import Payload

_ABSENT = object()


# -- hearing ---------------------------------------------------------------------------------------------------------


def hear(m: Machine, envelope: dict[str, Json]) -> None:
    """Give an event to every step that listens and wants it. Raises Pending before anything has changed."""
    payload = Payload(envelope)
    news: list[events.Event] = []
    for scope in m.state.scopes.values():
        for frame in scope.frames:
            if frame.listener and not frame.sealed:
                news += _heard(m, scope, frame, envelope, payload)
    for event in news:
        m.emit(event)


def _heard(
    m: Machine, scope: Scope, frame: Frame, envelope: dict[str, Json], payload: Payload
) -> list[events.Heard | events.Sealed]:
    node = m.graph.nodes[frame.path]
    work = node.work
    assert isinstance(work, ListenWork)
    if isinstance(work.until, Strategy):
        found = _fit(m, scope, node, frame, work.until, frame.ended_by, envelope)
        if found is not None:
            number, correlation = found
            ended = _satisfied(work.until, [*frame.ended_by, number])
            return _told(m, scope, frame, payload, number, correlation, until=True, sealed=ended)
    found = _fit(m, scope, node, frame, work.strategy, frame.fitted, envelope)
    if found is None:
        return []
    number, correlation = found
    sealed = work.until is None and _satisfied(work.strategy, [*frame.fitted, number])
    kept = number if work.strategy.mode == "all" else -1
    return _told(m, scope, frame, payload, kept, correlation, until=False, sealed=sealed)


def _told(
    m: Machine,
    scope: Scope,
    frame: Frame,
    payload: Payload,
    number: int,
    correlation: dict[str, Json],
    *,
    until: bool,
    sealed: bool,
) -> list[events.Heard | events.Sealed]:
    news: list[events.Heard | events.Sealed] = [
        events.Heard(
            at=m.now,
            scope=scope.id,
            path=frame.path,
            event=payload,
            filter=number,
            until=until,
            correlation=None if correlation == frame.correlation else correlation,
        )
    ]
    if sealed:
        news.append(events.Sealed(at=m.now, scope=scope.id, path=frame.path))
    return news


def _satisfied(strategy: Strategy, fitted: list[int]) -> bool:
    """Say whether these filters, each fitted by an event, are what a strategy waits for."""
    return strategy.mode != "all" or set(fitted) >= set(range(len(strategy.filters)))


def _fit(
    m: Machine,
    scope: Scope,
    node: Node,
    frame: Frame,
    strategy: Strategy,
    fitted: list[int],
    envelope: dict[str, Json],
) -> tuple[int, dict[str, Json]] | None:
    """Give the first filter that an event fits and the correlation after it. `all` wants each filter fitted once."""
    if strategy.mode == "any" and not strategy.filters:
        return -1, frame.correlation
    bindings = m.bindings(scope, node, frame)
    for number, fitting in enumerate(strategy.filters):
        if strategy.mode == "all" and number in fitted:
            continue
        if _fits_all(m, fitting.attributes, envelope, bindings):
            correlation = _correlated(m, fitting.correlate, envelope, frame, bindings)
            if correlation is not None:
                return number, correlation
    return None


def _fits_all(m: Machine, wanted: Mapping[str, Json], value: Json, bindings: Bindings) -> bool:
    if not isinstance(value, dict):
        return False
    return all(_fits(m, pattern, value.get(name, _ABSENT), bindings) for name, pattern in wanted.items())


def _fits(m: Machine, pattern: Json, value: object, bindings: Bindings) -> bool:
    """Say whether one attribute, or a part of the data, is as wanted; an expression sees null for one that is absent."""
    if isinstance(pattern, Template):
        shown = None if value is _ABSENT else value
        try:
            result = m.evaluate(pattern, shown, bindings)
        except StepFault:
            return False
        return result if isinstance(result, bool) else _same(result, value)
    if isinstance(pattern, Mapping):
        return _fits_all(m, pattern, value, bindings)
    return _same(pattern, value)


def _same(left: object, right: object) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _correlated(
    m: Machine, wanted: Mapping[str, Correlation], envelope: dict[str, Json], frame: Frame, bindings: Bindings
) -> dict[str, Json] | None:
    """Give the values that events share, those of this one added; None when it disagrees."""
    shared = dict(frame.correlation)
    for name, correlation in wanted.items():
        try:
            value = m.evaluate(correlation.value, envelope, bindings)
            expected = shared.get(name, _ABSENT)
            if correlation.expect is not None:
                expected = m.evaluate(correlation.expect, frame.input.value, bindings)
        except StepFault:
            return None
        if value is None or (expected is not _ABSENT and not _same(value, expected)):
            return None
        shared[name] = value
    return shared


# -- processing ------------------------------------------------------------------------------------------------------


def is_due(m: Machine, scope: Scope) -> bool:
    """Say whether the step that a waiting scope listens in has an event to process, or is done."""
    if not scope.frames or not scope.frames[-1].listener:
        return False
    frame = scope.frames[-1]
    return frame.item is None and (bool(frame.heard) or frame.sealed)


def proceed(m: Machine, scope: Scope) -> None:
    """Begin with the next event, or end the step. Raises StepFault, Pending."""
    frame = scope.frames[-1]
    node = m.graph.nodes[frame.path]
    work = node.work
    assert isinstance(work, ListenWork)
    if not frame.heard:
        _end(m, scope, node, frame, frame.outputs)
        return
    value = _read(work, frame.heard[0])
    if work.first is None or work.first == LIST_END:
        _process(m, scope, node, frame, work, value, value)
        return
    m.emit(events.Taken(at=m.now, scope=scope.id, path=node.path, value=value, first=work.first))


def leave(m: Machine, scope: Scope, node: Node, frame: Frame, work: ListenWork) -> None:
    """End the list of `foreach` for one event. Raises StepFault, Pending."""
    assert frame.item is not None
    _process(m, scope, node, frame, work, frame.item, scope.value)


def _process(
    m: Machine, scope: Scope, node: Node, frame: Frame, work: ListenWork, item: Payload, raw_output: Payload
) -> None:
    extra = {work.each: item.value, work.at: frame.processed}
    output, context = raw_output, None
    if work.output_as is not None:
        output = m.payload(m.evaluate(work.output_as, raw_output.value, m.bindings(scope, node, frame, extra=extra)))
    check(work.output_schema, output, "output of an event")
    if work.export_as is not None:
        bindings = m.bindings(scope, node, frame, output=output, extra=extra)
        context = m.payload(m.evaluate(work.export_as, output.value, bindings))
    if work.export_schema is not None:
        check(work.export_schema, scope.context if context is None else context, "export")
    outputs = [*frame.outputs, output] if work.keeps else []
    ended = _ends(m, scope, node, frame, work, outputs)
    kept = output if work.keeps else None
    m.emit(events.Processed(at=m.now, scope=scope.id, path=node.path, output=kept, context=context))
    if ended and not frame.sealed:
        m.emit(events.Sealed(at=m.now, scope=scope.id, path=node.path))
        for _ in frame.heard:  # `until` holds now: what came later is not waited for any more
            m.emit(events.Processed(at=m.now, scope=scope.id, path=node.path))


def _ends(m: Machine, scope: Scope, node: Node, frame: Frame, work: ListenWork, outputs: list[Payload]) -> bool:
    """Say whether the expression of `until`, if there is one, holds for the outputs so far."""
    if work.until is None or isinstance(work.until, Strategy) or not work.keeps:
        return False
    so_far = [output.value for output in outputs]
    return truthy(m.evaluate(work.until, so_far, m.bindings(scope, node, frame)))


def _end(m: Machine, scope: Scope, node: Node, frame: Frame, outputs: list[Payload]) -> None:
    complete(m, scope, node, frame, m.payload([output.value for output in outputs]))


def _read(work: ListenWork, event: Payload) -> Payload:
    match work.read:
        case "envelope":
            return event
        case "raw":
            return Payload(cloud_event.raw(event.value))
        case _:
            return Payload(cloud_event.data(event.value))


__all__ = ["Fitting", "hear", "is_due", "leave", "proceed"]
