"""What the engine walks: a workflow as flat nodes, every name resolved and every expression compiled.

Nodes are named by JSON pointer, each with the position that follows it. Lists, branches and handlers are named by the
position of their first node. `flow.compile` makes graphs; nothing here knows the document's own shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import jsonschema_rs

from interlock import errors
from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.model import retry
from interlock.model.call import Requirements
from interlock.model.event import UNDO
from interlock.model.json import Json
from interlock.model.task import FailureClass


class Checker:
    """A compiled JSON Schema, complete in itself: it makes us fetch nothing."""

    __slots__ = ("_validator",)

    def __init__(self, schema: Json) -> None:
        self._validator = jsonschema_rs.validator_for(schema, retriever=_refuse)

    def complaint(self, value: Json) -> str | None:
        """Say what is wrong with `value`, the first three points, or None when it fits."""
        if self._validator.is_valid(value):
            return None
        found = [
            f"{'/' + '/'.join(str(part) for part in error.instance_path) if error.instance_path else 'value'}: "
            f"{error.message}"
            for error, _ in zip(self._validator.iter_errors(value), range(3), strict=False)
        ]
        return "; ".join(found)


def _refuse(uri: str) -> Json:
    raise ValueError(f"it refers to {uri}, which is not fetched")


# -- what a node does ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWork:
    value: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    when: Expression | None
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchWork:
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseWork:
    error: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitWork:
    duration: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class DoWork:
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionWork:
    """A function of `use.functions`: its task runs with the evaluated arguments as its raw input."""

    arguments: Template
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForWork:
    each: str
    at: str
    items: Expression | Template
    while_: Expression | None
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkWork:
    branches: tuple[str, ...]
    compete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    when: Expression | None
    except_when: Expression | None
    delay: Template | None
    backoff: str | None
    count: int | None
    attempt_duration: Template | None
    total_duration: Template | None
    jitter: tuple[Template, Template] | None
    longest_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TryWork:
    """`catch_first` is LIST_END when there are no handlers; `catch_next` is where `catch.then` leads, if given."""

    first: str
    filter: Mapping[str, Json]
    as_: str
    when: Expression | None
    except_when: Expression | None
    retry: RetryPlan | None
    catch_first: str
    catch_next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpWork:
    method: str
    uri: Template | str
    """A template of an expression, or the text of a URI template."""
    headers: Template
    query: Template
    body: Template | None
    output_format: str
    redirect: bool
    credentials: Template | None
    """An object with `scheme` and the scheme's `properties`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenApiWork:
    """`document` as `HttpWork.uri`; `document_credentials` and `credentials` as `HttpWork.credentials`."""

    document: Template | str
    document_credentials: Template | None
    operation: Template
    parameters: Template
    output_format: str
    redirect: bool
    credentials: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonWork:
    """A function of the catalog (`name` or `name:version@default`) or `package.module:function`."""

    function: str
    arguments: Template
    isolated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessWork:
    """`kind` is shell, script or container; `fields` evaluates to the fields of the target; `result` is OWS `return`.

    `text` is the command (of a container, "" for the image's own) or the code; that of a script from a source is text in
    which nothing is an expression.
    """

    kind: str
    language: str
    text: Template | str
    fields: Template
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildWork:
    """Another workflow, as a run of its own. `awaited`: the step ends with it, else as soon as it is accepted."""

    namespace: str
    name: str
    version: str
    input: Template | None
    awaited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalWork:
    """A question to somebody, who answers by a token. `terms`: who is asked what; `schema`: of the answer."""

    terms: Template
    schema: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksWork:
    """A task graph, which the step loads and waits for. `name`: its own; None: one is made for each visit of the step."""

    graph: Template
    name: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitWork:
    event: Template
    """The attributes of the event, as far as the author gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What an event must have to fit a filter.

    `type` and `source` are those attributes where they are literal, None for any: the store looks only at them.
    `attributes`: a value, an expression about the attribute, or for data a map of such.
    """

    type: str | None
    source: str | None
    attributes: Mapping[str, Json | Template | Mapping[str, Json]]
    correlate: Mapping[str, Correlation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A value that the events of one listening must share: taken from the event; `expect` says which it is, if given."""

    value: Expression
    expect: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """`mode` is one, any or all; `any` without filters takes every event of the namespace."""

    mode: str
    filters: tuple[Fitting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenWork:
    """`until` ends the listening: an expression about the outputs so far, or a strategy. `read`: data, envelope or raw.

    `first` is where the list of `foreach` begins, None without one. `keeps` False: it listens for ever, so that no one
    ever reads its output.
    """

    strategy: Strategy
    until: Expression | Strategy | None
    read: str
    each: str
    at: str
    first: str | None
    output_as: Expression | Template | None
    output_schema: Checker | None
    export_as: Expression | Template | None
    export_schema: Checker | None
    keeps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The lists of one extension around a step; `when` says whether it applies. LIST_END for an empty list."""

    when: Expression | None
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedWork:
    """The extensions around the step `inner`: the lists before it in order, the step, the lists after it in reverse."""

    parts: tuple[Part, ...]
    inner: str


Work: TypeAlias = (
    SetWork | SwitchWork | RaiseWork | WaitWork | DoWork | FunctionWork | ForWork | ForkWork | TryWork
    | HttpWork | OpenApiWork | PythonWork | ProcessWork | ChildWork | ApprovalWork | TasksWork | EmitWork
    | ListenWork | ExtendedWork
)  # fmt: skip


EffectWork: TypeAlias = HttpWork | OpenApiWork | PythonWork | ProcessWork | ChildWork | ApprovalWork | TasksWork
"""What leaves the run and comes back."""


# -- nodes and graphs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaits:
    """That a step ends when somebody reports so by its token. `expires` and `heartbeat`: durations; None for the default, and
    for a holder that may be silent. `operations`: what the token may be used for, everything when empty.
    `endless`: the token has no end of its own, not even the default."""

    expires: Template | None = None
    heartbeat: Template | None = None
    operations: tuple[str, ...] = ()
    endless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step of the graph.

    `next` is where the run goes after it (its `then` resolved); `follow` is the next in line, for cases that say
    `continue`. Both are positions (see model.event).
    """

    path: str
    name: str
    work: Work
    next: str
    follow: str
    order: int = 0
    """Its place in its list; a jump to a place that is not behind it is a jump back."""
    definition: Json = None
    if_: Expression | None = None
    input_schema: Checker | None = None
    input_from: Expression | Template | None = None
    output_as: Expression | Template | None = None
    output_schema: Checker | None = None
    export_as: Expression | Template | None = None
    export_schema: Checker | None = None
    timeout: Template | None = None
    tolerates: bool = False
    budgets: Mapping[FailureClass, int] = field(default_factory=lambda: retry.WORKFLOW_BUDGETS)
    idempotency_key: Expression | None = None
    pool: str = ""
    """Where its effect goes through the queue to; "" for where effects of its kind are performed anyway."""
    requires: Requirements | None = None
    extends: str | None = None
    """In the list of an extension, and for the node around it: the step that is extended."""
    undo: str | None = None
    """The position at which its undo begins, once it has completed and the run rolls back."""
    awaits: Awaits | None = None
    """The report that ends it; None: its own effect does."""
    in_undo: bool = False
    """Whether it is written in an undo, where `$input` is what the step that is undone was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A workflow that is a Python function: `function` says where it was when the definition was stored."""

    namespace: str
    name: str
    version: str
    function: str
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """An executable workflow; one of a Python function has no nodes, but its `program`."""

    nodes: Mapping[str, Node]
    first: str
    definition: Json
    input_schema: Checker | None
    input_from: Expression | Template | None
    output_as: Expression | Template | None
    output_schema: Checker | None
    timeout: Template | None
    secrets: tuple[str, ...] = ()
    """The secrets that the definition declares; expressions see no others."""
    listens: bool = False
    """Whether any step listens to events."""
    program: Program | None = None

    def named(self, step: str) -> str:
        """Give the path of a step that is named by its path or its name. Raises Invalid, NotFound, which list the names."""
        if step in self.nodes:
            return step
        found = [path for path, node in self.nodes.items() if step == _called(path, node)]
        if len(found) == 1:
            return found[0]
        if found:
            raise errors.Invalid(f"several steps are called {step!r}: {', '.join(found)}; write the path")
        raise errors.NotFound(f"the workflow has no step {step!r}; its steps are {', '.join(self.nodes)}")

    def leads_back(self, node: Node, position: str) -> bool:
        """Say whether going on from a step at `position` is a jump to it or to what lies before it in its list."""
        target = self.nodes.get(position)
        return target is not None and target.order <= node.order


def _called(path: str, node: Node) -> str:
    """Give the name that people call a step by."""
    return node.name if path.endswith(UNDO) else path.rsplit("/", 1)[-1]
