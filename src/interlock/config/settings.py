"""The settings: one dataclass per aspect; each field says its meaning, unit, default, range and reason.

A key is the name of its field without the unit (`deadline_seconds` is `expressions.deadline`), since the value carries
the unit: durations are `2s`, `5m` or a number of seconds, sizes `64 KiB`, `10 MB` or a number of bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from interlock.config import readers

_T = TypeVar("_T")

UNITS: Final = ("_seconds", "_bytes")
"""The ends of field names that the keys leave out."""


def _setting(
    default: _T, read: Callable[[object], object], meaning: str, *, low: float | None = None, high: float | None = None
) -> _T:
    """Declare a field: its default, how its text is read, what it means and why, and its range (both ends belong)."""
    rules = {"read": read, "meaning": meaning, "low": low, "high": high}
    declared: Any = field(default_factory=lambda: default, metadata=rules)  # a factory, since a map may be a default
    return declared  # type: ignore[no-any-return]  # dataclasses turns the field into its default


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    url: str = _setting(
        "sqlite:///.interlock/interlock.db", readers.text,
        "Where runs are kept. A relative SQLite path starts in the working folder: a project's runs stay beside it."
        " `postgresql://user@host/database` shares them between machines.",
    )  # fmt: skip
    connections: int = _setting(
        8, readers.count, low=2, high=200,
        meaning="Connections to PostgreSQL that one process may open for statements; two carry thousands of commits a"
        " second, the others answer reads beside them. The bell and the leases have one more each.",
    )  # fmt: skip
    listen_url: str | None = _setting(
        None, readers.text_or_none,
        "Where PostgreSQL tells of changes by other processes, when `store.url` names a pooler in transaction mode,"
        " which cannot; without it they are looked for every 250 ms.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    sync_threads: int = _setting(
        16, readers.count, low=1, high=1024,
        meaning="Threads for Python steps that are not async; one that hangs keeps its thread, so more than the cores.",
    )  # fmt: skip
    slots: int = _setting(
        os.cpu_count() or 1, readers.count, low=1, high=10_000,
        meaning="Commands and scripts that one node runs at once; the cores of the machine, which they usually fill.",
    )  # fmt: skip
    orphan_grace_seconds: float = _setting(
        50.0, readers.seconds, high=55.0,
        meaning="How long a command outlives its `interlock node`, waiting for the next one to adopt it; less than the"
        " 60 s after which others try again. `interlock run` leaves nothing behind.",
    )  # fmt: skip
    grace_seconds: float = _setting(
        30.0, readers.seconds, high=86_400.0,
        meaning="How long a node that drains lets effects end before it stops them, to be made again elsewhere; shorter"
        " than what your service manager waits before it kills.",
    )  # fmt: skip
    event_loop: str = _setting(
        "asyncio", readers.event_loop,
        "What turns the loop of the commands: asyncio, or uvloop, which takes a fifth less of the processor and comes with"
        " `pip install 'interlock[uvloop]'`. Under uvloop nobody sees that a workflow's function waits for a timer of"
        " asyncio's own, such as `asyncio.timeout` around a call: after 10 s of waiting it is put away like any other.",
    )  # fmt: skip
    collect_after: int = _setting(
        50_000, readers.count, low=0, high=100_000_000,
        meaning="New objects after which Python looks for garbage while a node runs in this process, unless the program"
        " looks less often by itself; with the 700 of Python's own, thousands of runs in flight are slower by a third. 0"
        " leaves it.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    max_runs: int = _setting(
        10_000, readers.count, low=1, high=10_000_000,
        meaning="Runs that one `interlock node` owns; a run that waits costs it about a kilobyte. More stay unowned until"
        " another node, or room, is there.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    keep: str = _setting(
        "forever", readers.keeping,
        "How long ended runs are kept with all that belongs to them: a duration such as 30d, or forever. Nodes remove"
        " older ones every hour. Forever by default: nothing is removed that nobody said may go.",
    )  # fmt: skip
    workflows: Mapping[str, str] = _setting(
        {}, readers.keepings,
        "The same for single workflows, as NAMESPACE/NAME to a duration or forever.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a definition, counted in its document and never in iterations."""

    max_steps: int = _setting(
        100, readers.count, low=1, high=100_000,
        meaning="Tasks in one definition; a larger one is better split into workflows that call each other.",
    )  # fmt: skip
    max_branches: int = _setting(
        20, readers.count, low=1, high=10_000,
        meaning="Branches of one `fork`; each holds a scope in memory.",
    )  # fmt: skip
    max_retries: int = _setting(
        10, readers.count, low=0, high=1_000,
        meaning="The highest `retry.limit.attempt.count`; above it, waiting for an event is what is meant.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Expressions:
    deadline_seconds: float = _setting(
        2.0, readers.seconds, low=0.05, high=60.0,
        meaning="How long one expression may run; a thousand times what a sensible one needs.",
    )  # fmt: skip
    memory_bytes: int = _setting(
        512 * 2**20, readers.size, low=64 * 2**20,
        meaning="Address space of an evaluator process; the interpreter alone takes a fifth of it.",
    )  # fmt: skip
    evaluators: int = _setting(
        2, readers.count, low=2, high=64,
        meaning="Processes for expressions that may be slow; at least two, so that one that hangs delays nobody.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    inline_bytes: int = _setting(
        64 * 2**10, readers.size, low=0,
        meaning="Values up to this size live in the run's own rows, larger ones once per run by their digest.",
    )  # fmt: skip
    max_bytes: int = _setting(
        64 * 2**20, readers.size, low=2**10,
        meaning="The largest value a step may hand on, and the largest answer an HTTP call reads; more fails the step.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    max_bytes: int = _setting(
        10 * 2**20, readers.size, low=2**10,
        meaning="Output kept of one attempt; of more, the beginning and the end are kept.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    timeout_seconds: float = _setting(
        60.0, readers.seconds, low=0.01, high=86_400.0,
        meaning="From the look-up of the name to the last byte of the answer; a step's own `timeout` may be shorter.",
    )  # fmt: skip
    allow_private: bool | tuple[str, ...] = _setting(
        False, readers.allowed_addresses,
        "Which private, loopback and link-local places calls may reach: false, true, or host names, addresses and"
        " networks. None by default: a definition must not be able to read the metadata service of a cloud.",
    )  # fmt: skip
    hosts: Mapping[str, str] = _setting(
        {}, readers.destinations,
        "For tests, with INTERLOCK_TESTING=1 only: host to `address:port`, called there without TLS.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    allow: tuple[str, ...] = _setting(
        (), readers.names,
        "Packages whose functions published definitions may call (`shop` allows shop and everything in it). None by"
        " default, since publishing a definition must not mean running any code; `interlock run FILE` allows all.",
    )  # fmt: skip
    functions: Mapping[str, str] = _setting(
        {}, readers.functions,
        "The default catalog: what `call: NAME` means, as NAME to `module:function`; so that definitions need not know"
        " where code lives.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where the values of `use.secrets` come from; the environment (INTERLOCK_SECRET_NAME) is asked first."""

    folder: str = _setting(
        "", readers.text_or_none,
        "A folder with one file per secret, named like it: what Docker and Kubernetes mount. Empty for none.",
    )  # fmt: skip
    command: tuple[str, ...] = _setting(
        (), readers.names,
        "A program with its arguments that prints the value of the secret whose name is added as the last argument;"
        " for a password manager or a vault. Never through a shell.",
    )  # fmt: skip
    cache_seconds: float = _setting(
        60.0, readers.seconds, high=86_400.0,
        meaning="How long a value is used before it is read again; a changed secret takes effect within it.",
    )  # fmt: skip
    key_file: str = _setting(
        "", readers.text_or_none,
        "A file with the store key, which proves what this store's nodes wrote. INTERLOCK_KEY counts before it; without"
        " any, SQLite keeps one in `FILE.key`, and other stores refuse what needs it.",
    )  # fmt: skip
    key_command: tuple[str, ...] = _setting(
        (), readers.names,
        "A program with its arguments that prints the store key, where it is kept in a vault.",
    )  # fmt: skip
    encrypt_payloads: bool = _setting(
        False, readers.truth,
        "Whether the store encrypts what users wrote (inputs, outputs, errors, logs, events, memory) under the store key."
        " It is for good: once one process has opened the store with it, every process encrypts, whatever its own says.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The HTTP server of `interlock up`."""

    listen: str = _setting(
        "127.0.0.1:7070", readers.listen,
        "Where it listens: HOST:PORT (port 0: any that is free), or unix:PATH. Loopback by default; elsewhere only once"
        " there is an API key (`interlock keys create`).",
    )  # fmt: skip
    public_url: str = _setting(
        "", readers.url_or_none,
        "The address under which others reach it, such as https://interlock.example: it is written into callback URLs."
        " Empty for the place where it listens.",
    )  # fmt: skip
    attempt_socket: str = _setting(
        "", readers.place,
        "The Unix socket on which programs in a pool of this machine report by their tokens, found in INTERLOCK_SOCKET; a"
        " container can have it mounted. Empty for one in a folder of this user; none for no such socket.",
    )  # fmt: skip
    max_body_bytes: int = _setting(
        16 * 2**20, readers.size, low=2**10,
        meaning="The largest body of a request; more is refused with 413 before it is read.",
    )  # fmt: skip
    requests_per_second: int = _setting(
        500, readers.count, low=1, high=1_000_000,
        meaning="Requests that one API key (or, without one, one address) may send to one server in a second, twice as many"
        " at once; more are refused with 429 and when to come again.",
    )  # fmt: skip
    session_seconds: float = _setting(
        43_200.0, readers.seconds, low=60.0, high=2_592_000.0,
        meaning="How long somebody stays signed in to the dashboard: a day's work.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    expires_seconds: float = _setting(
        86_400.0, readers.seconds, low=1.0,
        meaning="How long the token of a step in YAML may be used, where the step does not say: a day, in which a person"
        " answers. Whoever waits longer says so. Twice the time that is expected is a good value.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """How callers are told how their runs ended."""

    deadline_seconds: float = _setting(
        86_400.0, readers.seconds, low=1.0, high=31_536_000.0,
        meaning="How long a caller waits that does not say: until then its outcome is tried to be delivered, and at its end a"
        " caller whose run still lives is told so. As long as an outer activity usually may take; twice what you expect.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Files that attempts keep."""

    folder: str = _setting(
        "", readers.place,
        "The folder where they are. Empty for `FILE.artifacts` beside a SQLite store; every other store needs one, which all"
        " its servers and nodes share.",
    )  # fmt: skip
    url: str = _setting(
        "", readers.place,
        "A bucket of a service that speaks S3, instead of a folder: `s3://BUCKET/PREFIX`. Needs the extra `s3`; credentials"
        " and region are found as by every program of AWS, such as in `AWS_ACCESS_KEY_ID`.",
    )  # fmt: skip
    endpoint: str = _setting(
        "", readers.url_or_none,
        "Where that service is, such as `https://minio.example:9000`. Empty for AWS.",
    )  # fmt: skip
    max_size_bytes: int = _setting(
        64 * 2**20, readers.size, low=1,
        meaning="The largest artifact; more is refused with 413 while it comes. It goes to the disk as it comes, so that"
        " `server.max_body` does not count for it.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Where tasks of graphs run, and in which order."""

    file: str = _setting(
        "", readers.place,
        "The file that says how tasks are scheduled. Empty for `dispatcher.yaml` in the working folder,"
        " where there is one; none for no such file.",
    )  # fmt: skip
    pools: str = _setting(
        "", readers.place,
        "The file that names the pools. Empty for `agent-pools.yaml` in the working folder, where there is"
        " one; none for the pool `local` alone, with as many places as `node.slots`.",
    )  # fmt: skip
    workspaces: str = _setting(
        "", readers.place,
        "The folder for the worktrees that tasks with a `workspace` work in. Empty for `.cache/interlock/workspaces` in the"
        " home folder: beside no repository, so that none is in the way of its people.",
    )  # fmt: skip
    workspace_slots: int = _setting(
        8, readers.count, low=1, high=1000,
        meaning="Worktrees of one repository that this machine has at most; tasks that find none free wait.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    store: Store = Store()
    node: Node = Node()
    engine: Engine = Engine()
    retention: Retention = Retention()
    limits: Limits = Limits()
    expressions: Expressions = Expressions()
    payload: Payload = Payload()
    logs: Logs = Logs()
    http: Http = Http()
    python: Python = Python()
    secrets: Secrets = Secrets()
    server: Server = Server()
    tokens: Tokens = Tokens()
    deliveries: Deliveries = Deliveries()
    artifacts: Artifacts = Artifacts()
    dispatcher: Dispatcher = Dispatcher()
