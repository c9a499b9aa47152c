"""Tasks that are workflows, in real processes: whoever dies, there is one run, its effects happen once, and its task is told."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from acceptance.shell import Ended, Shell, until
from acceptance.test_nodes import Nodes
from interlock import config
from interlock.app.session import Session
from interlock.app.tasks import TaskGraphs
from interlock.flow.taskgraph import reading
from interlock.store.open import open_store
from interlock.store.ports import RunRow, TryRow

HEADER = "document: {dsl: 1.0.3, namespace: default, name: NAME, version: 1.0.0}\n"
GREET = (
    HEADER.replace("NAME", "greet")
    + "do: [{hello: {set: {text: '${ \"Hello, \\(.inputs.who // .who)\" }', was: '${ . }'}}}]\n"
)
HELD = (
    HEADER.replace("NAME", "held")
    + """
do:
  - began: {run: {shell: {command: echo began >> ledger}}}
  - held: {run: {shell: {command: 'until test -e go; do sleep 0.05; done'}}}
  - ended: {run: {shell: {command: echo ended >> ledger}}, output: {as: {answer: 42}}}
"""
)
RESTS = (
    HEADER.replace("NAME", "rests")
    + "do: [{began: {run: {shell: {command: echo began >> ledger}}}}, {rest: {wait: PT1H}}]\n"
)
FAULTS = (
    HEADER.replace("NAME", "faults")
    + """
do:
  - tried: {run: {shell: {command: echo tried >> ledger}}}
  - no: {raise: {error: {type: 'https://example.com/no', status: 500, title: No, detail: it never works}}}
"""
)
CALLS = (
    HEADER.replace("NAME", "calls")
    + """
do:
  - graph:
      call: tasks:1.0.0@default
      with: {graph: {tasks: [{id: a, workflow: {name: greet, input: {who: Ada}}}]}}
      output: {as: .tasks.a.output.text}
"""
)
ONE_HELD = "graph: g\ntasks: [{id: a, workflow: held}]\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, shell: Shell) -> str:
    """The store that the commands of this test use."""
    if request.param == "sqlite":
        return lite(shell)
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    found = Nodes(shell)
    yield found
    found.end()


def lite(shell: Shell) -> str:
    return f"sqlite:///{shell.folder}/interlock.db"


def store(where: str) -> dict[str, str]:
    return {"INTERLOCK_STORE_URL": where}


def run(shell: Shell, where: str, *arguments: str, code: int = 0) -> Ended:
    """Perform a command that must end with this code."""
    ended = shell.run(*arguments, env=store(where))
    assert ended.code == code, (ended.out, ended.err)
    return ended


def load(shell: Shell, where: str, graph: str, *workflows: str) -> None:
    """Publish workflows, then load a graph, in this process: the commands for it are tested elsewhere, and take their time."""
    asyncio.run(_load(where, str(shell.folder), graph, workflows))


async def _load(where: str, folder: str, graph: str, workflows: tuple[str, ...]) -> None:
    async with Session.open(config.Settings(store=config.Store(url=where))) as app:
        for text in workflows:
            await app.publish(text, None)
        await TaskGraphs(app.store, app.clock).load(reading.read(graph).required(), folder)


@dataclass(frozen=True)
class Stored:
    """What a store has of the graph g and of all runs, the oldest first; read at once, and not by commands."""

    states: dict[str, str]
    tries: list[TryRow]
    """Of the task a, the oldest first."""
    runs: list[RunRow]
    nodes: dict[str, int]
    """The process of each."""

    @property
    def statuses(self) -> list[str]:
        return [each.status.value for each in self.runs]

    def outcome(self) -> Any:
        """Give what the last attempt of the task a told."""
        detail = self.tries[-1].detail
        return None if detail is None else json.loads(detail)


def stored(where: str) -> Stored:
    return asyncio.run(_stored(where))


async def _stored(where: str) -> Stored:
    store = await open_store(where)
    try:
        return Stored(
            {row.id: row.state.value for row in await store.tasks.page("default/g", None, 0, 100)},
            (await store.tasks.tries("default/g/a", 100))[::-1],
            (await store.views.runs(None, (), None, None, 100))[::-1],
            {each.node.node: each.node.pid for each in await store.nodes.states(None)},
        )
    finally:
        await store.close()


def ends(where: str, state: str, seconds: float = 100) -> Stored:
    """Wait until the task a is in a state."""
    until(lambda: stored(where).states.get("a") == state, seconds)
    return stored(where)


def watch(shell: Shell, where: str, code: int = 0) -> None:
    run(shell, where, "tasks", "watch", "g", "--until-done", code=code)


def begun(shell: Shell) -> None:
    until(lambda: shell.ledger() == ["began"], seconds=60)


def go(shell: Shell) -> None:
    (shell.folder / "go").touch()


def test_run_is_told_what_a_program_is_told_and_its_output_is_handed_on(shell: Shell) -> None:
    """Watched by a command that executes the runs too, as no node is there."""
    where = lite(shell)
    graph = (
        "graph: g\ntasks:\n"
        "  - {id: c, workflow: 'greet:1.0.0', inputs: {who: Cy}}\n"
        "  - {id: b, workflow: {name: greet, input: {who: Bob}}, dependencies: [c]}\n"
        "  - {id: a, workflow: greet, inputs: {who: Ada}, dependencies: [b, c]}\n"
    )
    load(shell, where, graph, GREET)
    watch(shell, where)
    found = stored(where)
    told = found.outcome()
    assert told["text"] == "Hello, Ada"
    assert (told["was"]["id"], told["was"]["graph"]) == ("a", "g")
    assert told["was"]["results"]["b"] == {"text": "Hello, Bob", "was": {"who": "Bob"}}
    assert told["was"]["results"]["c"]["text"] == "Hello, Cy"
    assert found.tries[0].pool == "workflows"
    assert [each.id[:4] for each in found.runs] == ["g.c.", "g.b.", "g.a."]


def test_watching_brings_an_engine_where_somebody_else_places_tasks_and_nobody_executes_runs(
    shell: Shell, nodes: Nodes
) -> None:
    """As does a second `watch`: who watches another graph, without workflows, has no engine."""
    where = lite(shell)
    nodes.start("--roles", "dispatcher", env=store(where))
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: greet, inputs: {who: Ada}}]", GREET)
    watch(shell, where)
    assert stored(where).outcome()["text"] == "Hello, Ada"


NESTED = (
    HEADER.replace("NAME", "nested")
    + """
do:
  - step: {run: {shell: {command: echo step >> ledger}}, metadata: {interlock: {pool: default}}}
  - graph:
      call: tasks:1.0.0@default
      with: {graph: {tasks: [{id: a, workflow: {name: greet, input: {who: Ada}}}, {id: b, run: {shell: 'echo task >> ledger'}}]}}
      output: {as: .tasks.a.output.text}
"""
)
"""A step in a pool, and a graph of its own."""


def test_workflow_that_is_a_task_does_not_wait_for_its_own_place(shell: Shell) -> None:
    """DL-01: one place in all pools together, which its steps and its graph need."""
    where = lite(shell)
    shell.write("dispatcher.yaml", "dispatcher: {max_global_concurrency: 1}\n")
    shell.write("agent-pools.yaml", "agent_pools: {default: {type: local-process}}\n")
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: nested}]", GREET, NESTED)
    watch(shell, where)
    assert stored(where).outcome() == "Hello, Ada"
    assert shell.ledger() == ["step", "task"]


KEYED = (
    HEADER.replace("NAME", "keyed")
    + """
do:
  - graph:
      call: tasks:1.0.0@default
      with: {graph: {tasks: [{id: b, run: {shell: 'echo task >> ledger'}, concurrency: {key: k, limit: 1}}]}}
"""
)


def test_workflow_whose_graph_waits_for_the_place_of_its_own_key_is_told_and_resolved(
    shell: Shell, nodes: Nodes
) -> None:
    """DL-01, DL-02, for slots: the task that waits is cancelled."""
    where = lite(shell)
    shell.write("dispatcher.yaml", "dispatcher: {deadlock_detection: {action: resolve, check_interval: 1s}}\n")
    node = nodes.start(env=store(where))
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: keyed, concurrency: {key: k, limit: 1}}]", KEYED)
    found = ends(where, "failed")
    assert "waits for a place of concurrency/default/k" in nodes.log(node)
    assert found.statuses[0] == "faulted"
    assert shell.ledger() == []


def test_run_that_faults_is_followed_by_a_new_one_until_the_budget_ends(shell: Shell) -> None:
    where = lite(shell)
    graph = "graph: g\ntasks: [{id: a, workflow: faults, retry: {max_attempts: 3, initial_interval: 50ms}}]"
    load(shell, where, graph, FAULTS)
    watch(shell, where, code=1)
    found = stored(where)
    assert shell.ledger() == ["tried"] * 3
    assert found.statuses == ["faulted"] * 3
    assert [each.failure for each in found.tries] == ["application"] * 3
    assert found.outcome()["detail"] == f"the run {found.runs[-1].id} faulted at /do/1/no: it never works"


def test_workflow_that_nobody_published_is_a_final_failure_that_says_what_to_do(shell: Shell) -> None:
    where = lite(shell)
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: {namespace: x, name: none, version: 2.0.0}}]")
    watch(shell, where, code=1)
    found = stored(where)
    assert [each.failure for each in found.tries] == ["invalid"]
    assert "no workflow x/none:2.0.0 is published; `interlock publish FILE`" in found.outcome()["detail"]


@pytest.mark.slow
def test_killed_node_leaves_the_run_to_the_next_one(shell: Shell, where: str, nodes: Nodes) -> None:
    first = nodes.start(env=store(where), wait=False)
    load(shell, where, ONE_HELD, HELD)
    begun(shell)
    first.kill()
    first.wait(60)
    nodes.start(env=store(where))
    go(shell)
    found = ends(where, "done")
    assert shell.ledger() == ["began", "ended"]
    assert found.statuses == ["completed"]
    assert found.outcome() == {"answer": 42}


def test_stopped_node_leaves_the_run_going_and_the_next_one_joins_it(shell: Shell, nodes: Nodes) -> None:
    where = lite(shell)
    first = nodes.start(env=store(where) | {"INTERLOCK_NODE_GRACE": "1s"})
    load(shell, where, ONE_HELD, HELD)
    begun(shell)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    assert (stored(where).states, stored(where).statuses) == ({"a": "ready"}, ["running"])
    go(shell)
    nodes.start(env=store(where))
    found = ends(where, "done")
    assert shell.ledger() == ["began", "ended"]
    assert found.statuses == ["completed"]
    assert [(each.attempt, each.outcome) for each in found.tries] == [(1, "snoozed"), (1, "done")]


def test_node_that_stops_waits_for_no_run_that_waits(shell: Shell, nodes: Nodes) -> None:
    """Its grace is for what ends with it, and a run does not."""
    where = lite(shell)
    first = nodes.start(env=store(where) | {"INTERLOCK_NODE_GRACE": "1h"})
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: rests}]", RESTS)
    until(lambda: stored(where).statuses == ["waiting"], seconds=60)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    assert (stored(where).states, stored(where).statuses) == ({"a": "ready"}, ["waiting"])


@pytest.mark.slow
def test_node_that_watches_is_killed_and_another_one_adopts(shell: Shell, where: str, nodes: Nodes) -> None:
    both = [nodes.start(env=store(where), wait=False) for _ in range(2)]
    for each in both:
        nodes.says(each, "ready=true")
    load(shell, where, ONE_HELD, HELD)
    begun(shell)
    until(lambda: stored(where).tries[0].started_at is not None, seconds=60)
    found = stored(where)
    (victim,) = (each for each in both if each.pid == found.nodes[found.tries[0].holder])
    victim.kill()
    victim.wait(60)
    go(shell)
    found = ends(where, "done")
    assert shell.ledger() == ["began", "ended"]
    assert found.statuses == ["completed"]
    assert [each.outcome for each in found.tries] == ["done"]


def test_cancel_of_the_task_cancels_its_run(shell: Shell, nodes: Nodes) -> None:
    where = lite(shell)
    nodes.start(env=store(where), wait=False)
    load(shell, where, ONE_HELD, HELD)
    begun(shell)
    run(shell, where, "tasks", "cancel", "g/a")
    found = ends(where, "cancelled")
    assert found.statuses == ["cancelled"]
    assert [each.outcome for each in found.tries] == ["cancelled"]
    assert shell.ledger() == ["began"]


@pytest.mark.slow
def test_task_that_was_cancelled_while_no_node_was_up_takes_its_run_with_it(
    shell: Shell, where: str, nodes: Nodes
) -> None:
    """And when it is tried again by hand then, that is another run."""
    first = nodes.start(env=store(where) | {"INTERLOCK_NODE_GRACE": "1s"})
    load(shell, where, ONE_HELD, HELD)
    begun(shell)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    run(shell, where, "tasks", "cancel", "g/a")
    assert (stored(where).states, stored(where).statuses) == ({"a": "cancelled"}, ["running"])
    nodes.start(env=store(where))
    until(lambda: stored(where).statuses == ["cancelled"], seconds=100)
    go(shell)
    run(shell, where, "tasks", "retry", "g/a")
    found = ends(where, "done")
    assert found.statuses == ["cancelled", "completed"]
    assert shell.ledger() == ["began", "began", "ended"]


def test_task_that_takes_too_long_has_its_run_cancelled(shell: Shell, nodes: Nodes) -> None:
    where = lite(shell)
    nodes.start(env=store(where), wait=False)
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: rests, timeout: 2s, retry: {max_attempts: 1}}]", RESTS)
    found = ends(where, "failed")
    assert [each.failure for each in found.tries] == ["timeout"]
    assert "ran longer than 2 s; its run g.a." in found.outcome()["detail"]
    assert found.statuses == ["cancelled"]


def test_person_who_cancels_the_run_gets_no_other_one(shell: Shell, nodes: Nodes) -> None:
    where = lite(shell)
    nodes.start(env=store(where), wait=False)
    load(shell, where, ONE_HELD, HELD)
    begun(shell)
    (only,) = stored(where).runs
    run(shell, where, "cancel", only.id)
    found = ends(where, "failed")
    assert len(found.tries) == 1
    assert found.outcome()["detail"] == f"the run {only.id} was cancelled"
    assert found.statuses == ["cancelled"]


def test_run_that_a_person_tries_again_after_its_task_failed_is_theirs(shell: Shell) -> None:
    """No look for strays takes it from them."""
    where = lite(shell)
    text = FAULTS.partition("  - no:")[0] + "  - wanted: {run: {shell: {command: test -e go}}}\n"
    load(shell, where, "graph: g\ntasks: [{id: a, workflow: faults, retry: {max_attempts: 1}}]", text)
    watch(shell, where, code=1)
    (only,) = stored(where).runs
    go(shell)
    run(shell, where, "retry", only.id)
    found = stored(where)
    assert (found.states, found.statuses) == ({"a": "failed"}, ["completed"])
    assert shell.ledger() == ["tried"]


def test_run_of_a_command_executes_the_runs_of_its_tasks(shell: Shell) -> None:
    where = lite(shell)
    shell.write("greet.yaml", GREET)
    shell.write("calls.yaml", CALLS)
    run(shell, where, "publish", "greet.yaml")
    assert run(shell, where, "run", "calls.yaml").out.strip() == "Hello, Ada"
    assert stored(where).statuses == ["completed", "completed"]


def test_cancel_of_a_run_that_waits_for_such_a_task_ends_all_three(shell: Shell) -> None:
    """Its command leaves first; whoever executes runs next does the rest."""
    where = lite(shell)
    shell.write("held.yaml", HELD)
    shell.write("calls.yaml", CALLS.replace("{name: greet, input: {who: Ada}}", "held"))
    run(shell, where, "publish", "held.yaml")
    with shell.started("run", "calls.yaml", "--id", "outer", env=store(where)) as process:
        begun(shell)
        run(shell, where, "cancel", "outer")
        assert process.wait(60) == 3
    run(shell, where, "resume", "--all", code=3)
    assert stored(where).statuses == ["cancelled", "cancelled"]
    assert shell.ledger() == ["began"]


def test_edited_task_keeps_the_run_that_goes_on(shell: Shell, nodes: Nodes) -> None:
    where = lite(shell)
    nodes.start(env=store(where), wait=False)
    load(shell, where, ONE_HELD, HELD, GREET)
    begun(shell)
    shell.write("tasks.yaml", ONE_HELD.replace("held", "greet"))
    assert "they run or are done, so left as they are: a" in run(shell, where, "tasks", "load", "tasks.yaml").err
    go(shell)
    found = ends(where, "done")
    assert found.outcome() == {"answer": 42}
    assert found.statuses == ["completed"]


def test_task_that_is_another_workflow_by_now_has_its_old_run_cancelled(shell: Shell, nodes: Nodes) -> None:
    """It was edited between two attempts, the first of which left its run going."""
    where = lite(shell)
    first = nodes.start(env=store(where) | {"INTERLOCK_NODE_GRACE": "1s"})
    load(shell, where, ONE_HELD, HELD, GREET)
    begun(shell)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    load(shell, where, ONE_HELD.replace("held", "{name: greet, input: {who: Ada}}"))
    nodes.start(env=store(where))
    found = ends(where, "done")
    assert found.outcome()["text"] == "Hello, Ada"
    until(lambda: sorted(stored(where).statuses) == ["cancelled", "completed"], seconds=60)
    assert shell.ledger() == ["began"]


def test_watch_executes_the_workflow_that_a_reload_brings(shell: Shell, where: str) -> None:
    """WF-08: the node that `watch` has brought executes no runs, since the graph had none when it came."""
    load(shell, where, "graph: g\ntasks: [{id: b, run: ['true']}, {id: held, pool: none, run: ['true']}]\n", GREET)
    process = shell.process(
        "tasks", "watch", "g", "--until-done", env=store(where), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: stored(where).states["b"] == "done")
        load(
            shell,
            where,
            "graph: g\ntasks: [{id: b, run: ['true']}, {id: a, workflow: {name: greet, input: {who: Ada}}}]\n",
        )
        until(lambda: stored(where).states.get("a") == "done")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert stored(where).outcome() == {"text": "Hello, Ada", "was": {"who": "Ada"}}
