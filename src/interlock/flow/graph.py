"""What the engine walks: a workflow as flat nodes, every name resolved and every expression compiled.

Nodes are named by JSON pointer, each with the position that follows it. Lists, branches and handlers are named by the
position of their first node. `flow.compile` makes graphs; nothing here knows the document's own shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import jsonschema_rs

from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.model import retry
from interlock.model.json import Json
from interlock.model.task import FailureClass

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
    """`kind` is shell or script; `fields` evaluates to the fields of the target; `result` is OWS `return`.

    `code`: the text of a script from a source, in which nothing is an expression; None when `fields` has it.
    """

    kind: str
    language: str
    fields: Template
    result: str
    code: str | None = None


Work: TypeAlias = (
    SetWork | SwitchWork | RaiseWork | WaitWork | DoWork | FunctionWork | ForWork | ForkWork | TryWork
    | HttpWork | OpenApiWork | PythonWork | ProcessWork
)  # fmt: skip


# -- nodes and graphs ------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """An executable workflow."""

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
