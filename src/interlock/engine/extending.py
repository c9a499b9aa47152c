"""Extensions: the lists that run before and after a step.

A step with extensions is entered through a node of its own, whose path ends with `EXTENDED`. Its parts run one after the
other in its frame:

    before 1, before 2, ...   each begins with the step's raw input; what it gives is dropped
    the step itself           begins with its raw input, as if there were no extension
    ..., after 2, after 1     each begins with the step's output; what it gives is dropped

`then: exit` in a list before the step ends the whole: the step is passed over, and the value at that place is its output.
Which extensions apply is decided once, when the step is entered.

Source: OWS 1.0.3, "Extension". Decided here: lists do not change the step's data, since an extension that logs would
else replace it by the log's answer; the lists after a step run in the reverse order; lists are not extended themselves.
"""

from __future__ import annotations

from interlock.engine.machine import Machine
from interlock.engine.state import Frame, Scope
from interlock.flow.graph import ExtendedWork, Node
from interlock.model import event as events
from interlock.model.event import LIST_END
from interlock.model.payload import Payload


def begin(m: Machine, scope: Scope, node: Node, frame: Frame, active: list[int]) -> None:
    """Begin with the first part of a step that the extensions `active` apply to; with none, with the step itself."""
    work = _work(node)
    if not active:
        m.emit(events.Skipped(at=m.now, scope=scope.id, path=node.path, next=work.inner))
        return
    m.emit(events.Entered(at=m.now, scope=scope.id, path=node.path))
    _go_on(m, scope, node, frame.raw, 0, active)


def around(m: Machine, scope: Scope, node: Node) -> Node | None:
    """Give the node of the extensions whose part `node`, the step itself, is running or has just run."""
    frames = scope.frames
    depth = next((i for i, frame in enumerate(frames) if frame.path == node.path), len(frames))
    if not depth:
        return None
    outer = m.graph.nodes[frames[depth - 1].path]
    return outer if isinstance(outer.work, ExtendedWork) and outer.work.inner == node.path else None


def after(m: Machine, scope: Scope, node: Node, output: Payload, position: str) -> None:
    """Go on after the step itself, which leads to `position`."""
    frame = scope.frames[-1]
    _go_on(m, scope, node, frame.raw, frame.part + 1, frame.active, output, position)


def leave(m: Machine, scope: Scope, node: Node, frame: Frame) -> None:
    """Go on after one of the lists."""
    _go_on(m, scope, node, frame.raw, frame.part + 1, frame.active, frame.output, frame.then)


def skip(m: Machine, scope: Scope) -> None:
    """Pass over the step itself: a list before it said `then: exit`."""
    node = m.graph.nodes[scope.frames[-1].path]
    _end(m, scope, node, scope.value, node.next)


def _go_on(
    m: Machine,
    scope: Scope,
    node: Node,
    raw: Payload,
    part: int,
    active: list[int],
    output: Payload | None = None,
    position: str | None = None,
) -> None:
    """Begin with the next part that has something to do, or end."""
    work, count = _work(node), len(active)
    while part <= 2 * count:
        first = _first(work, part, active)
        if first != LIST_END:
            value = raw if output is None else output
            m.emit(
                events.Extended(
                    at=m.now,
                    scope=scope.id,
                    path=node.path,
                    part=part,
                    first=first,
                    value=value,
                    active=active,
                    then=position,
                    output=output,
                )
            )
            return
        part += 1
    assert output is not None
    assert position is not None
    _end(m, scope, node, output, position)


def _first(work: ExtendedWork, part: int, active: list[int]) -> str:
    count = len(active)
    if part < count:
        return work.parts[active[part]].before
    if part == count:
        return work.inner
    return work.parts[active[2 * count - part]].after


def _end(m: Machine, scope: Scope, node: Node, output: Payload, position: str) -> None:
    back = m.graph.leads_back(node, position)
    m.emit(events.Completed(at=m.now, scope=scope.id, path=node.path, output=output, next=position, back=back))


def _work(node: Node) -> ExtendedWork:
    assert isinstance(node.work, ExtendedWork)
    return node.work
