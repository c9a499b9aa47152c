"""What becomes of the attempts of tasks, and what is told of it. EV-01, EV-02, RU-05."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engines
from acceptance.shell import Shell, until
from acceptance.test_configured import load, node
from acceptance.test_configured import until as becomes
from acceptance.test_nodes import Nodes
from acceptance.test_task_graphs import run, shown, states, write
from acceptance.test_worker import Fleet
from interlock import errors, telemetry
from required import may_skip

_TOLD = ("task.placed", "runner.started", "runner.finished", "task.completed", "task.failed", "task.tried_again")


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    found = Nodes(shell)
    yield found
    found.end()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What this process tells of tasks."""
    found: list[tuple[str, dict[str, Any]]] = []
    detach = telemetry.attach(lambda name, fields: found.append((name, fields)) if name in _TOLD else None)
    yield found
    detach()


async def test_events_of_a_task_come_in_their_order_with_ids_and_durations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[tuple[str, dict[str, Any]]]
) -> None:
    """EV-01, RT-03: the one that succeeds, and the one that fails twice and then for good."""
    async with node(tmp_path, monkeypatch) as app:
        book = await load(
            app,
            tmp_path,
            "graph: g\ntasks:\n"
            "  - {id: good, run: ['true']}\n"
            "  - {id: bad, dependencies: [good], run: [sh, -c, 'exit 3'], "
            "retry: {max_attempts: 2, initial_interval: 10ms}}\n",
        )
        async with asyncio.timeout(60):
            await book.wait(await book.graph("g"))
        await becomes(lambda: _async([name for name, _ in heard].count("task.failed") == 1))

    def of(task: str) -> list[tuple[str, dict[str, Any]]]:
        return [(name, fields) for name, fields in heard if fields["task"] == f"default/g/{task}"]

    attempt = ["task.placed", "runner.started", "runner.finished"]
    assert [name for name, _ in of("good")] == [*attempt, "task.completed"]
    assert [name for name, _ in of("bad")] == [*attempt, "task.tried_again", *attempt, "task.failed"]
    placed, started, finished, completed = (fields for _, fields in of("good"))
    assert placed["runner"] == started["runner"] == finished["runner"]
    assert (placed["pool"], placed["attempt"], completed["attempt"]) == ("local", 1, 1)
    assert finished["seconds"] >= 0
    failed = of("bad")[-1][1]
    assert (failed["failure"], failed["retries"], failed["attempt"]) == ("application", 1, 2)


async def _async(value: bool) -> bool:
    return value


def test_events_are_read_from_the_store_and_the_node_writes_them_to_its_log(shell: Shell, nodes: Nodes) -> None:
    """EV-01: after the fact, by whoever asks; and what operators have to see to is a warning."""
    write(
        shell,
        "graph: g\ntasks:\n"
        "  - {id: good, pool: near, run: ['true']}\n"
        "  - {id: bad, pool: near, run: [sh, -c, 'exit 3'], retry: {max_attempts: 1}}\n"
        "  - {id: huge, pool: near, cpu: 64, run: ['true']}\n",
        "agent_pools:\n"
        "  near: {type: local-process, max_concurrency: 2, cpu_quota: 2}\n"
        "  far: {type: docker, max_concurrency: 1, config: {image: busybox, host: 'unix:///nowhere/docker.sock'}}\n"
        "skill_mapping: {default: [near]}\n",
    )
    process = nodes.start()
    run(shell, "tasks", "load", "tasks.yaml")
    for line in (
        "info task.placed task=default/g/good pool=near attempt=1",
        "info task.completed task=default/g/good pool=near attempt=1",
        "warning task.failed task=default/g/bad pool=near attempt=1 failure=application",
        "warning task.stuck task=default/g/huge",
        "warning pool.ill pool=far",
    ):
        nodes.says(process, line, 60)
    assert "; tried again by 20" in run(shell, "pools", "list").out

    good, bad = shown(shell, "good"), shown(shell, "bad")
    attempt = ["task.assigned", "runner.started", "runner.finished"]
    assert [each["type"] for each in good["events"]] == [*attempt, "task.completed"]
    assert [each["type"] for each in bad["events"]] == [*attempt, "task.failed"]
    times = [each["time"] for each in good["events"]]
    assert times == sorted(times)
    assigned, _, finished, completed = good["events"]
    assert (assigned["pool"], assigned["node"]) == ("near", good["tries"][0]["node"])
    assert assigned["runner"] == finished["runner"]
    assert (finished["outcome"], completed["retries"]) == ("done", 0)
    assert completed["seconds"] == pytest.approx(times[-1] - times[0], abs=1e-3)
    assert (bad["events"][2]["failure"], bad["events"][3]["failure"]) == ("application", "application")


async def test_no_event_is_lost_or_told_twice_while_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[tuple[str, dict[str, Any]]]
) -> None:
    """EV-02: the outcome waits with its node, nothing new is placed, and all arrives once when the store is back."""
    async with node(tmp_path, monkeypatch) as app:
        settle, place = app.store.queue.settle, app.store.pools.place
        away, refused = asyncio.Event(), 0
        away.set()

        async def flaky_settle(*arguments: Any, **more: Any) -> bool:
            nonlocal refused
            if away.is_set():
                refused += 1
                raise errors.StoreUnavailable("away")
            return await settle(*arguments, **more)

        async def flaky_place(*arguments: Any) -> Any:
            if away.is_set() and refused:
                raise errors.StoreUnavailable("away")
            return await place(*arguments)

        app.store.queue.settle, app.store.pools.place = flaky_settle, flaky_place  # type: ignore[method-assign]
        book = await load(app, tmp_path, "graph: g\ntasks:\n  - {id: a, run: {shell: 'echo a >> ledger'}}\n")
        await becomes(lambda: _async(refused > 1))
        await load(app, tmp_path, "graph: h\ntasks:\n  - {id: b, run: {shell: 'echo b >> ledger'}}\n")
        row = await book.find("g/a")
        assert row.state == "running"
        assert (await book.find("h/b")).state == "ready"
        away.clear()
        async with asyncio.timeout(60):
            for name in ("g", "h"):
                await book.wait(await book.graph(name))
        tries = await book.tries(row.task)
        await becomes(lambda: _async([name for name, _ in heard].count("task.completed") == 2))

    assert (tmp_path / "ledger").read_text().split() == ["a", "b"]
    assert [each.outcome for each in tries] == ["done"]
    assert tries[0].started_at is not None


def test_program_that_is_killed_is_noticed_by_its_end(shell: Shell, nodes: Nodes) -> None:
    """RU-05: by the exit code, not by a lease that runs out: that would be the class `lost`."""
    write(shell, "graph: g\ntasks:\n- {id: a, run: [sh, -c, 'kill -9 $$'], retry: {max_attempts: 1}}\n")
    nodes.start()
    run(shell, "tasks", "load", "tasks.yaml")
    until(lambda: shown(shell, "a")["state"] == "failed", 60)
    (attempt,) = shown(shell, "a")["tries"]
    assert attempt["failure"] == "application"


def test_quota_that_is_reached_is_told_once_per_crossing(shell: Shell, nodes: Nodes) -> None:
    """PO-03: 4 cores and tasks of 2: two run, and people are warned; when one is free again the warning is gone."""
    lines = [
        f"- {{id: t{n}, cpu: 2, run: {{shell: 'until test -e go{n}; do sleep 0.05; done'}}}}\n" for n in (1, 2, 3, 4)
    ]
    pools = "agent_pools: {p: {type: local-process, max_concurrency: 9, cpu_quota: 4}}\nskill_mapping: {default: [p]}\n"
    write(shell, "graph: g\ntasks:\n" + "".join(lines), pools)
    process = nodes.start()
    run(shell, "tasks", "load", "tasks.yaml")
    nodes.says(process, 'warning pool.quota_reached pool=p quota=cpu warning="4 of 4 cores are taken"', 60)
    assert "quota reached: 4 of 4 cores are taken" in run(shell, "pools", "list").out
    for number in (1, 2, 3):
        (shell.folder / f"go{number}").touch()
    until(lambda: [shown(shell, f"t{n}")["state"] for n in (1, 2, 3, 4)] == ["done", "done", "done", "running"], 60)
    assert "quota reached" not in run(shell, "pools", "list").out
    (shell.folder / "go4").touch()
    until(lambda: shown(shell, "t4")["state"] == "done", 60)


def test_attempts_of_workers_get_the_timeout_and_the_environment_of_the_configuration(shell: Shell) -> None:
    """RU-02, RU-06: the worker reads no file of the dispatcher, and goes by what that has declared."""
    write(
        shell,
        "graph: g\ndefaults: {retry: {application: 0}}\ntasks:\n"
        "  - {id: said, environment: {SIZE: large}, run: {shell: 'echo $COLOUR $SIZE $INTERLOCK_GRAPH; "
        "grep -o timeout_seconds.:0.7 $INTERLOCK_TASK'}}\n"
        "  - {id: long, run: [sleep, '60']}\n"
        "  - {id: longer, timeout: 20s, run: [sleep, '1']}\n",
        "agent_pools: {workers: {type: worker}}\nskill_mapping: {default: [workers]}\n",
    )
    (shell.folder / "dispatcher.yaml").write_text(
        "agent_runner: {execution_timeout: 700ms, environment: {COLOUR: red, SIZE: small}}\n"
    )
    fleet = Fleet(shell)
    try:
        fleet.start("node")
        fleet.worker("w1", "--slots", "3")
        run(shell, "tasks", "load", "tasks.yaml")
        run(shell, "tasks", "watch", "g", "--until-done", code=1)
        said, long, longer = (shown(shell, id)["tries"][0] for id in ("said", "long", "longer"))
        assert said["detail"]["stdout"].split() == ["red", "large", "g", 'timeout_seconds":0.7']
        assert (long["failure"], longer["outcome"]) == ("timeout", "done")
        assert said["started_at"] is not None
    finally:
        fleet.end()


def test_worker_gives_the_result_that_an_agent_left_and_has_no_worktrees(shell: Shell) -> None:
    """What a worker does not have is told before a task begins there, and not left out."""
    write(
        shell,
        "graph: g\ndefaults: {retry: {application: 0}}\ntasks:\n"
        "  - {id: left, agent: {command: [sh, -c, 'echo \"[1, 2]\" > out.json'], result: out.json}}\n"
        "  - {id: none, agent: {command: ['true'], result: nothing.json}}\n"
        "  - {id: apart, run: ['true'], workspace: {base: HEAD}}\n",
        "agent_pools: {workers: {type: worker}}\nskill_mapping: {default: [workers]}\n",
    )
    fleet = Fleet(shell)
    try:
        fleet.start("node")
        fleet.worker("w1", "--slots", "3")
        run(shell, "tasks", "load", "tasks.yaml")
        until(lambda: [shown(shell, id)["state"] for id in ("left", "none")] == ["done", "failed"])
        assert shown(shell, "left")["tries"][0]["detail"]["result"] == [1, 2]
        assert "left no result in nothing.json" in shown(shell, "none")["tries"][0]["detail"]["detail"]
        assert "workers has no worktrees, which are where dispatchers are" in " ".join(
            run(shell, "tasks", "explain", "g/apart").out.split()
        )
    finally:
        fleet.end()


def test_task_larger_than_the_machine_of_an_engine_waits_with_a_warning(shell: Shell, nodes: Nodes) -> None:
    """SC-04: Docker takes a limit of more memory than there is without a word."""
    if may_skip("docker", engines.present("docker")):
        pytest.skip("docker is not installed, or this is not root")
    engine = engines.shared("docker")
    config = f"{{image: '{engines.IMAGE}', host: '{engine.host}', network: none, pull_policy: never}}"
    write(
        shell,
        "graph: g\ntasks:\n"
        "  - {id: fat, pool: box, memory: 900000 GiB, run: ['true']}\n"
        "  - {id: thin, pool: box, memory: 32 MB, run: ['true']}\n",
        f"agent_pools:\n  box: {{type: docker, max_concurrency: 2, config: {config}}}\nskill_mapping: {{default: [box]}}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    node = nodes.start()
    until(lambda: states(shell, "g") == {"fat": "ready", "thin": "done"})
    nodes.says(node, "MB on a machine")
    assert "warning: no pool can run it: box has" in run(shell, "tasks", "explain", "fat").out
