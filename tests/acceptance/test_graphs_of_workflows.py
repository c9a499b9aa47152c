"""`call: tasks:1.0.0@default` in real processes: a workflow loads a task graph and goes on when that has ended, once."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from acceptance.shell import Ended, Shell, until
from acceptance.test_nodes import Nodes
from interlock.model.fault import TASKS_FAILED
from sampled import one_of

HEADER = "document: {dsl: 1.0.3, namespace: default, name: build, version: 1.0.0}\n"
BUILD = (
    HEADER
    + """
do:
  - build:
      call: tasks:1.0.0@default
      with:
        graph:
          defaults: {retry: {initial_interval: 50ms}}
          tasks:
            - {id: unit, run: [sh, -c, 'echo unit >> ledger']}
            - {id: docs, run: [sh, -c, '${ "echo docs >> ledger; echo \\(.who)" }'], dependencies: [unit]}
            - {id: extra, run: ['false'], optional: true, retry: {max_attempts: 1}}
      output: {as: '${ {status, docs: .tasks.docs.output.stdout, extra: .tasks.extra.status} }'}
  - after: {run: {shell: {command: 'echo after >> ledger'}}, output: {as: '$input'}}
"""
)
CAUGHT = (
    HEADER
    + f"""
do:
  - build:
      try:
        - tests:
            call: tasks:1.0.0@default
            with:
              graph:
                tasks:
                  - {{id: good, run: ['true']}}
                  - {{id: bad, run: [sh, -c, 'echo no >&2; exit 3'], retry: {{max_attempts: 1}}}}
                  - {{id: behind, run: ['true'], dependencies: [bad]}}
      catch:
        errors: {{with: {{type: '{TASKS_FAILED}'}}}}
        as: problem
        do:
          - told: {{set: {{detail: '${{ $problem.detail }}', tasks: '${{ $problem.details.tasks }}'}}}}
"""
)
WAITING = (
    HEADER
    + """
do:
  - build:
      call: tasks:1.0.0@default
      with:
        graph:
          tasks:
            - {id: first, run: [sh, -c, 'echo first >> ledger; until test -e go; do sleep 0.1; done']}
            - {id: second, run: [sh, -c, 'echo second >> ledger'], dependencies: [first]}
"""
)
FLAKY = (
    HEADER
    + """
do:
  - build:
      call: tasks:1.0.0@default
      with:
        graph:
          tasks:
            - {id: once, run: [sh, -c, 'echo once >> ledger']}
            - {id: bad, run: [test, -e, go], retry: {max_attempts: 1}}
            - {id: behind, run: [sh, -c, 'echo behind >> ledger'], dependencies: [bad]}
"""
)
EACH = (
    HEADER
    + """
do:
  - each:
      for: {in: '[1, 2]', each: number}
      do:
        - build:
            call: tasks:1.0.0@default
            with: {graph: {graph: numbers, tasks: [{id: a, run: [sh, -c, '${ "echo \\($number) >> ledger" }']}]}}
            output: {as: .graph}
"""
)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, shell: Shell) -> str:
    """The store that the commands of this test use."""
    if request.param == "sqlite":
        return f"sqlite:///{shell.folder}/interlock.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    found = Nodes(shell)
    yield found
    found.end()


def store(where: str) -> dict[str, str]:
    return {"INTERLOCK_STORE_URL": where}


def run(shell: Shell, where: str, *arguments: str, code: int = 0) -> Ended:
    """Perform a command that must end with this code."""
    ended = shell.run(*arguments, env=store(where))
    assert ended.code == code, (ended.out, ended.err)
    return ended


def shown(shell: Shell, where: str, id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(shell, where, "show", id, "--json").out)
    return found


def graphs(shell: Shell, where: str) -> dict[str, dict[str, int]]:
    """Give the graphs of a store, each with how many of its tasks are in each state."""
    return {each["graph"]: each["states"] for each in json.loads(run(shell, where, "tasks", "status", "--json").out)}


def reports(shell: Shell, where: str) -> int:
    """Count how often a token was completed."""
    found = json.loads(run(shell, where, "audit", "--json").out)
    return sum(each["action"] in ("token-completed", "token-failed") for each in found)


def test_workflow_goes_on_with_the_results_of_its_graph(shell: Shell, where: str) -> None:
    shell.write("build.yaml", BUILD)
    ended = run(shell, where, "run", "build.yaml", "--input", '{"who": "me"}')
    assert ended.json == {"status": "completed", "docs": "me\n", "extra": "failed"}
    assert shell.ledger() == ["unit", "docs", "after"]
    (name,) = graphs(shell, where)
    assert name.startswith("build-")
    assert reports(shell, where) == 1


def test_graph_that_failed_is_an_error_that_can_be_caught(shell: Shell, where: str) -> None:
    shell.write("build.yaml", CAUGHT)
    told = run(shell, where, "run", "build.yaml").json
    assert "1 of the 3 tasks of tests-" in told["detail"]
    assert "did not succeed: bad;" in told["detail"]
    assert set(told["tasks"]) == {"bad"}
    assert told["tasks"]["bad"]["status"] == "failed"
    assert told["tasks"]["bad"]["error"]["detail"] == "no"


def test_each_execution_of_a_step_has_a_graph_of_its_own(shell: Shell) -> None:
    shell.write("build.yaml", EACH)
    where = f"sqlite:///{shell.folder}/interlock.db"
    last = run(shell, where, "run", "build.yaml").out.strip()
    found = graphs(shell, where)
    assert last in found
    assert len(found) == 2
    assert all(name.startswith("numbers-") for name in found)
    assert sorted(shell.ledger()) == ["1", "2"]


@pytest.mark.slow
def test_retry_of_the_run_tries_again_only_what_failed(shell: Shell, where: str) -> None:
    shell.write("build.yaml", FLAKY)
    failed = run(shell, where, "run", "build.yaml", "--id", "flaky", code=1)
    assert "did not succeed: bad;" in failed.err + failed.out
    (shell.folder / "go").touch()
    run(shell, where, "retry", "flaky")
    assert shell.ledger() == ["once", "behind"]
    assert list(graphs(shell, where).values()) == [{"done": 3}]


@pytest.mark.slow
def test_cancel_of_the_run_cancels_the_graph(shell: Shell, where: str, nodes: Nodes) -> None:
    shell.write("build.yaml", WAITING)
    nodes.start(env=store(where))
    run(shell, where, "run", "build.yaml", "--id", "long", "--detach")
    until(lambda: shell.ledger() == ["first"], seconds=60)
    run(shell, where, "cancel", "long")
    until(lambda: list(graphs(shell, where).values()) == [{"cancelled": 2}], seconds=60)
    assert shown(shell, where, "long")["status"] == "cancelled"
    assert shell.ledger() == ["first"]


def test_rollback_waits_for_the_end_of_the_graph_that_it_cancels(shell: Shell, nodes: Nodes) -> None:
    where = f"sqlite:///{shell.folder}/interlock.db"
    undone = "metadata: {interlock: {compensate: {run: {shell: {command: 'echo undone >> ledger'}}}}}"
    before = f"do:\n  - before: {{run: {{shell: {{command: 'true'}}}}, {undone}}}"
    shell.write("build.yaml", WAITING.replace("do:", before, 1))
    nodes.start(env=store(where))
    run(shell, where, "run", "build.yaml", "--id", "long", "--detach")
    until(lambda: shell.ledger() == ["first"], seconds=60)
    run(shell, where, "cancel", "long", "--rollback")
    until(lambda: shown(shell, where, "long")["status"] == "cancelled", seconds=60)
    assert shell.ledger() == ["first", "undone"]
    assert list(graphs(shell, where).values()) == [{"cancelled": 2}]


@pytest.mark.slow
def test_timeout_of_the_step_cancels_the_graph(shell: Shell, nodes: Nodes) -> None:
    where = f"sqlite:///{shell.folder}/interlock.db"
    shell.write("build.yaml", WAITING.replace("      with:", "      timeout: {after: {seconds: 2}}\n      with:"))
    nodes.start(env=store(where))
    failed = run(shell, where, "run", "build.yaml", "--id", "long", code=1)
    assert "Timeout" in failed.err + failed.out
    until(lambda: all(set(states) == {"cancelled"} for states in graphs(shell, where).values()), seconds=60)


def test_run_that_is_cancelled_alone_leaves_no_task_behind(shell: Shell) -> None:
    """The process that executes the run executes its tasks too, and leaves with both."""
    where = f"sqlite:///{shell.folder}/interlock.db"
    shell.write("build.yaml", WAITING)
    with shell.started("run", "build.yaml", "--id", "long", env=store(where)) as process:
        until(lambda: shell.ledger() == ["first"], seconds=60)
        run(shell, where, "cancel", "long")
        process.wait(60)
    assert list(graphs(shell, where).values()) == [{"cancelled": 2}]


@pytest.mark.slow
def test_node_killed_while_tasks_run_is_followed_by_another(shell: Shell, where: str, nodes: Nodes) -> None:
    shell.write("build.yaml", WAITING)
    first = nodes.start(env=store(where))
    run(shell, where, "run", "build.yaml", "--id", "long", "--detach")
    until(lambda: shell.ledger() == ["first"], seconds=60)
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    (shell.folder / "go").touch()
    nodes.start(env=store(where))
    until(lambda: shown(shell, where, "long")["status"] == "completed", seconds=100)
    assert reports(shell, where) == 1
    assert shell.ledger()[-1] == "second"
    assert shell.ledger().count("second") == 1


# accept, wait, load (4), loaded, declare, place, settle, place, settle (the last of the graph), report, end of the wait, decide
BOUNDARIES = [f"commit:{number}:{moment}" for number in range(2, 24, 4) for moment in ("before", "after")]
"""Around every fourth transaction, since each takes a dozen seconds and more; the others are not tried."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", one_of(11, BOUNDARIES))
def test_run_killed_at_any_transaction_is_told_once_how_its_graph_ended(shell: Shell, where: str, fault: str) -> None:
    """Between the last settlement and the report too: whoever comes next finds a graph that has ended and a token that waits."""
    shell.write("build.yaml", BUILD)
    given = ("build.yaml", "--input", '{"who": "me"}', "--id", "victim")
    killed = shell.run("run", *given, env=store(where) | {"INTERLOCK_FAULT": fault})
    if killed.code == 0:  # it had no so many
        assert int(fault.split(":")[1]) > 12, killed.err
    else:
        assert killed.code == -signal.SIGKILL, killed.err
        with shell.started("resume", "--all", env=store(where)) as resumed:
            assert resumed.wait(150) == 0  # a load that was broken off is good for a minute
    assert shown(shell, where, "victim")["status"] == "completed"
    assert shown(shell, where, "victim")["output"] == {"status": "completed", "docs": "me\n", "extra": "failed"}
    assert reports(shell, where) == 1
    assert len(graphs(shell, where)) == 1
    assert set(shell.ledger()) == {"unit", "docs", "after"}
    assert shell.ledger().index("docs") > shell.ledger().index("unit")
    if where.startswith("sqlite"):
        assert _waits(shell.folder / "interlock.db") == [(1, 1)]


ONE = (
    HEADER
    + """
do:
  - build:
      call: tasks:1.0.0@default
      with: {graph: {tasks: [{id: only, run: [sh, -c, 'echo only >> ledger']}]}}
"""
)


@pytest.mark.slow
def test_run_killed_between_the_last_settlement_and_the_report_is_told_once(shell: Shell) -> None:
    """Which transaction lies there depends on which ones met in a group: so the first kill that fell there counts."""
    shell.write("build.yaml", ONE)
    for number in [*range(8, 30)] * 3:
        file = shell.folder / f"{uuid4().hex}.db"
        env = store(f"sqlite:///{file}")
        killed = shell.run(
            "run", "build.yaml", "--id", "victim", env=env | {"INTERLOCK_FAULT": f"commit:{number}:before"}
        )
        if killed.code == 0:
            continue  # it had fewer transactions this time
        assert killed.code == -signal.SIGKILL, killed.err
        is_settled = _rows(file, "SELECT state FROM tasks WHERE lane IS NOT NULL") == [("done",)]
        if is_settled and _rows(file, "SELECT state FROM tokens") == [("open",)]:
            break
    else:
        pytest.fail("no kill fell between the two")
    shell.write("ledger", "")
    assert shell.run("resume", "--all", env=env).code == 0
    assert shown(shell, env["INTERLOCK_STORE_URL"], "victim")["output"]["status"] == "completed"
    assert (reports(shell, env["INTERLOCK_STORE_URL"]), shell.ledger()) == (1, [])


def _waits(file: Path) -> list[tuple[Any, ...]]:
    """Give of every wait whether its graph was loaded, and whether it has ended."""
    return _rows(file, "SELECT is_loaded, ended_at IS NOT NULL FROM waits")


def _rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
