"""From a step to the effect it asks for: the target with every expression evaluated, and its idempotency key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from interlock import errors
from interlock.engine import containers, issuing
from interlock.engine.bindings import Bindings
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import UNDO, Frame, RunState, Scope
from interlock.expr import uri_template
from interlock.expr.template import Template
from interlock.flow.grammar.patterns import is_name
from interlock.flow.graph import (
    ApprovalWork,
    ChildWork,
    HttpWork,
    Node,
    OpenApiWork,
    ProcessWork,
    PythonWork,
    TasksWork,
)
from interlock.model import event as events
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import (
    ContainerTarget,
    EffectRequest,
    GraphTarget,
    HttpTarget,
    OpenApiTarget,
    PythonTarget,
    ScriptTarget,
    ShellTarget,
    Target,
    WorkflowTarget,
)
from interlock.secrets.bound import SecretInData

T = TypeVar("T")

_MARK_CHARACTERS: Final = 16  # hexadecimal digits: 64 bits tell the graphs of one namespace apart
_NAME_CHARACTERS: Final = 46  # with the mark and the dash, the 63 that a name may have


def build(m: Machine, scope: Scope, node: Node, frame: Frame, token: str = "") -> EffectRequest:
    """Give the effect that an opened, or about to be opened, step asks for. Raises StepFault, Pending.

    `token`: the one that goes out with it.
    """
    bindings = m.bindings(scope, node, frame)
    data = frame.input.value
    queued, isolated, result = False, False, ""
    target: Target | GraphTarget
    match node.work:
        case HttpWork():
            target = _http(m, node.work, data, bindings)
        case OpenApiWork():
            target = _openapi(m, node.work, data, bindings)
        case PythonWork(function=function, arguments=arguments):
            given = m.evaluate(arguments, data, bindings, goes_out=True)
            target = _convert(PythonTarget, {"function": function, "arguments": given})
            isolated, queued = node.work.isolated, bool(node.pool)
        case ChildWork():
            target = WorkflowTarget(
                namespace=node.work.namespace,
                name=node.work.name,
                version=node.work.version,
                input=data if node.work.input is None else m.evaluate(node.work.input, data, bindings),
                awaited=node.work.awaited,
            )
            queued = True  # it outlives this node, as what goes through the queue does
        case TasksWork():
            target = _graph(m, scope, node, frame, node.work, bindings)
        case work:
            assert isinstance(work, ProcessWork)  # the other kinds of work ask for no effect
            text = work.text
            if not isinstance(text, str):
                text = m.evaluate(text, data, bindings, goes_out=True)
            target = _process(work, text, m.evaluate(work.fields, data, bindings, goes_out=True))
            queued, result = True, "" if node.awaits is not None else work.result
    if token:
        assert not isinstance(target, WorkflowTarget)  # which is awaited anyway
        target = msgspec.structs.replace(target, token=token)
    key = idempotency_key(m, scope, node, frame, bindings)
    return EffectRequest(
        effect=m.state.head.serial + 1,
        path=node.path,
        target=target,
        idempotency_key=key,
        queued=queued,
        attempt=1 + sum(frame.retries.values()),
        isolated=isolated,
        result=result,
        has_secrets=m.secrets is not None,
        pool=node.pool,
        requires=node.requires,
    )


def emit(m: Machine, scope: Scope, request: EffectRequest, deadline: float | None) -> None:
    """Ask for the effect: it is performed once the decision is durable."""
    m.emit(
        events.Requested(
            at=m.now,
            scope=scope.id,
            path=request.path,
            effect=request.effect,
            queued=request.queued,
            deadline=deadline,
        )
    )
    m.decision.requests.append(request)


def _nothing() -> None:
    return


def again(m: Machine, scope: Scope, node: Node, frame: Frame) -> None:
    """Ask once more for the effect of an open step: a retry, with the step's timeout counted anew."""
    deadline = None
    if node.timeout is not None:
        deadline = m.now + m.seconds(node.timeout, frame.input.value, m.bindings(scope, node, frame))
    begin(m, scope, node, frame, deadline)


def begin(
    m: Machine, scope: Scope, node: Node, frame: Frame, deadline: float | None, opened: Callable[[], None] = _nothing
) -> None:
    """Ask for the effect of a step, and for the report that it waits for, if it does. Raises StepFault, Pending.

    `opened` is called between what may fail and what changes the run.
    """
    ticket = None
    if node.awaits is not None and frame.ticket is None:
        ticket = issuing.ticket(m, scope, node, frame, node.awaits, visit(m, scope, node, frame))
    if isinstance(node.work, ApprovalWork):
        assert ticket is not None  # one that was given up has none
        opened()
        issuing.issue(m, scope, node.path, ticket, waits=True, deadline=deadline)
        return
    token = ticket.token if ticket is not None else "" if frame.ticket is None else frame.ticket.token
    request = build(m, scope, node, frame, token)
    opened()
    emit(m, scope, request, deadline)
    if ticket is not None:
        issuing.issue(m, scope, node.path, ticket)


def shaped(work: object, value: Json, input: Json) -> Json:
    """Give the raw output of a step from what its effect gave: OWS `return` for processes.

    A workflow that is not awaited gives nothing; the step's input goes on.
    """
    if isinstance(work, ChildWork) and not work.awaited:
        return input
    if not isinstance(work, ProcessWork):
        return value
    match work.result:
        case "all":
            return value
        case "none":
            return None
        case part:
            return value[part]


def _http(m: Machine, work: HttpWork, data: Json, bindings: Bindings) -> HttpTarget:
    fields: dict[str, Json] = {
        "method": work.method,
        "uri": _uri(m, work.uri, data, bindings),
        "headers": _texts(m.evaluate(work.headers, data, bindings, goes_out=True)),
        "query": _texts(m.evaluate(work.query, data, bindings, goes_out=True)),
        "output_format": work.output_format,
        "redirect": work.redirect,
    }
    if work.body is not None:
        fields["body"] = m.evaluate(work.body, data, bindings, goes_out=True)
    if work.credentials is not None:
        fields["credentials"] = m.evaluate(work.credentials, data, bindings, goes_out=True)
    return _convert(HttpTarget, fields)


def _openapi(m: Machine, work: OpenApiWork, data: Json, bindings: Bindings) -> OpenApiTarget:
    fields: dict[str, Json] = {
        "document": _uri(m, work.document, data, bindings),
        "operation": m.evaluate(work.operation, data, bindings),
        "parameters": m.evaluate(work.parameters, data, bindings, goes_out=True),
        "output_format": work.output_format,
        "redirect": work.redirect,
    }
    if work.document_credentials is not None:
        fields["document_credentials"] = m.evaluate(work.document_credentials, data, bindings, goes_out=True)
    if work.credentials is not None:
        fields["credentials"] = m.evaluate(work.credentials, data, bindings, goes_out=True)
    return _convert(OpenApiTarget, fields)


def _graph(m: Machine, scope: Scope, node: Node, frame: Frame, work: TasksWork, bindings: Bindings) -> GraphTarget:
    """Give the load of a task graph. Its tasks are performed apart from the run, so it may hold no secret of that."""
    data = frame.input.value
    document = m.evaluate(work.graph, data, bindings)
    found = [] if m.secrets is None else m.secrets.markers.found(msgspec.json.encode(document).decode())
    if found:
        detail = f"the task graph holds the secret {str(found[0])!r}, and would be stored with it; leave it out"
        raise StepFault(
            Fault(
                type=fault.EXPRESSION, status=400, title="Secret in a task graph", detail=detail, code=SecretInData.code
            )
        )
    visited = visit(m, scope, node, frame)
    name = _graph_name(document, node.name, visited) if work.name is None else m.evaluate(work.name, data, bindings)
    return _convert(GraphTarget, {"document": document, "name": name, "visit": visited})


def _graph_name(document: Json, step: str, visit: str) -> str:
    """Give a graph the name that its author, else its step, has for it, made one of this visit of the step alone."""
    given = document.get("graph") if isinstance(document, dict) else None
    fitting = [text for text in (given, step) if isinstance(text, str) and is_name(text)]
    mark = hashlib.sha256(visit.encode()).hexdigest()[:_MARK_CHARACTERS]
    return f"{[*fitting, 'graph'][0][:_NAME_CHARACTERS]}-{mark}"


def _uri(m: Machine, uri: Template | str, data: Json, bindings: Bindings) -> Json:
    """Give a URI from an expression, or from the text of a URI template."""
    if not isinstance(uri, str):
        return m.evaluate(uri, data, bindings, goes_out=True)
    try:
        expanded = uri_template.expand(uri, data)
    except errors.ExpressionError as error:
        raise StepFault(
            Fault(type=fault.EXPRESSION, status=400, title="URI template failed", detail=str(error))
        ) from None
    return expanded if m.secrets is None else m.secrets.markers.encoded(expanded)


def _process(work: ProcessWork, text: Json, fields: dict[str, Json]) -> Target:
    fields = fields | {
        "arguments": [_text(argument) for argument in fields["arguments"]],
        "environment": _texts(fields["environment"]),
    }
    if "stdin" in fields:
        fields["stdin"] = _text(fields["stdin"])
    if work.kind == "shell":
        return _convert(ShellTarget, fields | {"command": text})
    if work.kind == "container":
        return containers.in_shell(_convert(ContainerTarget, containers.fields(fields) | {"command": text}))
    return _convert(ScriptTarget, fields | {"code": text, "language": work.language})


def _texts(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items() if item is not None}
    return value


def _text(value: Json) -> str:
    """Give an argument as text: strings as they are, the rest as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _convert(type_: type[T], fields: dict[str, Json]) -> T:
    try:
        return msgspec.convert(fields, type_)
    except msgspec.ValidationError as error:
        raise StepFault(
            Fault(type=fault.EXPRESSION, status=400, title="Wrong type of value", detail=str(error))
        ) from None


def idempotency_key(m: Machine, scope: Scope, node: Node, frame: Frame, bindings: Bindings) -> str:
    """Give the key of a step's effect: the same over attempts, crashes and retries by hand, another for each visit."""
    if node.idempotency_key is not None:
        return _text(m.evaluate(node.idempotency_key, frame.input.value, bindings))
    return visit(m, scope, node, frame)


def visit(m: Machine, scope: Scope, node: Node, frame: Frame) -> str:
    """Give what names this visit of a step: the same over attempts, crashes and retries by hand."""
    marks = _marks(m.state, scope, frame)
    return f"{m.state.run}{node.path}" + (f"?{marks}" if marks else "")


def _marks(state: RunState, scope: Scope, frame: Frame) -> str:
    """Give what tells this visit of a step from others: loop indexes, `try` rounds, jumps back, and which undo it is."""
    marks = []
    for current in state.lineage(scope):
        for open_ in reversed(current.frames):
            if open_.path == frame.path:
                continue
            if open_.items is not None:
                marks.append(f"loop={open_.index}")
            if open_.round:
                marks.append(f"round={open_.round}")
        if current.laps:
            marks.append(f"lap={current.laps}")
        if current.id == UNDO:
            assert state.head.rollback is not None
            marks.append(f"undo={state.head.rollback.before}")
    return "&".join(reversed(marks))


__all__ = ["again", "begin", "build", "emit", "idempotency_key", "shaped"]
