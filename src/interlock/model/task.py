"""Tasks, attempts and outcomes: one vocabulary for a shell command, a script, a Python function and an HTTP call.

A target may name a token: the id of one by whose text somebody else reports how the step ended. The text itself is made when
the effect begins, so that it stands in no row.

An attempt ends in exactly one outcome. A failure has a class, and each class has its own budget of retries, so that a
lost machine never eats the author's retries.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from interlock.model.call import LimitOf, Requirements
from interlock.model.fault import Fault
from interlock.model.json import Json


class FailureClass(StrEnum):
    """Why an attempt failed."""

    APPLICATION = "application"  # the work itself said no: an exit code, an exception, an HTTP status
    TIMEOUT = "timeout"  # it ran longer than it may
    LOST = "lost"  # its node or runner died without a word
    PREEMPTED = "preempted"  # the place it ran in was taken away
    OUT_OF_MEMORY = "out_of_memory"
    LAUNCH = "launch"  # it never started
    INVALID = "invalid"  # the request itself is wrong; trying again cannot help


class MemoryWrite(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of shared memory that belongs to a result. `ttl_seconds`: how long the value lasts, None for ever."""

    key: str
    space: str
    value: Json = None
    deletes: bool = False
    ttl_seconds: float | None = None


class Done(msgspec.Struct, frozen=True, tag="done", omit_defaults=True):
    """The attempt succeeded with this value. `memory`: what is to be stored in the transaction that stores it. `reported`:
    the value is the output of its step, told by the program itself, and not what is known of a process."""

    value: Json = None
    memory: tuple[MemoryWrite, ...] = ()
    reported: bool = False


class Failed(msgspec.Struct, frozen=True, tag="failed", omit_defaults=True):
    """The attempt failed. `fault.instance` is filled in by the engine. `final`: trying again would change nothing."""

    failure: FailureClass
    fault: Fault
    final: bool = False


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    """The attempt was stopped because it was asked to. `abandoned`: its code may still be running in a thread."""

    abandoned: bool = False


class Snoozed(msgspec.Struct, frozen=True, tag="snoozed"):
    """The attempt gave up its place for now and wants to be tried again in `delay_seconds`; costs no budget."""

    delay_seconds: float


Outcome: TypeAlias = Done | Failed | Cancelled | Snoozed


class ShellTarget(msgspec.Struct, frozen=True, kw_only=True, tag="shell", omit_defaults=True):
    """A command line for `/bin/sh -c`, with `arguments` as $1, $2, ... . Only here a string meets a shell."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    stdin: str | None = None
    token: str = ""


class CommandTarget(msgspec.Struct, frozen=True, kw_only=True, tag="command", omit_defaults=True):
    """A program with its arguments, `argv`; no shell reads it. A pool of containers runs it in its own image."""

    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    stdin: str | None = None
    token: str = ""


class ContainerTarget(msgspec.Struct, frozen=True, kw_only=True, tag="container", omit_defaults=True):
    """A container of its own image (OWS 1.0.3, run container); only pools of containers can run it.

    `command`: what is run in place of the image's own, as the words of a shell would split it, "" for the image's own;
    `arguments` follow it. `ports`: of the container, by port of the host. `volumes`: paths in the container, by path of the
    host. `pull_policy`: always, ifNotPresent or never; "" for the pool's own. `cleanup`: when the container is removed:
    always (at its end), never, or eventually (`cleanup_seconds` after it).
    """

    image: str
    command: str = ""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    ports: dict[str, int] = {}
    volumes: dict[str, str] = {}
    stdin: str | None = None
    name: str = ""
    pull_policy: str = ""
    cleanup: str = "always"
    cleanup_seconds: float = 0.0
    token: str = ""


class ScriptTarget(msgspec.Struct, frozen=True, kw_only=True, tag="script", omit_defaults=True):
    """Source text for an interpreter: `language` is `python` or `js` (Node.js, as an ES module)."""

    language: str
    code: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    stdin: str | None = None
    token: str = ""


class PythonTarget(msgspec.Struct, frozen=True, kw_only=True, tag="python", omit_defaults=True):
    """A Python callable, `package.module:function`, called with keyword arguments; sync or async.

    `undoes`: what undoes the step is called instead, with the `output` of the step and its `arguments`.
    """

    function: str
    arguments: dict[str, Json] = {}
    undoes: bool = False
    token: str = ""


class Credentials(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a request authenticates itself: `scheme` is basic, bearer, digest, oauth2 or oidc (OWS 1.0.3).

    `properties` are those of the scheme; for a bearer token from a secret, the text itself.
    """

    scheme: str
    properties: dict[str, Json] | str


class HttpTarget(msgspec.Struct, frozen=True, kw_only=True, tag="http", omit_defaults=True):
    """An HTTP request, ready to send: `uri` is expanded, absolute; `body` is sent as JSON unless it is text.

    `output_format` is content (decoded body), response (request, status, headers, content) or raw (base64).
    `redirect`: False makes any status outside 200-299 a failure, True outside 200-399 (OWS 1.0.3, call http).
    """

    method: str
    uri: str
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    body: Json | msgspec.UnsetType = msgspec.UNSET
    output_format: str = "content"
    redirect: bool = False
    credentials: Credentials | None = None
    token: str = ""


class OpenApiTarget(msgspec.Struct, frozen=True, kw_only=True, tag="openapi", omit_defaults=True):
    """A call of one operation of an OpenAPI document; the rest as for `HttpTarget`."""

    document: str
    operation: str
    parameters: dict[str, Json] = {}
    document_credentials: Credentials | None = None
    output_format: str = "content"
    redirect: bool = False
    credentials: Credentials | None = None
    token: str = ""


class WorkflowTarget(msgspec.Struct, frozen=True, kw_only=True, tag="workflow", omit_defaults=True):
    """A published workflow, to run as a run of its own; `version` may be `latest`. `awaited`: its outcome is the effect's.

    `definition`: the digest of a stored definition, instead of a published one.
    """

    namespace: str
    name: str
    version: str
    input: Json = None
    awaited: bool = True
    definition: str = ""


class GraphTarget(msgspec.Struct, frozen=True, kw_only=True, tag="tasks", omit_defaults=True):
    """A task graph to load: `document` as in a file, under `name`. It never goes through the queue: its tasks do.

    `visit`: what names the execution of the step, the same over its attempts. `token`: the id of the one that is completed
    when the graph has ended; nobody is given its text.
    """

    document: dict[str, Json]
    name: str
    visit: str
    token: str = ""


Target: TypeAlias = (
    CommandTarget
    | ContainerTarget
    | ShellTarget
    | ScriptTarget
    | PythonTarget
    | HttpTarget
    | OpenApiTarget
    | WorkflowTarget
)
PROGRAMS: Final = (CommandTarget, ContainerTarget, ShellTarget, ScriptTarget)
"""Targets that are programs: they can be given what they need to report by themselves."""


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an attempt takes of its pool while it runs: cores, megabytes of memory, graphics processors; 0 for what is not
    asked for."""

    cpu: float = 0.0
    memory: float = 0.0
    gpus: int = 0


class EffectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An effect of a step, to perform once the decision that asked for it is durable.

    `attempt` counts executions of the step from 1. `queued`: through the queue, not in the node. `result` is OWS `return`
    for processes, "" for others. `has_secrets`: the target may hold markers of secrets. `pool`: where it goes through the
    queue to; `limits`: what its attempts count against there; `requires`: of the worker that takes them.
    """

    effect: int
    path: str
    target: Target | GraphTarget
    idempotency_key: str
    queued: bool
    attempt: int
    isolated: bool = False
    result: str = ""
    has_secrets: bool = False
    pool: str = ""
    priority: int = 0
    limits: tuple[LimitOf, ...] = ()
    requires: Requirements | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose effects these are, and the folder that the run was started in."""

    run: str
    namespace: str
    id: str
    folder: str
