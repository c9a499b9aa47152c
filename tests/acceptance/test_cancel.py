"""Cancel from another process stops what runs, within a second, and leaves no process behind. WF-17"""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from acceptance.shell import Shell, alive, until

HEADER = "document: {dsl: 1.0.3, namespace: default, name: long, version: 1.0.0}\n"

FUNCTIONS = """
import asyncio, os, time

def _note(name):
    with open(name, "w") as file:
        file.write(str(os.getpid()))

async def patient():
    _note("pid")
    try:
        await asyncio.sleep(60)
    finally:
        _note("stopped")

def stubborn():
    _note("pid")
    time.sleep(15)
    _note("late")
    return {"late": True}
"""

STEPS = {
    "shell": """run: {shell: {command: 'echo $$ > pid; (sleep 61 & echo $! > grandchild; wait) & setsid sleep 62 & wait'}}""",
    "async": "call: 'python:functions:patient'",
    "isolated": "{call: 'python:functions:patient', metadata: {interlock: {isolated: true}}}",
    "script": 'run: {script: {language: python, code: \'import os, time; open("pid", "w").write(str(os.getpid())); time.sleep(63)\'}}',
}


def _document(step: str) -> str:
    text = STEPS[step]
    return HEADER + f"do:\n  - work: {text if text.startswith('{') else '{' + text + '}'}\n"


@pytest.mark.parametrize("step", STEPS)
def test_cancel_from_another_process_stops_the_work_within_a_second(shell: Shell, step: str) -> None:
    """WF-17, WF-16"""
    shell.write("functions.py", FUNCTIONS)
    shell.write("long.yaml", _document(step))
    with shell.started("run", "long.yaml", "--id", "victim") as process:
        until(lambda: _pid(shell.folder / "pid") is not None)
        pids = [pid for pid in (_pid(shell.folder / "pid"), _pid(shell.folder / "grandchild")) if pid]
        workers = [pid for pid in pids if pid != process.pid] + _sleepers(shell)
        stopped = (shell.folder / "stopped").exists if step == "async" else lambda: not any(map(alive, workers))
        with ThreadPoolExecutor(1) as watching:
            ended = watching.submit(_moment_of, stopped)
            cancelled = shell.run("cancel", "victim", "--reason", "test")
            assert cancelled.code == 0, cancelled.err
            assert ended.result() - _asked(shell) < 1.0
        assert process.wait(60) == 3
    assert shell.run("show", "victim", "--json").json["status"] == "cancelled"


def _moment_of(condition: Callable[[], bool]) -> float:
    until(condition, 60.0)
    return time.time()


def _asked(shell: Shell) -> float:
    """When the request to cancel was stored."""
    connection = sqlite3.connect(shell.folder / ".interlock" / "interlock.db")
    (at,) = connection.execute("SELECT at FROM audit WHERE action = 'cancel'").fetchone()
    connection.close()
    return float(at)


def _sleepers(shell: Shell) -> list[int]:
    """The processes whose working folder is this test's and that sleep."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (entry / "cwd").readlink() == shell.folder and (entry / "comm").read_text().strip() == "sleep":
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text().strip() or 0) or None
    except (OSError, ValueError):
        return None


@pytest.fixture
def silent_server() -> Iterator[tuple[int, threading.Event]]:
    """A server that accepts a request and never answers; the event is set when the client hangs up."""
    hung_up = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            listener.settimeout(30)
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                try:
                    while connection.recv(4096):
                        pass
                except OSError:
                    return
                hung_up.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], hung_up
    thread.join(35)


def test_cancel_hangs_up_a_running_http_call(shell: Shell, silent_server: tuple[int, threading.Event]) -> None:
    """WF-17"""
    port, hung_up = silent_server
    document = HEADER + f"do:\n  - ask: {{call: http, with: {{method: get, endpoint: 'http://127.0.0.1:{port}/'}}}}\n"
    shell.write("long.yaml", document)
    env = {"INTERLOCK_HTTP_ALLOW_PRIVATE": "true"}
    with shell.started("run", "long.yaml", "--id", "victim", env=env) as process:
        until(lambda: any(run["status"] == "running" for run in shell.runs()))
        assert shell.run("cancel", "victim").code == 0
        assert hung_up.wait(15)  # the call itself would give up after 30 s
        assert process.wait(60) == 3


@pytest.mark.slow
def test_sync_step_is_refused_its_result_and_shown_as_abandoned(shell: Shell) -> None:
    """WF-16"""
    shell.write("functions.py", FUNCTIONS)
    shell.write("long.yaml", HEADER + "do:\n  - work: {call: 'python:functions:stubborn'}\n")
    with shell.started("run", "long.yaml", "--id", "victim") as process:
        until(lambda: _pid(shell.folder / "pid") is not None)
        assert shell.run("cancel", "victim").code == 0
        until(lambda: "abandoned" in shell.run("logs", "victim").out)
        process.wait(60)
    shown = shell.run("show", "victim", "--json").json
    assert shown["status"] == "cancelled"
    assert shown["output"] is None


@pytest.mark.slow
def test_suspended_run_ends_its_command_with_5_and_resumes_once(shell: Shell) -> None:
    """WF-17: resuming twice repeats nothing."""
    shell.write("f.py", "def note(n):\n    open('ledger', 'a').write(f'{n}\\n')\n    return n\n")
    steps = "".join(
        f"  - s{n}: {{call: 'python:f:note', with: {{n: {n}}}}}\n  - w{n}: {{wait: {{milliseconds: 1500}}}}\n"
        for n in range(4)
    )
    shell.write("long.yaml", HEADER + "do:\n" + steps)
    with shell.started("run", "long.yaml", "--id", "victim") as process:
        until(lambda: len(shell.ledger()) >= 1)
        assert shell.run("suspend", "victim").code == 0
        assert process.wait(60) == 5
    assert shell.run("show", "victim", "--json").json["status"] == "suspended"
    assert shell.run("resume", "victim").code == 0
    again = shell.run("resume", "victim")
    assert (again.code, "has ended" in again.err) == (2, True)
    assert shell.ledger() == ["0", "1", "2", "3"]
