"""`interlock worker` in real processes: claimed, killed, drained, refused, asked over HTTP. HB-12, HB-14"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import Shell, alive, until
from interlock.cli.main import outcome
from interlock.store.open import open_store

HEADER = "document: {dsl: 1.0.3, namespace: default, name: %s, version: 1.0.0}\n"
QUICK = (
    HEADER % "quick" + "do:\n  - work:\n"
    "      run: {shell: {command: 'echo $INTERLOCK_WORKER $INTERLOCK_POOL >> ledger'}}\n"
    "      metadata: {interlock: {pool: workers}}\n"
)
TICKS = (
    HEADER % "ticks" + "do:\n  - work:\n"
    "      run: {shell: {command: 'echo begun >> ledger; while ! test -e go; do sleep 0.1; done; echo ended >> ledger'}}\n"
    "      metadata: {interlock: {pool: workers}}\n"
)
SKILLED = (
    HEADER % "skilled" + "do:\n  - work:\n"
    "      run: {shell: {command: 'echo $INTERLOCK_WORKER >> ledger'}}\n"
    "      metadata: {interlock: {pool: workers, requires: {skills: [shipping], region: eu, type: parcel, cpu: 1}}}\n"
)
FAST = {"HEARTBEAT_INTERVAL_MS": "500", "STALE_WORKER_THRESHOLD_MS": "2000"}


class Fleet:
    """A node and workers of one store, each with its log in a file."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, env: dict[str, str] | None = None, says: str = "ready=true") -> Any:
        with (self.shell.folder / f"process{len(self._processes)}.log").open("wb") as log:
            process = self.shell.process(
                *arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        self._processes.append(process)
        if says:
            self.says(process, says)
        return process

    def node(self) -> Any:
        return self.start("node", "--roles", "engine")

    def worker(self, id: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
        return self.start("worker", "--id", id, *arguments, env=env)

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.shell.folder / f"process{self._processes.index(process)}.log").read_text()

    def says(self, process: subprocess.Popen[bytes], text: str, seconds: float = 60.0) -> None:
        def said() -> bool:
            assert text in self.log(process) or process.poll() is None, self.log(process)
            return text in self.log(process)

        until(said, seconds)

    def url(self, process: subprocess.Popen[bytes]) -> str:
        self.says(process, "worker.listens")
        return next(word[4:] for word in self.log(process).split() if word.startswith("url=")).removesuffix("/health")

    def show(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.shell.run("workers", "show", id, "--json").json
        return found

    def events(self, id: str) -> list[str]:
        found = self.shell.run("workers", "events", "--limit", "1000", "--json").json
        return [event["kind"] for event in found if event["worker"] == id]

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(60)


@pytest.fixture
def fleet(shell: Shell) -> Iterator[Fleet]:
    for text in (QUICK, TICKS, SKILLED):
        shell.write(f"{text.split('name: ')[1].split(',')[0]}.yaml", text)
    found = Fleet(shell)
    yield found
    found.end()


def status(shell: Shell, run: str) -> str:
    return str(shell.run("show", run, "--json").json["status"])


def completed(shell: Shell, *runs: str) -> bool:
    return {each["status"] for each in shell.runs() if each["id"] in runs} == {"completed"}


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_worker_performs_the_tasks_of_its_pool_and_tells_how_it_is(fleet: Fleet) -> None:
    shell = fleet.shell
    fleet.node()
    worker = fleet.worker("w1", "--slots", "3", "--skills", "rust", "--region", "eu")
    shell.run("run", "quick.yaml", "--detach", "--id", "r")
    until(lambda: completed(shell, "r"))
    assert shell.ledger() == ["w1", "workers"]
    url = fleet.url(worker)
    code, body = get(f"{url}/health")
    health = json.loads(body)
    assert (code, health["status"], health["worker_id"], health["active_tasks"]) == (200, "ok", "w1", 0)
    assert health["capacity"] == {"max": 3, "available": 3}
    assert health["uptime_seconds"] > 0
    assert health["last_heartbeat"] > 0
    assert get(f"{url}/ready") == (200, '{"ready":true,"reasons":[]}')
    metrics = get(f"{url}/metrics")[1]
    assert 'interlock_worker_tasks_ended_total{worker="w1",pool="workers",outcome="done"} 1\n' in metrics
    shown = fleet.show("w1")
    assert (shown["status"], shown["capacity"], shown["region"], shown["skills"]) == ("active", 3, "eu", ["rust"])
    assert shown["metadata"] == {"pool": "workers", "health": f"{url}/health"}


def test_state_of_a_task_and_its_context_are_in_shared_memory(fleet: Fleet) -> None:
    shell = fleet.shell
    shell.write(
        "context.yaml",
        HEADER % "context" + "do:\n  - work:\n      run: {shell: {command: 'cat $INTERLOCK_CONTEXT'}}\n"
        "      metadata: {interlock: {pool: workers}}\n",
    )
    fleet.node()
    fleet.worker("w1")
    assert shell.run("memory", "set", "context/workers", '{"phase": 2}').code == 0
    shell.run("run", "context.yaml", "--detach", "--id", "r")
    until(lambda: completed(shell, "r"))
    assert json.loads(shell.run("show", "r", "--json").json["output"]) == {"pool": {"phase": 2}}
    until(lambda: "/state" in shell.run("memory", "list", "--space", "tasks").out)


@pytest.mark.slow
def test_sigterm_ends_intake_waits_releases_deregisters_and_exits_0(fleet: Fleet) -> None:
    """HB-12"""
    shell = fleet.shell
    fleet.node()
    worker = fleet.worker("w1", "--slots", "2")
    shell.run("run", "ticks.yaml", "--detach", "--id", "working")
    until(lambda: shell.ledger() == ["begun"])
    held = shell.folder / "held.py"
    held.write_text(
        "import asyncio\nfrom interlock import Coordination\n"
        "async def main():\n"
        "    coord = await Coordination.open('sqlite:///.interlock/interlock.db', worker='w1')\n"
        "    await coord.locks.acquire('mine', ttl='5m')\n"
        "    import os; os._exit(0)\n"
        "asyncio.run(main())\n"
    )
    python = [shell._command(())[0], str(held)]
    subprocess.run(python, cwd=shell.folder, env=shell._environment(None), check=True, timeout=30)
    assert "mine" in shell.run("locks", "list").out
    worker.send_signal(signal.SIGTERM)
    fleet.says(worker, "node.draining")
    until(lambda: fleet.show("w1")["status"] == "draining")
    assert get(f"{fleet.url(worker)}/ready")[0] == 503
    shell.run("run", "quick.yaml", "--detach", "--id", "late")
    assert alive(worker.pid)  # it waits for what runs
    (shell.folder / "go").touch()
    assert worker.wait(60) == 0
    until(lambda: completed(shell, "working"))
    assert shell.ledger() == ["begun", "ended"]  # and it took nothing more
    assert "mine" not in shell.run("locks", "list").out
    assert fleet.events("w1") == ["registered", "draining", "locks-released", "removed"]
    told = [line.split()[2] for line in fleet.log(worker).splitlines()]
    order = ["node.draining", "worker.ended", "worker.drained", "worker.deregistered", "node.left"]
    assert [name for name in told if name in order] == order
    assert fleet.show("w1")["status"] == "removed"


@pytest.mark.slow
def test_worker_that_is_asked_to_drain_ends(fleet: Fleet) -> None:
    first, second, third = (fleet.worker(f"w{number}") for number in range(3))
    fleet.shell.run("workers", "drain", "w0")
    assert first.wait(60) == 0
    assert "interlock workers drain" in fleet.log(first)
    node = next(each for each in fleet.shell.run("nodes", "list", "--json").json if each["pid"] == second.pid)
    assert node["roles"] == ["worker"]
    fleet.shell.run("nodes", "drain", node["node"])
    assert second.wait(60) == 0
    third.send_signal(signal.SIGINT)
    assert third.wait(60) == 0
    assert [fleet.show(f"w{number}")["status"] for number in range(3)] == ["removed"] * 3


def test_worker_ends_when_its_time_is_over(fleet: Fleet) -> None:
    by_option = fleet.start("worker", "--id", "w0", "--for", "0.5s", env={"WORKER_DURATION_MINUTES": "7"}, says="")
    assert by_option.wait(60) == 0
    assert "its time is over" in fleet.log(by_option)


@pytest.mark.slow
def test_task_goes_only_to_a_worker_that_has_what_it_requires(fleet: Fleet) -> None:
    shell = fleet.shell
    fleet.node()
    fleet.worker("plain")
    fleet.worker("elsewhere", "--skills", "shipping", "--region", "us", "--types", "parcel")
    fleet.worker("other-type", "--skills", "shipping", "--region", "eu", "--types", "letter")
    shell.run("run", "skilled.yaml", "--detach", "--id", "picky")
    shell.run("run", "quick.yaml", "--detach", "--id", "easy")  # behind it, and not held up by it
    until(lambda: completed(shell, "easy"))
    assert status(shell, "picky") == "running"
    fleet.worker("able", env={"WORKER_REGION": "eu", "SUPPORTED_TASK_TYPES": "parcel,letter"})
    assert status(shell, "picky") == "running"  # it lacks the skill
    fleet.worker("right", "--skills", "shipping,packing", "--region", "eu", "--types", "parcel")
    until(lambda: completed(shell, "picky"))
    assert shell.ledger()[-1] == "right"


def test_run_whose_pool_has_no_worker_says_so(fleet: Fleet) -> None:
    shell = fleet.shell
    fleet.node()
    shell.run("run", "quick.yaml", "--detach", "--id", "r")
    until(lambda: "its tasks wait for the pool workers" in shell.run("show", "r").out)
    assert "`interlock worker --pool workers`" in shell.run("show", "r").out
    fleet.worker("w1")
    until(lambda: completed(shell, "r"))
    assert "wait for the pool" not in shell.run("show", "r").out


@pytest.mark.slow
def test_tasks_are_shared_out_by_load(fleet: Fleet) -> None:
    shell = fleet.shell
    shell.write(
        "many.yaml",
        HEADER % "many"
        + "do:\n  - all:\n      fork:\n        branches:\n"
        + "".join(
            f"          - b{number}: {{run: {{shell: {{command: 'echo $INTERLOCK_WORKER >> ledger;"
            " while ! test -e go; do sleep 0.1; done'}}, metadata: {interlock: {pool: workers}}}\n"
            for number in range(4)
        ),
    )
    fleet.node()
    for number in range(2):
        fleet.worker(f"w{number}", "--slots", "4")
    shell.run("run", "many.yaml", "--detach", "--id", "r")
    until(lambda: len(shell.ledger()) == 4)
    assert sorted(shell.ledger()) == ["w0", "w0", "w1", "w1"]
    (shell.folder / "go").touch()
    until(lambda: completed(shell, "r"))
    with contextlib.closing(sqlite3.connect(shell.folder / ".interlock/interlock.db")) as connection:
        bodies = [json.loads(row[0]) for row in connection.execute("SELECT body FROM decisions")]
    assert len(bodies) == 4
    assert {body["chosen"] for body in bodies} == {"w0", "w1"}
    assert all(body["strategy"] == "least_loaded" and len(body["candidates"]) == 2 for body in bodies)


# -- dead workers -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, fleet: Fleet) -> Fleet:
    """The same on both stores."""
    if request.param == "postgresql":
        url, environment = request.getfixturevalue("postgres_url"), fleet.shell._environment
        fleet.shell._environment = (  # type: ignore[method-assign]  # for this store
            lambda more: environment(more) | {"INTERLOCK_STORE_URL": url}
        )
    return fleet


def supervisors(worker: int) -> list[int]:
    """The processes that a worker started."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                parent = Path(f"/proc/{name}/stat").read_text().rpartition(") ")[2].split()[1]
                if int(parent) == worker:
                    found.append(int(name))
    return found


@pytest.mark.slow
def test_task_of_a_killed_worker_is_adopted_by_another_one_of_its_host(anywhere: Fleet) -> None:
    """HB-14: nothing is made twice where its process lives on."""
    shell = anywhere.shell
    anywhere.node()
    killed = anywhere.worker("w1")
    shell.run("run", "ticks.yaml", "--detach", "--id", "r")
    until(lambda: shell.ledger() == ["begun"])
    other = anywhere.worker("w2")
    killed.kill()
    anywhere.says(other, "attempt.adopted")
    (shell.folder / "go").touch()
    until(lambda: completed(shell, "r"))
    assert shell.ledger() == ["begun", "ended"]


@pytest.mark.slow
def test_task_whose_processes_were_killed_too_is_made_once_more(anywhere: Fleet) -> None:
    """HB-14: one more time exactly, and one result is accepted."""
    shell = anywhere.shell
    anywhere.node()
    killed = anywhere.worker("w1")
    shell.run("run", "ticks.yaml", "--detach", "--id", "r")
    until(lambda: shell.ledger() == ["begun"])
    other = anywhere.worker("w2")
    attempt = supervisors(killed.pid)
    killed.kill()
    for pid in attempt:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    anywhere.says(other, "attempt.lost")
    until(lambda: shell.ledger() == ["begun"] * 2)
    (shell.folder / "go").touch()
    until(lambda: completed(shell, "r"))
    ended = [line for line in shell.ledger() if line == "ended"]
    history = [json.loads(line)["type"] for line in shell.run("history", "r", "--json").out.splitlines()]
    assert history.count("step.completed") == 1
    assert shell.ledger().count("begun") == 2
    assert 1 <= len(ended) <= 2  # the command of the first attempt may outlive its supervisor; its result has no way in


def test_worker_takes_its_own_place_after_it_was_killed(fleet: Fleet) -> None:
    killed = fleet.worker("w1")
    killed.kill()
    killed.wait(60)
    again = fleet.worker("w1")
    assert fleet.show("w1")["pid"] == again.pid
    assert fleet.events("w1") == ["registered", "locks-released", "removed", "registered"]


@pytest.mark.slow
def test_worker_that_stood_still_starts_anew(fleet: Fleet) -> None:
    fleet.node()
    stopped = fleet.worker("w1", env=FAST)
    watching = fleet.worker("w2", env=FAST)
    stopped.send_signal(signal.SIGSTOP)
    fleet.says(watching, "worker.recovered", 60)
    assert [each for each in fleet.events("w1") if each != "requeued"] == [
        "registered", "stale", "offline", "locks-released", "alert", "recovered",
    ]  # fmt: skip
    stopped.send_signal(signal.SIGCONT)
    until(lambda: fleet.log(stopped).count("worker.registered") >= 2, 60)  # on a busy machine it may stand still again
    assert fleet.show("w1")["status"] == "active"


# -- what is refused ----------------------------------------------------------------------------------------------------


def test_id_of_a_live_worker_is_refused(fleet: Fleet) -> None:
    fleet.worker("w1")
    second = fleet.shell.run("worker", "--id", "w1")
    assert second.code == 2
    assert "'w1' is registered by a process that is alive" in second.err


@pytest.mark.parametrize(
    ("arguments", "env", "complaint"),
    [
        (["--pool", "local"], {}, "every node's own"),
        (["--pool", "a b"], {}, "--pool 'a b'"),
        (["--slots", "0"], {}, "--slots"),
        (["--skills", "a,,b"], {}, "--skills 'a,,b'"),
        (["--strategy", "best"], {}, "there is no strategy 'best'"),
        (["--for", "soon"], {}, "--for 'soon'"),
        (["--listen", "8080"], {}, "--listen '8080'"),
        (["--listen", "127.0.0.1:70000"], {}, "127.0.0.1:70000"),
        (["--listen", "127.0.0.1:0", "--port", "1"], {}, "leave out --port"),
        (["--folder", "nowhere"], {}, "--folder 'nowhere'"),
        ([], {"WORKER_MAX_TASKS": "many"}, "WORKER_MAX_TASKS='many'"),
        ([], {"WORKER_MAX_TASKS": "0"}, "WORKER_MAX_TASKS='0'"),
        ([], {"WORKER_DURATION_MINUTES": "x"}, "WORKER_DURATION_MINUTES='x'"),
        ([], {"HEARTBEAT_INTERVAL_MS": "9"}, "HEARTBEAT_INTERVAL_MS='9'"),
        ([], {"STALE_WORKER_THRESHOLD_MS": "30000"}, "at least twice HEARTBEAT_INTERVAL_MS"),
        ([], {"LOAD_BALANCE_STRATEGY": "best"}, "there is no strategy 'best'"),
        ([], {"SUPPORTED_TASK_TYPES": "a,,b"}, "'a,,b'"),
    ],
)
def test_wrong_input_is_refused_by_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    env: dict[str, str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert outcome(["worker", *arguments]) == 2
    told = capfd.readouterr().err
    assert complaint in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())  # no store was made


def test_port_in_use_is_refused(fleet: Fleet) -> None:
    address = fleet.url(fleet.worker("w1")).removeprefix("http://")
    ended = fleet.shell.run("worker", "--id", "w2", "--listen", address)
    assert ended.code == 2
    assert f"cannot listen on {address}" in ended.err


def test_worker_removes_what_a_killed_one_left_of_attempts_that_are_over(fleet: Fleet, shell: Shell) -> None:
    """RU-06: what was left between the store hearing of an end and the tidying up stayed for a day."""
    temporary = shell.folder / "temporary"
    temporary.mkdir()
    url = f"sqlite:///{shell.folder}/interlock.db"
    store = asyncio.run(_identity(url))
    left = [_spool(temporary, attempt) for attempt in (f"default/g/a.1@{store}", "default/g/a.1@another")]
    fleet.worker("w", "--pool", "p", env={"TMPDIR": str(temporary), "INTERLOCK_STORE_URL": url})
    until(lambda: not left[0].exists())
    assert left[1].exists()  # it is for that store's own to remove


async def _identity(url: str) -> str:
    store = await open_store(url)
    try:
        return await store.queue.identity()
    finally:
        await store.close()


def _spool(folder: Path, attempt: str) -> Path:
    """Make what an attempt of long ago left."""
    spool = folder / f"interlock-attempt-{hashlib.sha256(attempt.encode()).hexdigest()[:32]}"
    spool.mkdir()
    (spool / "attempt").write_text(attempt)
    os.utime(spool, (time.time() - 120,) * 2)
    return spool
