"""Reads the dispatcher's files: what they mean, or every problem of both at once."""

from __future__ import annotations

import os
from pathlib import Path

from interlock import errors
from interlock.decisions.autoscaling import Direction, Terms
from interlock.decisions.pools import DEFAULT, WORKFLOWS, PoolStrategy
from interlock.dispatch import policies
from interlock.dispatch.configuration import pools as of_types
from interlock.dispatch.configuration.scheduling import (
    OF_WORKFLOWS,
    AutoscalingSettings,
    DeadlockAction,
    DeadlockSettings,
    HealthSettings,
    PoolSettings,
    Scheduling,
    WorkspaceSettings,
)
from interlock.dispatch.configuration.shapes import DISPATCHER, FLAT, POOLS, TYPES
from interlock.flow import pointer, yaml
from interlock.flow.findings import Findings, note_flaws
from interlock.flow.grammar.shapes import Record
from interlock.flow.problem import Problem, Severity
from interlock.flow.taskgraph import grammar
from interlock.model.json import Json


def load(dispatcher: Path | None, pools: Path | None) -> Scheduling:
    """Read the two files, None for one that there is not.

    Raises InvalidDefinition with every problem of both at its place; Invalid for a file that cannot be read.
    """
    problems: list[Problem] = []
    scheduling = {} if dispatcher is None else _read(dispatcher, DISPATCHER, problems)
    placing = {} if pools is None else _read(pools, POOLS, problems)
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        where = f"{first.file}:{first.line}:{first.column}"
        raise errors.InvalidDefinition(f"{where}: {first.message}{more}", tuple(problems))
    return _scheduling(scheduling, placing)


# -- what is wrong -------------------------------------------------------------------------------------------------------


def _read(file: Path, shape: Record, problems: list[Problem]) -> dict[str, Json]:
    """Give what a file holds, and note its problems by their places."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise errors.Invalid(f"the file {file} cannot be read: {reason}") from None
    source = yaml.read(text)
    findings = Findings(source=source, file=str(file))
    note_flaws(source, findings)
    value = source.value
    if source.is_complete:
        shape.check(value, "", findings)
        if isinstance(value, dict):
            check = _check_pools if shape is POOLS else _check_dispatcher
            check(value, findings)
    found = [each for each in findings.problems if each.severity is Severity.ERROR]
    problems += sorted(found, key=lambda problem: (problem.line, problem.column, problem.path))
    return value if isinstance(value, dict) else {}


def _check_dispatcher(value: dict[str, Json], findings: Findings) -> None:
    """Note what is wrong beyond the shape: names of policies, and keys that say the same twice."""
    given = _map(value, "dispatcher")
    for flat, (outer, inner) in FLAT.items():
        if flat in given and inner in _map(given, outer):
            message = f"`{flat}` is short for `{outer}.{inner}`, which is given too; give one of them"
            findings.add("exclusive-properties", message, f"/dispatcher/{flat}", at_key=True)
    if isinstance(name := given.get("scheduling_policy"), str) and name.strip():
        try:
            policies.policy(name)
        except errors.Invalid as error:
            findings.add("invalid-value", f"`scheduling_policy`: {error}", "/dispatcher/scheduling_policy", found=name)


def _check_pools(value: dict[str, Json], findings: Findings) -> None:
    """Note what is wrong beyond the shape: the `config` of each pool, pools that there are not, bounds that cross."""
    pools = _map(value, "agent_pools")
    for name, pool in pools.items():
        if isinstance(pool, dict) and isinstance(config := pool.get("config", {}), dict):
            path = pointer.child("/agent_pools", name)
            type = pool.get("type")
            if isinstance(type, str) and type in TYPES:
                at = f"{path}/config" if "config" in pool else path
                of_types.check(name, type, config, at, findings)
    for skill, names in _map(value, "skill_mapping").items():
        for number, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and name not in pools:
                near = grammar.nearest(name, list(pools))
                message = f"there is no pool `{name}`" + (f"; did you mean `{near}`?" if near else "")
                path = f"{pointer.child('/skill_mapping', skill)}/{number}"
                findings.add("invalid-value", message, path, found=name, nearest=near)
    _check_autoscaling(_map(value, "autoscaling"), pools, findings)


def _check_autoscaling(given: dict[str, Json], pools: dict[str, Json], findings: Findings) -> None:
    lowest, highest = given.get("min_instances", 1), given.get("max_instances", 50)
    if isinstance(lowest, int) and isinstance(highest, int) and lowest > highest:
        message = f"`max_instances` is {highest}, below `min_instances`, which is {lowest}"
        findings.add("out-of-range", message, "/autoscaling", at_key=True)
    if given.get("enabled") is not True:
        return
    types = {pool.get("type") for pool in pools.values() if isinstance(pool, dict)}
    if "worker" in types and "command" not in given:
        message = (
            "`autoscaling` needs `command`: the arguments of a program that is told by INTERLOCK_POOL, INTERLOCK_FROM and"
            " INTERLOCK_TO how many workers a pool is to have"
        )
        findings.add("missing-property", message, "/autoscaling", at_key=True, expected="command")
    if not types & {"worker", "kubernetes"}:
        message = (
            "`autoscaling` has nothing to scale: only pools of the type worker have instances that a command can start, and"
            " those of the type kubernetes a bound that moves; the places of other pools are their `max_concurrency`"
        )
        findings.add("invalid-value", message, "/autoscaling/enabled", found="true")


def _map(value: dict[str, Json], name: str) -> dict[str, Json]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


# -- what it means -------------------------------------------------------------------------------------------------------


def _scheduling(file: dict[str, Json], placing: dict[str, Json]) -> Scheduling:
    default = Scheduling()
    given = _unfolded(file.get("dispatcher", {}))
    runner = file.get("agent_runner", {})
    selection = placing.get("pool_selection", {})
    pools = {name: _pool(name, each) for name, each in placing.get("agent_pools", {}).items()}
    mapping = {skill: tuple(names) for skill, names in placing.get("skill_mapping", {}).items()}
    return Scheduling(
        policy=given.get("scheduling_policy", default.policy),
        ageing_seconds=_seconds(given, "ageing"),
        weights={key: float(weight) for key, weight in given.get("weights", {}).items()},
        capacity=given.get("max_global_concurrency"),
        retry=grammar.retry(given.get("retry", {})),
        poll_seconds=_seconds(given, "poll_interval"),
        grace_seconds=_seconds(given.get("graceful_shutdown", {}), "timeout"),
        timeout_seconds=_seconds(runner, "execution_timeout") or None,
        environment=runner.get("environment", {}),
        deadlocks=_deadlocks(given.get("deadlock_detection", {})),
        workspaces=_workspaces(file.get("repo_pool", {})),
        strategy=PoolStrategy(selection.get("strategy", default.strategy)),
        failover=selection.get("failover_enabled", True),
        health=_health(selection.get("health_check", {})),
        autoscaling=_autoscaling(placing.get("autoscaling", {})),
        pools=pools | {WORKFLOWS: OF_WORKFLOWS} if pools else default.pools,
        mapping=mapping or ({DEFAULT: tuple(pools)} if pools else default.mapping),
    )


def _unfolded(given: dict[str, Json]) -> dict[str, Json]:
    """Give a map in which the flat keys are where they are short for."""
    found = {key: value for key, value in given.items() if key not in FLAT}
    for flat, (outer, inner) in FLAT.items():
        if flat in given:
            found[outer] = found.get(outer, {}) | {inner: given[flat]}
    return found


def _deadlocks(given: dict[str, Json]) -> DeadlockSettings:
    default = DeadlockSettings()
    return DeadlockSettings(
        enabled=given.get("enabled", default.enabled),
        interval_seconds=_known(_seconds(given, "check_interval"), default.interval_seconds),
        action=DeadlockAction(given.get("action", default.action)),
    )


def _workspaces(given: dict[str, Json]) -> WorkspaceSettings:
    default = WorkspaceSettings()
    return WorkspaceSettings(
        folder=os.path.expanduser(given.get("base_dir", default.folder)),
        lease_seconds=_known(_seconds(given, "allocation_timeout"), default.lease_seconds),
        release_seconds=_known(_seconds(given, "release_timeout"), default.release_seconds),
    )


def _health(given: dict[str, Json]) -> HealthSettings:
    default = HealthSettings()
    return HealthSettings(
        enabled=given.get("enabled", default.enabled),
        interval_seconds=_known(_seconds(given, "interval"), default.interval_seconds),
        timeout_seconds=_known(_seconds(given, "timeout"), default.timeout_seconds),
        again_seconds=_known(_seconds(given, "re_enable_interval"), default.again_seconds),
    )


def _autoscaling(given: dict[str, Json]) -> AutoscalingSettings | None:
    if not given.get("enabled", False):
        return None
    default = Terms()
    up = _direction(given.get("scale_up", {}), default.up)
    down = {"queue_threshold": up.queue} | given.get("scale_down", {})  # nothing shrinks while what makes it grow waits
    terms = Terms(
        up=up,
        down=_direction(down, default.down),
        lowest=given.get("min_instances", default.lowest),
        highest=given.get("max_instances", default.highest),
    )
    return AutoscalingSettings(terms=terms, command=tuple(given.get("command", ())))


def _direction(given: dict[str, Json], default: Direction) -> Direction:
    return Direction(
        queue=given.get("queue_threshold", default.queue),
        utilisation=float(given.get("utilization_threshold", default.utilisation)),
        cooldown_seconds=_known(_seconds(given, "cooldown"), default.cooldown_seconds),
        step=given.get("step", default.step),
    )


def _seconds(given: dict[str, Json], name: str) -> float | None:
    return grammar.seconds(given[name]) if name in given else None


def _known(found: float | None, default: float) -> float:
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
        weight=float(given.get("weight", 1.0)),
        config=given.get("config", {}),
    )
