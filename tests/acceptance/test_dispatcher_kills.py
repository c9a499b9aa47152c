"""2,000 tasks over three pools, the dispatcher killed five times: every task ends once, in its right state, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.shell import Shell, until
from acceptance.test_nodes import Nodes
from pool.conftest import marked

TASKS, KILLS = 2000, 5
POOLS = {"one": 3, "two": 4, "three": 5}
ALL = 9
CONFIGURATION = "agent_pools:\n" + "".join(
    f"  {name}: {{type: local-process, max_concurrency: {room}}}\n" for name, room in POOLS.items()
)
SCHEDULING = f"dispatcher: {{max_global_concurrency: {ALL}, scheduling_policy: priority}}\n"


def graph(seed: int) -> tuple[str, dict[str, str]]:
    """Give the document of a random graph, and the state that each of its tasks has to end in."""
    draw = random.Random(seed)
    tasks, states = [], {}
    for number in range(TASKS):
        id = f"t{number}"
        kind = draw.choices(["good", "flaky", "bad"], [90, 8, 2])[0]
        after = [f"t{other}" for other in draw.sample(range(number), min(number, draw.choice([0, 0, 1, 2])))]
        ending = {"good": "", "flaky": "test $INTERLOCK_ATTEMPT -gt 1 || exit 1; ", "bad": "exit 1; "}[kind]
        command = f"sleep 0.0{draw.randrange(10)}; {ending}echo {id} >> ledger"
        tasks.append(
            {
                "id": id,
                "run": {"shell": command},
                "dependencies": after,
                "priority": draw.randrange(3),
                "pool": draw.sample(sorted(POOLS), 2),
                "retry": {"initial_interval": "50ms", "max_attempts": 2},
            }
        )
        blocked = any(states[name] != "done" for name in after)
        states[id] = "skipped" if blocked else "failed" if kind == "bad" else "done"
    return json.dumps({"graph": "storm", "tasks": tasks}), states


class Watcher:
    """Looks into the store, and never sees more than the limits allow."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.looks = 0

    def look(self) -> int:
        """Compare what is taken with what there is; gives how many tasks are over."""
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=60)) as connection:
            rows = connection.execute(
                "SELECT place, count(*) FROM leases WHERE kind = 'attempt' GROUP BY place"
            ).fetchall()
            (over,) = connection.execute(
                "SELECT count(*) FROM tasks WHERE state IN ('done', 'failed', 'skipped', 'cancelled')"
            ).fetchone()
        taken = dict(rows)
        assert all(taken.get(name, 0) <= room for name, room in POOLS.items()), taken
        assert sum(taken.values()) <= ALL, taken
        self.looks += 1
        return int(over)


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    found = Nodes(shell)
    yield found
    found.end()


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_killed_dispatchers_lose_nothing_and_leave_nothing(shell: Shell, nodes: Nodes) -> None:
    """SH-02, PO-02, RU-07."""
    text, wanted = graph(7)
    shell.write("storm.json", text)
    shell.write("agent-pools.yaml", CONFIGURATION)
    shell.write("dispatcher.yaml", SCHEDULING)
    assert shell.run("tasks", "load", "storm.json").code == 0
    before = set(Path(tempfile.gettempdir()).glob("interlock-*"))
    watcher = Watcher(shell.folder / ".interlock" / "interlock.db")
    node = nodes.start()
    for number in range(KILLS):
        enough = TASKS * (number + 1) // (KILLS + 2)
        until(lambda at=enough: watcher.look() >= at, 300)  # type: ignore[misc]  # mypy has no type for a default of a lambda
        node.send_signal(signal.SIGKILL)
        node.wait()
        node = nodes.start()
    until(lambda: watcher.look() == TASKS, 300)
    rows = json.loads(shell.run("tasks", "list", "storm", "--limit", "10000", "--json").out)
    assert {row["id"]: row["state"] for row in rows} == wanted
    done = Counter(shell.ledger())
    assert set(done) == {id for id, state in wanted.items() if state == "done"}
    assert [id for id, count in done.items() if count > 1] == []
    assert watcher.looks > KILLS
    node.send_signal(signal.SIGTERM)
    assert node.wait(60) == 0
    with contextlib.closing(sqlite3.connect(watcher.file)) as connection:
        assert connection.execute("SELECT * FROM leases WHERE kind = 'attempt'").fetchall() == []
        assert connection.execute("SELECT count(*) FROM attempts WHERE outcome IS NULL").fetchone() == (0,)
    end = time.monotonic() + 30
    while marked(f"PWD={shell.folder}") and time.monotonic() < end:
        time.sleep(0.1)
    assert marked(f"PWD={shell.folder}") == []
    left = {path for path in Path(tempfile.gettempdir()).glob("interlock-*") if path.exists() and _of(path, shell)}
    assert left - before == set()


def _of(path: Path, shell: Shell) -> bool:
    """Whether a spool belongs to this test: others run beside it."""
    outcome = path / "outcome.json"
    return outcome.exists() and outcome.stat().st_uid == os.geteuid() and str(shell.folder) in outcome.read_text()
