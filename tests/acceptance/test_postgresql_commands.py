"""Every command on a store in PostgreSQL, and what each says when that cannot be reached or is no store."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

import postgres
from acceptance.shell import Ended
from interlock import errors
from interlock.cli.main import outcome
from interlock.store.sql.postgresql import server as servers

PASSWORD = "not-to-be-seen"
QUICK = "document: {dsl: 1.0.3, namespace: default, name: quick, version: 1.0.0}\ndo:\n  - a: {run: {shell: {command: echo hello}}}\n"
COMMANDS = [
    ("run", "quick.yaml"), ("resume", "--all"), ("resume", "r"), ("list",), ("show", "r"), ("events", "list"),
    ("events", "send", "t"), ("prune", "--older-than", "1d"), ("nodes", "list"), ("nodes", "drain", "--all"), ("doctor",),
    ("restore", "--raise-fences"),
]  # fmt: skip

Interlock = Callable[..., Ended]


@pytest.fixture
def interlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Interlock:
    """The command line in this process, which is quicker: `interlock(URL, "run", ...)`."""
    (tmp_path / "quick.yaml").write_text(QUICK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(url: str, *arguments: str) -> Ended:
        capfd.readouterr()
        code = outcome(["--store", url, *arguments])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run


def with_password(url: str) -> str:
    return url.replace("postgres@", f"postgres:{PASSWORD}@")


# -- what works ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_are_executed_shown_pruned_and_made_safe(interlock: Interlock, postgres_url: str, tmp_path: Path) -> None:
    url = with_password(postgres_url)
    done = interlock(url, "run", "quick.yaml", "--id", "one")
    assert done.code == 0, done.err
    assert interlock(url, "run", "quick.yaml", "--id", "two", "--detach").code == 0
    assert "doctor" not in interlock(url, "resume", "--all").err
    listed = interlock(url, "list", "--json")
    assert {run["id"]: run["status"] for run in json.loads(listed.out)} == {"one": "completed", "two": "completed"}
    assert "hello" in interlock(url, "logs", "one").out
    assert interlock(url, "events", "send", "shop.opened", "--source", "https://shop").code == 0
    assert "shop.opened" in interlock(url, "events", "list").out
    assert [node["state"] for node in json.loads(interlock(url, "nodes", "list", "--json").out)] == ["left"] * 2
    doctor = interlock(url, "doctor")
    assert doctor.code == 0, doctor.err
    assert "PostgreSQL 18" in doctor.out
    assert "fsync off" in doctor.out
    assert interlock(url, "prune", "--older-than", "0s").out == "removed 2 runs\n"
    assert interlock(url, "run", "quick.yaml", "--id", "three", "--detach").code == 0
    raised = interlock(url, "restore", "--raise-fences")
    assert raised.code == 0, raised.err
    assert "1 run can go on" in raised.out
    assert interlock(url, "resume", "three").code == 0


async def _age(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE runs SET created_at = created_at - 61, freed_at = freed_at - 61")
    await connection.close()


def test_run_that_nobody_executes_is_stranded_within_a_minute(interlock: Interlock, postgres_url: str) -> None:
    assert interlock(postgres_url, "run", "quick.yaml", "--id", "left", "--detach").code == 0
    assert interlock(postgres_url, "list", "--status", "stranded", "--json").out == "[]\n"
    asyncio.run(_age(postgres_url))
    (found,) = json.loads(interlock(postgres_url, "list", "--status", "stranded", "--json").out)
    assert found["id"] == "left"
    assert found["stranded"]["reason"] == "no live node has the role engine"
    assert "`interlock resume left`" in found["stranded"]["command"]
    assert "(stranded)" in interlock(postgres_url, "list").out
    doctor = interlock(postgres_url, "doctor")
    assert "1 run that no process executes" in doctor.out
    assert "left (quick, pending): no live node has the role engine; `interlock resume left`" in doctor.err
    assert interlock(postgres_url, "resume", "left").code == 0
    assert interlock(postgres_url, "list", "--status", "stranded", "--json").out == "[]\n"


def test_backup_is_left_to_the_tools_of_the_server(interlock: Interlock, postgres_url: str) -> None:
    url = with_password(postgres_url)
    for arguments in (("backup", "copy.db"), ("restore", "copy.db"), ("restore", "copy.db", "--force")):
        refused = interlock(url, *arguments)
        assert refused.code == 2
        assert "interlock restore --raise-fences" in refused.err
        assert PASSWORD not in refused.err
    assert not Path("copy.db").exists()


def test_settings_are_shown_without_the_password(interlock: Interlock, postgres_url: str) -> None:
    for arguments in (("config", "show"), ("config", "show", "--json")):
        shown = interlock(with_password(postgres_url), *arguments)
        assert "127.0.0.1" in shown.out
        assert PASSWORD not in shown.out


# -- what stands in the way ------------------------------------------------------------------------------------------


def assert_refused(ended: Ended, code: int, *words: str) -> None:
    """One line that tells what is wrong and no password."""
    assert ended.code == code, ended
    (line,) = [
        line for line in ended.err.splitlines() if "node.readiness" not in line
    ]  # which a node logs as it begins
    assert all(word in line for word in words), line
    assert PASSWORD not in ended.err + ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_server_that_is_away_is_told_by_every_command(interlock: Interlock, command: tuple[str, ...]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"postgresql://someone:{PASSWORD}@127.0.0.1:{port}/work"
    assert_refused(interlock(url, *command), errors.StoreUnavailable.exit_code, f"127.0.0.1:{port}/work", "away")


@pytest.fixture
def guarded(postgres_server: postgres.Server) -> Iterator[str]:
    """A user that must give a password."""
    rules = postgres_server._data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
    postgres_server._run("pg_ctl", "-D", str(postgres_server._data), "reload")
    yield postgres_server.url("template1").replace("postgres@", f"guarded:{PASSWORD}@")
    rules.write_text(before)
    postgres_server._run("pg_ctl", "-D", str(postgres_server._data), "reload")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_wrong_password_is_told_and_not_shown(interlock: Interlock, guarded: str, command: tuple[str, ...]) -> None:
    assert_refused(
        interlock(guarded, *command), errors.StoreUnavailable.exit_code, "refuses", "guarded", "check store.url"
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_database_that_is_missing_is_named(
    interlock: Interlock, postgres_server: postgres.Server, command: tuple[str, ...]
) -> None:
    url = with_password(postgres_server.url("nowhere"))
    assert_refused(interlock(url, *command), errors.StoreUnavailable.exit_code, '"nowhere" does not exist')


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_server_that_is_too_old_is_named(
    interlock: Interlock, postgres_url: str, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(servers, "_OLDEST", 99)
    assert_refused(interlock(with_password(postgres_url), *command), 2, "PostgreSQL 18", "99 or newer")


@pytest.fixture
async def database_of_others(postgres_server: postgres.Server) -> AsyncIterator[str]:
    async with postgres.database(postgres_server, migrated=False) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE runs (distance int); INSERT INTO runs VALUES (42)")
        await connection.close()
        yield url


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_tables_of_others_are_left_alone_by_every_command(
    interlock: Interlock, database_of_others: str, command: tuple[str, ...]
) -> None:
    ended = interlock(with_password(database_of_others), *command)
    assert_refused(ended, errors.StoreCorrupt.exit_code, "'runs' that is not Interlock's", "search_path")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"mysql://u:{PASSWORD}@host/db", "is not supported"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1:port/db", "cannot be read"),
        (f"postgresql://u:{PASSWORD}/x@127.0.0.1/db", "cannot be read"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1:1/db?sslmode=wrong", "`sslmode` parameter must be one of"),
        (f"postgresql://127.0.0.1:x/db?password={PASSWORD}", "cannot be read"),
    ],
)
@pytest.mark.parametrize("command", [("list",), ("doctor",), ("node",), ("restore", "--raise-fences")], ids=" ".join)
def test_url_that_is_none_is_refused(interlock: Interlock, url: str, words: str, command: tuple[str, ...]) -> None:
    assert_refused(interlock(url, *command), 2, words)
