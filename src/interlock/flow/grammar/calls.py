"""The arguments (`with`) of each protocol that can be called. Those of `call: mcp` are open, at every level."""

from __future__ import annotations

from typing import Final

from interlock.flow.grammar import patterns
from interlock.flow.grammar.authentication import AUTHENTICATION, ENDPOINT, RESOURCE
from interlock.flow.grammar.events import ITERATOR
from interlock.flow.grammar.shapes import Anything, Boolean, Choice, Either, Further, Integer, MapOf, Record, Text
from interlock.flow.grammar.values import DURATION, EXPRESSION, FREE_MAP, HTTP_OUTPUT, TASK_LEVEL, TEXT, TEXT_MAP, TEXTS

_PARAMETERS_OR_JQ: Final = Either("a map or an expression", text=TEXT, mapping=FREE_MAP)
_HEADERS: Final = Either("a map of texts or an expression", text=EXPRESSION, mapping=TEXT_MAP)
_ASYNCAPI_MESSAGE: Final = Record(who="a message", fields={"payload": FREE_MAP, "headers": FREE_MAP})
_ASYNCAPI_SUBSCRIPTION: Final = Record(
    who="a subscription",
    fields={
        "filter": EXPRESSION,
        "consume": Record(
            who="`consume`",
            fields={"for": DURATION, "amount": Integer(), "while": EXPRESSION, "until": EXPRESSION},
            one_of=(("amount", "while", "until"),),
        ),
        "foreach": ITERATOR,
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
            "document": RESOURCE,
            "channel": TEXT,
            "operation": TEXT,
            "server": Record(who="`server`", fields={"name": TEXT, "variables": FREE_MAP}, required=("name",)),
            "protocol": Choice(_ASYNCAPI_PROTOCOLS),
            "message": _ASYNCAPI_MESSAGE,
            "subscription": _ASYNCAPI_SUBSCRIPTION,
            "authentication": AUTHENTICATION,
        },
        required=("document",),
        one_of=(("operation", "channel"), ("message", "subscription")),
        homes=TASK_LEVEL,
    ),
    "grpc": Record(
        who="`call: grpc`",
        fields={
            "proto": RESOURCE,
            "service": Record(
                who="`service`",
                fields={
                    "name": TEXT,
                    "host": Text("a host name", patterns.is_host, "invalid-host"),
                    "port": Integer(0, 65535),
                    "authentication": AUTHENTICATION,
                },
                required=("name", "host"),
            ),
            "method": TEXT,
            "arguments": FREE_MAP,
        },
        required=("proto", "service", "method"),
        homes=TASK_LEVEL,
    ),
    "http": Record(
        who="`call: http`",
        fields={
            "method": TEXT,
            "endpoint": ENDPOINT,
            "headers": _HEADERS,
            "body": Anything(),
            "query": _HEADERS,
            "output": HTTP_OUTPUT,
            "redirect": Boolean(),
        },
        required=("method", "endpoint"),
        homes=TASK_LEVEL,
    ),
    "openapi": Record(
        who="`call: openapi`",
        fields={
            "document": RESOURCE,
            "operationId": TEXT,
            "parameters": FREE_MAP,
            "authentication": AUTHENTICATION,
            "output": HTTP_OUTPUT,
            "redirect": Boolean(),
        },
        required=("document", "operationId"),
        homes=TASK_LEVEL,
    ),
    "a2a": Record(
        who="`call: a2a`",
        fields={
            "agentCard": RESOURCE,
            "server": ENDPOINT,
            "method": Choice(_A2A_METHODS),
            "parameters": Either("a map or an expression", text=TEXT, mapping=MapOf(Anything(), minimum=1)),
        },
        required=("method",),
        homes=TASK_LEVEL,
    ),
    "mcp": Record(
        who="`call: mcp`",
        fields={
            "protocolVersion": TEXT,
            "method": Choice(_MCP_METHODS),
            "parameters": _PARAMETERS_OR_JQ,
            "timeout": DURATION,
            "transport": Record(
                who="`transport`",
                fields={
                    "http": Record(
                        who="`http`",
                        fields={"endpoint": ENDPOINT, "headers": TEXT_MAP},
                        required=("endpoint",),
                        further=Further.IGNORED,
                    ),
                    "stdio": Record(
                        who="`stdio`",
                        fields={"command": TEXT, "arguments": TEXTS, "environment": TEXT_MAP},
                        required=("command",),
                        further=Further.IGNORED,
                    ),
                    "options": TEXT_MAP,
                },
                one_of=(("http", "stdio"),),
                further=Further.IGNORED,
            ),
            "client": Record(
                who="`client`",
                fields={"name": TEXT, "version": TEXT},
                required=("name", "version"),
                further=Further.IGNORED,
            ),
        },
        required=("method", "transport"),
        further=Further.IGNORED,
    ),
}
