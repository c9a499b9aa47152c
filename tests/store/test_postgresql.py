"""What only PostgreSQL has: schema and migrations, plans, partitions, the bell, renewals, errors, the pooler."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import pooler
import postgres
import required
from interlock import errors
from interlock.service import uuid7
from interlock.store.open import open_store
from interlock.store.ports import (
    CellWrite,
    Committed,
    GraphTask,
    LimitSet,
    NewCached,
    NewDelivery,
    NewEvent,
    NewMemo,
    NewSubscription,
    NewToken,
    Post,
    RevokedToken,
    TokenState,
    news,
)
from interlock.store.sql import statements
from interlock.store.sql.postgresql import commits, failures, parameters, partitions, schema, server
from interlock.store.sql.postgresql.committer import Committer
from interlock.store.sql.postgresql.database import PostgresDatabase
from interlock.store.sql.postgresql.store import PostgresStore
from interlock.store.sql.postgresql.transaction import PostgresTransaction
from interlock.store.sql.transaction import Transaction
from store.rows import accepting, batch, new_run, new_task, node

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    opened = await _opened(postgres_url)
    yield opened
    await opened.close()


async def _opened(url: str, **more: Any) -> PostgresStore:
    opened = await open_store(url, **more)
    assert isinstance(opened, PostgresStore)
    return opened


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    opened = await asyncpg.connect(postgres_url)
    yield opened
    await opened.close()


# -- statements and schema -------------------------------------------------------------------------------------------


def test_parameters_are_numbered_and_casts_comments_and_texts_are_left_alone() -> None:
    prepared = parameters.prepare("-- the :comment\nSELECT :b::text, ':c', :a, :b -- :d\n")
    assert prepared.sql.split() == ["SELECT", "$1::text,", "':c',", "$2,", "$1"]
    assert prepared.names == ("b", "a")
    assert prepared.arguments({"a": 1, "b": 2, "unused": 3}) == [2, 1]


_SCHEMA = """
SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage::text,
       pg_get_expr(d.adbin, d.adrelid), CASE c.relkind WHEN 'i' THEN pg_get_indexdef(c.oid) WHEN 'I' THEN pg_get_indexdef(c.oid) END
FROM pg_class AS c LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname !~ '_2[0-9]{7}' ORDER BY 1, a.attnum
"""


async def test_schema_file_equals_the_migrations(postgres_server: postgres.Server) -> None:
    async with (
        postgres.database(postgres_server, migrated=False) as one,
        postgres.database(postgres_server, migrated=False) as other,
    ):
        migrated, declared = await asyncpg.connect(one), await asyncpg.connect(other)
        await schema.migrate(migrated)
        await declared.execute(statements.schema("postgresql"))
        first = [tuple(row) for row in await migrated.fetch(_SCHEMA)]
        assert first == [tuple(row) for row in await declared.fetch(_SCHEMA)]
        assert len(first) > 100
        await migrated.close()
        await declared.close()


async def test_migrations_go_up_and_down_on_an_empty_store(postgres_server: postgres.Server) -> None:
    async with postgres.database(postgres_server, migrated=False) as url:
        connection = await asyncpg.connect(url)
        await schema.migrate(connection)
        for name in reversed(statements.migrations("postgresql")):
            await schema.revert(connection, name)
        assert await connection.fetch(_SCHEMA) == []
        await schema.migrate(connection)
        await schema.migrate(connection)
        await connection.close()


async def test_processes_that_start_at_once_migrate_once(postgres_server: postgres.Server) -> None:
    async with postgres.database(postgres_server, migrated=False) as url:
        stores = await asyncio.gather(*(open_store(url) for _ in range(5)))
        assert await stores[0].journal.commit(accepting()) is Committed.APPLIED
        for each in stores:
            await each.close()


@pytest.mark.slow
async def test_migration_lets_others_pass_while_a_table_is_in_use(
    store: PostgresStore, postgres_url: str, connection: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump holds its tables for long; a change that waits for one of them would stop every commit meanwhile."""
    more = statements.migrations("postgresql") | {"9999_more": ("ALTER TABLE runs ADD COLUMN more text", "")}
    monkeypatch.setattr(statements, "migrations", lambda dialect: more)
    monkeypatch.setattr(schema, "_PAUSE_SECONDS", 0.05)
    other = await asyncpg.connect(postgres_url)
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM runs LIMIT 1")
        migrating = asyncio.create_task(schema.migrate(other))
        longest = 0.0
        for number in range(100):
            began = time.monotonic()
            assert await store.journal.commit(accepting(f"r{number}")) is Committed.APPLIED
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.02)
        assert not migrating.done()
        assert longest < 2 * schema._LOCK_SECONDS + 0.5
    await migrating
    monkeypatch.setattr(schema, "_ATTEMPTS", 2)
    await connection.execute("DELETE FROM migrations WHERE name = '9999_more'")
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM runs LIMIT 1")
        with pytest.raises(errors.StoreUnavailable, match="a long transaction, such as a dump"):
            await schema.migrate(other)
    await other.close()


async def test_migration_may_take_longer_than_a_statement(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = statements.migrations("postgresql") | {"9999_slow": ("SELECT pg_sleep(0.5)", "")}
    monkeypatch.setattr(statements, "migrations", lambda dialect: more)
    connection = await asyncpg.connect(postgres_url, command_timeout=0.1)
    await schema.migrate(connection)
    assert await connection.fetchval("SELECT count(*) FROM migrations WHERE name = '9999_slow'") == 1
    await connection.close()


async def test_store_that_needs_a_migration_of_a_newer_version_is_refused(
    postgres_url: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute("INSERT INTO migrations VALUES ('9999_later', 0)")
    await (await open_store(postgres_url)).close()
    await connection.execute("UPDATE meta SET value = '9999_later' WHERE name = 'needs'")
    with pytest.raises(errors.StoreCorrupt, match="newer Interlock"):
        await open_store(postgres_url)


async def test_tables_of_others_are_left_alone(postgres_server: postgres.Server) -> None:
    async with postgres.database(postgres_server, migrated=False) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE runs (mine int); CREATE SCHEMA interlock")
        with pytest.raises(errors.StoreCorrupt, match="not Interlock's"):
            await open_store(url)
        store = await open_store(f"{url}?search_path=interlock")
        assert await store.journal.commit(accepting()) is Committed.APPLIED
        await store.close()
        assert await connection.fetchval("SELECT count(*) FROM interlock.runs") == 1
        await connection.close()


WHOLE = {
    "counts", "inbox_sweep", "inbox_oldest", "definitions_unused", "restored_tasks", "restored_running", "restored_runs",
    "restored_leases", "restored_cells", "restored_changes", "restored_deliveries",
}  # fmt: skip
"""Statements that read whole tables, and say so."""


async def test_statements_are_planned_without_reading_whole_tables(
    connection: asyncpg.Connection[Any], postgres_url: str
) -> None:
    """Planned as the pool does it, once for whatever values."""
    await (await server.find(postgres_url)).prepare(connection)
    reading = {name for name in parameters.load() if _is_whole(await _planned(connection, name))}
    assert reading == WHOLE


def test_group_that_has_to_do_with_others_gets_the_whole_statement() -> None:
    database = PostgresDatabase(server.Server("postgresql://x/y", False, "18"), 2, lambda: None, {})
    memo = NewMemo(number=1, call="a", body=b"")
    common = [batch(seq=1, ended=True, shown=b"1"), accepting("r2", tasks=[new_task()])]
    shortest, short = database.prepared(common)[0], database.prepared([*common, accepting("r3", memos=[memo])])[0]
    whole = parameters.load()["commit"]
    assert len(shortest.names) < len(short.names) < len(whole.names)
    event = NewEvent(namespace="d", id="1", source="s", type="t", body=b"", cause=b"")
    subscription = NewSubscription(namespace="d", listener=1, type="t", source="")
    for more in (
        {"children": [new_run("c", parent="r1")]}, {"posts": [Post(run="r2", cause_id="x", cause=b"")]},
        {"emitted": [event]}, {"subscriptions": [subscription]}, {"unsubscribed": [1]}, {"cancelled_tasks": [1]},
        {"forget_memos": True}, {"attributes": {"a": 1}}, {"attributes": {"a": None}}, {"revoked_tokens": [RevokedToken(token="x")]}, {"asked_tokens": [RevokedToken(token="x")]},
        {"tokens": [NewToken(token="x", effect=1, name="x")]}, {"tasks": [new_task(limits=["key"])]},
        {"cached": [NewCached(namespace="d", name="s", key="k", body=b"", expires_at=1.0)]}, {"limits": [LimitSet(name="key")]},
        {"accept": new_run(callback=_caller())},
    ):  # fmt: skip
        assert database.prepared([batch(seq=1, **more)])[0] == whole


def _caller() -> NewDelivery:
    return NewDelivery(
        delivery="d", namespace="d", kind="webhook", target="t", receiver="r", identity="i", sealed=b"", deadline=1.0
    )


async def test_commit_finds_its_runs_by_key_however_few_there_are_when_it_is_planned(
    connection: asyncpg.Connection[Any], postgres_url: str
) -> None:
    """Else each commit would read every live run once there are many."""
    await (await server.find(postgres_url)).prepare(connection)
    found: list[tuple[str, bool]] = []

    def walk(each: dict[str, Any]) -> None:
        if each.get("Relation Name", "").startswith("runs") and each["Node Type"] in _SCANS:
            found.append((each.get("Index Name", ""), "Index Cond" in each))
        for child in each.get("Plans", ()):
            walk(child)

    columns = commits.arrays([batch(seq=1)]).columns
    values: dict[str, object] = {name: columns.get(name, []) for name in parameters.load()["commit"].names}
    walk(json.loads(await _explained(connection, "commit", values))[0]["Plan"])
    assert found
    assert {keyed for _, keyed in found} == {True}
    assert not [name for name, _ in found if "owner" in name or "owned" in name]


@pytest.mark.parametrize("statement", ["tasks_place", "tasks_route"])
async def test_placement_finds_its_tasks_by_name_however_few_there_are_when_it_is_planned(
    connection: asyncpg.Connection[Any], postgres_url: str, statement: str
) -> None:
    """Else each placed task would cost a read of all that are ready, and 1,000 of 10,000 took seconds."""
    await (await server.find(postgres_url)).prepare(connection)
    found: list[tuple[str, str]] = []

    def walk(each: dict[str, Any]) -> None:
        if each.get("Relation Name") == "tasks" and each["Node Type"] in _SCANS:
            found.append((each["Index Name"], each["Index Cond"]))
        assert each["Node Type"] != "Bitmap Heap Scan", each
        for child in each.get("Plans", ()):
            walk(child)

    walk(json.loads(await _explained(connection, statement, {"placements": '[["a", "p"]]'}))[0]["Plan"])
    assert [index for index, _ in found] == ["tasks_pkey", "tasks_pkey"]
    assert all(condition.startswith("(task = ") for _, condition in found), found


async def test_look_for_lanes_with_ready_steps_reads_one_task_of_each_however_few_there_are_when_it_is_planned(
    connection: asyncpg.Connection[Any], postgres_url: str
) -> None:
    """Else each round would read all tasks of graphs that are ready."""
    await (await server.find(postgres_url)).prepare(connection)
    found: list[tuple[str, str, str]] = []

    def walk(each: dict[str, Any]) -> None:
        if each.get("Relation Name") == "tasks":
            found.append((each["Node Type"], each.get("Index Name", ""), each.get("Index Cond", "")))
        for child in each.get("Plans", ()):
            walk(child)

    walk(json.loads(await _explained(connection, "step_lanes", {"lanes": '["a", "b"]'}))[0]["Plan"])
    assert found == [("Index Scan", "tasks_ready", "(pool = l.name)")]


_GROWN = re.compile(
    r"(runs|run_keys|history|memos|tasks|logs|scopes|large_values|leases|inbox|attributes|tokens|cached|cells|cell_changes|deliveries|delivery_attempts|waits)(_other|_2\d+)?$"
)


def _is_whole(plan: dict[str, Any]) -> bool:
    """Say whether a plan reads a table that grows from end to end: row by row, or over a whole index that is not partial."""
    scans = _GROWN.match(plan.get("Relation Name", "")) and plan["Node Type"] in _SCANS
    if scans and "Index Cond" not in plan and not plan.get("Index Name", "_key").endswith(_PARTIAL):
        return True
    return any(_is_whole(child) for child in plan.get("Plans", ()))


_SCANS = ("Seq Scan", "Index Scan", "Index Only Scan")


_PARTIAL = (
    "runs_free",
    "runs_owned",
    "tasks_ready",
    "tasks_held",
    "deliveries_due",
    "_run_idx",
    "_owner_idx",
    "_stored_at_idx",
    "tokens_pending",
    "waits_open",
)
"""The hot indexes, and what PostgreSQL calls their parts: they hold only what is open."""


async def _planned(connection: asyncpg.Connection[Any], name: str) -> dict[str, Any]:
    prepared = parameters.load()[name]
    await connection.execute(f"PREPARE {name} AS {prepared.sql}")
    given = f"({', '.join('NULL' for _ in prepared.names)})" if prepared.names else ""
    plan = await connection.fetchval(f"EXPLAIN (COSTS OFF, FORMAT JSON) EXECUTE {name}{given}")
    found: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return found


async def _explained(connection: asyncpg.Connection[Any], name: str, values: dict[str, object]) -> str:
    """Run a statement and give its plan with what was executed."""
    prepared = parameters.load()[name]
    rows = await connection.fetch(
        f"EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) {prepared.sql}", *prepared.arguments(values)
    )
    return json.dumps(json.loads(rows[0][0]))


def _touched(plan: str, table: str) -> set[str]:
    """Give the partitions of a table that a plan executed."""
    found: set[str] = set()

    def walk(each: dict[str, Any]) -> None:
        name = each.get("Relation Name", "")
        if name.startswith(f"{table}_") and each.get("Actual Loops"):
            found.add(name)
        for child in each.get("Plans", ()):
            walk(child)

    walk(json.loads(plan)[0]["Plan"])
    return found


async def test_statements_of_one_run_read_only_its_week(postgres_url: str, connection: asyncpg.Connection[Any]) -> None:
    """Also with the plan that is made once for whatever run."""
    await partitions.make(connection, MONDAY.timestamp())
    await (await server.find(postgres_url)).prepare(connection)
    run = _key(MONDAY)
    assert _touched(await _explained(connection, "run_load", {"run": run}), "runs") == {"runs_20261116"}
    history = {"run": run, "after": 0, "limit": 9}
    assert _touched(await _explained(connection, "history_page", history), "history") == {"history_20261116"}
    assert _touched(await _explained(connection, "memos_page", history), "memos") == {"memos_20261116"}
    undos = await _explained(connection, "undos_page", {"run": run, "before": 9, "limit": 9})
    assert _touched(undos, "memos") == {"memos_20261116"}
    columns = commits.arrays([batch(run, seq=1, forget_memos=True)]).columns
    values: dict[str, object] = {name: columns.get(name, []) for name in parameters.load()["commit"].names}
    plan = await _explained(connection, "commit", values)
    assert _touched(plan, "runs") <= {"runs_20261116"}
    assert _touched(plan, "memos") <= {"memos_20261116"}


async def test_undo_records_are_found_by_their_own_index(
    connection: asyncpg.Connection[Any], postgres_url: str
) -> None:
    """Else a rollback would read every memo of its run."""
    await (await server.find(postgres_url)).prepare(connection)
    plan = await _explained(connection, "undos_page", {"run": "r1", "before": 9, "limit": 9})
    indexes = set(re.findall(r'"Index Name": "(memos[^"]*)"', plan))
    rows = await connection.fetch("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
    assert indexes
    assert indexes <= {row[0] for row in rows}


# -- partitions ------------------------------------------------------------------------------------------------------


def _key(moment: datetime) -> str:
    return uuid7(int(moment.timestamp() * 1000), bytes(10))


def test_bounds_enclose_the_keys_of_their_week() -> None:
    first, second = partitions.weeks(MONDAY.timestamp() + 3 * 86400, 2)
    assert first == MONDAY
    last = datetime(2026, 11, 22, 23, 59, 59, 999_000, tzinfo=UTC)
    assert partitions.bound(first) <= _key(first) < _key(last) < partitions.bound(second) <= _key(second)


async def test_weeks_are_made_ahead_once_and_hold_the_runs_of_their_time(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    await store.prepare(MONDAY.timestamp())
    assert await partitions.make(connection, MONDAY.timestamp()) == 0
    await store.journal.commit(accepting(_key(MONDAY)))
    assert await connection.fetchval("SELECT tableoid::regclass::text FROM runs") == "runs_20261116"
    assert await connection.fetchval("SELECT tableoid::regclass::text FROM history") == "history_20261116"


async def test_week_that_rows_of_the_net_belong_to_is_not_made(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    early = datetime(2025, 1, 6, tzinfo=UTC)
    run = _key(early)
    await store.journal.commit(accepting(run))
    made = await partitions.make(connection, early.timestamp())
    assert made == 5 * len(partitions.TABLES) - 2  # neither runs nor history of that week
    assert await store.journal.load(run) is not None


async def test_only_weeks_that_lie_before_and_hold_no_open_run_are_dropped(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    weeks = partitions.weeks(datetime(2025, 1, 6, tzinfo=UTC).timestamp())
    await partitions.make(connection, weeks[0].timestamp())
    ended, open_, late = (_key(week) for week in weeks[:3])
    for run in (ended, open_, late):
        await store.journal.commit(accepting(run, tasks=[new_task(f"t-{run}", run)], large={"d": b"x"}))
    for run in (ended, late):
        await store.journal.commit(batch(run, seq=1, ended=True, status="completed"))
    assert await store.upkeep.drop(50.0) == 0  # they ended later than that
    assert await store.upkeep.drop(weeks[2].timestamp() + 3600) == 1
    assert await store.journal.load(ended) is None
    assert await store.journal.load(open_) is not None
    assert await store.journal.load(late) is not None
    assert (await store.views.counts())["tasks"] == 2
    assert await store.journal.commit(accepting("again", new={"id": ended})) is Committed.APPLIED


async def _week(store: PostgresStore, connection: asyncpg.Connection[Any]) -> str:
    """Make a week of 2025 with one run that has ended, and give the run."""
    week = datetime(2025, 1, 6, tzinfo=UTC)
    await partitions.make(connection, week.timestamp())
    run = _key(week)
    memo, token = NewMemo(number=1, call="a", body=b""), NewToken(token=f"k-{run}", effect=2, name="a")
    more = {"memos": [memo], "tokens": [token], "attributes": {"a": 1}}
    await store.journal.commit(accepting(run, tasks=[new_task(f"t-{run}", run)], scopes={"s": b"{}"}, **more))
    await store.journal.commit(batch(run, seq=1, ended=True, status="completed", cancelled_tasks=[1]))
    return run


BEFORE = datetime(2025, 1, 20, tzinfo=UTC).timestamp()


async def test_task_graph_outlives_the_week_that_it_was_loaded_in(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    run = await _week(store, connection)
    graph = _key(datetime(2025, 1, 7, tzinfo=UTC))
    tasks = [GraphTask(task=new_task(name, graph, number)) for number, name in enumerate("ab")]
    await store.graphs.load([tasks[0], GraphTask(task=tasks[1].task, after={"a": True})], 100.0)
    assert await store.upkeep.drop(BEFORE) == 1
    assert [row.task for row in await store.views.tasks(graph)] == ["a", "b"]
    assert await store.views.tasks(run) == []
    assert await connection.fetchval("SELECT count(*) FROM task_edges") == 1


async def test_week_with_an_attempt_at_work_is_not_dropped(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    run = await _week(store, connection)
    await connection.execute("UPDATE tasks SET state = 'running' WHERE run = $1", run)
    assert await store.upkeep.drop(BEFORE) == 0
    assert await store.journal.load(run) is not None


async def test_week_that_a_process_left_half_dropped_is_finished(
    store: PostgresStore, connection: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await _week(store, connection)

    async def killed(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(partitions, "_finish", killed)
        with pytest.raises(errors.StoreUnavailable):
            await store.upkeep.drop(BEFORE)
    assert await store.journal.load(run) is None
    assert await store.journal.memos(run, 0, 9) == []
    assert len(await store.views.tasks(run)) == 1
    assert await store.upkeep.drop(BEFORE) == 0
    assert await store.views.tasks(run) == []
    assert await store.views.attributes(run) == {}
    assert await store.tokens.get(f"k-{run}") is None
    assert await connection.fetchval("SELECT to_regclass('memos_20250106')") is None
    assert await connection.fetchval("SELECT to_regclass('runs_20250106')") is None
    assert await store.journal.commit(accepting("again", new={"id": run})) is Committed.APPLIED


async def test_rows_of_a_dropped_week_that_lie_in_the_net_go_with_it(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    """The table of its history could not be made when the others were."""
    week = datetime(2025, 1, 6, tzinfo=UTC)
    await partitions.make(connection, week.timestamp())
    await connection.execute("DROP TABLE history_20250106")
    await connection.execute("INSERT INTO history VALUES ($1, 99, 1, 1, '')", _key(week))
    await _week(store, connection)
    assert await connection.fetchval("SELECT count(*) FROM history_other") == 3
    assert await store.upkeep.drop(BEFORE) == 1
    assert await connection.fetchval("SELECT count(*) FROM history") == 0


async def test_change_gives_way_to_those_who_use_the_table(
    store: PostgresStore, connection: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_LOCK_SECONDS", 0.1)
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM runs LIMIT 1")
        await store.prepare(datetime(2030, 1, 7, tzinfo=UTC).timestamp())
        names = await connection.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'runs_2030%'")
    assert names == []


# -- commits ---------------------------------------------------------------------------------------------------------


async def test_concurrent_commits_share_transactions(store: PostgresStore) -> None:
    before = store.database.transactions
    results = await asyncio.gather(*(store.journal.commit(accepting(f"r{number}")) for number in range(200)))
    assert results == [Committed.APPLIED] * 200
    assert store.database.transactions - before <= 4


async def test_batches_of_one_run_keep_their_order(store: PostgresStore) -> None:
    """Given at once, as nobody does: each goes when the one before it is durable."""
    results = await asyncio.gather(
        store.journal.commit(accepting()), *(store.journal.commit(batch(seq=seq)) for seq in range(1, 20))
    )
    assert results == [Committed.APPLIED] * 20


async def test_group_is_bounded_in_bytes_and_callers_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.store.sql.postgresql.committer._GROUP_BYTES", 1000)
    monkeypatch.setattr("interlock.store.sql.postgresql.committer._QUEUED_MEMBERS", 4)
    groups: list[int] = []

    async def apply(group: Sequence[bytes]) -> list[int]:
        groups.append(len(group))
        await asyncio.sleep(0)
        return [each[0] for each in group]

    committer = Committer(apply, key=bytes.hex, size=len)
    calls = [committer.commit(bytes([number]) * 400) for number in range(12)]
    assert await asyncio.gather(*calls) == list(range(12))
    assert max(groups) == 3
    await committer.close()


async def test_reports_that_come_together_share_transactions(store: PostgresStore) -> None:
    tokens = [NewToken(token=f"t{number}", effect=number, name="asked") for number in range(1, 101)]
    await store.journal.commit(accepting(tokens=tokens))
    before = store.database.transactions
    reports = (store.tokens.complete(each.token, TokenState.COMPLETED, b"1", "d", "ann", 150.0) for each in tokens)
    assert all(answer is not None and answer.applied for answer in await asyncio.gather(*reports))
    assert store.database.transactions - before <= 4


async def test_what_is_queued_is_finished_before_the_store_closes(postgres_url: str) -> None:
    store = await _opened(postgres_url)
    commits_ = [asyncio.create_task(store.journal.commit(accepting(f"r{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert await asyncio.gather(*commits_) == [Committed.APPLIED] * 50
    with pytest.raises(errors.StoreUnavailable, match="closed"):
        await store.journal.commit(accepting())
    with pytest.raises(errors.StoreUnavailable, match="closed"):
        await store.journal.load("r1")


async def test_write_goes_on_when_its_caller_is_cancelled(store: PostgresStore) -> None:
    await store.journal.commit(accepting())
    posting = asyncio.create_task(store.journal.post("r1", "cancel:1", b"c", "user:me", 1.0))
    await asyncio.sleep(0)
    posting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await posting
    async with asyncio.timeout(60):
        while not await store.journal.inbox("n1"):
            await asyncio.sleep(0.01)


CRASH = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from store.rows import accepting, batch
from interlock.store.open import open_store

async def main():
    store = await open_store(sys.argv[1])
    await store.journal.commit(accepting())
    for seq in range(1, 10):
        await store.journal.commit(batch(seq=seq))

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "commits"), [("before", 2), ("after", 3)])
async def test_process_dies_at_the_transaction_it_was_told(
    postgres_url: str, store: PostgresStore, moment: str, commits: int
) -> None:
    tests = str(Path(__file__).parents[1])
    variables = {"INTERLOCK_TESTING": "1", "INTERLOCK_FAULT": f"commit:3:{moment}"}
    environment = os.environ | variables | {"PYTHONPATH": str(Path(tests).parent / "src")}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CRASH, postgres_url, tests, env=environment)
    assert await process.wait() == -signal.SIGKILL
    assert (await store.views.counts())["commits"] == commits


async def test_part_that_the_statement_does_not_know_is_a_defect(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_: object) -> commits.Arrays:
        found = commits.Arrays()
        found.add("nonsense", run="r1")
        return found

    monkeypatch.setattr(commits, "arrays", wrong)
    with pytest.raises(KeyError, match="nonsense_run"):
        await store.journal.commit(accepting())


# -- the bell and renewals -------------------------------------------------------------------------------------------


async def test_other_processes_ring_the_bell_at_once(store: PostgresStore, postgres_url: str) -> None:
    other = await _opened(postgres_url)
    async with asyncio.timeout(60):
        while not (store.bell.is_listening and other.bell.is_listening):
            await asyncio.sleep(0.01)
        rung = asyncio.Event()
        store.bell.listen(rung.set)
        began = asyncio.get_running_loop().time()
        for number in range(3):  # the poll rings every second; three times at once is no accident
            rung.clear()
            await other.journal.commit(accepting(f"r{number}"))
            await rung.wait()
    assert asyncio.get_running_loop().time() - began < 0.9
    await other.close()


async def test_process_that_writes_and_closes_at_once_rings_the_bell(store: PostgresStore, postgres_url: str) -> None:
    """A command that sets a value is gone a millisecond later; who watches must not wait for its next look of itself."""
    async with asyncio.timeout(60):
        while not store.bell.is_listening:
            await asyncio.sleep(0.01)
        rung = asyncio.Event()
        store.bell.listen(rung.set, news.CELLS)
        for number in range(3):
            rung.clear()
            other = await _opened(postgres_url)
            write = CellWrite(space="global", key="k", value=b"%d" % number, writer="w1")
            await other.cells.write("default", [write], None)
            await other.close()
            await rung.wait()


async def test_bell_listens_again_after_its_connection_broke(
    store: PostgresStore, postgres_url: str, connection: asyncpg.Connection[Any]
) -> None:
    async with asyncio.timeout(60):
        for _ in range(2):
            while not store.bell.is_listening:
                await asyncio.sleep(0.01)
            killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^(LISTEN|NOTIFY|UNLISTEN)'"
            await connection.execute(killed)
            while store.bell.is_listening:
                await asyncio.sleep(0.01)
    rung = asyncio.Event()
    store.bell.listen(rung.set)
    async with asyncio.timeout(60):
        await rung.wait()  # the poll


async def test_renewals_survive_a_connection_that_broke(
    store: PostgresStore, connection: asyncpg.Connection[Any]
) -> None:
    await store.nodes.join(node("n1"), 10.0)
    pulse = store.pulse("n1")
    assert await asyncio.to_thread(pulse.beat, 10.0, 60.0, 200.0)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with pytest.raises(errors.StoreUnavailable):
        await asyncio.to_thread(pulse.beat, 10.0, 60.0, 300.0)
    assert await asyncio.to_thread(pulse.beat, 10.0, 60.0, 300.0)
    assert [state.lease_seconds for state in await store.nodes.states(305.0)] == [5.0]
    await asyncio.to_thread(pulse.close)


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("57P01", errors.StoreUnavailable),
        ("57P02", errors.StoreUnavailable),
        ("57P03", errors.StoreUnavailable),
        ("53300", errors.StoreUnavailable),
        ("08006", errors.StoreUnavailable),
        ("25006", errors.StoreUnavailable),
        ("57014", errors.StoreUnavailable),
        ("40P01", errors.StoreUnavailable),
        ("28P01", errors.StoreUnavailable),
        ("3D000", errors.StoreUnavailable),
        ("53100", errors.StoreFull),
        ("XX001", errors.StoreCorrupt),
        ("23505", asyncpg.UniqueViolationError),
    ],
)
def test_errors_of_the_server_are_told_in_our_words(sqlstate: str, kind: type[Exception]) -> None:
    raised = asyncpg.PostgresError.new({"C": sqlstate, "M": "text", "S": "ERROR"})
    assert isinstance(failures.translation("db", raised), kind)


def test_errors_of_the_network_are_passing_and_wrong_data_is_not() -> None:
    assert isinstance(failures.translation("db", ConnectionRefusedError()), errors.StoreUnavailable)
    assert isinstance(failures.translation("db", TimeoutError()), errors.StoreUnavailable)
    assert isinstance(failures.translation("db", asyncpg.InterfaceError("closed")), errors.StoreUnavailable)
    wrong = asyncpg.DataError("invalid input")
    assert failures.translation("db", wrong) is wrong
    assert not failures.is_lost(wrong)


async def test_server_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    with pytest.raises(errors.StoreUnavailable, match=r"127\.0\.0\.1:1/db") as refused:
        await open_store("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(refused.value)


async def test_database_that_is_not_there_is_named(postgres_server: postgres.Server) -> None:
    with pytest.raises(errors.StoreUnavailable, match='"nothing" does not exist'):
        await open_store(postgres_server.url("nothing"))


async def test_server_that_is_too_old_is_refused_by_name(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_OLDEST", 99)
    with pytest.raises(errors.Invalid, match="needs PostgreSQL 99 or newer"):
        await open_store(postgres_url)


async def test_connection_in_a_state_of_its_own_is_replaced(store: PostgresStore) -> None:
    """As when a pooler gives an error and ends without its last word: asyncpg never believes that the query is over."""
    used: list[int] = []

    async def work(transaction: Transaction) -> int:
        assert isinstance(transaction, PostgresTransaction)
        used.append(await transaction._connection.fetchval("SELECT pg_backend_pid()"))
        if len(used) == 1:
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        return 1

    assert await store.database.read(work) == 1
    assert used[0] != used[1]


@pytest.mark.slow
async def test_server_that_restarts_is_found_again() -> None:
    if required.may_skip("postgres", "18" in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    context = postgres.running("18", durable=True)
    own = await asyncio.to_thread(context.__enter__)
    try:
        store = await _opened(own.url("postgres"))
        assert await store.journal.commit(accepting()) is Committed.APPLIED
        await asyncio.to_thread(own.stop, "immediate")
        with pytest.raises(errors.StoreUnavailable):
            await store.journal.commit(batch(seq=1))
        with pytest.raises(errors.StoreUnavailable):
            await store.journal.load("r1")
        await asyncio.to_thread(own.start)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await store.journal.commit(batch(seq=1)) is Committed.APPLIED
                    break
                except errors.StoreUnavailable:
                    await asyncio.sleep(0.05)
            while not store.bell.is_listening:
                await asyncio.sleep(0.01)
        await store.close()
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def test_store_closes_while_the_server_is_away(store: PostgresStore, connection: asyncpg.Connection[Any]) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    async with asyncio.timeout(60):
        await store.close()


async def test_server_that_answers_before_it_has_written_is_told_not_to(store: PostgresStore) -> None:
    """Test servers run with synchronous_commit off."""
    figures = await store.figures()
    assert figures["synchronous_commit"] == "on"
    assert figures["server"] == f"PostgreSQL {store.server.version}"
    assert abs(float(figures["clock_offset_s"])) < 5  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["commit:x:before", "commit:1"])
def test_fault_that_is_misspelt_is_refused(text: str) -> None:
    environ = {"INTERLOCK_FAULT": text, "INTERLOCK_TESTING": "1"}
    with pytest.raises(errors.InvalidSettings, match="INTERLOCK_FAULT"):
        PostgresDatabase(server.Server("postgresql://x/y", False, "18"), 2, lambda: None, environ)


# -- the pooler ------------------------------------------------------------------------------------------------------


async def test_pooler_is_found_out_and_the_bell_hears_over_a_direct_connection(
    postgres_url: str, postgres_server: postgres.Server
) -> None:
    if required.may_skip("pgbouncer", pooler.is_there()):
        pytest.skip("PgBouncer is not installed")
    port = await asyncio.to_thread(postgres.pooled, "18")
    url = postgres_url.replace(f":{postgres_server.port}/", f":{port}/")
    deaf, hearing = await _opened(url), await _opened(url, listen_url=postgres_url)
    direct = await _opened(postgres_url)
    assert (deaf.server.pooled, hearing.server.pooled, direct.server.pooled) == (True, True, False)
    async with asyncio.timeout(60):
        while not hearing.bell.is_listening:
            await asyncio.sleep(0.01)
    assert not deaf.bell.is_listening
    rung = asyncio.Event()
    deaf.bell.listen(rung.set)
    async with asyncio.timeout(60):
        await rung.wait()  # the poll
    pulse = deaf.pulse("n1")
    await deaf.nodes.join(node("n1"), 10.0)
    assert await asyncio.to_thread(pulse.beat, 10.0, 60.0, 200.0)
    await asyncio.to_thread(pulse.close)
    many = [accepting(f"r{number}") for number in range(100)]
    assert set(await asyncio.gather(*(deaf.journal.commit(each) for each in many))) == {Committed.APPLIED}
    assert (await deaf.figures())["pooled"] is True
    for each in (deaf, hearing, direct):
        await each.close()


async def test_connection_whose_preparation_is_cancelled_is_closed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await server.find(postgres_url)
    opened: list[asyncpg.Connection[Any]] = []

    async def cancelled(_server: server.Server, connection: asyncpg.Connection[Any]) -> None:
        opened.append(connection)
        raise asyncio.CancelledError

    monkeypatch.setattr(server.Server, "prepare", cancelled)
    with pytest.raises(asyncio.CancelledError):
        await found.connect()
    assert opened[0].is_closed()
