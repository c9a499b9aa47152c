"""The dispatcher's files: every documented key is read, or refused with what to use instead (CF-01, SC-08)."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from interlock import errors
from interlock.decisions.pools import PoolStrategy
from interlock.dispatch.configuration import DeadlockAction, Scheduling, reading, shapes

ROOT = Path(__file__).parents[3]
POOLS = "agent_pools: {p: {type: worker}, q: {type: docker, config: {image: i}}}\n"
SCALED = "command: [scale], enabled: true"

DISPATCHER: list[tuple[str, str, str, Any]] = [
    ("dispatcher.poll_interval", "dispatcher: {poll_interval: 5}", "poll_seconds", 5.0),
    ("dispatcher.scheduling_policy", "dispatcher: {scheduling_policy: fifo}", "policy", "fifo"),
    ("dispatcher.ageing", "dispatcher: {ageing: 10m}", "ageing_seconds", 600.0),
    ("dispatcher.weights", "dispatcher: {weights: {a: 2}}", "weights", {"a": 2.0}),
    ("dispatcher.max_global_concurrency", "dispatcher: {max_global_concurrency: 10}", "capacity", 10),
    ("dispatcher.heartbeat_timeout", "dispatcher: {heartbeat_timeout: 60}", "policy", "priority"),
    ("dispatcher.retry.max_attempts", "dispatcher: {retry: {max_attempts: 3}}", "retry.budgets", {"application": 2}),
    *[
        (f"dispatcher.retry.{name}", f"dispatcher: {{retry: {{{name}: 4}}}}", "retry.budgets", {name: 4})
        for name in ("application", "timeout", "lost", "preempted", "out_of_memory", "launch", "invalid")
    ],
    ("dispatcher.retry.backoff", "dispatcher: {retry: {backoff: fixed}}", "retry.backoff", "fixed"),
    ("dispatcher.retry.initial_interval", "dispatcher: {retry: {initial_interval: 3}}", "retry.initial_seconds", 3.0),
    ("dispatcher.retry.backoff_base", "dispatcher: {retry: {backoff_base: 3}}", "retry.base", 3.0),
    ("dispatcher.retry.max_interval", "dispatcher: {retry: {max_interval: 1m}}", "retry.longest_seconds", 60.0),
    ("dispatcher.retry_max_attempts", "dispatcher: {retry_max_attempts: 5}", "retry.budgets", {"application": 4}),
    ("dispatcher.retry_backoff_base", "dispatcher: {retry_backoff_base: 1.5}", "retry.base", 1.5),
    ("dispatcher.graceful_shutdown.timeout", "dispatcher: {graceful_shutdown: {timeout: 300}}", "grace_seconds", 300.0),
    (
        "dispatcher.graceful_shutdown.force_kill_enabled",
        "dispatcher: {graceful_shutdown: {force_kill_enabled: true}}",
        "grace_seconds",
        None,
    ),
    ("dispatcher.graceful_shutdown_timeout", "dispatcher: {graceful_shutdown_timeout: 0}", "grace_seconds", 0.0),
    (
        "dispatcher.deadlock_detection.enabled",
        "dispatcher: {deadlock_detection: {enabled: false}}",
        "deadlocks.enabled",
        False,
    ),
    (
        "dispatcher.deadlock_detection.check_interval",
        "dispatcher: {deadlock_detection: {check_interval: 2m}}",
        "deadlocks.interval_seconds",
        120.0,
    ),
    (
        "dispatcher.deadlock_detection.action",
        "dispatcher: {deadlock_detection: {action: resolve}}",
        "deadlocks.action",
        DeadlockAction.RESOLVE,
    ),
    ("repo_pool.base_dir", "repo_pool: {base_dir: /srv/w}", "workspaces.folder", "/srv/w"),
    ("repo_pool.allocation_timeout", "repo_pool: {allocation_timeout: 20}", "workspaces.lease_seconds", 20.0),
    ("repo_pool.release_timeout", "repo_pool: {release_timeout: 5s}", "workspaces.release_seconds", 5.0),
    ("agent_runner.execution_timeout", "agent_runner: {execution_timeout: 3600}", "timeout_seconds", 3600.0),
    ("agent_runner.execution_timeout", "agent_runner: {execution_timeout: 0}", "timeout_seconds", None),
    (
        "agent_runner.environment",
        "agent_runner: {environment: {LOG_LEVEL: INFO}}",
        "environment",
        {"LOG_LEVEL": "INFO"},
    ),
]
OF_POOLS: list[tuple[str, str, str, Any]] = [
    ("type", "type: docker, config: {image: i}", "type", "docker"),
    ("max_concurrency", "type: worker, max_concurrency: 5", "capacity", 5),
    ("cpu_quota", "type: worker, cpu_quota: 8", "cpu", 8.0),
    ("memory_quota", "type: worker, memory_quota: 16 GiB", "memory", 16384.0),
    ("gpus", "type: worker, gpus: 2", "gpus", 2),
    ("enabled", "type: worker, enabled: false", "enabled", False),
    ("labels", "type: worker, labels: {a: b}", "labels", {"a": "b"}),
    ("cost", "type: worker, cost: 0.3", "cost", 0.3),
    ("weight", "type: worker, weight: 2", "weight", 2.0),
    ("config", "type: local-process, config: {nice: 3}", "config", {"nice": 3}),
]
PLACING: list[tuple[str, str, str, Any]] = [
    *[
        (f"agent_pools.NAME.{name}", f"agent_pools: {{p: {{{text}}}}}", f"pools.p.{attribute}", value)
        for name, text, attribute, value in OF_POOLS
    ],
    ("skill_mapping", POOLS + "skill_mapping: {ml: [q, p]}", "mapping", {"ml": ("q", "p")}),
    ("pool_selection.strategy", POOLS + "pool_selection: {strategy: random}", "strategy", PoolStrategy.RANDOM),
    ("pool_selection.failover_enabled", POOLS + "pool_selection: {failover_enabled: false}", "failover", False),
    *[
        (
            f"pool_selection.health_check.{name}",
            POOLS + f"pool_selection: {{health_check: {{{name}: {given}}}}}",
            f"health.{attribute}",
            value,
        )
        for name, given, attribute, value in (
            ("enabled", "false", "enabled", False),
            ("interval", "10", "interval_seconds", 10.0),
            ("timeout", "5s", "timeout_seconds", 5.0),
            ("auto_disable_unhealthy", "true", "enabled", True),
            ("re_enable_interval", "1m", "again_seconds", 60.0),
        )
    ],
    ("autoscaling.enabled", POOLS + "autoscaling: {enabled: false}", "autoscaling", None),
    ("autoscaling.command", POOLS + f"autoscaling: {{{SCALED}}}", "autoscaling.command", ("scale",)),
    *[
        (f"autoscaling.{name}", POOLS + f"autoscaling: {{{SCALED}, {name}: 3}}", f"autoscaling.terms.{attribute}", 3)
        for name, attribute in (("min_instances", "lowest"), ("max_instances", "highest"))
    ],
    *[
        (
            f"autoscaling.scale_{way}.{name}",
            POOLS + f"autoscaling: {{{SCALED}, scale_{way}: {{{name}: 1}}}}",
            f"autoscaling.terms.{way}.{attribute}",
            1,
        )
        for way in ("up", "down")
        for name, attribute in (
            ("queue_threshold", "queue"),
            ("utilization_threshold", "utilisation"),
            ("cooldown", "cooldown_seconds"),
            ("step", "step"),
        )
    ],
]
REFUSED: list[tuple[str, str, str]] = [
    ("dispatcher.metrics", "dispatcher: {metrics: {enabled: true}}", "/metrics"),
    ("dispatcher.logging", "dispatcher: {logging: {level: INFO}}", "standard error"),
    ("dispatcher.task_registry", "dispatcher: {task_registry: {base_dir: x}}", "store.url"),
    ("dispatcher.notifications", "dispatcher: {notifications: {enabled: false}}", "not built yet"),
    ("metrics", "metrics: {enabled: true}", "/metrics"),
    ("logging", "logging: {level: INFO}", "standard error"),
    ("task_registry", "task_registry: {base_dir: ~/.x}", "store.url"),
    ("notifications", "notifications: {enabled: false}", "not built yet"),
    ("agent_runner.artifact_store", "agent_runner: {artifact_store: {base_dir: x}}", "artifacts.folder"),
    ("agent_pools.NAME.restart_policy", "agent_pools: {p: {type: kubernetes, restart_policy: Never}}", "budget"),
    ("agent_pools.NAME.backoff_limit", "agent_pools: {p: {type: kubernetes, backoff_limit: 3}}", "budget"),
    ("agent_pools.NAME.current_running", "agent_pools: {p: {type: worker, current_running: 1}}", "store"),
]
OTHERS: list[tuple[str, str]] = [
    ("dispatcher: {heartbeat_timeout: 90}", "`heartbeat_timeout` cannot be 90: attempts are leased for 60 s"),
    ("dispatcher: {graceful_shutdown: {force_kill_enabled: false}}", "`force_kill_enabled` cannot be false"),
    (POOLS + "pool_selection: {health_check: {auto_disable_unhealthy: false}}", "`auto_disable_unhealthy` cannot be"),
    ('agent_runner: {environment: {"A=": x}}', "`A=` cannot name a variable of a process"),
    ("agent_runner: {environment: {A: 1}}", "quote it: '1'"),
    ("dispatcher: {poll_interval: 0}", "`poll_interval` must be a duration from 50ms to 1h, not 0"),
    ("dispatcher: {pol_interval: 5}", "`dispatcher` has no `pol_interval`; did you mean `poll_interval`?"),
    (
        "dispatcher: {scheduling_policy: priorty}",
        "`scheduling_policy`: there is no scheduling policy 'priorty'; did you mean",
    ),
    ("dispatcher: {weights: {a: 0}}", "`a` must be a number above 0"),
    ("dispatcher: {agent_runner: {}}", "`dispatcher` has no `agent_runner`; it belongs beside `dispatcher`"),
    ("scheduling_policy: fifo", "dispatcher.yaml has no `scheduling_policy`; it belongs under `dispatcher`"),
    (
        "dispatcher: {retry: {max_attempts: 3}, retry_max_attempts: 4}",
        "`retry_max_attempts` is short for `retry.max_attempts`",
    ),
    ("agent_runner: {environment: {A: 1}}", "quote it: '1'"),
    ("agent_pools: {p: {type: dokcer}}", "`type` must be"),
    ("agent_pools: {workflows: {type: worker}}", "`workflows` is the pool of tasks that are workflows"),
    ("agent_pools: {p: {type: dokcer}}", "not `dokcer`; did you mean `docker`?"),
    ("agent_pools: {p: {type: worker, image: i}}", "a pool has no `image`; it belongs under `config`"),
    ("agent_pools: {'a b': {type: worker}}", "`a b` is no name for a pool"),
    (
        "agent_pools: {docker: {type: worker}}\nskill_mapping: {ml: [dokcer]}",
        "no pool `dokcer`; did you mean `docker`?",
    ),
    (POOLS + "strategy: random", "agent-pools.yaml has no `strategy`; it belongs under `pool_selection`"),
    (POOLS + "pool_selection: {strategy: leest-loaded}", "did you mean `least-loaded`?"),
    (POOLS + "autoscaling: {enabled: true}", "`autoscaling` needs `command`"),
    (POOLS + "autoscaling: {min_instances: 9, max_instances: 2}", "`max_instances` is 2, below `min_instances`"),
    ("agent_pools: {p: {type: ray}}\nautoscaling: {enabled: true, command: [x]}", "nothing to scale"),
    (POOLS + "autoscaling: {command: scale it}", "must be a list of arguments; no shell reads it"),
    (
        "agent_pools: {p: {type: docker, config: {image: a, restart_policy: OnFailure}}}",
        "a pool of the type docker has no `restart_policy`: the dispatcher alone tries attempts again, and counts why: give the"
        " task a budget instead, such as `retry: {preempted: 10, lost: 3, application: 2}`",
    ),
    (
        "agent_pools: {p: {type: local-process, config: {backoff_limit: 3}}}",
        "a pool of the type local-process has no `backoff_limit`: the dispatcher alone",
    ),
    (
        "agent_pools: {p: {type: kubernetes, config: {restart_policy: OnFailure}}}",
        "restart_policy",
    ),
    ("agent_pools: {p: {type: kubernetes, config: {backoff_limit: 3}}}", "retry: {preempted: 10"),
    ("agent_pools: {p: {type: worker, config: {a: 1}}}", "a pool of the type worker has no `a`"),
    ("agent_pools: {p: {type: docker}}", "image"),
    ("agent_pools: {p: {type: ray, config: {adress: auto}}}", "did you mean 'address'?"),
]


def is_of_pools(text: str) -> bool:
    return "agent_pools" in text


def load(folder: Path, text: str) -> Scheduling:
    """Read a file that is the one or the other by its keys."""
    file = folder / "file.yaml"
    file.write_text(text)
    return reading.load(None, file) if is_of_pools(text) else reading.load(file, None)


def value(found: Scheduling, path: str) -> Any:
    if path.startswith("pools.p."):
        return attrgetter(path.removeprefix("pools.p."))(found.pools["p"])
    return attrgetter(path)(found)


@pytest.mark.parametrize(
    ("text", "path", "expected"), [row[1:] for row in DISPATCHER + PLACING], ids=lambda each: str(each)[:60]
)
def test_the_key_is_read(tmp_path: Path, text: str, path: str, expected: object) -> None:
    assert value(load(tmp_path, text), path) == expected


def test_every_key_of_the_grammar_is_in_these_tables() -> None:
    known = [*shapes.keys(shapes.DISPATCHER), *shapes.keys(shapes.POOLS)]

    assert {row[0] for row in DISPATCHER + PLACING} == {key for key, home in known if home is None}
    assert {row[0] for row in REFUSED} == {key for key, home in known if home is not None}


@pytest.mark.parametrize(("key", "text", "instead"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_key_without_a_place_is_refused_by_name_with_what_to_use(
    tmp_path: Path, key: str, text: str, instead: str
) -> None:
    with pytest.raises(errors.InvalidDefinition) as caught:
        load(tmp_path, text)

    (problem,) = caught.value.problems
    assert f"`{key.rpartition('.')[2]}`; it belongs " in str(caught.value)
    assert instead in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'file.yaml'}:1:")
    assert problem.column > 1 or "." not in key  # type: ignore[attr-defined]  # a Problem


@pytest.mark.parametrize(("text", "message"), OTHERS, ids=[row[1][:60] for row in OTHERS])
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """SC-08: unknown policies, types and keys are refused by key and value, with the nearest one."""
    with pytest.raises(errors.InvalidDefinition) as caught:
        load(tmp_path, text)

    assert message in "\n".join(each.message for each in caught.value.problems)  # type: ignore[attr-defined]  # Problems


def test_every_problem_of_both_files_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("dispatcher:\n  polcy: fifo\n  scheduling_policy: x\n  logging: {}\n")
    (tmp_path / "p.yaml").write_text(
        "agent_pools:\n"
        "  a:\n"
        "    type: docker\n"
        "    config:\n"
        "      image: i\n"
        "      netwrk: host\n"
        "      pull_policy: sometimes\n"
        "  b:\n"
        "    type: local-process\n"
        "    config:\n"
        "      nice: 99\n"
        "      rlimits: {open_file: 10}\n"
        "      working_dir: relative\n"
        "skill_mapping:\n"
        "  ml: [c]\n"
    )

    with pytest.raises(errors.InvalidDefinition) as caught:
        reading.load(tmp_path / "d.yaml", tmp_path / "p.yaml")

    places = [(Path(each.file or "").name, each.line) for each in caught.value.problems]  # type: ignore[attr-defined]
    assert places == [
        ("d.yaml", 2), ("d.yaml", 3), ("d.yaml", 4),
        ("p.yaml", 6), ("p.yaml", 7), ("p.yaml", 11), ("p.yaml", 12), ("p.yaml", 13), ("p.yaml", 15),
    ]  # fmt: skip
    assert str(caught.value).endswith("(and 8 more)")


def test_pools_of_kubernetes_are_scaled_without_a_command(tmp_path: Path) -> None:
    """OP-05: there is nothing to start; with a pool of workers beside them a command is needed."""
    found = load(
        tmp_path, "agent_pools: {p: {type: kubernetes, config: {image: i}}}\nautoscaling: {enabled: true}"
    ).autoscaling

    assert found is not None
    assert found.command == ()


def test_no_file_and_empty_maps_mean_the_defaults(tmp_path: Path) -> None:
    """CF-02: nothing has to be configured."""
    found = reading.load(None, None)

    assert found == Scheduling()
    assert [(pool.name, pool.type) for pool in found.pools.values()] == [
        ("local", "local-process"),
        ("workflows", "workflows"),
    ]
    assert load(tmp_path, "dispatcher: {}") == found


@pytest.mark.parametrize(
    "text", ["", "- a", "dispatcher: [", "agent_pools: {}", "agent_pools: {p: 1}", "{}", "dispatcher: 3"]
)
def test_what_is_no_configuration_is_refused_and_never_breaks(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.InvalidDefinition):
        load(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")

    with pytest.raises(errors.Invalid, match=r"absent\.yaml cannot be read"):
        reading.load(tmp_path / "absent.yaml", None)
    with pytest.raises(errors.Invalid, match=r"b\.yaml cannot be read: it is no UTF-8"):
        reading.load(None, tmp_path / "b.yaml")


# -- the files of the repository -----------------------------------------------------------------------------------------


def test_the_files_of_the_repository_load_and_name_every_key(tmp_path: Path) -> None:
    """CF-01: every key that is known stands in them, if only as a comment."""
    texts = {name: (ROOT / "config" / name).read_text("utf-8") for name in ("dispatcher.yaml", "agent-pools.yaml")}
    found = reading.load(ROOT / "config" / "dispatcher.yaml", ROOT / "config" / "agent-pools.yaml")

    assert {"local", "docker", "docker-gpu", "k8s", "k8s-spot", "workflows"} == set(found.pools)
    assert len(found.mapping) > 15
    for shape, name in ((shapes.DISPATCHER, "dispatcher.yaml"), (shapes.POOLS, "agent-pools.yaml")):
        leaves = {key.rpartition(".")[2] for key, home in shapes.keys(shape) if home is None}
        assert [leaf for leaf in sorted(leaves) if f"{leaf}:" not in texts[name] and leaf not in texts[name]] == []


def test_every_key_is_listed_in_the_reference_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "dispatcher.md").read_text("utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    listed = {row[1].strip().strip("`"): row[-2].strip() for row in rows}
    known = dict([*shapes.keys(shapes.DISPATCHER), *shapes.keys(shapes.POOLS)])

    assert set(listed) == set(known)
    assert {key for key, text in listed.items() if text.startswith("Refused")} == {
        key for key, home in known.items() if home is not None
    }
