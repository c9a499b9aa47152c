"""Task graphs in real processes: loaded, watched, explained, killed, restarted. CF-02, DQ-02, RU-05, SH-01 to SH-03."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import SOURCE, Ended, Shell, until
from acceptance.test_nodes import Nodes
from pool.conftest import marked

BILLING = """
graph: billing
tasks:
  - id: schema
    run: [sh, -c, "echo split"]
    required_skill: database
  - id: api
    dependencies: [schema]
    run: [sh, -c, 'test -s "$INTERLOCK_TASK" && echo "$RUNNER_ID $POOL_NAME"']
    required_skill: backend
    priority: 5
  - id: flaky
    run: {shell: "test $INTERLOCK_ATTEMPT = 2"}
    retry: {initial_interval: 100ms}
  - id: bad
    run: [sh, -c, "echo no >&2; exit 3"]
    retry: {max_attempts: 1}
  - {id: behind, dependencies: [bad], run: ["true"]}
  - {id: whatever, dependencies: [{id: bad, blocking: false}], run: ["true"]}
"""
POOLS = """
agent_pools:
  one: {type: local-process, max_concurrency: 2}
  two: {type: local-process, max_concurrency: 3, cpu_quota: 4}
skill_mapping:
  database: [two]
  backend: [one, two]
  default: [one, two]
"""


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    found = Nodes(shell)
    yield found
    found.end()


def write(shell: Shell, graph: str, pools: str | None = None) -> None:
    (shell.folder / "tasks.yaml").write_text(graph)
    if pools is not None:
        (shell.folder / "agent-pools.yaml").write_text(pools)


def run(shell: Shell, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> Ended:
    """Perform a command that must end with this code."""
    ended = shell.run(*arguments, env=env)
    assert ended.code == code, (ended.out, ended.err)
    return ended


@contextlib.contextmanager
def watching(shell: Shell) -> Iterator[Path]:
    """Follow the graph g until the block ends; gives the file of what is said beside the lines of its tasks."""
    told = shell.folder / "told"
    with told.open("w") as sink:
        process = shell.process(
            "tasks", "watch", "g", "--until-done", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sink
        )
        try:
            yield told
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def states(shell: Shell, graph: str) -> dict[str, str]:
    tasks = json.loads(run(shell, "tasks", "list", graph, "--limit", "10000", "--json").out)
    return {task["id"]: task["state"] for task in tasks}


def shown(shell: Shell, task: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(shell, "tasks", "show", task, "--json").out)
    return found


@pytest.mark.slow
def test_graph_is_loaded_executed_and_explained(shell: Shell) -> None:
    """CF-02: without any configuration; WF-08: what waits for a failure is skipped; RU-02: what a runner is told."""
    write(shell, BILLING)
    loaded = run(shell, "tasks", "load", "tasks.yaml")
    assert loaded.out == "billing: 6 added\n"
    assert "no node places tasks now" in loaded.err
    watched = run(shell, "tasks", "watch", "billing", "--until-done", code=1)
    assert watched.out.splitlines()[-1] == "billing: 6 tasks, 1 skipped, 1 failed, 4 done"
    assert states(shell, "billing") == {
        "schema": "done", "api": "done", "flaky": "done", "bad": "failed", "behind": "skipped", "whatever": "done",
    }  # fmt: skip
    api = shown(shell, "api")
    runner, pool = api["tries"][0]["detail"]["stdout"].split()
    assert runner.startswith("runner-")
    assert len(runner) == len("runner-") + 12
    assert pool == "local"
    assert (shown(shell, "flaky")["attempt"], shown(shell, "bad")["tries"][0]["detail"]["detail"]) == (2, "no")
    assert run(shell, "tasks", "load", "tasks.yaml").out == "billing: 6 as before\n"
    text = run(shell, "tasks", "explain", "billing/flaky").out
    assert "attempt 1 failed in local" in text
    assert "1 of 2 retries for application used" in text


def test_pools_of_a_file_are_chosen_by_skill_and_explained(shell: Shell) -> None:
    write(shell, BILLING, POOLS)
    run(shell, "tasks", "load", "tasks.yaml")
    run(shell, "tasks", "watch", "billing", "--until-done", code=1)
    assert shown(shell, "schema")["pool"] == "two"
    text = run(shell, "tasks", "explain", "schema").out
    assert "skill database: two" in text
    assert "chosen: the only one with room" in text
    pools = {pool["pool"]: pool for pool in json.loads(run(shell, "pools", "list", "--json").out)}
    assert (pools["one"]["capacity"], pools["two"]["cpu"]) == (2, 4.0)


@pytest.mark.slow
def test_retry_and_cancel_by_hand(shell: Shell) -> None:
    first = "[sh, -c, 'test $INTERLOCK_ATTEMPT = 1']"
    write(
        shell,
        "graph: g\ntasks:\n- {id: a, run: [test, -e, ok], retry: {max_attempts: 1}}\n"
        f"- {{id: b, run: {first}, dependencies: [a]}}\n- {{id: c, run: {first}}}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    run(shell, "tasks", "cancel", "g/c")
    run(shell, "tasks", "watch", "g", "--until-done", code=1)
    assert states(shell, "g") == {"a": "failed", "b": "skipped", "c": "cancelled"}
    (shell.folder / "ok").touch()
    assert "is tried again" in run(shell, "tasks", "retry", "a").err
    run(shell, "tasks", "watch", "g", "--until-done", code=1)
    assert states(shell, "g") == {"a": "done", "b": "done", "c": "cancelled"}
    assert shown(shell, "b")["attempt"] == 1  # it was skipped, and never ran before
    run(shell, "tasks", "retry", "c")
    run(shell, "tasks", "watch", "g", "--until-done")
    assert shown(shell, "c")["attempt"] == 1
    assert "is done; only one that failed" in run(shell, "tasks", "retry", "a", code=2).err
    assert "is done already" in run(shell, "tasks", "cancel", "a", code=2).err


def test_failure_is_told_whole(shell: Shell) -> None:
    """What helps stands at its end; it was cut after 46 characters."""
    last = "and this is what helps at the end of a long line of words"
    write(
        shell,
        "graph: g\ntasks:\n"
        f'- {{id: a, run: [sh, -c, "echo it could not find what it looked for, {last} >&2; exit 3"], retry: {{max_attempts: 1}}}}\n'
        "- {id: b, run: [sh, -c, 'printf \"one\\033[2J\\ntwo\" >&2; exit 3'], retry: {max_attempts: 1}}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    watched = run(shell, "tasks", "watch", "g", "--until-done", code=1).out
    for told in (watched, run(shell, "tasks", "show", "a").out, run(shell, "tasks", "explain", "a").out):
        assert last in told
    for told in (run(shell, "tasks", "show", "b").out, run(shell, "tasks", "explain", "b").out):
        assert told.splitlines()[-2:] == ["    one\\x1b[2J", "    two"]


def test_attempt_tells_when_it_began(shell: Shell, nodes: Nodes) -> None:
    """RU-04: the row of a task that runs says on which runner, in which pool and since when."""
    write(shell, "graph: g\ntasks:\n- {id: a, run: [sh, -c, 'until test -e go; do sleep 0.1; done']}\n")
    run(shell, "tasks", "load", "tasks.yaml")
    nodes.start()
    until(lambda: any(each["started_at"] is not None for each in shown(shell, "a")["tries"]), seconds=60)
    task = shown(shell, "a")
    began = task["tries"][0]
    assert (task["state"], began["pool"], began["outcome"]) == ("running", "local", None)
    assert task["node"] == began["node"]
    assert began["placed_at"] <= began["started_at"]
    assert "in local since" in run(shell, "tasks", "show", "a").out
    (shell.folder / "go").touch()
    until(lambda: shown(shell, "a")["state"] == "done", seconds=60)
    ended = shown(shell, "a")["tries"][0]
    assert began["started_at"] == ended["started_at"] <= ended["ended_at"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("tasks", "show", "nope"), 2, "there is no task 'nope'; name it GRAPH/ID"),
        (("tasks", "list", "nope"), 2, "there is no task graph 'nope'"),
        (("tasks", "list", "g", "--state", "dne"), 2, "there is no task state 'dne'; did you mean done?"),
        (("tasks", "load", "nowhere.yaml"), 2, "there is no file nowhere.yaml"),
        (("pools", "disable", "locl"), 2, "there is no pool 'locl'"),
    ],
)
def test_wrong_input_is_answered_with_what_to_do(
    shell: Shell, arguments: tuple[str, ...], code: int, message: str
) -> None:
    write(shell, "graph: g\ntasks: [{id: a, run: ['true']}]")
    run(shell, "tasks", "load", "tasks.yaml")
    assert message in run(shell, *arguments, code=code).err


def test_circle_is_refused_with_its_path_and_nothing_is_stored(shell: Shell) -> None:
    """WF-03."""
    write(shell, "graph: g\ntasks:\n- {id: a, run: [x], dependencies: [b]}\n- {id: b, run: [x], dependencies: [a]}\n")
    for command in ("validate", "load"):
        told = run(shell, "tasks", command, "tasks.yaml", code=2)
        assert "`a` and `b` wait for each other: a -> b -> a" in told.out + told.err
    assert not (shell.folder / ".interlock" / "interlock.db").exists()


def test_full_pool_is_a_wait_and_an_impossible_task_is_told(shell: Shell) -> None:
    write(shell, "graph: g\ntasks:\n- {id: huge, run: ['true'], cpu: 64, pool: two}\n- {id: a, run: ['true']}\n", POOLS)
    nodes = Nodes(shell)
    try:
        nodes.start()
        run(shell, "tasks", "load", "tasks.yaml")
        until(lambda: states(shell, "g")["a"] == "done")
        text = run(shell, "tasks", "explain", "huge").out
        assert "has 4 cores, 64 asked" in text
    finally:
        nodes.end()


def test_disabled_pool_gets_nothing(shell: Shell) -> None:
    """PO-01, at run time."""
    write(shell, "graph: g\ntasks: [{id: a, run: ['true'], pool: two}]", POOLS)
    nodes = Nodes(shell)
    try:
        node = nodes.start()
        run(shell, "pools", "disable", "two")
        run(shell, "tasks", "load", "tasks.yaml")
        nodes.says(node, "ready=true")
        assert "is disabled" in run(shell, "tasks", "explain", "a").out
        assert states(shell, "g") == {"a": "ready"}
        run(shell, "pools", "enable", "two")
        until(lambda: states(shell, "g") == {"a": "done"})
    finally:
        nodes.end()


SLOW = """
graph: slow
tasks:
  - id: a
    run: {shell: "echo a >> ledger; while ! test -e go; do sleep 0.05; done; echo end >> ledger"}
  - {id: b, run: {shell: "echo b >> ledger"}, dependencies: [a]}
"""


def test_killed_dispatcher_leaves_its_runner_to_the_next_one(shell: Shell) -> None:
    """SH-02: the runner goes on, the next dispatcher adopts it, the work is done once."""
    write(shell, SLOW, POOLS)
    nodes = Nodes(shell)
    try:
        first = nodes.start()
        run(shell, "tasks", "load", "tasks.yaml")
        until(lambda: (shell.folder / "ledger").exists())
        first.send_signal(signal.SIGKILL)
        first.wait()
        nodes.start()
        (shell.folder / "go").touch()
        until(lambda: states(shell, "slow") == {"a": "done", "b": "done"}, 60)
        assert (shell.folder / "ledger").read_text().split() == ["a", "end", "b"]
        tries = shown(shell, "slow/a")["tries"]
        assert [each["outcome"] for each in tries] == ["done"], json.dumps(tries)
    finally:
        nodes.end()


@pytest.mark.slow
def test_graphs_of_the_same_name_in_two_stores_of_a_machine_are_strangers(shell: Shell, tmp_path: Path) -> None:
    """SH-02: their tasks and fences are the same, what their attempts leave on the machine is not."""
    shells = [shell, Shell(tmp_path / "other")]
    shells[1].folder.mkdir(exist_ok=True)
    nodes = [Nodes(each) for each in shells]
    try:
        for each, own in zip(shells, nodes, strict=True):
            write(each, SLOW, POOLS)
            first = own.start()
            run(each, "tasks", "load", "tasks.yaml")
            until(lambda each=each: (each.folder / "ledger").exists())  # type: ignore[misc]  # of this turn
            first.send_signal(signal.SIGKILL)
            first.wait()
        for each, own in zip(shells, nodes, strict=True):
            own.start()
            (each.folder / "go").touch()
        for each in shells:
            until(lambda each=each: states(each, "slow") == {"a": "done", "b": "done"}, 60)  # type: ignore[misc]  # of this turn
            assert (each.folder / "ledger").read_text().split() == ["a", "end", "b"]
            assert [found["outcome"] for found in shown(each, "slow/a")["tries"]] == ["done"]
    finally:
        for own in nodes:
            own.end()


def test_stopped_node_ends_its_runners_and_says_so(shell: Shell) -> None:
    """SH-01: SIGTERM waits for what runs, at most the grace; then the runner is really gone and the task is ready again."""
    write(shell, SLOW, POOLS)
    nodes = Nodes(shell)
    try:
        node = nodes.start(env={"INTERLOCK_NODE_GRACE": "1s"})
        run(shell, "tasks", "load", "tasks.yaml")
        until(lambda: (shell.folder / "ledger").exists())
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0
        assert states(shell, "slow") == {"a": "ready", "b": "blocked"}
        assert shown(shell, "slow/a")["attempt"] == 1
        (shell.folder / "go").touch()
        until(lambda: not marked(f"PWD={shell.folder}"))
        assert "end" not in (shell.folder / "ledger").read_text()
    finally:
        nodes.end()


@pytest.mark.slow
def test_two_dispatchers_share_a_graph_without_doing_anything_twice(shell: Shell) -> None:
    """SH-03, DQ-02."""
    lines = [f"  - {{id: t{n}, run: {{shell: 'echo t{n} >> ledger'}}}}" for n in range(40)]
    write(shell, "graph: g\ntasks:\n" + "\n".join(lines), POOLS)
    nodes = Nodes(shell)
    try:
        nodes.start()
        nodes.start()
        run(shell, "tasks", "load", "tasks.yaml")
        until(lambda: set(states(shell, "g").values()) == {"done"}, 60)
        done = Counter((shell.folder / "ledger").read_text().split())
        assert done == Counter(f"t{n}" for n in range(40))
    finally:
        nodes.end()


def test_worktree_is_given_to_a_task_and_its_changes_come_back(shell: Shell, tmp_path: Path) -> None:
    """RU-01, RU-02: a workspace with its branch; the diff is part of the result."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example", *arguments],
            cwd=shell.folder, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    git("init", "-q", "-b", "main")
    (shell.folder / "code.txt").write_text("one\n")
    git("add", "code.txt")
    git("commit", "-qm", "first")
    write(
        shell,
        "graph: g\ntasks:\n- id: edit\n  run: {shell: 'echo two >> code.txt; echo $PWD; echo \"$TASK_CONTEXT\"'}\n  workspace: {branch: 'agent/{id}'}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    run(shell, "tasks", "watch", "g", "--until-done", env={"INTERLOCK_DISPATCHER_WORKSPACES": str(tmp_path / "trees")})
    result = shown(shell, "edit")["tries"][0]["detail"]
    place, context = result["stdout"].splitlines()
    assert place.startswith(str(tmp_path / "trees"))
    told = json.loads(context)
    assert (told["slot_path"], told["branch_name"], told["repo_url"]) == (place, "agent/edit", str(shell.folder))
    assert result["workspace"]["branch"] == "agent/edit"
    assert "+two" in result["workspace"]["diff"]
    assert (shell.folder / "code.txt").read_text() == "one\n"
    assert "agent/edit" in git("branch")


def test_tasks_that_wait_for_somebody_are_named_by_watch_and_explain_with_what_helps(shell: Shell) -> None:
    """SC-04, SC-05: a watched graph that cannot go on says why, instead of standing there without a word."""
    write(
        shell,
        "graph: g\ntasks:\n"
        "  - {id: huge, pool: small, cpu: 64, run: ['true']}\n"
        "  - {id: lost, pool: smal, run: ['true']}\n"
        "  - {id: resting, pool: idle, run: ['true']}\n"
        "  - {id: first, required_skill: ml, cpu: 4, run: ['true']}\n",
        "agent_pools:\n"
        "  small: {type: local-process, cpu_quota: 2}\n"
        "  large: {type: local-process, cpu_quota: 8}\n"
        "  idle: {type: local-process, enabled: false}\n"
        "skill_mapping: {ml: [small, large], default: [small]}\n"
        "pool_selection: {failover_enabled: false}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    with watching(shell) as told:
        until(lambda: told.read_text().count(" waits: ") == 4)
    said = [line for line in told.read_text().splitlines() if " waits: " in line]
    assert sorted(line.partition(". What helps")[0] for line in said) == [
        "g/first waits: no pool can run it: small has 2 cores, 4 asked",
        "g/huge waits: no pool can run it: small has 2 cores, 64 asked",
        "g/lost waits: no pool can run it: smal is not configured",
        "g/resting waits: no pool can run it: idle is disabled",
    ]
    explained = run(shell, "tasks", "explain", "resting").out
    assert "warning: no pool can run it: idle is disabled. What helps: `interlock pools enable idle`" in explained
    doctor = run(shell, "doctor")
    assert "4 kinds that no pool can have as things are" in doctor.out
    assert "g/huge and all that ask for the same: no pool can run it: small has 2 cores, 64 asked" in doctor.err


def test_task_larger_than_the_machine_and_skill_that_nothing_maps_are_told_of_where_nothing_is_configured(
    shell: Shell, nodes: Nodes
) -> None:
    """SC-04: never in silence. The first waits, the second runs in the default pool; together tasks may ask for too much."""
    write(
        shell,
        "graph: g\ntasks:\n"
        "  - {id: huge, cpu: 100000, run: ['true']}\n"
        "  - {id: fat, memory: 900000 GiB, run: ['true']}\n"
        "  - {id: skilled, required_skill: quantum, run: ['true']}\n"
        "  - {id: one, cpu: 1, run: ['true']}\n"
        "  - {id: two, cpu: 1, run: ['true']}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    node = nodes.start(env={"INTERLOCK_NODE_SLOTS": "9"})
    until(lambda: Counter(states(shell, "g").values()) == {"ready": 2, "done": 3})
    for told in ("100000 asked", "MB on a machine", "no pool is mapped to the skill quantum: add it to skill_mapping"):
        nodes.says(node, told)
    assert nodes.log(node).count("task.stuck") == 3
    explained = run(shell, "tasks", "explain", "huge").out
    assert "warning: no pool can run it: local has" in explained
    assert "cores on a machine, 100000 asked. What helps: ask for less, have a larger machine serve local" in explained
    assert "MB on a machine" in run(shell, "tasks", "explain", "fat").out

    write(shell, "", "agent_pools: {local: {type: local-process, cpu_quota: 100000, memory_quota: 900000 GiB}}\n")
    nodes.start()
    until(lambda: set(states(shell, "g").values()) == {"done"})


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a machine of one core has none that is smaller")
def test_task_is_placed_by_the_node_whose_machine_is_large_enough_and_warned_of_only_without_one(
    shell: Shell, nodes: Nodes
) -> None:
    """SC-04: each node goes by its own machine, and people are told by the largest one that lives."""
    write(shell, "graph: g\ntasks: [{id: wide, cpu: 2, run: ['true']}]\n")
    run(shell, "tasks", "load", "tasks.yaml")
    shell.module = "acceptance.one_core"
    small = nodes.start(env={"PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parents[1])])})
    shell.module = ""
    nodes.says(small, "has 1 cores on a machine, 2 asked")
    assert states(shell, "g") == {"wide": "ready"}

    large = nodes.start()
    until(lambda: states(shell, "g") == {"wide": "done"})
    assert "task.placed" in nodes.log(large)
    assert "task.placed" not in nodes.log(small)


def test_task_that_can_never_run_is_told_of_behind_however_many_that_wait(shell: Shell) -> None:
    """SC-05: only the first twenty were asked, at every look the same ones; and then twenty of them every five seconds."""
    resting = "".join(f"  - {{id: resting-{number}, pool: idle, run: ['true']}}\n" for number in range(1500))
    write(
        shell,
        f"graph: g\ntasks:\n{resting}  - {{id: lost, pool: smal, run: ['true']}}\n",
        "agent_pools:\n"
        "  small: {type: local-process}\n"
        "  idle: {type: local-process, enabled: false}\n"
        "skill_mapping: {default: [small]}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    with watching(shell) as told:
        until(lambda: "g/lost waits: no pool can run it: smal is not configured" in told.read_text())
    assert told.read_text().count(" waits: ") == 2  # what is the same of many is said once


def test_result_of_an_attempt_before_is_not_the_result_of_the_next_one(shell: Shell) -> None:
    write(
        shell,
        "graph: g\ntasks:\n"
        "  - id: agent\n"
        "    agent: {command: [sh, -c, 'test $INTERLOCK_ATTEMPT = 2 || { echo 1 > r.json; exit 3; }'], result: r.json}\n"
        "    retry: {max_attempts: 2, initial_interval: 10ms}\n",
    )
    run(shell, "tasks", "load", "tasks.yaml")
    run(shell, "tasks", "watch", "g", "--until-done", code=1)
    last, first = shown(shell, "agent")["tries"]
    assert "Exited with 3" in first["detail"]["title"]
    assert "the one there is older than the attempt" in last["detail"]["detail"]
