"""The typed tree of a workflow document: every construct of the Open Workflow Specification 1.0.3.

Values that may hold expressions stay plain JSON; durations that are literal become seconds later, in `compile`.
A field is None when the document does not name it. `UNSET` marks values for which null is itself meaningful.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from interlock.expr.template import Mode
from interlock.model.json import Json


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    pass


class DocumentHeader(_Node, frozen=True, kw_only=True):
    """`document`: who this workflow is."""

    dsl: str
    namespace: str
    name: str
    version: str
    title: str | None = None
    summary: str | None = None
    tags: dict[str, Json] = {}
    metadata: dict[str, Json] = {}


class Endpoint(_Node, frozen=True, kw_only=True):
    """A literal URI (possibly an RFC 6570 template) or a `${ }` expression, with how to authenticate there."""

    uri: str
    authentication: Authentication | AuthenticationReference | None = None


class ExternalResource(_Node, frozen=True, kw_only=True):
    endpoint: Endpoint
    name: str | None = None


class Schema(_Node, frozen=True, kw_only=True):
    """A JSON Schema: inline as `document`, or a resource to fetch."""

    format: str = "json"
    document: Json | UnsetType = UNSET
    resource: ExternalResource | None = None


class Input(_Node, frozen=True, kw_only=True):
    schema: Schema | None = None
    from_: Json | UnsetType = UNSET


class Output(_Node, frozen=True, kw_only=True):
    schema: Schema | None = None
    as_: Json | UnsetType = UNSET


class Export(_Node, frozen=True, kw_only=True):
    schema: Schema | None = None
    as_: Json | UnsetType = UNSET


class Timeout(_Node, frozen=True, kw_only=True):
    """`after`: ISO 8601 text, a map of units, or a `${ }` expression."""

    after: Json


class SecretReference(_Node, frozen=True, kw_only=True):
    """`use: name` inside an authentication: its properties come from the secret of that name."""

    use: str


class AuthenticationReference(_Node, frozen=True, kw_only=True):
    """`use: name`: an authentication of `use.authentications`."""

    use: str


class Basic(_Node, frozen=True, kw_only=True):
    username: str
    password: str


class Bearer(_Node, frozen=True, kw_only=True):
    token: str


class Digest(_Node, frozen=True, kw_only=True):
    username: str
    password: str


class OAuth2(_Node, frozen=True, kw_only=True):
    """OAuth 2 and OpenID Connect alike: the properties as written."""

    properties: dict[str, Json]


class Authentication(_Node, frozen=True, kw_only=True):
    """Exactly one scheme is meant; `scheme` names it: basic, bearer, digest, oauth2 or oidc."""

    scheme: str
    properties: Basic | Bearer | Digest | OAuth2 | SecretReference


class ErrorDefinition(_Node, frozen=True, kw_only=True):
    type: str
    status: int
    instance: str | None = None
    title: str | None = None
    detail: str | None = None


class ErrorFilter(_Node, frozen=True, kw_only=True):
    type: str | None = None
    status: int | None = None
    instance: str | None = None
    title: str | None = None
    detail: str | None = None
    others: dict[str, Json] = {}


class RetryPolicy(_Node, frozen=True, kw_only=True):
    """`backoff` is constant, exponential, linear, or None for constant. Durations as written."""

    when: str | None = None
    except_when: str | None = None
    delay: Json | None = None
    backoff: str | None = None
    attempt_count: int | None = None
    attempt_duration: Json | None = None
    limit_duration: Json | None = None
    jitter_from: Json | None = None
    jitter_to: Json | None = None


class EventFilter(_Node, frozen=True, kw_only=True):
    with_: dict[str, Json]
    correlate: dict[str, dict[str, Json]] = {}


class EventStrategy(_Node, frozen=True, kw_only=True):
    """Which events are waited for. `mode` is all, any or one; `until` is an expression or a strategy (with any)."""

    mode: str
    filters: tuple[EventFilter, ...]
    until: str | EventStrategy | None = None


class SubscriptionIterator(_Node, frozen=True, kw_only=True):
    item: str = "item"
    at: str = "index"
    do: TaskList | None = None
    output: Output | None = None
    export: Export | None = None


# -- tasks -----------------------------------------------------------------------------------------------------------


class TaskBase(_Node, frozen=True, kw_only=True):
    """What every task has. `then` is a directive or the name of a task in the same list.

    `undo` is the task that `metadata.interlock.compensate` holds.
    """

    if_: str | None = None
    input: Input | None = None
    output: Output | None = None
    export: Export | None = None
    timeout: Timeout | str | None = None
    then: str | None = None
    metadata: dict[str, Json] = {}
    undo: Task | None = None


class CallHttp(TaskBase, frozen=True, kw_only=True):
    method: str
    endpoint: Endpoint
    headers: dict[str, str] | str | None = None
    body: Json | UnsetType = UNSET
    query: dict[str, str] | str | None = None
    output_format: str = "content"
    redirect: bool = False


class CallOpenApi(TaskBase, frozen=True, kw_only=True):
    document: ExternalResource
    operation_id: str
    parameters: dict[str, Json] = {}
    authentication: Authentication | AuthenticationReference | None = None
    output_format: str = "content"
    redirect: bool = False


class CallProtocol(TaskBase, frozen=True, kw_only=True):
    """A call of grpc, asyncapi, a2a or mcp: `protocol` names which, `with_` holds its arguments as written."""

    protocol: str
    with_: dict[str, Json]


class CallFunction(TaskBase, frozen=True, kw_only=True):
    """A call of a function by name, `name:version@catalog`, URI or `python:module:function`."""

    function: str
    with_: dict[str, Json] = {}


class Do(TaskBase, frozen=True, kw_only=True):
    do: TaskList


class Emit(TaskBase, frozen=True, kw_only=True):
    event: dict[str, Json]
    """The `with` of the event, as written."""


class For(TaskBase, frozen=True, kw_only=True):
    in_: str | list[Json]
    do: TaskList
    each: str = "item"
    at: str = "index"
    while_: str | None = None


class Fork(TaskBase, frozen=True, kw_only=True):
    branches: TaskList
    compete: bool = False


class Listen(TaskBase, frozen=True, kw_only=True):
    to: EventStrategy
    read: str = "data"
    foreach: SubscriptionIterator | None = None


class Raise(TaskBase, frozen=True, kw_only=True):
    error: ErrorDefinition | str


class ProcessTask(TaskBase, frozen=True, kw_only=True):
    """What the kinds of `run` share. `return_` is stdout, stderr, code, all or none."""

    await_: bool = True
    return_: str = "stdout"


class RunContainer(ProcessTask, frozen=True, kw_only=True):
    container: dict[str, Json]


class RunScript(ProcessTask, frozen=True, kw_only=True):
    language: str
    code: str | None = None
    source: ExternalResource | None = None
    stdin: str | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, Json] = {}


class RunShell(ProcessTask, frozen=True, kw_only=True):
    command: str
    stdin: str | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, Json] = {}


class RunWorkflow(ProcessTask, frozen=True, kw_only=True):
    namespace: str
    name: str
    version: str
    child_input: dict[str, Json] | UnsetType = UNSET


class Set(TaskBase, frozen=True, kw_only=True):
    set: dict[str, Json] | str


class SwitchCase(_Node, frozen=True, kw_only=True):
    name: str
    then: str
    when: str | None = None


class Switch(TaskBase, frozen=True, kw_only=True):
    cases: tuple[SwitchCase, ...]


class Try(TaskBase, frozen=True, kw_only=True):
    try_: TaskList
    errors: ErrorFilter | None = None
    as_: str = "error"
    when: str | None = None
    except_when: str | None = None
    retry: RetryPolicy | str | None = None
    catch_do: TaskList | None = None
    catch_then: str | None = None


class Wait(TaskBase, frozen=True, kw_only=True):
    wait: Json


Task: TypeAlias = (
    CallHttp | CallOpenApi | CallProtocol | CallFunction | Do | Emit | For | Fork | Listen | Raise
    | RunContainer | RunScript | RunShell | RunWorkflow | Set | Switch | Try | Wait
)  # fmt: skip


class NamedTask(_Node, frozen=True, kw_only=True):
    name: str
    task: Task


TaskList: TypeAlias = tuple[NamedTask, ...]


class Extension(_Node, frozen=True, kw_only=True):
    name: str
    extend: str
    when: str | None = None
    before: TaskList = ()
    after: TaskList = ()


class Catalog(_Node, frozen=True, kw_only=True):
    endpoint: Endpoint


class Use(_Node, frozen=True, kw_only=True):
    """The reusable components, each by name."""

    authentications: dict[str, Authentication] = {}
    errors: dict[str, ErrorDefinition] = {}
    extensions: tuple[Extension, ...] = ()
    functions: dict[str, Task] = {}
    retries: dict[str, RetryPolicy] = {}
    secrets: tuple[str, ...] = ()
    timeouts: dict[str, Timeout] = {}
    catalogs: dict[str, Catalog] = {}


class Schedule(_Node, frozen=True, kw_only=True):
    every: Json | None = None
    cron: str | None = None
    after: Json | None = None
    on: EventStrategy | None = None
    read: str = "data"


class Workflow(_Node, frozen=True, kw_only=True):
    """A whole document."""

    document: DocumentHeader
    do: TaskList
    input: Input | None = None
    output: Output | None = None
    use: Use = Use()
    timeout: Timeout | str | None = None
    schedule: Schedule | None = None
    language: str = "jq"
    mode: Mode = "strict"
