"""The dispatcher's two files: `dispatcher.yaml` (how it schedules) and `agent-pools.yaml` (where it can put what).

Both are optional: without them there is one pool, `local`, and the policy `priority`. Every key has an effect; one that is
not known, or not built yet, is refused with its place. The keys are those of requirements 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from interlock import errors
from interlock.decisions.pools import DEFAULT, PoolStrategy
from interlock.dispatch import policies
from interlock.flow import yaml
from interlock.flow.check import note_flaws
from interlock.flow.findings import Findings
from interlock.flow.grammar.shapes import Anything, Boolean, Choice, Integer, ListOf, MapOf, Record, Text
from interlock.flow.problem import Severity
from interlock.flow.requirements import POOL
from interlock.flow.taskgraph import grammar
from interlock.model.json import Json
from interlock.model.task_graph import RetryTerms

LOCAL: Final = "local"
TYPES: Final = ("local-process", "in-process", "docker", "kubernetes", "ray", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """One pool as it is configured. None: no bound. `memory`: megabytes. `config`: of its type, checked by its launcher."""

    name: str
    type: str
    capacity: int | None = None
    cpu: float | None = None
    memory: float | None = None
    gpus: int = 0
    enabled: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    cost: float = 0.0
    weight: float = 1.0
    config: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How pools are tried: every `interval_seconds`, for at most `timeout_seconds`; one that failed again after
    `again_seconds`."""

    enabled: bool = True
    interval_seconds: float = 30.0
    timeout_seconds: float = 10.0
    again_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How tasks of graphs are placed. `capacity`: of all pools together, None for no bound."""

    policy: str = "priority"
    ageing_seconds: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    capacity: int | None = None
    retry: RetryTerms = field(default_factory=RetryTerms)
    strategy: PoolStrategy = PoolStrategy.LEAST_LOADED
    failover: bool = True
    health: HealthSettings = HealthSettings()
    pools: Mapping[str, PoolSettings] = field(
        default_factory=lambda: {LOCAL: PoolSettings(name=LOCAL, type="local-process")}
    )
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {DEFAULT: (LOCAL,)})


class _Pool:
    """A pool of one type; the words that the systems before had for retries are told what replaces them."""

    expected = "a map with `type`"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        _POOL.check(value, path, findings)
        if not isinstance(value, dict):
            return
        name = path.rpartition("/")[2]
        if not POOL.fullmatch(name):
            message = f"`{name}` is no name for a pool: letters, digits, `.`, `_` and `-`"
            findings.add("invalid-name", message, path, at_key=True)


_TEXT: Final = Text("text that is not empty", lambda text: bool(text.strip()), "empty")
_COUNT: Final = Integer(0, 1_000_000)
_AMOUNT: Final = grammar.CORES
_POOL: Final = Record(
    who="a pool",
    fields={
        "type": Choice(TYPES),
        "max_concurrency": _COUNT,
        "cpu_quota": _AMOUNT,
        "memory_quota": grammar.MEMORY,
        "gpus": Integer(0, 1024),
        "enabled": Boolean(),
        "labels": MapOf(Text()),
        "cost": _AMOUNT,
        "weight": _AMOUNT,
        "config": MapOf(Anything(role=None)),
    },
    required=("type",),
    homes=dict.fromkeys(("image", "namespace", "network", "volumes", "resources"), "under `config`"),
)
_POOLS: Final = Record(
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
                        "interval": grammar.DURATION,
                        "timeout": grammar.DURATION,
                        "re_enable_interval": grammar.DURATION,
                    },
                ),
            },
        ),
    },
    required=("agent_pools",),
)
_DISPATCHER: Final = Record(
    who="dispatcher.yaml",
    fields={
        "dispatcher": Record(
            who="`dispatcher`",
            fields={
                "scheduling_policy": _TEXT,
                "ageing": grammar.DURATION,
                "weights": MapOf(_AMOUNT),
                "max_global_concurrency": Integer(1, 1_000_000),
                "retry": grammar.RETRY,
            },
        )
    },
    required=("dispatcher",),
)


def load(dispatcher: Path | None, pools: Path | None) -> Scheduling:
    """Read the two files, None for one that there is not. Raises InvalidDefinition with every problem at its place."""
    scheduling = _read(dispatcher, _DISPATCHER) if dispatcher is not None else {}
    placing = _read(pools, _POOLS) if pools is not None else {}
    return _scheduling(scheduling.get("dispatcher", {}), placing, pools)


def _read(file: Path, shape: Record) -> dict[str, Json]:
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise errors.Invalid(f"the file {file} cannot be read: {error.strerror}") from None
    source = yaml.read(text)
    findings = Findings(source=source, file=str(file))
    note_flaws(source, findings)
    if source.is_complete:
        shape.check(source.value, "", findings)
    if shape is _POOLS and isinstance(source.value, dict) and not findings.has_errors():
        _check_mapping(source.value, findings)
    if findings.has_errors():
        problems = tuple(each for each in findings.problems if each.severity is Severity.ERROR)
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise errors.InvalidDefinition(f"{file}:{first.line}:{first.column}: {first.message}{more}", problems)
    return source.value  # type: ignore[no-any-return]  # a map, since it has the shape


def _check_mapping(value: dict[str, Json], findings: Findings) -> None:
    """Note pools of the skill mapping that there are not."""
    known = list(value["agent_pools"])
    for skill, names in value.get("skill_mapping", {}).items():
        for number, name in enumerate(names):
            if name not in known:
                near = grammar.nearest(name, known)
                message = f"there is no pool `{name}`" + (f"; did you mean `{near}`?" if near else "")
                findings.add("invalid-value", message, f"/skill_mapping/{skill}/{number}", found=name, nearest=near)


def _scheduling(given: dict[str, Json], placing: dict[str, Json], file: Path | None) -> Scheduling:
    default = Scheduling()
    weights = {key: float(weight) for key, weight in given.get("weights", {}).items()}
    ageing = grammar.seconds(given["ageing"]) if "ageing" in given else None
    name = given.get("scheduling_policy", default.policy)
    policies.policy(name, ageing_seconds=ageing, weights=weights)  # which refuses one that there is not
    selection = placing.get("pool_selection", {})
    pools = {name: _pool(name, each) for name, each in placing.get("agent_pools", {}).items()} or default.pools
    mapping = {skill: tuple(names) for skill, names in placing.get("skill_mapping", {}).items()}
    if not mapping:
        mapping = {DEFAULT: tuple(pools)}
    return Scheduling(
        policy=name,
        ageing_seconds=ageing,
        weights=weights,
        capacity=given.get("max_global_concurrency"),
        retry=grammar.retry(given.get("retry", {})),
        strategy=PoolStrategy(selection.get("strategy", default.strategy)),
        failover=selection.get("failover_enabled", True),
        health=_health(selection.get("health_check", {})),
        pools=pools,
        mapping=mapping,
    )


def _health(given: dict[str, Json]) -> HealthSettings:
    default = HealthSettings()
    return HealthSettings(
        enabled=given.get("enabled", True),
        interval_seconds=_seconds(given, "interval", default.interval_seconds),
        timeout_seconds=_seconds(given, "timeout", default.timeout_seconds),
        again_seconds=_seconds(given, "re_enable_interval", default.again_seconds),
    )


def _seconds(given: dict[str, Json], name: str, default: float) -> float:
    found = grammar.seconds(given[name]) if name in given else None
    return default if found is None else found


def _pool(name: str, given: dict[str, Json]) -> PoolSettings:
    memory = given.get("memory_quota")
    return PoolSettings(
        name=name,
        type=given["type"],
        capacity=given.get("max_concurrency"),
        cpu=None if given.get("cpu_quota") is None else float(given["cpu_quota"]),
        memory=None if memory is None else grammar.megabytes(memory),
        gpus=given.get("gpus", 0),
        enabled=given.get("enabled", True),
        labels=given.get("labels", {}),
        cost=float(given.get("cost", 0.0)),
        weight=float(given.get("weight", 1.0)) or 1.0,
        config=given.get("config", {}),
    )
