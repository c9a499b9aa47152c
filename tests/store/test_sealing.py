"""Encryption of payloads at rest: what is sealed, by whom, and how all of it comes under a new key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

import postgres
import required
from interlock import config, errors
from interlock.app.resealing import reseal
from interlock.model.states import RunStatus
from interlock.secrets import payloads
from interlock.secrets.key import VARIABLE, KeyRing
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import (
    CellWrite,
    LogLine,
    NewCached,
    NewDelivery,
    NewEvent,
    NewMemo,
    NewToken,
    NodeRow,
    Post,
    Store,
    TokenState,
)
from interlock.store.sql import sealing, statements
from interlock.store.sql.postgresql import parameters
from interlock.store.sql.postgresql.store import PostgresStore
from interlock.store.sql.reseal import TABLES, SqlSealed
from interlock.store.sql.sealed_columns import OPENED, SEALED, SEALED_ARRAYS, SEALED_CELLS
from interlock.store.sql.sealing import Keys
from interlock.store.sql.sqlite_schema import migrate
from interlock.store.sql.transaction import Database
from store.rows import accepting, batch, new_run, new_task
from store.stops import Stop, StoppedDatabase, is_blocked, stopped

OLD, NEW, OTHER = "the-older-key-of-the-store", "the-newer-key-of-the-store", "the-key-of-another-store"
ON = config.Secrets(encrypt_payloads=True)
MARK = "MARKED"
COLUMNS = {column for columns in (*SEALED.values(), *OPENED.values()) for column in columns.values()}
TABLE = {column: column.partition(".")[0] for column in COLUMNS}


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setenv(VARIABLE, OLD)
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    async with postgres.database(await asyncio.to_thread(postgres.shared, postgres.NEWEST)) as made:
        yield made


@contextlib.asynccontextmanager
async def opened(url: str, secrets: config.Secrets | None = None) -> AsyncIterator[Store]:
    store = await open_store(url, secrets=secrets)
    try:
        yield store
    finally:
        await store.close()


async def fill(store: Store) -> None:
    """Write a marked value to every column that holds what users wrote."""
    mark = b'{"a": "%s"}' % MARK.encode()
    callback = NewDelivery(
        delivery="d1", namespace="default", kind="webhook", target="x", receiver="r", identity="i", deadline=1e12,
        sealed=KeyRing([OLD]).seal(mark, "callback", "default", "r1"),
    )  # fmt: skip
    await store.journal.commit(
        accepting(
            "r1", new={"input": mark, "callback": callback}, head=mark, shown=mark, history=mark, scopes={"s": mark}
        )
    )
    await store.journal.commit(
        batch(
            "r1", 1, output=mark, fault=mark, head=mark, history=mark, memos=[NewMemo(number=1, call="c", body=mark)],
            tasks=[new_task("t1", "r1", idempotency_key="k")], posts=[Post(run="r1", cause_id="p", cause=mark)],
            tokens=[NewToken(token="tk", effect=7, name="n", terms=mark), NewToken(token="t2", effect=8, name="n")],
            cached=[NewCached(namespace="default", name="c", key="k", body=mark, expires_at=1e12)],
            children=[new_run("c1", parent="r1", parent_effect=3, input=mark)],
        )
    )  # fmt: skip
    await store.journal.post("r1", "x", mark, "me", 1.0)
    event = NewEvent(namespace="default", id="1", source="s", type="t", body=mark, cause=mark)
    await store.journal.send(event, "me", 1.0)
    await store.tokens.beat("tk", mark, mark, 1.0)
    await store.tokens.complete("t2", TokenState.COMPLETED, mark, "digest", "me", 1.0)
    line = LogLine(number=0, path="/", attempt=1, at=1.0, stream="stdout", text=f"{MARK}\n")
    await store.queue.log("r1", [line] * 3, 10**6)
    write = CellWrite(space="global", key="k", value=mark, writer="w")
    await store.cells.write("default", [write], None)
    await store.cells.write("default", [write, CellWrite(space="global", key="k2", value=mark, writer="w")], None)


async def stored(url: str) -> dict[str, list[Any]]:
    """Give what the database itself holds, by column."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            for table in TABLES:
                cursor = connection.execute(f"SELECT * FROM {table}")
                for row in cursor:
                    for described, value in zip(cursor.description, row, strict=True):
                        found[f"{table}.{described[0]}"].append(value)
        return found
    server = await asyncpg.connect(url)
    try:
        for table in TABLES:
            for record in await server.fetch(f"SELECT * FROM {table}"):
                for name, value in record.items():
                    found[f"{table}.{name}"].append(value)
    finally:
        await server.close()
    return found


def values(found: dict[str, list[Any]]) -> list[bytes]:
    return [
        value.encode() if isinstance(value, str) else value
        for column, each in found.items()
        if column in {f"{table}.{name}" for table, one in TABLES.items() for name in one.columns}
        for value in each
        if value
    ]


async def read(store: Store) -> dict[str, Any]:
    """Give everything through the ports."""
    loaded = await store.journal.load("r1")
    assert loaded is not None
    token = await store.tokens.get("tk")
    done = await store.tokens.get("t2")
    cell = await store.cells.read("default", "global", "k", None)
    assert token is not None
    assert done is not None
    assert cell is not None
    return {
        "run": (loaded.input, loaded.head, loaded.output, loaded.fault, dict(loaded.scopes)),
        "inbox": [row.cause for row in loaded.inbox],
        "child": [(await store.views.run(None, "c1")).input],  # type: ignore[union-attr]  # it is there
        "history": [row.events for row in await store.journal.history("r1", 0, 9)],
        "memos": [row.body for row in await store.journal.memos("r1", 0, 9)],
        "large": await store.journal.texts("r1", ["digest"]),
        "cached": await store.journal.cached("default", "c", "k", 1.0),
        "logs": [line.text for line in await store.views.logs("r1", 0, 9, None)],
        "events": [row.body for row in await store.views.events(None, None, None, 9)],
        "tokens": (token.terms, token.detail, token.progress, done.outcome),
        "cells": (cell.value, [each.value for each in await store.cells.list("default", "global", prefix="", after="", limit=9, now=None)]),
        "shown": (await store.views.runs(None, [], None, None, 9))[0].shown,
    }  # fmt: skip


def nothing(table: str, seen: int, sealed: int) -> None:
    """Nobody listens."""


def ring(*keys: str) -> KeyRing:
    return KeyRing(list(keys))


# -- what is sealed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_on", [True, False])
async def test_the_database_holds_nothing_of_what_users_wrote(url: str, *, is_on: bool) -> None:
    """With encryption off it does, so this test can fail."""
    async with opened(url, ON if is_on else None) as store:
        await fill(store)
        seen = await read(store)
    assert seen["run"][0] == b'{"a": "MARKED"}'
    assert seen["logs"] == ["MARKED\n"] * 3
    found = await stored(url)
    marked = {column for column, each in found.items() if any(MARK in _text(value) for value in each)}
    assert (marked == set()) is is_on, marked
    if is_on:
        assert all(payloads.is_sealed(value) for value in values(found))
    async with opened(url) as again:
        assert await read(again) == seen


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_every_statement_that_touches_a_sealed_column_is_declared() -> None:
    """SQLite says which columns a statement reads and changes; the other dialect has the same statements."""
    touched: set[tuple[str, str]] = set()

    def authorize(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action in (sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE) and f"{table}.{column}" in COLUMNS:
            touched.add(("read" if action == sqlite3.SQLITE_READ else "change", f"{table}.{column}"))
        return sqlite3.SQLITE_OK

    undeclared = set()
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        connection.set_authorizer(authorize)
        for name, sql in statements.load("sqlite").items():
            if name.startswith("reseal_") or name == SEALED_CELLS:
                continue
            touched.clear()
            connection.execute(f"EXPLAIN {sql}", defaultdict(lambda: None, _parameters(sql)))
            declared = {*SEALED.get(name, {}).values(), *OPENED.get(name, {}).values()}
            undeclared |= {(name, how, column) for how, column in touched if column not in declared}
    assert undeclared == EXEMPT


def _parameters(sql: str) -> dict[str, Any]:
    return dict.fromkeys(re.findall(r":([a-z_]+)", sql), 1)


_TO_NOTHING = {
    "cells_expire": ["cells.value"], "delivery_retry": ["deliveries.problem"], "lock_release": ["leases.detail"],
    "lock_share": ["leases.detail"], "locks_clear": ["leases.detail"], "run_reopen": ["runs.fault"],
    "token_reopen": ["tokens.detail", "tokens.outcome", "tokens.progress", "tokens.reason"], "worker_end": ["leases.detail"],
}  # fmt: skip
EXEMPT = {(name, "change", column) for name, columns in _TO_NOTHING.items() for column in columns} | {
    ("cells_expire", "read", "cells.value"),  # what the trigger copies is what was written
    ("restored_cells", "read", "cells.value"),
    ("log_lengths", "read", "logs.text"),  # of texts from before, which are not sealed
    ("log_size", "read", "logs.text"),
    ("waits_due", "read", "tokens.reason"),  # only whether there is one
    ("token_tell", "read", "tokens.outcome"),  # put into a cause as it is, see Sealing.opened
}


def test_arrays_of_the_group_commit_are_those_of_the_statements() -> None:
    """Whatever the one-by-one statements seal, the statement for a group seals, too."""
    names = parameters.load()["commit"].names
    assert set(SEALED_ARRAYS) <= set(names)
    payload = {"input", "head", "output", "fault", "shown", "events", "body", "cause", "target", "terms", "reason"}
    there = {name for name in names if name.rpartition("_")[2] in payload} - {"cancel_cause", "delivery_target"}
    assert there == set(SEALED_ARRAYS)


def test_every_sealed_column_is_rotated() -> None:
    rotated = {column for table in TABLES.values() for column in table.columns.values()}
    assert rotated == COLUMNS


# -- keys ------------------------------------------------------------------------------------------------------------


async def test_a_sealed_store_is_sealed_whatever_the_settings_say(url: str) -> None:
    async with opened(url, ON) as store:
        assert store.sealed.is_on
    async with opened(url) as store:
        assert store.sealed.is_on
        await fill(store)
    assert all(payloads.is_sealed(value) for value in values(await stored(url)))


async def test_a_sealed_store_is_not_opened_without_its_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url, ON):
        pass
    monkeypatch.setenv(VARIABLE, OTHER)
    with pytest.raises(
        errors.Environment, match=f"encrypted under the store key '{ring(OLD).current}', which this process"
    ):
        await open_store(url)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(errors.Environment, match=r"are encrypted, and its key is not to be had: .*Set INTERLOCK_KEY"):
        await open_store(url)
    assert not Path(url.removeprefix("sqlite:///") + ".key").exists(), "a new key would hide that the old one is lost"
    monkeypatch.setenv(VARIABLE, f"{OTHER} {OLD}")
    async with opened(url) as store:
        assert store.sealed.is_on


async def test_a_changed_and_a_moved_value_are_refused(url: str) -> None:
    async with opened(url, ON) as store:
        await fill(store)
        await _execute(url, "UPDATE runs SET output = input, fault = NULL WHERE run = 'r1'")
        with pytest.raises(errors.StoreCorrupt, match=r"a sealed value of runs\.output was changed, or moved"):
            await store.journal.load("r1")


async def _execute(url: str, sql: str) -> None:
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute(sql)
        return
    server = await asyncpg.connect(url)
    try:
        await server.execute(sql)
    finally:
        await server.close()


async def test_older_versions_refuse_a_sealed_store(url: str) -> None:
    async with opened(url, ON):
        pass
    await _execute(url, "UPDATE meta SET value = '9999_later' WHERE name = 'needs' AND value = '0014_sealing'")
    with pytest.raises(errors.StoreCorrupt, match="written by a newer Interlock"):
        await open_store(url)


# -- turning it on ---------------------------------------------------------------------------------------------------


def _node(node: str) -> NodeRow:
    return NodeRow(
        node=node,
        host="h",
        boot="b",
        pid=7,
        started=1.0,
        roles="engine",
        version="1",
        joined_at=time.time(),
        pinned=False,
    )


async def test_encryption_is_not_turned_on_beside_nodes_that_would_not_see_it(url: str) -> None:
    async with opened(url) as plain:
        await plain.nodes.join(_node("n1"), 60.0)
        with pytest.raises(errors.Conflict, match=r"pid 7 on h would go on without: stop them"):
            await open_store(url, secrets=ON)
        await plain.nodes.leave("n1", None)
        async with opened(url, ON):
            with pytest.raises(errors.Conflict, match="began to encrypt the payloads of this store after this one had"):
                await plain.nodes.join(_node("n2"), 60.0)
            assert await plain.nodes.live(None) == []


async def test_a_node_that_joins_first_stops_the_beginning(
    two: tuple[PostgresStore, PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look whether the other is there, and only one may be right."""
    monkeypatch.setenv(VARIABLE, OLD)
    one, other = two
    stop = stopped(one, one.nodes, "sealing_get")
    joining = asyncio.create_task(one.nodes.join(_node("n1"), 60.0))
    await stop.reached.wait()
    beginning = asyncio.create_task(sealing.find(other.database, Keys(other.server.url, ON), "here"))
    await is_blocked(other.server.url)
    stop.go_on.set()
    await joining
    with pytest.raises(errors.Conflict, match="would go on without"):
        await beginning


async def test_a_node_that_joins_second_is_refused(
    two: tuple[PostgresStore, PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, OLD)
    one, other = two
    stop = Stop("nodes_by_lease")
    database = cast("Database", StoppedDatabase(one.database, stop))
    beginning = asyncio.create_task(sealing.find(database, Keys(one.server.url, ON), "here"))
    await stop.reached.wait()
    joining = asyncio.create_task(other.nodes.join(_node("n1"), 60.0))
    await is_blocked(other.server.url)
    stop.go_on.set()
    assert await beginning is not None
    with pytest.raises(errors.Conflict, match="start it again"):
        await joining


async def test_processes_that_begin_at_once_agree_on_the_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url):
        pass
    found = await asyncio.gather(*(open_store(url, secrets=ON) for _ in range(4)))
    await fill(found[0])
    for store in found:
        assert (await read(store))["logs"] == ["MARKED\n"] * 3
        await store.close()


async def end_one(store: Store) -> None:
    """Write a run that has ended, with a large marked value."""
    marked = MARK.encode() * 100_000
    await store.journal.commit(accepting("gone"))
    await store.journal.commit(batch("gone", 1, status=RunStatus.COMPLETED, ended=True, large={"d": marked}))


def leave_in_free_space(store: Path) -> None:
    """Delete the large value as an SQLite does that was built without SQLITE_SECURE_DELETE, which Debian's was not."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM large_values WHERE run = 'gone'")
    assert store.read_bytes().count(MARK.encode()) > 10_000


async def test_what_was_plain_is_read_and_sealed_later(url: str) -> None:
    async with opened(url) as plain:
        await fill(plain)
        await end_one(plain)
        seen = await read(plain)
    if url.startswith("sqlite"):
        leave_in_free_space(Path(url.removeprefix("sqlite:///")))
    async with opened(url, ON) as store:
        assert await read(store) == seen
        assert await store.queue.logged(_claimed()) == {"stdout": 21}
        outcome = await reseal(store, ring(OLD), SystemClock(), "me", nothing)
        assert outcome.sealed > 15
        assert outcome.retired == ()
        assert await read(store) == seen
        assert await store.queue.logged(_claimed()) == {"stdout": 21}
        assert (await reseal(store, ring(OLD), SystemClock(), "me", nothing)).sealed == 0
    found = values(await stored(url))
    assert all(payloads.key_of(value) == ring(OLD).current for value in found)
    if url.startswith("sqlite"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        assert not any(MARK.encode() in file.read_bytes() for file in folder.iterdir()), "left in free space"


def _claimed() -> Any:
    class Claimed:
        run, path, attempt = "r1", "/", 1

    return Claimed()


async def test_nothing_is_sealed_in_a_store_that_is_not_encrypted_but_callers(url: str) -> None:
    async with opened(url) as store:
        await fill(store)
        outcome = await reseal(store, ring(NEW, OLD), SystemClock(), "me", nothing)
        assert (outcome.sealed, outcome.is_encrypted, outcome.retired) == (1, False, (ring(OLD).current,))


# -- rotation --------------------------------------------------------------------------------------------------------


async def test_after_a_rotation_the_old_key_is_not_needed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url, ON) as store:
        await fill(store)
        seen = await read(store)
    both = f"{NEW} {OLD}"
    monkeypatch.setenv(VARIABLE, both)
    async with opened(url) as store:
        outcome = await reseal(store, ring(NEW, OLD), SystemClock(), "me", nothing)
        assert outcome.retired == (ring(OLD).current,)
        assert outcome.live_runs == 2
    monkeypatch.setenv(VARIABLE, NEW)
    async with opened(url) as store:
        assert await read(store) == seen
    found = await stored(url)
    assert {payloads.key_of(value) for value in values(found)} == {ring(NEW).current}
    for sealed in found["deliveries.sealed"]:
        assert ring(NEW).unseal(bytes(sealed), "callback", "default", "r1")


async def test_a_key_that_is_removed_too_early_is_missed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url, ON) as store:
        await fill(store)
    monkeypatch.setenv(VARIABLE, NEW)
    with pytest.raises(errors.Environment, match="which this process does not have"):
        await open_store(url)


class Between:
    """A database whose every read is followed by what another process does."""

    def __init__(self, store: Any, other: Callable[[], Awaitable[object]]) -> None:
        self._database = store.database
        self.sealing = self._database.sealing
        self.write = self._database.write
        self._other = other

    async def read(self, work: Any, *, once: bool = False) -> Any:
        found = await self._database.read(work, once=once)
        await self._other()
        return found


async def test_who_writes_while_a_page_is_sealed_wins(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url, ON) as old:
        await fill(old)
        monkeypatch.setenv(VARIABLE, f"{NEW} {OLD}")
        async with opened(url) as store:

            async def write() -> None:
                await old.cells.write("default", [CellWrite(space="global", key="k", value=b"7", writer="w")], None)

            rotated = SqlSealed(cast("Database", Between(store, write)))
            page = await rotated.reseal("cells", None, ring(NEW, OLD))
            assert (page.seen, page.sealed, page.missed) == (2, 1, 1)
            cell = await store.cells.read("default", "global", "k", None)
            assert cell is not None
            assert cell.value == b"7"
            assert (await store.sealed.reseal("cells", None, ring(NEW, OLD))).sealed == 1, "in the next round"


async def test_who_goes_on_under_the_older_key_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url, ON) as old:
        await fill(old)
        monkeypatch.setenv(VARIABLE, f"{NEW} {OLD}")
        async with opened(url) as store:

            async def write() -> None:
                await old.cells.write("default", [CellWrite(space="global", key="k", value=b"7", writer="w")], None)

            store.sealed = SqlSealed(cast("Database", Between(store, write)))  # type: ignore[misc]  # a store of the test
            with pytest.raises(errors.Conflict, match="processes still write under an older key than"):
                await reseal(store, ring(NEW, OLD), SystemClock(), "me", nothing)


KILLED = """
import asyncio, os, signal, sys
from interlock.app.resealing import reseal
from interlock.secrets.key import KeyRing
from interlock.service import SystemClock
from interlock.store.open import open_store

pages = 0
def told(table, seen, sealed):
    global pages
    pages += 1
    if pages == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = await open_store(sys.argv[1])
    await reseal(store, KeyRing(os.environ["INTERLOCK_KEY"].split()), SystemClock(), "me", told)

asyncio.run(main())
"""


@pytest.mark.parametrize("page", [1, 4, 9])
async def test_a_rotation_that_is_killed_is_done_again(url: str, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    async with opened(url, ON) as store:
        await fill(store)
        seen = await read(store)
    monkeypatch.setenv(VARIABLE, f"{NEW} {OLD}")
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, url, str(page)], env=dict(os.environ), check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    under = {payloads.key_of(value) for value in values(await stored(url))}
    assert ring(OLD).current in under, "it was killed in the middle"
    async with opened(url) as store:
        assert await read(store) == seen
        await reseal(store, ring(NEW, OLD), SystemClock(), "me", nothing)
    monkeypatch.setenv(VARIABLE, NEW)
    async with opened(url) as store:
        assert await read(store) == seen
    assert {payloads.key_of(value) for value in values(await stored(url))} == {ring(NEW).current}
