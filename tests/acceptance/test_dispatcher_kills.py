"""2,000 tasks over three pools, the dispatcher killed five times: every task ends once, in its right state, and nothing is left.

Once with processes alone, once with a pool of containers and tasks that have worktrees of a repository.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import engines
from acceptance.shell import Shell, until
from acceptance.test_nodes import Nodes
from interlock.pool.workspaces.claim import Claim, read
from pool.conftest import marked
from repositories import Repository
from required import may_skip

MARK = "STORM"  # a variable that every process of a test has
TASKS, KILLS = 2000, 5
POOLS = {"one": 3, "two": 4, "three": 5}
ALL = 9
SCHEDULING = f"dispatcher: {{max_global_concurrency: {ALL}, scheduling_policy: priority}}\n"
SLOTS = 3  # worktrees, so that there are fewer than tasks that want one
EVERY = 13  # task is a container, and another one has a worktree


@dataclass(frozen=True)
class Task:
    """What one has to come to. `ends`: good, flaky (at its second attempt) or bad."""

    id: str
    ends: str
    state: str
    is_contained: bool
    has_worktree: bool


class Storm:
    """A random graph over the three pools, in a folder of its own. `engine`: of the pool `three`, and worktrees are wanted too."""

    def __init__(self, shell: Shell, engine: engines.Engine | None) -> None:
        self.shell = shell
        self.engine = engine
        self.repository = Repository(shell.folder / "repository")
        self.repository.commit({"base": "base\n"})
        self.worktrees = shell.folder / "worktrees"
        self.temporary = shell.folder / "temporary"
        self.temporary.mkdir()
        self.mark = f"{MARK}={shell.folder}"
        self.environment = {
            MARK: str(shell.folder),
            "TMPDIR": str(self.temporary),
            "INTERLOCK_DISPATCHER_WORKSPACES": str(self.worktrees),
            "INTERLOCK_DISPATCHER_WORKSPACE_SLOTS": str(SLOTS),
        }
        self.tasks: dict[str, Task] = {}
        self.looks = 0

    def write(self, seed: int) -> None:
        """Write the configuration and the document."""
        self.shell.write("agent-pools.yaml", json.dumps({"agent_pools": {name: self._pool(name) for name in POOLS}}))
        self.shell.write("dispatcher.yaml", SCHEDULING)
        draw = random.Random(seed)
        document = {"graph": "storm", "repository": "repository", "tasks": [self._task(n, draw) for n in range(TASKS)]}
        self.shell.write("storm.json", json.dumps(document))

    def _pool(self, name: str) -> dict[str, object]:
        local: dict[str, object] = {"type": "local-process", "max_concurrency": POOLS[name]}
        if self.engine is None or name != "three":
            return local | {"config": {"environment": {MARK: str(self.shell.folder)}}}
        config = {
            "image": engines.IMAGE,
            "host": self.engine.host,
            "network": "none",
            "pull_policy": "never",
            "volumes": [f"{self.shell.folder}:{self.shell.folder}"],  # for the ledger
            "environment": {MARK: str(self.shell.folder)},
        }
        return local | {"type": "docker", "config": config}

    def _task(self, number: int, draw: random.Random) -> dict[str, object]:
        id = f"t{number}"
        ends = draw.choices(["good", "flaky", "bad"], [90, 8, 2])[0]
        after = [f"t{other}" for other in draw.sample(range(number), min(number, draw.choice([0, 0, 1, 2])))]
        is_blocked = any(self.tasks[name].state != "done" for name in after)
        task = self.tasks[id] = Task(
            id=id,
            ends=ends,
            state="skipped" if is_blocked else "failed" if ends == "bad" else "done",
            is_contained=self.engine is not None and number % EVERY == 0,
            has_worktree=self.engine is not None and (number % EVERY == 5 or number % (EVERY * 10) == 0),
        )
        pools = sorted(POOLS) if self.engine is None else ["one", "two"]
        written: dict[str, object] = {
            "id": id,
            "run": {"shell": self._command(task, draw.randrange(10))},
            "dependencies": after,
            "priority": draw.randrange(3),
            "pool": ["three"] if task.is_contained else draw.sample(pools, 2),
            "retry": {"initial_interval": "50ms", "max_attempts": 2},
        }
        if task.has_worktree:
            written["workspace"] = {"branch": "work/{id}"} if number % 2 else {}
        return written

    def _command(self, task: Task, hundredths: int) -> str:
        ending = {"good": "", "flaky": "test $INTERLOCK_ATTEMPT -gt 1 || exit 1; ", "bad": "exit 1; "}[task.ends]
        told = f"echo {task.id} >> {self.shell.folder}"
        work = f"sleep 0.0{hundredths}; "
        if task.has_worktree:  # which nobody else may be in, and which has what was committed and no more
            work = (
                f'mkdir busy && test "$(ls)" = "$(printf "base\\nbusy")" || {told}/clashes; '
                f"sleep 0.{hundredths % 3}; rmdir busy || {told}/clashes; echo {task.id} > new; "
            )
        return f"{work}{ending}{told}/ledger"

    def look(self) -> int:
        """Compare what is taken with what there is; gives how many tasks are over."""
        rows = self.rows("SELECT place, count(*) FROM leases WHERE kind = 'attempt' GROUP BY place")
        taken = {str(place): int(count) for place, count in rows}
        assert all(taken.get(name, 0) <= room for name, room in POOLS.items()), taken
        assert sum(taken.values()) <= ALL, taken
        assert self.running_containers() <= POOLS["three"]
        self.looks += 1
        ((over,),) = self.rows("SELECT count(*) FROM tasks WHERE state IN ('done', 'failed', 'skipped', 'cancelled')")
        return int(over)

    def rows(self, statement: str) -> list[tuple[str, ...]]:
        file = self.shell.folder / ".interlock" / "interlock.db"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=60)) as connection:
            return connection.execute(statement).fetchall()

    def running_containers(self) -> int:
        if self.engine is None:
            return 0
        return len(json.loads(self.engine.call("GET", "/containers/json")))

    def check_tasks(self) -> None:
        """Every task has ended once, in its right state; what it did, it did once."""
        rows = json.loads(self.shell.run("tasks", "list", "storm", "--limit", "10000", "--json").out)
        assert {row["id"]: row["state"] for row in rows} == {task.id: task.state for task in self.tasks.values()}
        wanted = {task.id for task in self.tasks.values() if task.state == "done"}
        ended = self.rows(
            "SELECT tasks.path, attempts.detail FROM attempts JOIN tasks USING (task) WHERE outcome = 'done'"
        )
        assert sorted(id for id, _ in ended) == sorted(wanted)
        for id, detail in ended:
            if self.tasks[id].has_worktree:
                assert f"+++ b/new\n@@ -0,0 +1 @@\n+{id}\n" in json.loads(detail)["workspace"]["diff"]
        done = Counter(self.shell.ledger())
        assert set(done) == wanted
        twice = [id for id, count in done.items() if count > 1]
        # A node that dies between giving a worktree back and telling the store takes along what was in it: it is made again.
        assert [id for id in twice if not self.tasks[id].has_worktree] == []
        assert len(twice) <= KILLS * SLOTS
        assert self.shell.ledger("clashes") == []

    def check_nothing_is_left(self) -> None:
        """No lease, process, container, worktree, nor a folder."""
        assert self.rows("SELECT kind, name FROM leases") == []
        assert self.rows("SELECT task FROM attempts WHERE outcome IS NULL") == []
        until(lambda: not marked(self.mark))
        if self.engine is not None:
            assert self.engine.containers() == []
            assert json.loads(self.engine.call("GET", "/volumes"))["Volumes"] in (None, [])
            self._check_worktrees()
        assert list(self.temporary.iterdir()) == []

    def age(self) -> None:
        """Have a minute pass for the folders of attempts: those that were settled as their node died go by then."""
        for spool in self.temporary.glob("interlock-attempt-*"):
            os.utime(spool, (time.time() - 120,) * 2)

    def is_swept(self) -> bool:
        return not list(self.temporary.iterdir()) and (self.engine is None or self.engine.containers() == [])

    def _check_worktrees(self) -> None:
        (folder,) = self.worktrees.iterdir()
        places = [folder / f"workspace-{number}" for number in range(SLOTS)]
        listed = [
            line.split()[1]
            for line in self.repository.git("worktree", "list", "--porcelain").splitlines()
            if line.startswith("worktree ")
        ]
        assert sorted(listed) == sorted(map(str, [self.repository.folder, *places]))
        for place in places:
            lock = place.with_name(f"{place.name}.lock")
            if (
                read(lock).state == "free"
            ):  # one whose holder died is cleaned when it is leased again; its lock is free too
                assert sorted(path.name for path in place.iterdir()) == [".git", "base"]
        for lock in [
            *folder.glob("*lock"),
            *self.repository.folder.glob(".git/*.lock"),
            *self.repository.folder.glob(".git/worktrees/*/*.lock"),
        ]:
            claim = Claim.take(lock)
            assert claim is not None, lock
            claim.let_go()


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    found = Nodes(shell)
    yield found
    found.end()


def rage(nodes: Nodes, storm: Storm) -> None:
    """Load the graph, kill the dispatcher five times while it works on it, and look at what there is in the end."""
    storm.write(7)
    assert nodes.shell.run("tasks", "load", "storm.json").code == 0
    node = nodes.start(env=storm.environment)
    for number in range(KILLS):
        enough = TASKS * (number + 1) // (KILLS + 2)
        until(lambda at=enough: storm.look() >= at, 300)  # type: ignore[misc]  # mypy has no type for a default of a lambda
        until(lambda: any(storm.temporary.iterdir()))  # there is something to be left
        node.send_signal(signal.SIGKILL)
        node.wait()
        node = nodes.start(env=storm.environment)
    until(lambda: storm.look() == TASKS, 300)
    assert storm.looks > KILLS
    assert marked(storm.mark) != []
    storm.check_tasks()
    storm.age()
    until(storm.is_swept, 180)  # a node looks every minute for what dead ones left
    node.send_signal(signal.SIGTERM)
    assert node.wait(60) == 0
    storm.check_nothing_is_left()


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_killed_dispatchers_lose_nothing_and_leave_nothing(nodes: Nodes) -> None:
    """SH-02, PO-02, RU-07"""
    rage(nodes, Storm(nodes.shell, None))


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_killed_dispatchers_leave_no_container_and_no_worktree(nodes: Nodes) -> None:
    """SH-02, PO-02, RU-01, RU-07: every thirteenth task is a container, every thirteenth has one of three worktrees."""
    if may_skip("docker", engines.present("docker")):
        pytest.skip("docker is not installed, or this is not root")
    rage(nodes, Storm(nodes.shell, engines.shared("docker")))
