"""Programs in a pool report on a Unix socket of their node, with curl, also where no port is open at all (OP-13)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from acceptance.shell import Shell, until
from interlock import errors
from interlock.client.client import Client
from interlock.server import attempt_socket

REPORTING = """
document: {dsl: 1.0.3, namespace: shop, name: reporting, version: 1.0.0}
do:
  - work:
      run:
        shell:
          command: |
            ask() { curl -s --max-time 20 --unix-socket "$INTERLOCK_SOCKET" -w '%{http_code}' -o /dev/null "$@"; }
            ask "$INTERLOCK_CALLBACK/heartbeat" -d '' > "$FOLDER/alive"
            ask http://localhost/api/v1/runs > "$FOLDER/runs"
            while ! test -e "$FOLDER/go"; do sleep 0.05; done
            until test "$(ask "$INTERLOCK_CALLBACK/complete" -d '{"result": {"pr": 812}}')" = 200; do sleep 0.1; done
            sleep 60
          environment: {FOLDER: FOLDER_HERE}
  - after: {set: {got: "${ .pr }"}}
"""


@contextlib.asynccontextmanager
async def server(shell: Shell, runtime: Path) -> AsyncIterator[int]:
    """Start `interlock up` on a Unix socket, and give its process id."""
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    with shell.started("up", "--listen", f"unix:{shell.folder}/up.sock", env=environment) as process:
        assert process.stderr is not None
        line = await asyncio.to_thread(process.stderr.readline)
        assert "url=unix:" in line, line
        draining = asyncio.create_task(asyncio.to_thread(process.stderr.read))
        try:
            yield process.pid
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            await draining


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has at most some 100 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


async def test_program_reports_by_the_socket_of_its_node(shell: Shell, runtime: Path) -> None:
    async with server(shell, runtime), Client(f"unix:{shell.folder}/up.sock") as client:
        (shell.folder / "go").touch()
        await client.start(document=REPORTING.replace("FOLDER_HERE", str(shell.folder)), id="r1")
        assert await client.result("r1", timeout=60) == {"got": 812}
        assert (shell.folder / "alive").read_text() == "200"
        assert (shell.folder / "runs").read_text() == "404"  # the socket serves what a token is right enough for
    assert list(runtime.iterdir()) == []


@pytest.mark.slow
async def test_program_that_outlived_its_node_reports_to_the_next_one(shell: Shell, runtime: Path) -> None:
    asked = shell.folder / "runs"
    async with server(shell, runtime) as pid, Client(f"unix:{shell.folder}/up.sock") as client:
        await client.start(document=REPORTING.replace("FOLDER_HERE", str(shell.folder)), id="r1")
        await asyncio.to_thread(until, lambda: asked.exists() and asked.read_text() == "404", 30.0)
        os.kill(pid, signal.SIGKILL)
    async with server(shell, runtime), Client(f"unix:{shell.folder}/up.sock") as client:
        (shell.folder / "go").touch()
        assert await client.result("r1", timeout=60) == {"got": 812}


def test_socket_is_for_this_user_alone(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    made = attempt_socket.place("", "sqlite:///a.db", "http://127.0.0.1:1")
    assert made is not None
    try:
        path = Path(made.path)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other = attempt_socket.place("", "sqlite:///b.db", "http://127.0.0.1:1")
        assert other is not None
        assert other.path != made.path
        attempt_socket.leave(other)
    finally:
        attempt_socket.leave(made)
        attempt_socket.leave(made)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_folder_that_others_may_enter_is_not_used(runtime: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    made = attempt_socket.place("", "s", "l")
    assert made is not None
    folder = Path(made.path).parent
    made.close()
    folder.chmod(mode)
    with pytest.raises(errors.Invalid, match=r"server\.attempt_socket"):
        attempt_socket.place("", "s", "l")
    folder.rmdir()
    folder.symlink_to(runtime)
    with pytest.raises(errors.Invalid, match="this user alone"):
        attempt_socket.place("", "s", "l")


def test_place_of_the_socket_may_be_named_or_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempt_socket.place("none", "s", "l") is None
    named = attempt_socket.place(str(runtime / "mine.sock"), "s", "l")
    assert named is not None
    assert named.path == str(runtime / "mine.sock")
    named.socket.listen(1)
    with pytest.raises(errors.Invalid, match="in use"):
        attempt_socket.place(str(runtime / "mine.sock"), "s", "l")
    attempt_socket.leave(named)
    assert runtime.exists()
    deep = runtime / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    assert attempt_socket.place("", "s", "l") is None
