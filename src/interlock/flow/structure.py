"""The structure of a workflow document: stage one of validation.

The verdict on any JSON value equals that of the JSON Schema of Open Workflow Specification 1.0.3 (formats are not
asserted there), which the tests prove by mutation; the words are ours. Where the schema surprises, it is followed and
the place says so:

- the document itself is open, as are event properties, error filters, `call: mcp` and everything in it;
- a reusable authentication is open, one that stands at its place of use is closed;
- literal `instance` of an error and literal `time` of an event may not be expressions: the schema gives two
  alternatives that both match then, and demands exactly one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interlock.flow import nearest, patterns, pointer
from interlock.flow.findings import Findings
from interlock.flow.shapes import (
    Anything,
    Boolean,
    Choice,
    Either,
    Integer,
    Later,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
    fits,
    label,
    listed,
    wrong_type,
)
from interlock.model.json import Json


def check(value: Json, findings: Findings) -> None:
    """Note every structural problem of a document, and list its expressions."""
    if value is None:
        message = "the document is empty; it needs `document` and `do`"
        findings.add("wrong-type", message, "", found="nothing", expected="a map")
        return
    WORKFLOW.check(value, "", findings)


def is_valid(value: Json) -> bool:
    """Say whether a document has the structure that the specification's schema demands."""
    return fits(WORKFLOW, value)


# -- texts and small values ------------------------------------------------------------------------------------------

_TEXT: Final = Text(is_template=True)
_PLAIN_TEXT: Final = Text()
_JQ: Final = Text("an expression", is_expression=True)
_EXPRESSION: Final = Text(
    "an expression `${ ... }` on one line", patterns.is_expression, "invalid-expression", is_template=True
)
_FILLED: Final = Text("a name", patterns.is_filled, "empty")
_LITERAL: Final = Text(
    "literal text", patterns.is_literal, "invalid-value", lambda _: ("; the schema takes no expression here", None)
)
_ENDPOINT_TEXT: Final = Text(
    "a URI or an expression `${ ... }`", patterns.is_endpoint, "invalid-uri", patterns.about_endpoint, is_template=True
)
_URI: Final = Text("a URI", patterns.is_uri, "invalid-uri", patterns.about_endpoint)
_VERSION: Final = Text("a semantic version", patterns.is_version, "invalid-version", patterns.about_version)
_NAME: Final = Text("a valid name", patterns.is_name, "invalid-name", patterns.about_name)
_FREE_MAP: Final = MapOf(Anything())
_DATA_MAP: Final = MapOf(Anything(is_template=False))
_TEXT_MAP: Final = MapOf(_TEXT)
_TEXTS: Final = ListOf(_TEXT)
_READ: Final = Choice(("data", "envelope", "raw"))
_HTTP_OUTPUT: Final = Choice(("raw", "content", "response"))

_UNITS: Final = ("days", "hours", "minutes", "seconds", "milliseconds")
DURATION: Final = Either(
    "a duration such as PT30S or {seconds: 30}",
    text=Text(
        "an ISO 8601 duration", patterns.is_duration, "invalid-duration", patterns.about_duration, is_template=True
    ),
    mapping=Record(who="a duration", fields=dict.fromkeys(_UNITS, Integer()), minimum=1),
)
_TIMEOUT: Final = Record(who="a timeout", fields={"after": DURATION}, required=("after",))
_TIMEOUT_OR_NAME: Final = Either("a map with `after`, or the name of a timeout", text=_PLAIN_TEXT, mapping=_TIMEOUT)
_TRANSFORM: Final = Either("an expression or a map", text=_JQ, mapping=_FREE_MAP)
_TASK_LIST: Final[Shape] = Later(lambda: TASK_LIST)


# -- authentication --------------------------------------------------------------------------------------------------

_TOKEN: Final = Record(who="a token", fields={"token": _TEXT, "type": _TEXT}, required=("token", "type"))
_OAUTH2: Final[dict[str, Shape]] = {
    "authority": _URI,
    "grant": Choice(
        (
            "authorization_code",
            "client_credentials",
            "password",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        )
    ),
    "client": Record(
        who="`client`",
        fields={
            "id": _TEXT,
            "secret": _TEXT,
            "assertion": _TEXT,
            "authentication": Choice(
                ("client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none")
            ),
        },
    ),
    "request": Record(
        who="`request`",
        fields={"encoding": Choice(("application/x-www-form-urlencoded", "application/json"))},
        is_open=True,
    ),
    "issuers": _TEXTS,
    "scopes": _TEXTS,
    "audiences": _TEXTS,
    "username": _TEXT,
    "password": _TEXT,
    "subject": _TOKEN,
    "actor": _TOKEN,
}
_OAUTH2_ENDPOINTS: Final = Record(
    who="`endpoints`", fields={"token": _TEXT, "revocation": _TEXT, "introspection": _TEXT}, is_open=True
)


@dataclass(frozen=True, slots=True)
class _OrSecret:
    """The properties of a scheme, or `use:` with the name of a secret that holds them."""

    inline: Record
    expected: str = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        by_secret = isinstance(value, dict) and "use" in value and not any(key in value for key in self.inline.required)
        (_SECRET if by_secret else self.inline).check(value, path, findings)


_SECRET: Final = Record(who="a secret reference", fields={"use": _FILLED}, required=("use",))
_LOGIN: Final[Mapping[str, Shape]] = {"username": _TEXT, "password": _TEXT}
SCHEMES: Final[dict[str, Shape]] = {
    "basic": _OrSecret(Record(who="`basic`", fields=_LOGIN, required=("username", "password"))),
    "bearer": _OrSecret(Record(who="`bearer`", fields={"token": _TEXT}, required=("token",))),
    "digest": _OrSecret(Record(who="`digest`", fields=_LOGIN, required=("username", "password"))),
    "oauth2": _OrSecret(
        Record(who="`oauth2`", fields={**_OAUTH2, "endpoints": _OAUTH2_ENDPOINTS}, required=("authority", "grant"))
    ),
    "oidc": _OrSecret(Record(who="`oidc`", fields=_OAUTH2, required=("authority", "grant"))),
}
_AUTHENTICATION: Final = Record(
    who="an authentication", fields={"use": _FILLED, **SCHEMES}, one_of=(("use", *SCHEMES),), expected="a map"
)


@dataclass(frozen=True, slots=True)
class _ReusableAuthentication:
    """Exactly one scheme must be valid; the schema looks at nothing else in the map, not even at a broken scheme."""

    expected: str = "a map with one authentication scheme"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, self.expected)
            return
        there = [name for name in SCHEMES if name in value]
        valid = [name for name in there if fits(SCHEMES[name], value[name])]
        if len(valid) > 1:
            message = f"an authentication has {listed(valid, 'and')}; only one of them may stand"
            findings.add("exclusive-properties", message, pointer.child(path, valid[1]), at_key=True)
        elif there:
            name = (valid or there)[0]
            SCHEMES[name].check(value[name], pointer.child(path, name), findings)
        else:
            self._miss(value, path, findings)

    def _miss(self, value: dict[str, Json], path: str, findings: Findings) -> None:
        names = listed(list(SCHEMES))
        near = next((near for key in value if (near := nearest.name(key, SCHEMES))), None)
        advice = f"; did you mean `{near}`?" if near else ""
        message = f"an authentication needs {names}{advice}"
        findings.add("missing-property", message, path, at_key=True, expected=" or ".join(SCHEMES), nearest=near)


_ENDPOINT: Final = Either(
    "a URI, an expression or a map with `uri`",
    text=_ENDPOINT_TEXT,
    mapping=Record(
        who="an endpoint", fields={"uri": _ENDPOINT_TEXT, "authentication": _AUTHENTICATION}, required=("uri",)
    ),
)
_RESOURCE: Final = Record(who="a resource", fields={"name": _PLAIN_TEXT, "endpoint": _ENDPOINT}, required=("endpoint",))


# -- data flow, errors, retries --------------------------------------------------------------------------------------

_SCHEMA: Final = Record(
    who="a schema",
    fields={"format": _PLAIN_TEXT, "document": Anything(is_template=False), "resource": _RESOURCE},
    one_of=(("document", "resource"),),
)
_INPUT: Final = Record(who="`input`", fields={"schema": _SCHEMA, "from": _TRANSFORM})
_OUTPUT: Final = Record(who="`output`", fields={"schema": _SCHEMA, "as": _TRANSFORM})
_EXPORT: Final = Record(who="`export`", fields={"schema": _SCHEMA, "as": _TRANSFORM})

_ERROR: Final = Record(
    who="an error",
    fields={"type": _ENDPOINT_TEXT, "status": Integer(), "instance": _LITERAL, "title": _TEXT, "detail": _TEXT},
    required=("type", "status"),
)
_ERROR_FILTER: Final = Record(
    who="an error filter",
    fields={"type": _TEXT, "status": Integer(), "instance": _TEXT, "title": _TEXT, "detail": _TEXT},
    minimum=1,
    is_open=True,
    is_template=True,
)
_BACKOFFS: Final = ("constant", "exponential", "linear")
_RETRY: Final = Record(
    who="a retry policy",
    fields={
        "when": _JQ,
        "exceptWhen": _JQ,
        "delay": DURATION,
        "backoff": Record(who="`backoff`", fields=dict.fromkeys(_BACKOFFS, _DATA_MAP), one_of=(_BACKOFFS,)),
        "limit": Record(
            who="`limit`",
            fields={
                "attempt": Record(who="`attempt`", fields={"count": Integer(), "duration": DURATION}),
                "duration": DURATION,
            },
        ),
        "jitter": Record(who="`jitter`", fields={"from": DURATION, "to": DURATION}, required=("from", "to")),
    },
)


# -- events ----------------------------------------------------------------------------------------------------------

_EVENT_FIELDS: Final[dict[str, Shape]] = {
    "id": _TEXT,
    "source": _ENDPOINT_TEXT,
    "type": _TEXT,
    "time": _LITERAL,
    "subject": _TEXT,
    "datacontenttype": _TEXT,
    "dataschema": _ENDPOINT_TEXT,
    "data": Anything(),
}
_EVENT_TO_EMIT: Final = Record(who="an event", fields=_EVENT_FIELDS, required=("type",), is_open=True, is_template=True)
_EVENT_TO_MATCH: Final = Record(who="`with`", fields=_EVENT_FIELDS, minimum=1, is_open=True, is_template=True)
_CORRELATION: Final = Record(
    who="a correlation", fields={"from": _JQ, "expect": _TEXT}, required=("from",), is_open=True
)
_EVENT_FILTER: Final = Record(
    who="an event filter",
    fields={"with": _EVENT_TO_MATCH, "correlate": MapOf(_CORRELATION)},
    required=("with",),
)
_EVENT_FILTERS: Final = ListOf(_EVENT_FILTER)
_MODES: Final[dict[str, Shape]] = {"all": _EVENT_FILTERS, "any": _EVENT_FILTERS, "one": _EVENT_FILTER}
_UNTIL: Final = Either(
    "an expression or an event strategy",
    text=_JQ,
    mapping=Record(who="the strategy of `until`", fields=_MODES, one_of=(tuple(_MODES),)),
)
_STRATEGY: Final = Record(
    who="an event strategy", fields={**_MODES, "until": _UNTIL}, one_of=(tuple(_MODES),), needs={"until": "any"}
)
_ITERATOR: Final = Record(
    who="`foreach`",
    fields={"item": _PLAIN_TEXT, "at": _PLAIN_TEXT, "do": _TASK_LIST, "output": _OUTPUT, "export": _EXPORT},
)


# -- calls -----------------------------------------------------------------------------------------------------------

_PARAMETERS_OR_JQ: Final = Either("a map or an expression", text=_TEXT, mapping=_FREE_MAP)
_HEADERS: Final = Either("a map of texts or an expression", text=_EXPRESSION, mapping=_TEXT_MAP)
_ASYNCAPI_MESSAGE: Final = Record(who="a message", fields={"payload": _FREE_MAP, "headers": _FREE_MAP})
_ASYNCAPI_SUBSCRIPTION: Final = Record(
    who="a subscription",
    fields={
        "filter": _EXPRESSION,
        "consume": Record(
            who="`consume`",
            fields={"for": DURATION, "amount": Integer(), "while": _EXPRESSION, "until": _EXPRESSION},
            one_of=(("amount", "while", "until"),),
        ),
        "foreach": _ITERATOR,
    },
    required=("consume",),
)
_ASYNCAPI_PROTOCOLS: Final = (
    "amqp", "amqp1", "anypointmq", "googlepubsub", "http", "ibmmq", "jms", "kafka", "mercure", "mqtt", "mqtt5", "nats",
    "pulsar", "redis", "sns", "solace", "sqs", "stomp", "ws",
)  # fmt: skip
_A2A_METHODS: Final = (
    "message/send", "message/stream", "tasks/get", "tasks/list", "tasks/cancel", "tasks/resubscribe",
    "tasks/pushNotificationConfig/set", "tasks/pushNotificationConfig/get", "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete", "agent/getAuthenticatedExtendedCard",
)  # fmt: skip
_MCP_METHODS: Final = (
    "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/read",
    "resources/templates/list",
)  # fmt: skip

CALLS: Final[dict[str, Record]] = {
    "asyncapi": Record(
        who="`call: asyncapi`",
        fields={
            "document": _RESOURCE,
            "channel": _TEXT,
            "operation": _TEXT,
            "server": Record(who="`server`", fields={"name": _TEXT, "variables": _FREE_MAP}, required=("name",)),
            "protocol": Choice(_ASYNCAPI_PROTOCOLS),
            "message": _ASYNCAPI_MESSAGE,
            "subscription": _ASYNCAPI_SUBSCRIPTION,
            "authentication": _AUTHENTICATION,
        },
        required=("document",),
        one_of=(("operation", "channel"), ("message", "subscription")),
    ),
    "grpc": Record(
        who="`call: grpc`",
        fields={
            "proto": _RESOURCE,
            "service": Record(
                who="`service`",
                fields={
                    "name": _TEXT,
                    "host": Text("a host name", patterns.is_host, "invalid-host"),
                    "port": Integer(0, 65535),
                    "authentication": _AUTHENTICATION,
                },
                required=("name", "host"),
            ),
            "method": _TEXT,
            "arguments": _FREE_MAP,
        },
        required=("proto", "service", "method"),
    ),
    "http": Record(
        who="`call: http`",
        fields={
            "method": _TEXT,
            "endpoint": _ENDPOINT,
            "headers": _HEADERS,
            "body": Anything(),
            "query": _HEADERS,
            "output": _HTTP_OUTPUT,
            "redirect": Boolean(),
        },
        required=("method", "endpoint"),
    ),
    "openapi": Record(
        who="`call: openapi`",
        fields={
            "document": _RESOURCE,
            "operationId": _TEXT,
            "parameters": _FREE_MAP,
            "authentication": _AUTHENTICATION,
            "output": _HTTP_OUTPUT,
            "redirect": Boolean(),
        },
        required=("document", "operationId"),
    ),
    "a2a": Record(
        who="`call: a2a`",
        fields={
            "agentCard": _RESOURCE,
            "server": _ENDPOINT,
            "method": Choice(_A2A_METHODS),
            "parameters": Either("a map or an expression", text=_TEXT, mapping=MapOf(Anything(), minimum=1)),
        },
        required=("method",),
    ),
    "mcp": Record(
        who="`call: mcp`",
        fields={
            "protocolVersion": _TEXT,
            "method": Choice(_MCP_METHODS),
            "parameters": _PARAMETERS_OR_JQ,
            "timeout": DURATION,
            "transport": Record(
                who="`transport`",
                fields={
                    "http": Record(
                        who="`http`",
                        fields={"endpoint": _ENDPOINT, "headers": _TEXT_MAP},
                        required=("endpoint",),
                        is_open=True,
                    ),
                    "stdio": Record(
                        who="`stdio`",
                        fields={"command": _TEXT, "arguments": _TEXTS, "environment": _TEXT_MAP},
                        required=("command",),
                        is_open=True,
                    ),
                    "options": _TEXT_MAP,
                },
                one_of=(("http", "stdio"),),
                is_open=True,
            ),
            "client": Record(
                who="`client`", fields={"name": _TEXT, "version": _TEXT}, required=("name", "version"), is_open=True
            ),
        },
        required=("method", "transport"),
        is_open=True,
    ),
}


# -- processes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Lifetime:
    """`after` must stand beside `cleanup: eventually`, and nowhere else."""

    record: Record
    expected: str = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        self.record.check(value, path, findings)
        if not isinstance(value, dict) or "cleanup" not in value:
            return
        is_eventual = value["cleanup"] == "eventually"
        if is_eventual and "after" not in value:
            message = "`cleanup: eventually` needs `after`"
            findings.add("missing-property", message, path, at_key=True, expected="after")
        elif not is_eventual and "after" in value:
            message = "`after` is of use only with `cleanup: eventually`"
            findings.add("exclusive-properties", message, pointer.child(path, "after"), at_key=True)


_PROCESS: Final[dict[str, Shape]] = {"stdin": _TEXT, "arguments": _TEXTS, "environment": _FREE_MAP}
_CONTAINER: Final = Record(
    who="`container`",
    fields={
        **_PROCESS,
        "image": _TEXT,
        "name": _TEXT,
        "command": _TEXT,
        "ports": _FREE_MAP,
        "volumes": _FREE_MAP,
        "lifetime": _Lifetime(
            Record(
                who="`lifetime`",
                fields={"cleanup": Choice(("always", "never", "eventually")), "after": DURATION},
                required=("cleanup",),
            )
        ),
        "pullPolicy": Choice(("ifNotPresent", "always", "never")),
    },
    required=("image",),
)
_SCRIPT: Final = Record(
    who="`script`",
    fields={"language": _PLAIN_TEXT, "code": _PLAIN_TEXT, "source": _RESOURCE, **_PROCESS},
    required=("language",),
    one_of=(("code", "source"),),
)
_SHELL: Final = Record(who="`shell`", fields={"command": _PLAIN_TEXT, **_PROCESS}, required=("command",))
_SUBFLOW: Final = Record(
    who="`workflow`",
    fields={"namespace": _TEXT, "name": _TEXT, "version": _TEXT, "input": _FREE_MAP},
    required=("namespace", "name", "version"),
)
PROCESSES: Final = ("container", "script", "shell", "workflow")
_RUN: Final = Record(
    who="`run`",
    fields={
        "container": _CONTAINER,
        "script": _SCRIPT,
        "shell": _SHELL,
        "workflow": _SUBFLOW,
        "await": Boolean(),
        "return": Choice(("stdout", "stderr", "code", "all", "none")),
    },
    one_of=(PROCESSES,),
)


# -- tasks -----------------------------------------------------------------------------------------------------------

BASE: Final[dict[str, Shape]] = {
    "if": _JQ,
    "input": _INPUT,
    "output": _OUTPUT,
    "export": _EXPORT,
    "timeout": _TIMEOUT_OR_NAME,
    "then": _PLAIN_TEXT,
    "metadata": _DATA_MAP,
}
_CASE: Final = Record(who="a case", fields={"when": _JQ, "then": _PLAIN_TEXT}, required=("then",))
_CATCH: Final = Record(
    who="`catch`",
    fields={
        "errors": Record(who="`errors`", fields={"with": _ERROR_FILTER}, is_open=True),
        "as": _PLAIN_TEXT,
        "when": _JQ,
        "exceptWhen": _JQ,
        "retry": Either("a retry policy or the name of one", text=_PLAIN_TEXT, mapping=_RETRY),
        "do": _TASK_LIST,
        "then": _PLAIN_TEXT,
    },
)
KINDS: Final[dict[str, dict[str, Shape]]] = {
    "call": {"call": _PLAIN_TEXT, "with": _FREE_MAP},
    "do": {"do": _TASK_LIST},
    "emit": {
        "emit": Record(
            who="`emit`",
            fields={"event": Record(who="`event`", fields={"with": _EVENT_TO_EMIT}, is_open=True)},
            required=("event",),
        )
    },
    "for": {
        "for": Record(
            who="`for`",
            fields={
                "each": _PLAIN_TEXT,
                "in": Either("an expression or a list of maps", text=_JQ, items=ListOf(_FREE_MAP)),
                "at": _PLAIN_TEXT,
            },
            required=("in",),
        ),
        "while": _JQ,
        "do": _TASK_LIST,
    },
    "fork": {
        "fork": Record(who="`fork`", fields={"branches": _TASK_LIST, "compete": Boolean()}, required=("branches",))
    },
    "listen": {
        "listen": Record(who="`listen`", fields={"to": _STRATEGY, "read": _READ}, required=("to",)),
        "foreach": _ITERATOR,
    },
    "raise": {
        "raise": Record(
            who="`raise`",
            fields={"error": Either("an error or the name of one", text=_PLAIN_TEXT, mapping=_ERROR)},
            required=("error",),
        )
    },
    "run": {"run": _RUN},
    "set": {"set": Either("a map or an expression", text=_TEXT, mapping=MapOf(Anything(), minimum=1))},
    "switch": {"switch": Later(lambda: _CASES)},
    "try": {"try": _TASK_LIST, "catch": _CATCH},
    "wait": {"wait": DURATION},
}
_REQUIRED: Final = {"for": ("for", "do"), "try": ("try", "catch")}
_RECORDS: Final = {
    kind: Record(who=f"`{kind}`", fields={**fields, **BASE}, required=_REQUIRED.get(kind, (kind,)))
    for kind, fields in KINDS.items()
}
_CALL_RECORDS: Final = {
    protocol: Record(
        who=f"`call: {protocol}`",
        fields={"call": _PLAIN_TEXT, "with": arguments, **BASE},
        required=("call", "with"),
    )
    for protocol, arguments in CALLS.items()
}


@dataclass(frozen=True, slots=True)
class _Task:
    """One task: the kind is told by its keyword, and for calls by the name that is called."""

    expected: str = "a task, a map such as {set: {done: true}}"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, self.expected)
            return
        kinds = kinds_of(value)
        if len(kinds) == 1:
            _record(kinds[0], value).check(value, path, findings)
        elif kinds:
            self._refuse_mixture(kinds, value, path, findings)
        else:
            self._refuse_unknown(value, path, findings)

    def _refuse_mixture(self, kinds: list[str], value: dict[str, Json], path: str, findings: Findings) -> None:
        message = f"{label(path)} is {listed(kinds, 'and')} at once; a task does one thing, make it {len(kinds)} tasks"
        findings.add("several-task-kinds", message, pointer.child(path, kinds[1]), at_key=True)
        fields: dict[str, Shape] = {}
        for kind in kinds:
            fields.update(_record(kind, value).fields)
        Record(who="a task", fields=fields).check(value, path, findings)

    def _refuse_unknown(self, value: dict[str, Json], path: str, findings: Findings) -> None:
        unknown = [key for key in value if key not in BASE]
        meant = next(((key, near) for key in unknown if (near := nearest.name(key, KINDS))), None)
        rest = {key: item for key, item in value.items() if key in BASE}
        Record(who="a task", fields=BASE).check(rest, path, findings)
        if meant is None:
            first = f"; it has {listed(unknown, 'and')}" if unknown else ""
            message = f"{label(path)} says nothing to do: a task needs {listed(list(KINDS))}{first}"
            findings.add("unknown-task-kind", message, path, at_key=True, expected=", ".join(KINDS))
            return
        key, near = meant
        findings.add(
            "unknown-task-kind",
            f"no task kind is called `{key}`; did you mean `{near}`?",
            pointer.child(path, key),
            at_key=True,
            found=key,
            expected=", ".join(KINDS),
            nearest=near,
        )


def kinds_of(task: dict[str, Json]) -> list[str]:
    """Give the kinds whose keywords a task has; a valid task has one. `do` belongs to `for` where both stand."""
    kinds = [key for key in task if key in KINDS]
    return [kind for kind in kinds if kind != "do"] if "for" in kinds else kinds


def _record(kind: str, task: dict[str, Json]) -> Record:
    protocol = task.get("call") if kind == "call" else None
    if isinstance(protocol, str) and protocol in _CALL_RECORDS:
        return _CALL_RECORDS[protocol]
    return _RECORDS[kind]


@dataclass(frozen=True, slots=True)
class _OneEntry:
    """A list item that is a map with one entry, `name: content`."""

    content: Shape
    what: str
    expected: str = "a map with one entry, `name: content`"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, f"{self.what} with its name, `- name: ...`")
            return
        if len(value) == 1:
            ((name, content),) = value.items()
            self.content.check(content, pointer.child(path, name), findings)
        elif not value:
            findings.add("empty", f"{label(path)} is empty; it needs {self.what} with its name", path)
        else:
            self._refuse(value, path, findings)

    def _refuse(self, value: dict[str, Json], path: str, findings: Findings) -> None:
        if self._is_nameless(value):
            message = f"{self.what} needs a name: put `- name:` above {listed(list(value), 'and')} and indent them"
            findings.add("unnamed-task", message, path)
            self.content.check(value, path, findings)
            return
        names = list(value)
        message = f"one item holds {listed(names, 'and')}; begin each with `- ` of its own"
        findings.add("several-in-one-item", message, pointer.child(path, names[1]), at_key=True)
        for name, content in value.items():
            self.content.check(content, pointer.child(path, name), findings)

    def _is_nameless(self, value: dict[str, Json]) -> bool:
        own = _CASE.fields if self.what == "a case" else {**KINDS, **BASE, "with": _FREE_MAP}
        return all(key in own for key in value)


@dataclass(frozen=True, slots=True)
class _NamedList:
    """A list of items that each have a name."""

    item: _OneEntry
    minimum: int = 0
    expected: str = "a list"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, dict):
            advice = ", not a map; put `- ` before each name"
            findings.add("wrong-type", f"{label(path)} must be a list{advice}", path, found="a map", expected="a list")
            for name, content in value.items():
                self.item.content.check(content, pointer.child(path, name), findings)
            return
        ListOf(self.item, self.minimum).check(value, path, findings)


TASK: Final[Shape] = _Task()
TASK_LIST: Final[Shape] = _NamedList(_OneEntry(TASK, "a task"))
_CASES: Final[Shape] = _NamedList(_OneEntry(_CASE, "a case"), minimum=1)


# -- the document ----------------------------------------------------------------------------------------------------

_HEADER: Final = Record(
    who="`document`",
    fields={
        "dsl": _VERSION,
        "namespace": _NAME,
        "name": _NAME,
        "version": _VERSION,
        "title": _PLAIN_TEXT,
        "summary": _PLAIN_TEXT,
        "tags": _DATA_MAP,
        "metadata": _DATA_MAP,
    },
    required=("dsl", "namespace", "name", "version"),
)
_EXTENSION: Final = Record(
    who="an extension",
    fields={
        "extend": Choice(
            ("call", "composite", "emit", "for", "listen", "raise", "run", "set", "switch", "try", "wait", "all")
        ),
        "when": _JQ,
        "before": TASK_LIST,
        "after": TASK_LIST,
    },
    required=("extend",),
)
USE: Final[dict[str, Shape]] = {
    "authentications": MapOf(_ReusableAuthentication()),
    "errors": MapOf(_ERROR),
    "extensions": ListOf(_OneEntry(_EXTENSION, "an extension")),
    "functions": MapOf(TASK),
    "retries": MapOf(_RETRY),
    "secrets": ListOf(_PLAIN_TEXT),
    "timeouts": MapOf(_TIMEOUT),
    "catalogs": MapOf(Record(who="a catalog", fields={"endpoint": _ENDPOINT}, required=("endpoint",))),
}
WORKFLOW: Final = Record(
    who="the document",
    fields={
        "document": _HEADER,
        "input": _INPUT,
        "use": Record(who="`use`", fields=USE),
        "do": TASK_LIST,
        "timeout": _TIMEOUT_OR_NAME,
        "output": _OUTPUT,
        "schedule": Record(
            who="`schedule`",
            fields={"every": DURATION, "cron": _PLAIN_TEXT, "after": DURATION, "on": _STRATEGY, "read": _READ},
            needs={"read": "on"},
        ),
        "evaluate": Record(who="`evaluate`", fields={"language": _PLAIN_TEXT, "mode": Choice(("strict", "loose"))}),
    },
    required=("document", "do"),
    is_open=True,
    expected="a map with `document` and `do`",
)
