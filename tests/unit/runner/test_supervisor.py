"""The supervisor by its own words: `python -m interlock.runner`, spoken to over its pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock.model import supervision

SURVIVOR = "trap '' TERM; echo on; sleep 60 & wait"


class Conversation:
    """A supervisor, and what it has told so far."""

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool" / "attempt"
        self.folder = folder
        environment = os.environ | {"PYTHONPATH": str(Path(interlock.__file__).parents[1])}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "interlock.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self.output = {supervision.STDOUT: b"", supervision.STDERR: b""}
        self.pid = 0

    def give(self, command: str, **fields: Any) -> None:
        job = {
            "argv": ["/bin/sh", "-c", command],
            "environment": {"PATH": os.environ["PATH"]},
            "folder": str(self.folder),
            "spool": str(self.spool),
            "files": {},
            "stdin": None,
            "timeout_seconds": None,
            "orphan_grace_seconds": 0.0,
            "spool_bytes": 1000,
        }
        self.say(json.dumps(job | fields).encode())

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def leave(self) -> None:
        """Go away, as a node that is killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def hear_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self._hear() is None

    def report(self) -> dict[str, Any]:
        """Listen to the end."""
        while (report := self._hear()) is None:
            pass
        return report

    def _hear(self) -> dict[str, Any] | None:
        assert self.process.stdout is not None
        header = self.process.stdout.read(supervision.HEADER_BYTES)
        assert len(header) == supervision.HEADER_BYTES, "it went without a report"
        kind, length = supervision.header(header)
        payload = self.process.stdout.read(length)
        if kind == supervision.REPORT:
            return dict(json.loads(payload))
        if kind == supervision.STARTED:
            self.pid = int(payload)
        else:
            self.output[kind] += payload
        return None


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Conversation]:
    conversation = Conversation(tmp_path)
    yield conversation
    with conversation.process as process:
        try:
            process.wait(60)
        finally:
            process.kill()


def test_supervisor_without_a_job_ends_with_its_input(talk: Conversation) -> None:
    talk.leave()
    assert talk.process.wait(60) == 0


def test_report_is_told_and_kept(talk: Conversation) -> None:
    talk.give("cat; echo err >&2; exit 7", stdin="in")
    report = talk.report()
    assert report == {
        "ended_by": "exit",
        "code": 7,
        "signal": None,
        "reason": None,
        "detail": None,
        "out_of_memory": False,
    }
    assert talk.output == {supervision.STDOUT: b"in", supervision.STDERR: b"err\n"}
    assert json.loads((talk.spool / supervision.OUTCOME_FILE).read_text()) == report
    assert (talk.spool / "stdout").read_bytes() == b"in"


def test_job_may_come_in_pieces_and_with_a_command(talk: Conversation) -> None:
    talk.give(SURVIVOR)
    talk.say(b"")
    talk.hear_until(lambda: b"on" in talk.output[supervision.STDOUT])
    talk.say(b'{"cancel": false}\n{"cancel": true}\n{"cancel": true}')
    assert talk.report()["ended_by"] == "cancel"


def test_spool_keeps_the_beginning_of_long_output(talk: Conversation) -> None:
    talk.give("head -c 300000 /dev/zero")
    assert talk.report()["code"] == 0
    assert len(talk.output[supervision.STDOUT]) == 300_000
    assert (talk.spool / "stdout").stat().st_size == 1000


@pytest.mark.parametrize("days", [25, 365, 400_000])
def test_timeout_may_be_longer_than_the_system_waits_at_once(talk: Conversation, days: int) -> None:
    """From 25 days on the supervisor died as the command began."""
    talk.give("sleep 0.1; exit 7", timeout_seconds=days * 86_400.0)
    assert talk.report()["code"] == 7


def test_signal_is_told(talk: Conversation) -> None:
    talk.give("kill -USR1 $$")
    report = talk.report()
    assert (report["code"], report["signal"]) == (None, signal.SIGUSR1)


def test_timeout_is_told(talk: Conversation) -> None:
    talk.give(SURVIVOR, timeout_seconds=0.2)
    assert talk.report()["ended_by"] == "timeout"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"folder": "/no/such/folder"}, "no-such-folder"),
        ({"argv": ["/no/such/program"]}, "ENOENT"),
        ({"argv": ["/etc/passwd"]}, "EACCES"),
        ({"argv": ["/bin/true", "a\0b"]}, "invalid"),
        ({"argv": ["/bin/true", "\ud800"]}, "invalid"),
        ({"environment": {"A=B": "c"}}, "invalid"),
        ({"stdin": "\ud800"}, "invalid"),
        ({"files": {"script": "\ud800"}}, "invalid"),
    ],
)
def test_what_cannot_be_launched_is_told(talk: Conversation, fields: dict[str, Any], reason: str) -> None:
    talk.give("true", **fields)
    report = talk.report()
    assert (report["ended_by"], report["reason"]) == ("not-launched", reason)
    assert report["detail"]


def test_spool_that_cannot_be_made_is_told(talk: Conversation) -> None:
    (talk.folder / "file").touch()
    talk.give("true", spool=str(talk.folder / "file" / "spool"))
    assert talk.report()["reason"] == "ENOTDIR"


def test_spool_that_takes_no_more_stops_nothing(talk: Conversation) -> None:
    talk.give(f"rm -rf {talk.spool}; echo done")
    assert talk.report()["code"] == 0
    assert talk.output[supervision.STDOUT] == b"done\n"


def test_orphan_without_grace_is_killed_and_forgotten(talk: Conversation) -> None:
    talk.give(SURVIVOR)
    talk.hear_until(lambda: b"on" in talk.output[supervision.STDOUT])
    talk.leave()
    talk.process.wait(60)
    assert not is_alive(talk.pid)
    assert not talk.spool.exists()


def test_orphan_that_exits_within_its_grace_keeps_its_outcome(talk: Conversation) -> None:
    talk.give("echo on; sleep 0.2; echo late; exit 3", orphan_grace_seconds=5)
    talk.hear_until(lambda: b"on" in talk.output[supervision.STDOUT])
    talk.leave()
    talk.process.wait(60)
    assert json.loads((talk.spool / supervision.OUTCOME_FILE).read_text())["code"] == 3
    assert (talk.spool / "stdout").read_text() == "on\nlate\n"


def test_orphan_is_ended_after_its_grace(talk: Conversation) -> None:
    talk.give(SURVIVOR, orphan_grace_seconds=0.2)
    talk.hear_until(lambda: b"on" in talk.output[supervision.STDOUT])
    talk.leave()
    talk.process.wait(60)
    assert json.loads((talk.spool / supervision.OUTCOME_FILE).read_text())["ended_by"] == "orphan"


def test_background_processes_end_with_the_command(talk: Conversation) -> None:
    talk.give("(trap '' TERM; sleep 60) & echo $!; exit 0")
    started = time.monotonic()
    assert talk.report()["ended_by"] == "exit"
    assert time.monotonic() - started < 30
    assert not is_alive(int(talk.output[supervision.STDOUT]))


def test_output_that_others_hold_open_is_not_waited_for(talk: Conversation, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import socket, sys, time\n" + HOLDER, str(tmp_path / "socket")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    talk.give("", argv=[sys.executable, "-c", "import socket, sys\n" + GIVER, str(tmp_path / "socket")])
    started = time.monotonic()
    assert talk.report()["ended_by"] == "exit"
    assert time.monotonic() - started < 30
    with holder:
        holder.kill()


def test_supervisor_asked_by_signal_ends_its_job(talk: Conversation) -> None:
    talk.give(SURVIVOR)
    talk.hear_until(lambda: b"on" in talk.output[supervision.STDOUT])
    talk.process.send_signal(signal.SIGINT)
    talk.process.send_signal(signal.SIGTERM)
    assert talk.report()["ended_by"] == "cancel"


def test_output_waits_for_a_node_that_does_not_read(talk: Conversation) -> None:
    talk.give("head -c 3000000 /dev/zero; touch written; sleep 60", timeout_seconds=0.6)
    time.sleep(0.4)
    assert not (talk.folder / "written").exists()
    assert talk.report()["ended_by"] == "timeout"


HOLDER = """
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
connection, _ = server.accept()
kept = socket.recv_fds(connection, 1, 1)
connection.sendall(b"x")
time.sleep(60)
"""
"""Keeps a descriptor that is passed to it."""

GIVER = """
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
socket.send_fds(connection, [b"x"], [1])
connection.recv(1)
"""
"""Passes its standard output on to a process that is nobody's descendant here."""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"
