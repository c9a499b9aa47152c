"""`interlock node` in real processes: two on one file, killed, stopped, drained, without a store. SH-02"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import Shell, alive, until

HEADER = "document: {dsl: 1.0.3, namespace: default, name: %s, version: 1.0.0}\n"
TICKS = (
    HEADER % "ticks" + "do:\n"
    "  - work: {run: {shell: {command: 'echo begun >> ledger; i=0; while ! test -e go; do i=$((i+1)); echo tick $i;"
    " sleep 0.2; done; echo ended >> ledger'}}}\n"
    "  - after: {set: {x: 1}}\n"
)
"""Works, and counts aloud, until it may go."""
QUICK = HEADER % "quick" + "do:\n  - work: {run: {shell: {command: 'echo done >> ledger'}}}\n"
ENDLESS = HEADER % "endless" + "do:\n  - work: {run: {shell: {command: 'echo begun >> ledger; sleep 60'}}}\n"
PYTHON = HEADER % "python" + "do:\n  - work: {call: 'python:steps:work'}\n"


class Nodes:
    """Nodes of one store, each with its log in a file, so that no pipe fills."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, env: dict[str, str] | None = None, wait: bool = True) -> subprocess.Popen[bytes]:
        number = len(self._processes)
        with (self.shell.folder / f"node{number}.log").open("wb") as log:
            process = self.shell.process(
                "node", *arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        self._processes.append(process)
        if wait:
            self.says(process, "ready=true")
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.shell.folder / f"node{self._processes.index(process)}.log").read_text()

    def says(self, process: subprocess.Popen[bytes], text: str, seconds: float = 60.0) -> None:
        until(lambda: text in self.log(process), seconds)

    def of(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """How others see it."""
        states = self.shell.run("nodes", "list", "--json").json
        return next(state for state in states if state["pid"] == process.pid)

    def holder(self) -> subprocess.Popen[bytes]:
        """The one that runs an attempt."""
        return next(process for process in self._processes if process.poll() is None and self.of(process)["attempts"])

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(60)


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    for text in (TICKS, QUICK, ENDLESS, PYTHON):
        shell.write(f"{text.split('name: ')[1].split(',')[0]}.yaml", text)
    found = Nodes(shell)
    yield found
    found.end()


def status(shell: Shell, run: str) -> str:
    return str(shell.run("show", run, "--json").json["status"])


def go(shell: Shell) -> None:
    (shell.folder / "go").touch()


def counted_without_a_gap(shell: Shell, run: str) -> bool:
    """Whether the output of a run is there once, from its beginning."""
    numbers = shell.run("logs", run).out.split()[1::2]
    return bool(numbers) and numbers == [str(number) for number in range(1, len(numbers) + 1)]


def events(shell: Shell, run: str) -> list[str]:
    return [json.loads(line)["type"] for line in shell.run("history", run, "--json").out.splitlines()]


def test_node_executes_what_others_store_and_drains_on_sigterm(nodes: Nodes) -> None:
    shell = nodes.shell
    shell.run("run", "quick.yaml", "--detach", "--id", "before")
    node = nodes.start()
    assert shell.run("run", "quick.yaml", "--detach", "--id", "after").code == 0
    until(lambda: [run["status"] for run in shell.runs()] == ["completed"] * 2)
    assert shell.ledger() == ["done", "done"]
    node.send_signal(signal.SIGTERM)
    assert node.wait(60) == 0
    assert "draining" in nodes.log(node)
    assert nodes.of(node)["state"] == "left"


def test_run_is_handed_to_a_live_node_and_followed(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start()
    done = shell.run("run", "quick.yaml", "--id", "handed")
    assert done.code == 0, done.err
    assert "run.claimed" in nodes.log(node)
    assert shell.ledger() == ["done"]
    assert len(shell.run("nodes", "list", "--json").json) == 1


def test_attempt_of_a_killed_node_is_adopted_and_never_made_twice(nodes: Nodes) -> None:
    """SH-02"""
    shell = nodes.shell
    nodes.start()
    nodes.start()
    shell.run("run", "ticks.yaml", "--detach", "--id", "long")
    until(lambda: shell.ledger() == ["begun"])
    holder = nodes.holder()
    other = next(node for node in nodes._processes if node is not holder)
    holder.kill()
    holder.wait(60)
    nodes.says(other, "attempt.adopted")
    go(shell)
    until(lambda: status(shell, "long") == "completed", 60)
    assert shell.ledger() == ["begun", "ended"]
    assert counted_without_a_gap(shell, "long")
    assert events(shell, "long").count("step.attempt-failed") == 0


@pytest.mark.slow
def test_stopped_node_loses_its_attempt_to_another_and_cannot_harm_it(nodes: Nodes) -> None:
    shell = nodes.shell
    nodes.start()
    nodes.start()
    shell.run("run", "ticks.yaml", "--detach", "--id", "long")
    until(lambda: shell.ledger() == ["begun"])
    holder = nodes.holder()
    other = next(node for node in nodes._processes if node is not holder)
    holder.send_signal(signal.SIGSTOP)
    nodes.says(other, "attempt.adopted", 60)  # 15 s until it counts as lost, and what the machine does besides
    holder.send_signal(signal.SIGCONT)
    nodes.says(holder, "node.lost", 60)
    until(lambda: nodes.log(holder).count("node.joined") == 2, 60)
    go(shell)
    until(lambda: status(shell, "long") == "completed", 60)
    assert shell.ledger() == ["begun", "ended"]
    assert counted_without_a_gap(shell, "long")


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", ["in-time", "late"])
def test_worktree_of_a_stopped_node_is_worked_in_by_one_attempt_at_a_time(
    nodes: Nodes, tmp_path: Path, comes_back: str
) -> None:
    """RU-01: it has the only worktree, and lets go of it when it comes back: in time, and the attempt that another node has
    adopted goes on there; late, and that was ended by then, and is begun again."""
    shell = nodes.shell
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=shell.folder, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], cwd=shell.folder, check=True)
    shell.write(
        "graph.yaml",
        "graph: g\ntasks:\n- id: a\n  workspace: {}\n  run: {shell: 'echo begun$INTERLOCK_ATTEMPT >> %s/ledger;"
        " while ! test -e %s/go; do sleep 0.2; done; echo ended$INTERLOCK_ATTEMPT >> %s/ledger; echo two >> new.txt'}\n"
        % ((shell.folder,) * 3),
    )
    env = {
        "INTERLOCK_DISPATCHER_WORKSPACES": str(tmp_path / "trees"),
        "INTERLOCK_DISPATCHER_WORKSPACE_SLOTS": "1",
        "INTERLOCK_NODE_ORPHAN_GRACE": "5s",
    }
    both = [nodes.start(env=env), nodes.start(env=env)]
    assert shell.run("tasks", "load", "graph.yaml").code == 0
    until(lambda: shell.ledger() == ["begun1"])
    holder = nodes.holder()
    (other,) = [node for node in both if node is not holder]
    holder.send_signal(signal.SIGSTOP)
    nodes.says(other, "attempt.adopted", 60)
    if comes_back == "late":
        nodes.says(other, "task.placed", 60)  # what it adopted is over
    go(shell)
    holder.send_signal(signal.SIGCONT)
    until(lambda: shell.run("tasks", "show", "a", "--json").json["state"] == "done", 120)
    again = ["begun1"] if comes_back == "late" else []  # of the same number: it costs no retry
    assert shell.ledger() == ["begun1", *again, "ended1"]
    tries = shell.run("tasks", "show", "a", "--json").json["tries"]
    assert "+two" in tries[0]["detail"]["workspace"]["diff"]


def test_outcome_of_an_orphan_that_ended_alone_is_taken_from_its_spool(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start()
    shell.run("run", "ticks.yaml", "--detach", "--id", "alone")
    until(lambda: shell.ledger() == ["begun"])
    node.kill()
    node.wait(60)
    go(shell)
    until(lambda: shell.ledger() == ["begun", "ended"])
    nodes.start()
    until(lambda: status(shell, "alone") == "completed")
    assert shell.ledger() == ["begun", "ended"]
    assert counted_without_a_gap(shell, "alone")


def test_attempt_of_which_nothing_is_left_is_made_again_at_once(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start(env={"INTERLOCK_NODE_ORPHAN_GRACE": "0s"})
    shell.run("run", "ticks.yaml", "--detach", "--id", "lost")
    until(lambda: shell.ledger() == ["begun"])
    node.kill()
    node.wait(60)
    other = nodes.start()
    nodes.says(other, "attempt.lost")
    go(shell)
    until(lambda: status(shell, "lost") == "completed", 60)
    assert shell.ledger() == ["begun", "begun", "ended"]


@pytest.mark.slow
def test_drain_from_elsewhere_lets_the_effect_end_and_gives_the_run_back(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start()
    shell.run("run", "ticks.yaml", "--detach", "--id", "drained")
    until(lambda: shell.ledger() == ["begun"])
    asked = shell.run("nodes", "drain", nodes.of(node)["node"])
    assert asked.code == 0, asked.err
    until(lambda: nodes.of(node)["state"] == "draining")
    go(shell)
    assert node.wait(60) == 0
    assert shell.ledger() == ["begun", "ended"]
    assert status(shell, "drained") == "completed"
    again = shell.run("nodes", "drain", nodes_id(shell))
    assert again.code == 2


def nodes_id(shell: Shell) -> str:
    return str(shell.run("nodes", "list", "--json").json[0]["node"])


def test_effect_that_does_not_end_within_the_grace_is_made_again_elsewhere(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start(env={"INTERLOCK_NODE_GRACE": "500ms"})
    shell.run("run", "endless.yaml", "--detach", "--id", "endless")
    until(lambda: shell.ledger() == ["begun"])
    node.send_signal(signal.SIGTERM)
    assert node.wait(60) == 0
    (run,) = shell.runs()
    assert run["status"] == "running"
    nodes.start()
    until(lambda: shell.ledger() == ["begun", "begun"])
    assert "step.attempt-failed" not in events(shell, "endless")


def test_second_signal_ends_the_node_at_once(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start()
    shell.run("run", "endless.yaml", "--detach", "--id", "endless")
    until(lambda: shell.ledger() == ["begun"])
    node.send_signal(signal.SIGTERM)
    nodes.says(node, "because=draining")
    node.send_signal(signal.SIGTERM)
    assert node.wait(60) == 130


def test_node_ends_after_its_time(nodes: Nodes) -> None:
    node = nodes.start("--for", "1s")
    assert node.wait(15) == 0
    assert "its time is over" in nodes.log(node)


def test_node_without_a_role_leaves_that_work_to_others(nodes: Nodes) -> None:
    shell = nodes.shell
    engine = nodes.start("--roles", "engine")
    shell.run("run", "quick.yaml", "--detach", "--id", "split")
    until(lambda: status(shell, "split") == "running")
    assert shell.ledger() == []
    dispatcher = nodes.start("--roles", "dispatcher")
    until(lambda: status(shell, "split") == "completed")
    assert "run.claimed" in nodes.log(engine)
    assert "run.claimed" not in nodes.log(dispatcher)
    assert shell.run("node", "--roles", "janitor").code == 2
    assert shell.run("node", "--roles", ",").code == 2
    assert shell.run("node", "--for", "soon").code == 2


def test_run_does_not_wait_for_a_dispatcher_that_is_not_there(nodes: Nodes) -> None:
    shell = nodes.shell
    engine = nodes.start("--roles", "engine")
    done = shell.run("run", "quick.yaml", "--id", "whole")
    assert done.code == 0, done.err
    assert shell.ledger() == ["done"]
    assert "run.claimed" not in nodes.log(engine)


def test_run_whose_commands_nobody_performs_is_unattended_and_says_what_helps(nodes: Nodes) -> None:
    shell = nodes.shell
    nodes.start("--roles", "engine")
    shell.run("run", "quick.yaml", "--detach", "--id", "waiting")
    until(lambda: status(shell, "waiting") == "running")
    until(lambda: "interlock node --roles dispatcher" in shell.run("doctor").err)
    assert "no live node has the role dispatcher" in shell.run("show", "waiting").out
    with shell.started("resume", "waiting") as following:
        assert following.stderr is not None
        assert "no live node has the role dispatcher" in following.stderr.readline()
        nodes.start("--roles", "dispatcher")
        assert following.wait(60) == 0
    assert shell.ledger() == ["done"]
    assert "no live node has the role dispatcher" not in shell.run("doctor").err


def test_node_waits_for_a_store_that_is_away_and_says_so_once(nodes: Nodes) -> None:
    shell = nodes.shell
    shell.write("data", "no folder yet")
    node = nodes.start(env={"INTERLOCK_STORE_URL": "sqlite:///data/s.db"}, wait=False)
    nodes.says(node, "store away")
    nodes.says(node, "node.store_away")
    (shell.folder / "data").unlink()
    nodes.says(node, "ready=true")
    assert nodes.log(node).count("node.store_away ") == 1
    assert node.poll() is None


def test_node_refuses_what_it_may_not_execute_and_the_follower_takes_it(nodes: Nodes) -> None:
    shell = nodes.shell
    shell.write("steps.py", "def work():\n    open('ledger', 'a').write('worked\\n')\n")
    node = nodes.start()
    done = shell.run("run", "python.yaml", "--id", "mine")
    assert done.code == 0, done.err
    assert shell.ledger() == ["worked"]
    assert "python.allow" in nodes.log(node)
    shell.run("run", "python.yaml", "--detach", "--id", "theirs")
    until(lambda: "python.allow" in str(nodes.of(node)["refusals"]), 60)
    shown = shell.run("show", "theirs").out
    assert "refused it: python.allow does not name" in shown
    assert "interlock resume theirs" in shown
    assert nodes.log(node).count("run.refused") == 1, "asked once only"
    allowed = nodes.start(env={"INTERLOCK_PYTHON_ALLOW": "steps"})
    until(lambda: status(shell, "theirs") == "completed")
    assert "run.claimed" in nodes.log(allowed)


@pytest.mark.slow
@pytest.mark.parametrize(("grace", "begun"), [("0s", 2), ("50s", 1)])
def test_followed_node_that_dies_is_replaced_by_the_follower(nodes: Nodes, grace: str, begun: int) -> None:
    """Which adopts what is left of its attempt, and makes it again at once where nothing is."""
    shell = nodes.shell
    node = nodes.start(env={"INTERLOCK_NODE_ORPHAN_GRACE": grace})
    with shell.started("run", "ticks.yaml", "--id", "followed") as follower:
        until(lambda: shell.ledger() == ["begun"])
        node.kill()
        until(lambda: shell.ledger() == ["begun"] * begun, 60)
        go(shell)
        assert follower.wait(40) == 0
    assert status(shell, "followed") == "completed"
    assert shell.ledger() == ["begun"] * begun + ["ended"]


def test_second_start_of_a_node_goes_on_with_what_the_first_had(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start()
    for number in range(5):
        shell.run("run", "quick.yaml", "--detach", "--id", f"quick-{number}")
    node.kill()
    node.wait(60)
    nodes.start()
    until(lambda: {run["status"] for run in shell.runs()} == {"completed"}, 60)
    assert 5 <= len(shell.ledger()) <= 6


def test_no_supervisor_is_left_behind(nodes: Nodes) -> None:
    shell = nodes.shell
    node = nodes.start()
    shell.run("run", "quick.yaml", "--id", "one")
    children = [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == node.pid]
    assert children
    node.send_signal(signal.SIGINT)
    assert node.wait(60) == 0
    until(lambda: not any(alive(pid) for pid in children))


def _parent(pid: str) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
