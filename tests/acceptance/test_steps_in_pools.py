"""Steps of workflows in the pools of a node's configuration, in real processes. PO-01, PO-02, PO-03, SC-04, SH-02."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engines
from acceptance.shell import Shell, until
from acceptance.test_nodes import HEADER, Nodes
from pool.conftest import marked
from required import may_skip

POOLS = """
agent_pools:
  small: {type: local-process, max_concurrency: 1, cpu_quota: 4}
  functions: {type: in-process, max_concurrency: 2}
"""
WHERE = (
    HEADER % "where" + "do:\n"
    "  - work:\n"
    "      run: {shell: {command: 'echo $INTERLOCK_POOL $POOL_NAME $INTERLOCK_STEP; pwd'}}\n"
    "      metadata: {interlock: {pool: small, requires: {cpu: 2}}}\n"
)
FUNCTION = (
    HEADER % "function" + "do:\n"
    "  - add: {call: 'python:adding:add', with: {a: 1, b: 2}, metadata: {interlock: {pool: functions}}}\n"
)
TURNS = HEADER % "turns" + "do:\n  - all:\n      fork:\n        branches:\n"
TURN = (
    "          - t%d:\n"
    "              run: {shell: {command: 'mkdir busy && sleep 0.1 && rmdir busy && echo t%d >> ledger'}}\n"
    "              metadata: {interlock: {pool: small}}\n"
)
TICKS = (
    HEADER % "ticks" + "do:\n"
    "  - work:\n"
    "      run: {shell: {command: 'echo begun >> ledger; while ! test -e go; do sleep 0.1; done; echo ended >> ledger'}}\n"
    "      metadata: {interlock: {pool: small}}\n"
)
HUGE = (
    HEADER % "huge" + "do:\n"
    "  - work: {run: {shell: {command: 'true'}}, metadata: {interlock: {pool: small, requires: {cpu: 64}}}}\n"
)
CONTAINER = HEADER % "container" + "do:\n  - build: {run: {container: {image: '%s', command: %s}}%s}\n"


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    shell.write("agent-pools.yaml", POOLS)
    nodes = Nodes(shell)
    yield nodes
    nodes.end()


def start(shell: Shell, text: str, id: str) -> None:
    """Store a run for whatever node claims it."""
    file = shell.write(f"{id}.yaml", text)
    ended = shell.run("run", file.name, "--detach", "--id", id)
    assert ended.code == 0, ended.err


def shown(shell: Shell, id: str) -> dict[str, Any]:
    found: dict[str, Any] = shell.run("show", id, "--json").json
    return found


def output(shell: Shell, id: str, seconds: float = 60) -> Any:
    until(lambda: shown(shell, id)["status"] in ("completed", "faulted"), seconds)
    found = shown(shell, id)
    assert found["status"] == "completed", found
    return found["output"]


def pool(shell: Shell, name: str) -> dict[str, Any]:
    listed = shell.run("pools", "list", "--json").json
    return next(each for each in listed if each["pool"] == name)


def test_step_is_executed_in_the_configured_pool_that_it_names(nodes: Nodes) -> None:
    shell = nodes.shell
    nodes.start()
    start(shell, WHERE, "a")
    told = output(shell, "a").split()
    assert told == ["small", "small", "/do/0/work", str(shell.folder)]
    assert (pool(shell, "small")["placed"], pool(shell, "small")["running"]) == (1, 0)


@pytest.mark.slow
def test_function_is_called_in_a_pool_of_functions(nodes: Nodes) -> None:
    shell = nodes.shell
    shell.write("adding.py", "def add(a, b):\n    return a + b\n")
    nodes.start(env={"INTERLOCK_PYTHON_ALLOW": "adding", "PYTHONPATH": f"{SOURCE}:{shell.folder}"})
    start(shell, FUNCTION, "f")
    assert output(shell, "f") == 3
    assert pool(shell, "functions")["placed"] == 1


@pytest.mark.slow
def test_steps_never_exceed_the_slots_of_their_pool(nodes: Nodes) -> None:
    """PO-02: `mkdir busy` fails where two run at once."""
    shell = nodes.shell
    nodes.start()
    nodes.start()
    start(shell, TURNS + "".join(TURN % (n, n) for n in range(8)), "turns")
    output(shell, "turns")
    assert sorted(shell.ledger()) == [f"t{n}" for n in range(8)]
    assert pool(shell, "small")["placed"] == 8


def test_step_of_a_killed_node_is_adopted_and_done_once(nodes: Nodes) -> None:
    """SH-02."""
    shell = nodes.shell
    first = nodes.start()
    start(shell, TICKS, "ticks")
    until(lambda: shell.ledger() == ["begun"])
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    second = nodes.start()
    nodes.says(second, "attempt.adopted", 60)
    (shell.folder / "go").touch()
    output(shell, "ticks")
    assert shell.ledger() == ["begun", "ended"]


@pytest.mark.slow
def test_cancelled_run_ends_its_step_in_the_pool(nodes: Nodes) -> None:
    shell = nodes.shell
    nodes.start()
    start(shell, TICKS, "ticks")
    until(lambda: shell.ledger() == ["begun"])
    assert shell.run("cancel", "ticks").code == 0
    until(lambda: shown(shell, "ticks")["status"] == "cancelled")
    until(lambda: not marked(f"PWD={shell.folder}") or len(marked(f"PWD={shell.folder}")) == 1)
    until(lambda: pool(shell, "small")["running"] == 0)
    assert shell.ledger() == ["begun"]


def test_step_that_asks_for_too_much_is_told_of_and_holds_up_no_other(nodes: Nodes) -> None:
    """PO-03."""
    shell = nodes.shell
    node = nodes.start()
    start(shell, HUGE, "huge")
    nodes.says(node, "task.stuck")
    assert "huge/do/0/work" in nodes.log(node)
    assert "has 4 cores, 64 asked" in nodes.log(node)
    start(shell, WHERE, "a")
    output(shell, "a")
    until(lambda: "has 4 cores, 64 asked" in shell.run("show", "huge").out)


def test_disabled_pool_gets_no_steps_and_that_is_told(nodes: Nodes) -> None:
    """PO-01, at run time."""
    shell = nodes.shell
    nodes.start()
    shell.run("pools", "disable", "small")
    start(shell, WHERE, "a")
    until(lambda: "the pool small is disabled" in shell.run("show", "a").out)
    assert "`interlock pools enable small`" in shell.run("show", "a").out
    shell.run("pools", "enable", "small")
    output(shell, "a")


def explained(shell: Shell, run: str, step: str = "work") -> Any:
    ended = shell.run("tasks", "explain", run, step, "--json")
    assert ended.code == 0, ended.err
    return ended.json


@pytest.mark.slow
def test_step_is_explained_while_it_waits_and_when_it_has_its_place(nodes: Nodes) -> None:
    """As tasks of graphs are: by pools, and by the workers of a pool that no configuration has."""
    shell = nodes.shell
    nodes.start()
    shell.run("pools", "disable", "small")
    start(shell, WHERE, "a")
    until(lambda: "is disabled" in shell.run("tasks", "explain", "a", "work").out)
    waits = explained(shell, "a", "/do/0/work")
    assert (waits["state"], waits["pool"], waits["asked"]) == ("ready", None, "named by the step: small")
    assert waits["now"] == {"small": "is disabled"}

    shell.run("pools", "enable", "small")
    output(shell, "a")
    over = explained(shell, "a")
    assert (over["state"], over["pool"], over["asked"]) == ("done", "small", "")
    assert [(each["chosen"], each["asked"]) for each in over["placements"]] == [("small", "named by the step: small")]
    assert "a/do/0/work → small  done, attempt 1" in shell.run("tasks", "explain", "a", "work").out

    huge = HUGE.replace("huge", "warm").replace("pool: small", "pool: warehouse")
    start(shell, huge, "b")
    until(lambda: shell.run("tasks", "explain", "b", "work").code == 0)
    assert explained(shell, "b")["warning"] == (
        "no live worker takes the tasks of warehouse, and no node has a pool of that name"
    )
    with shell.started("worker", "--pool", "warehouse", "--id", "ann", "--cores", "2"):
        until(lambda: explained(shell, "b")["now"] == {"ann": "has 2 of 64 cores"})
    nothing = shell.run("tasks", "explain", "b", "play")
    assert (nothing.code != 0, "its steps are /do/0/work" in nothing.err) == (True, True)


def test_step_that_the_node_performs_by_itself_is_told_to_have_no_pool(nodes: Nodes) -> None:
    shell = nodes.shell
    nodes.start()
    start(shell, HEADER % "sets" + "do: [{work: {set: {x: 1}}}]\n", "a")
    output(shell, "a")
    ended = shell.run("tasks", "explain", "a", "work")
    assert ended.code != 0
    assert "the step /do/0/work of the run a has no task" in ended.err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "no pool of the type docker or kubernetes is configured"),
        (", metadata: {interlock: {pool: small}}", "small starts no containers (local-process)"),
        (", metadata: {interlock: {pool: nowhere}}", "the pool nowhere is not configured"),
    ],
)
def test_container_without_a_pool_waits_and_says_what_is_missing(nodes: Nodes, more: str, told: str) -> None:
    """SC-04: never in silence."""
    shell = nodes.shell
    nodes.start()
    start(shell, CONTAINER % ("alpine", "'true'", more), "c")
    until(lambda: told in shell.run("show", "c").out)
    text = shell.run("show", "c").out
    assert "/do/0/build" in text
    assert "agent-pools.yaml" in text


@pytest.mark.slow
def test_run_in_the_foreground_says_what_its_container_waits_for(shell: Shell) -> None:
    """SC-04: never in silence."""
    shell.write("c.yaml", CONTAINER % ("alpine", "'true'", ""))
    with shell.started("run", "c.yaml") as process:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "waits" in line)
    assert "its step /do/0/build has no place (every pool of containers: none)" in told
    assert "`interlock node` does, where agent-pools.yaml has such a pool" in told


@pytest.mark.parametrize("more", ["", ", metadata: {interlock: {pool: docker}}"])
def test_container_is_executed_by_docker(nodes: Nodes, more: str) -> None:
    if may_skip("docker", engines.present("docker")):
        pytest.skip("docker is not installed, or this is not root")
    shell, engine = nodes.shell, engines.shared("docker")
    config = f"{{image: '{engines.IMAGE}', host: '{engine.host}', network: none, pull_policy: never}}"
    shell.write("agent-pools.yaml", POOLS + f"  docker: {{type: docker, max_concurrency: 2, config: {config}}}\n")
    nodes.start()
    text = CONTAINER % (
        engines.IMAGE,
        "'input=$(cat); echo $input $A $1 $INTERLOCK_POOL', arguments: [Foo], stdin: in, environment: {A: '${ 1 + 1 }'},"
        " pullPolicy: never",
        more,
    )
    start(shell, text, "c")
    assert output(shell, "c", 120) == "in 2 Foo docker\n"
    assert pool(shell, "docker")["placed"] == 1
    until(lambda: engine.containers(**{"interlock.pool": "docker"}) == [])


SOURCE = Path(__file__).parents[2] / "src"
