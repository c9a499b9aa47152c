"""The order of tasks is changed while a node runs, by a command. DQ-05."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from acceptance.shell import SOURCE, Ended, Shell, until
from acceptance.test_nodes import Nodes

POOLS = "agent_pools:\n  one: {type: local-process, max_concurrency: 1}\nskill_mapping: {default: [one]}\n"
TASK = "  - {id: %s, priority: %d, run: {shell: 'echo %s >> ledger'}}\n"
TASKS = {"low": 1, "high": 9, "middle": 5}


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    shell.write("agent-pools.yaml", POOLS)
    nodes = Nodes(shell)
    yield nodes
    nodes.end()


def load(shell: Shell, name: str) -> None:
    """Load three tasks that wait, since their pool is disabled."""
    tasks = "".join(TASK % (id, priority, f"{name}-{id}") for id, priority in TASKS.items())
    done(shell, "pools", "disable", "one")
    file = shell.write(f"{name}.yaml", f"graph: {name}\ntasks:\n{tasks}")
    done(shell, "tasks", "load", file.name)


def performed(shell: Shell, name: str) -> list[str]:
    """Let the tasks go; the order in which they were performed, one at a time."""
    done(shell, "pools", "enable", "one")
    until(lambda: shell.run("tasks", "status", name, "--json").json["states"] == {"done": len(TASKS)})
    return [line.removeprefix(f"{name}-") for line in shell.ledger() if line.startswith(name)]


def done(shell: Shell, *arguments: str, **more: dict[str, str]) -> Ended:
    ended = shell.run(*arguments, **more)
    assert ended.code == 0, ended.err
    return ended


@pytest.mark.slow
def test_order_of_what_waits_is_changed_while_a_node_runs(nodes: Nodes) -> None:
    """By priority first; by age after it was switched off, also for what waited then and after a restart; and back."""
    shell = nodes.shell
    node = nodes.start()
    load(shell, "a")
    assert performed(shell, "a") == ["high", "middle", "low"]

    load(shell, "b")
    assert done(shell, "pools", "policy").out == "priority\n"
    assert done(shell, "pools", "policy", "fifo").err == "tasks are ordered by fifo; 3 tasks got a new place\n"
    nodes.says(node, "policy.changed")
    assert "ordered by fifo" in done(shell, "tasks", "explain", "b/low").out
    assert "policy        fifo, chosen at run time; the configuration says priority" in done(shell, "pools", "list").out
    assert performed(shell, "b") == list(TASKS)
    placed = done(shell, "tasks", "explain", "b/low", "--json").json["placements"][0]
    assert placed["policy"] == "fifo"

    node.terminate()
    node.wait(60)
    nodes.start()
    load(shell, "c")
    assert performed(shell, "c") == list(TASKS)

    load(shell, "d")
    done(shell, "pools", "policy", "configured")
    assert performed(shell, "d") == ["high", "middle", "low"]


@pytest.mark.slow
def test_policy_that_a_node_cannot_load_is_told_by_it_and_the_configured_one_stays(nodes: Nodes) -> None:
    """The command knows a policy of a package that is not installed where the node runs."""
    shell = nodes.shell
    shell.write("package/longest.py", (
        "from interlock.dispatch.policies import Arriving, Stamp\n\n\nclass Longest:\n    strategy = None\n\n"
        "    def stamp(self, task: Arriving) -> Stamp:\n        return Stamp(-task.spec.priority, task.arrival)\n"
    ))  # fmt: skip
    shell.write("package/longest-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: longest\nVersion: 1.0\n")
    shell.write("package/longest-1.0.dist-info/entry_points.txt", "[interlock.policies]\nlongest = longest:Longest\n")
    node = nodes.start()
    load(shell, "a")

    unknown = shell.run("pools", "policy", "longest")
    known = {"PYTHONPATH": f"{SOURCE}:{shell.folder / 'package'}"}
    chosen = done(shell, "pools", "policy", "longest", env=known)

    assert unknown.code == 2
    assert "there is no scheduling policy 'longest'" in unknown.err
    assert "there are fifo, priority, skill-based, fair-share, deadline" in unknown.err
    assert chosen.err == "tasks are ordered by longest; 3 tasks got a new place\n"
    nodes.says(node, "policy.not_loaded")
    assert "policy=longest stays=priority" in nodes.log(node)
    assert performed(shell, "a") == ["low", "middle", "high"]  # stamped by who knows it
    placed = done(shell, "tasks", "explain", "a/low", "--json").json["placements"][0]
    assert placed["policy"] == "priority"
