"""What may stand in the dispatcher's files. A key of older systems that has no place is told where what it did belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from interlock.decisions.pools import WORKFLOWS, PoolStrategy
from interlock.dispatch.configuration.scheduling import DeadlockAction
from interlock.flow.findings import Findings
from interlock.flow.grammar.shapes import (
    Anything,
    Boolean,
    Choice,
    Integer,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
    kind_of,
    label,
)
from interlock.flow.requirements import POOL
from interlock.flow.taskgraph import grammar
from interlock.flow.taskgraph.targets import Environment
from interlock.model.json import Json

TYPES: Final = ("local-process", "in-process", "docker", "kubernetes", "ray", "worker")
_IN_FORCE_SECONDS: Final = 60.0
"""The lease of attempts, which is the node's: one renewal prolongs all that it holds."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `low` to `high`, or a duration of so many seconds, as `read` gives it."""

    expected: str
    read: Callable[[Json], float | None]
    low: float
    high: float
    code: str = "invalid-value"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        found = self.read(value)
        if found is None:
            message = f"{label(path)} must be {self.expected}, not {kind_of(value)}"
            findings.add(self.code, message, path, found=str(value), expected=self.expected)
        elif not self.low <= found <= self.high:
            message = f"{label(path)} must be {self.expected}, not {value}"
            findings.add("out-of-range", message, path, found=str(value), expected=self.expected)


@dataclass(frozen=True, slots=True)
class Only:
    """A value that says what is so anyway; any other one is refused, for a reason."""

    shape: Shape
    accepts: Callable[[Json], bool]
    why: str
    expected: str = "what is in force"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        before = len(findings.problems)
        self.shape.check(value, path, findings)
        if len(findings.problems) == before and not self.accepts(value):
            written = str(value).lower() if isinstance(value, bool) else value
            findings.add("invalid-value", f"{label(path)} cannot be {written}: {self.why}", path, found=str(value))


class _Pool:
    """A pool of one type, by its name."""

    expected = "a map with `type`"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        POOL_RECORD.check(value, path, findings)
        if not isinstance(value, dict):
            return
        name = path.rpartition("/")[2]
        if not POOL.fullmatch(name):
            message = f"`{name}` is no name for a pool: letters, digits, `.`, `_` and `-`"
            findings.add("invalid-name", message, path, at_key=True)
        elif name == WORKFLOWS:
            message = (
                f"`{name}` is the pool of tasks that are workflows, which is there anyway; call this one otherwise"
            )
            findings.add("invalid-name", message, path, at_key=True)


def _duration(low: float, high: float, words: str) -> Between:
    return Between(f"a duration {words}", grammar.seconds, low, high, "invalid-duration")


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


_TEXT: Final = Text("text that is not empty", lambda text: bool(text.strip()), "empty")
_COUNT: Final = Integer(0, 1_000_000)
_WEIGHT: Final = Between("a number above 0", _number, 1e-6, 1e9)
_COST: Final = Between("a number, 0 or more", _number, 0.0, 1e12)
_SHARE: Final = Between("a number from 0 to 1", _number, 0.0, 1.0)
_WAIT: Final = _duration(0.05, 86_400.0, "from 50ms to 1d")
_COOLDOWN: Final = _duration(0.0, 604_800.0, "up to 7d")
_EXECUTIONS: Final = Integer(1, grammar.MOST_RETRIES + 1)
_RETRY_HOME: Final = (
    "to the dispatcher, which alone tries again: `retry` of dispatcher.yaml or of the task, a budget by failure class"
)

POOL_RECORD: Final = Record(
    who="a pool",
    fields={
        "type": Choice(TYPES),
        "max_concurrency": _COUNT,
        "cpu_quota": grammar.CORES,
        "memory_quota": grammar.MEMORY,
        "gpus": Integer(0, 1024),
        "enabled": Boolean(),
        "labels": MapOf(Text()),
        "cost": _COST,
        "weight": _WEIGHT,
        "config": MapOf(Anything(role=None)),
    },
    required=("type",),
    homes={
        **dict.fromkeys(
            ("image", "namespace", "network", "volumes", "resources", "environment", "python_path", "working_dir"),
            "under `config`",
        ),
        "restart_policy": _RETRY_HOME,
        "backoff_limit": _RETRY_HOME,
        "current_running": "nowhere: what runs is counted in the store",
    },
)
_UP: Final[dict[str, Shape]] = {
    "queue_threshold": _COUNT,
    "utilization_threshold": _SHARE,
    "cooldown": _COOLDOWN,
    "step": Integer(1, 1000),
}
POOLS: Final = Record(
    who="agent-pools.yaml",
    fields={
        "agent_pools": MapOf(_Pool(), minimum=1),
        "skill_mapping": MapOf(ListOf(_TEXT)),
        "pool_selection": Record(
            who="`pool_selection`",
            fields={
                "strategy": Choice(tuple(PoolStrategy)),
                "failover_enabled": Boolean(),
                "health_check": Record(
                    who="`health_check`",
                    fields={
                        "enabled": Boolean(),
                        "interval": _WAIT,
                        "timeout": _WAIT,
                        "auto_disable_unhealthy": Only(
                            Boolean(),
                            lambda value: value is True,
                            "a pool that cannot launch is given nothing; `enabled: false` beside it tries none at all",
                        ),
                        "re_enable_interval": _WAIT,
                    },
                ),
            },
        ),
        "autoscaling": Record(
            who="`autoscaling`",
            fields={
                "enabled": Boolean(),
                "scale_up": Record(who="`scale_up`", fields=_UP),
                "scale_down": Record(who="`scale_down`", fields=_UP),
                "min_instances": _COUNT,
                "max_instances": _COUNT,
                "command": ListOf(_TEXT, minimum=1, expected="a list of arguments; no shell reads it"),
            },
        ),
    },
    required=("agent_pools",),
    homes=dict.fromkeys(("strategy", "failover_enabled", "health_check"), "under `pool_selection`"),
)
_DISPATCHER_FIELDS: Final[dict[str, Shape]] = {
    "poll_interval": _duration(0.05, 3600.0, "from 50ms to 1h"),
    "scheduling_policy": _TEXT,
    "ageing": grammar.DURATION,
    "weights": MapOf(_WEIGHT),
    "max_global_concurrency": Integer(1, 1_000_000),
    "heartbeat_timeout": Only(
        grammar.DURATION,
        lambda value: grammar.seconds(value) == _IN_FORCE_SECONDS,
        "attempts are leased for 60 s, with all that their node holds, so that one renewal serves them all; leave it out,"
        " and give a task a `timeout` where it may run too long",
    ),
    "retry": grammar.RETRY,
    "retry_max_attempts": _EXECUTIONS,
    "retry_backoff_base": Between("a number, 0 or more", _number, 0.0, 1000.0),
    "graceful_shutdown": Record(
        who="`graceful_shutdown`",
        fields={
            "timeout": _duration(0.0, 86_400.0, "up to 1d"),
            "force_kill_enabled": Only(
                Boolean(),
                lambda value: value is True,
                "a node that is gone could not see its attempts to their end, so it stops them; a longer `timeout`"
                " beside it waits for them",
            ),
        },
    ),
    "graceful_shutdown_timeout": _duration(0.0, 86_400.0, "up to 1d"),
    "deadlock_detection": Record(
        who="`deadlock_detection`",
        fields={
            "enabled": Boolean(),
            "check_interval": _duration(1.0, 86_400.0, "from 1s to 1d"),
            "action": Choice(tuple(DeadlockAction)),
        },
    ),
}
FLAT: Final = {
    "retry_max_attempts": ("retry", "max_attempts"),
    "retry_backoff_base": ("retry", "backoff_base"),
    "graceful_shutdown_timeout": ("graceful_shutdown", "timeout"),
}
"""Keys that are short for one within a map; only one of the two may be given."""

_INSIDE: Final = {
    "metrics": "to the server: `interlock up` and every worker give /metrics to Prometheus when they are asked, with nothing"
    " to collect or to set before",
    "logging": "to what starts the node: it writes lines to standard error, for the service manager to keep and rotate",
}
_OUTSIDE: Final = {
    "task_registry": "to the store, which is the registry: `store.url` of interlock.toml",
    "notifications": "to what is not built yet: nothing is sent to Slack or by mail; leave it out",
}
_TOP: Final = ("repo_pool", "agent_runner")
DISPATCHER: Final = Record(
    who="dispatcher.yaml",
    fields={
        "dispatcher": Record(
            who="`dispatcher`",
            fields=_DISPATCHER_FIELDS,
            homes={**_INSIDE, **_OUTSIDE, **dict.fromkeys(_TOP, "beside `dispatcher`, not in it")},
        ),
        "repo_pool": Record(
            who="`repo_pool`",
            fields={"base_dir": _TEXT, "allocation_timeout": _WAIT, "release_timeout": _WAIT},
        ),
        "agent_runner": Record(
            who="`agent_runner`",
            fields={
                "execution_timeout": _duration(0.0, 31_536_000.0, "up to 365d, or 0 for none"),
                "environment": Environment(),
            },
            homes={
                "artifact_store": "under `artifacts.folder` of interlock.toml, which servers and nodes share",
            },
        ),
    },
    homes={**_OUTSIDE, **_INSIDE, **dict.fromkeys(_DISPATCHER_FIELDS, "under `dispatcher`")},
    minimum=1,
)


def keys(record: Record, before: str = "") -> Iterator[tuple[str, str | None]]:
    """Give every key with its path, such as `dispatcher.retry.backoff`, and where it belongs if it has no place here."""
    for name, shape in record.fields.items():
        path = f"{before}{name}"
        inner = shape.shape if isinstance(shape, Only) else shape
        if isinstance(inner, MapOf) and isinstance(inner.item, _Pool):
            yield from keys(POOL_RECORD, f"{path}.NAME.")
        elif isinstance(shape, grammar.Retry):
            yield from keys(shape.record, f"{path}.")
        elif isinstance(inner, Record):
            yield from keys(inner, f"{path}.")
        else:
            yield path, None
    for name, home in record.homes.items():
        if not home.startswith(("under `", "beside `")) or "interlock.toml" in home:
            yield f"{before}{name}", home
