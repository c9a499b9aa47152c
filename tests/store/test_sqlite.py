"""What only SQLite has: the schema and its migrations, plans, the group commit, the lock between processes, damage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from interlock import errors
from interlock.store.open import open_store
from interlock.store.ports import Committed
from interlock.store.sql import sqlite, sqlite_schema, statements
from interlock.store.sql.store import SqliteStore
from interlock.store.sql.transaction import Transaction
from store.rows import accepting, batch, new_task, node

SOURCE = Path(__file__).parents[2] / "src"


def _schema(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {" ".join(row[0].split()) for row in rows}


def _statements(script: str) -> set[str]:
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return {" ".join(part.split()) for part in f"{chr(10).join(lines)}\n".split(";\n") if part.strip()}


def test_schema_file_equals_the_migrations() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    sqlite_schema.migrate(connection)
    declared = _statements(statements.schema("sqlite"))
    assert {row for row in _schema(connection) if "sqlite_sequence" not in row} == declared
    connection.close()


def test_migrations_go_up_and_down_on_an_empty_store() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    sqlite_schema.migrate(connection)
    for name in reversed(statements.migrations("sqlite")):
        sqlite_schema.revert(connection, name)
    assert {row for row in _schema(connection) if "sqlite_sequence" not in row} == set()
    sqlite_schema.migrate(connection)
    sqlite_schema.migrate(connection)
    connection.close()


HOT = {
    "runs_claim": "runs_free",
    "runs_owned": "runs_owned",
    "runs_free_of": "runs_owned",
    "lane_heads": "tasks_ready",
    "task_ready": "tasks_ready",
    "task_ready_own": "tasks_ready",
    "tasks_claim": "tasks_ready",
    "tasks_claim_own": "tasks_ready",
    "tasks_waiting": "tasks_ready",
    "tasks_claim_named": "sqlite_autoindex_tasks_1",
    "leases_expired": "leases_expiring",
    "leases_extend": "leases_held",
    "node_renew": "leases_held",
    "nodes_look": "leases_expiring",
    "leases_of_holder": "leases_held",
    "nodes_by_lease": "leases",
    "pool_occupancy": "leases_held",
    "log_page": "logs_of_run",
    "log_size": "logs_of_run",
    "tasks_leased": "leases_held",
    "run_unowned": "runs_free",
    "runs_unattended": "runs_free",
    "runs_undispatched": "tasks_ready",
    "pools_waiting": "tasks_ready",
    "runs_ended_page": "runs_ended",
    "run_list_unfinished": "runs_unsuccessful",
    "nodes_forget": "nodes_left",
    "undos_page": "memos_undo",
    "run_list_of_attribute": "attributes_found",
    "run_list_of_attribute_anywhere": "attributes_found",
    "tokens_close": "tokens_of_run",
    "tokens_of_run": "tokens_of_run",
    "tokens_ages": "tokens_pending",
    "waits_open": "waits_open",
    "waits_due": "waits_open",
    "graph_tasks_to_stop": "tasks_open",
    "removal_tokens": "tokens_of_run",
    "deliveries_claim": "deliveries_due",
    "deliveries_claim_own": "deliveries_due",
    "deliveries_next_due": "deliveries_due",
    "deliveries_free": "deliveries_claimed",
    "deliveries_waiting_page": "deliveries_waiting",
    "deliveries_of_receiver": "deliveries_of_run",
    "removal_deliveries": "deliveries_of_run",
    "removal_delivery_attempts": "delivery_attempts_of_run",
    "cached_sweep": "cached_expiring",
    "limits_waited_for": "tasks_held",
    "step_heads": "tasks_ready",
    "step_lanes": "tasks_ready",
    "cell_changes_page": "cell_changes_of_namespace",
    "cell_changes_sweep": "cell_changes_at",
    "cell_sent": "cell_changes_sent",
    "cells_expire": "cells_expiring",
    "cells_forget": "cells_deleted",
}


WHOLE = {"counts", "definitions_unused", "runs_ended_oldest", "restored_leases", "restored_numbers", "restored_running"} | {
    "restored_runs", "restored_tasks", "restored_cells", "restored_changes", "restored_deliveries",
}  # fmt: skip
"""Statements that read or write whole tables: for people, in a reader, or once after a restore."""


@pytest.fixture(scope="module")
def schema() -> Generator[sqlite3.Connection]:
    """An empty store, for who only asks how statements would be run."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    sqlite_schema.migrate(connection)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", sorted(statements.load("sqlite")))
def test_statement_is_planned_with_an_index(name: str, schema: sqlite3.Connection) -> None:
    """Every statement that a hot path runs searches an index; none scans a table that grows."""
    sql = statements.load("sqlite")[name]
    if name in WHOLE:
        return
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)", sql), 1)
    plan = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    grown = [
        step
        for step in plan
        if re.match(
            r"SCAN (runs|history|memos|tasks|logs|scopes|large_values|leases|attributes|tokens|cached|cells|cell_changes|deliveries|delivery_attempts|waits)\b",
            step,
        )
    ]
    using_index = [step for step in grown if "INDEX" in step]
    assert not [step for step in grown if step not in using_index], plan
    if name in HOT:
        assert any(HOT[name] in step for step in plan), plan


async def test_list_of_what_has_not_completed_leaves_out_the_completed_ones() -> None:
    sql = statements.load("sqlite")["run_list_unfinished"]
    connection = sqlite3.connect(":memory:", isolation_level=None)
    sqlite_schema.migrate(connection)
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)", sql), 1)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    connection.close()

    read = {step.split("INDEX ")[1].split(" ")[0] for step in plan if "INDEX" in step}
    assert read == {"runs_free", "runs_owned", "runs_unsuccessful"}, plan


async def test_concurrent_commits_share_transactions(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    assert isinstance(store, SqliteStore)
    before = store.database.transactions
    results = await asyncio.gather(*(store.journal.commit(accepting(f"r{number}")) for number in range(200)))
    assert results == [Committed.APPLIED] * 200
    assert store.database.transactions - before < 50
    await store.close()
    await store.close()


async def test_closed_store_refuses_in_words(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    await store.close()
    with pytest.raises(errors.StoreUnavailable, match="closed"):
        await store.journal.commit(accepting())
    with pytest.raises(errors.StoreUnavailable, match="closed"):
        await store.journal.load("r1")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x", "not supported"),
        ("sqlite", "not supported"),
        ("sqlite://", "no path"),
        ("sqlite:///", "no path"),
        ("sqlite://relative.db", "no path"),
    ],
)
async def test_url_that_names_no_store_is_refused(url: str, words: str) -> None:
    with pytest.raises(errors.Invalid, match=words):
        await open_store(url)


async def test_damaged_foreign_and_newer_files_are_refused_untouched(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(os.urandom(8192))
    with pytest.raises(errors.StoreCorrupt, match="not a readable SQLite file"):
        await open_store(f"sqlite:///{garbage}")
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE books (title TEXT)")
    connection.close()
    with pytest.raises(errors.StoreCorrupt, match="not an Interlock store"):
        await open_store(f"sqlite:///{foreign}")
    newer = tmp_path / "newer.db"
    store = await open_store(f"sqlite:///{newer}")
    await store.close()
    with contextlib.closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES ('9999_later', 0)")
    connection.close()
    await (await open_store(f"sqlite:///{newer}")).close()  # what it does not know does not concern it
    with contextlib.closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('needs', '9999_later')")
    connection.close()
    with pytest.raises(errors.StoreCorrupt, match="newer Interlock"):
        await open_store(f"sqlite:///{newer}")


async def test_path_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "s.db", tmp_path):
        with pytest.raises(errors.StoreUnavailable, match="cannot open"):
            await open_store(f"sqlite:///{path}")


async def test_file_whose_opening_is_given_up_is_closed_only_when_its_thread_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing a connection that another thread migrates ended the process with SIGSEGV."""
    begun, go_on = threading.Event(), threading.Event()
    did: list[str] = []

    def slow(connection: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(60)
        connection.execute("SELECT 1")
        did.append("migrated")

    monkeypatch.setattr(sqlite, "migrate", slow)
    opening = asyncio.create_task(sqlite.SqliteDatabase(str(tmp_path / "a.db"), lambda _: None).open())
    assert await asyncio.to_thread(begun.wait, 20)
    opening.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not opening.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert did == ["migrated"]


async def test_renewals_have_a_connection_of_their_own(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    await store.nodes.join(node("n1"), 10.0)
    pulse = store.pulse("n1")
    assert pulse is not None
    assert await asyncio.to_thread(pulse.beat, 10.0, 60.0, 200.0)
    assert [state.lease_seconds for state in await store.nodes.states(205.0)] == [5.0]
    await store.nodes.bury("n1", 300.0)
    assert not await asyncio.to_thread(pulse.beat, 10.0, 60.0, 301.0)
    pulse.close()
    await store.close()
    memory = await open_store("sqlite:///:memory:")
    assert memory.pulse("n1") is None
    await memory.close()


async def test_other_processes_ring_the_bell(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    one, two = await open_store(url), await open_store(url)
    rung = asyncio.Event()
    one.bell.listen(rung.set)
    await two.journal.commit(accepting())
    await asyncio.wait_for(rung.wait(), 60)
    await one.close()
    await two.close()


async def test_log_is_folded_back_into_the_file_when_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BACKLOG_PAGES", 500)
    monkeypatch.setattr(sqlite, "_IDLE_PAGES", 1_000_000)
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    for number in range(8):
        await store.journal.commit(accepting(f"r{number}", head=b"x" * 1_000_000))
    assert (tmp_path / "s.db").stat().st_size > 3_000_000
    await store.close()


async def test_log_is_folded_back_when_nobody_writes(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    await store.journal.commit(accepting("r1", head=b"x" * 3_000_000))
    async with asyncio.timeout(60):
        while (tmp_path / "s.db").stat().st_size < 3_000_000:
            await asyncio.sleep(0.01)
    await store.close()


async def test_log_that_was_long_once_is_not_folded_back_after_every_commit(tmp_path: Path) -> None:
    """The file of the log never shrinks: what counts is what it holds that is not in the store's own file yet."""
    store = SqliteStore(f"{tmp_path}/s.db")
    await store.open()
    await store.journal.commit(accepting("r1", head=b"x" * 3_000_000))
    log = store.database._log
    assert log is not None
    async with asyncio.timeout(60):
        while log.backlog():
            await asyncio.sleep(0.01)
    assert (tmp_path / "s.db-wal").stat().st_size > 3_000_000
    await store.journal.commit(accepting("r2"))
    assert 0 < log.backlog() < 20
    await store.close()


class TroubledConnection(sqlite3.Connection):
    """Fails the statements that hold `trouble`. Stands in for `replaced`, which the writer may be using right now."""

    trouble = ""
    replaced: sqlite3.Connection | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.trouble and self.trouble in sql:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, parameters)

    def close(self) -> None:
        super().close()
        if self.replaced is not None:
            self.replaced.close()


async def troubled(path: Path) -> tuple[SqliteStore, TroubledConnection]:
    store = SqliteStore(str(path))
    await store.open()
    await store.journal.commit(accepting("first"))
    ours = sqlite3.connect(path, factory=TroubledConnection, isolation_level=None, check_same_thread=False)
    ours.replaced, store.database._connection = store.database._connection, ours
    return store, ours


async def test_commit_stands_when_the_log_cannot_be_folded_back_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the group would be made again, and a claim would lease two tasks for one."""
    monkeypatch.setattr(sqlite, "_BACKLOG_PAGES", 0)
    store, connection = await troubled(tmp_path / "s.db")
    connection.trouble = "wal_checkpoint"
    assert await store.journal.commit(accepting("r1")) is Committed.APPLIED
    connection.trouble = ""
    await store.close()


async def test_writer_outlives_a_look_for_changes_that_fails(tmp_path: Path) -> None:
    store, connection = await troubled(tmp_path / "s.db")
    connection.trouble = "data_version"
    for number in range(3):
        assert await store.journal.commit(accepting(f"r{number}")) is Committed.APPLIED
    await store.close()


async def test_write_that_comes_while_the_store_closes_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    store = SqliteStore(f"{tmp_path}/s.db")
    await store.open()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    with pytest.raises(errors.StoreUnavailable, match="closed"):
        await asyncio.wait_for(store.journal.commit(accepting("r1")), 60)
    await closing


async def test_transaction_that_waits_for_something_else_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(f"{tmp_path}/s.db")
    await store.open()

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def waits(transaction: Transaction) -> None:
        await Pause()

    with pytest.raises(RuntimeError, match="must not wait"):
        await store.database.write(waits)
    await store.close()


@pytest.mark.parametrize("text", ["commit:x:before", "commit:1", "start:1:before", "commit:1:during"])
def test_fault_that_is_misspelt_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidSettings, match="INTERLOCK_FAULT"):
        sqlite.SqliteDatabase(":memory:", lambda: None, {"INTERLOCK_FAULT": text, "INTERLOCK_TESTING": "1"})


async def test_memory_store_fails_a_member_alone() -> None:
    store = await open_store("sqlite:///:memory:")
    assert await store.journal.commit(accepting(tasks=[new_task()])) is Committed.APPLIED
    with pytest.raises(sqlite3.IntegrityError):
        await store.journal.commit(batch(seq=1, tasks=[new_task()]))
    assert await store.journal.commit(batch(seq=1)) is Committed.APPLIED
    await store.close()


HAMMER = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[3])
from store.rows import accepting, batch
from interlock.store.open import open_store

async def main(path, name):
    store = await open_store(f"sqlite:///{path}")
    await store.journal.commit(accepting(name))
    worst = 0.0
    for seq in range(1, 11):
        began = time.monotonic()
        assert await store.journal.commit(batch(name, seq=seq)) == "applied"
        worst = max(worst, time.monotonic() - began)
    await store.close()
    print(worst)

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.slow
def test_fifty_processes_write_to_one_file_without_a_lock_error(tmp_path: Path) -> None:
    """The worst wait is printed: `pytest -s` shows it."""
    path = tmp_path / "s.db"
    asyncio.run(_create(path))
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", HAMMER, str(path)]
    tests = str(Path(__file__).parents[1])
    processes = [
        subprocess.Popen(
            [*command, f"r{number}", tests], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(50)
    ]
    ended = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0] * 50, [err for _, err in ended if err]
    print(f"50 processes, 550 commits: worst wait {max(float(out) for out, _ in ended):.3f} s")
    assert asyncio.run(_count(path)) == 50 * 11


async def _create(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}")
    await store.close()


async def _count(path: Path) -> int:
    store = await open_store(f"sqlite:///{path}")
    counts = await store.views.counts()
    await store.close()
    return counts["commits"]


def test_writer_killed_in_the_middle_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    asyncio.run(_create(path))
    environment = os.environ | {
        "PYTHONPATH": str(SOURCE),
        "INTERLOCK_TESTING": "1",
        "INTERLOCK_FAULT": "commit:3:before",
    }
    tests = str(Path(__file__).parents[1])
    died = subprocess.run([sys.executable, "-c", HAMMER, str(path), "r0", tests], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert asyncio.run(_count(path)) == 2


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
async def test_open_store_keeps_the_locks_that_sqlite_holds_on_its_files(tmp_path: Path) -> None:
    """A process without them is cut off by the next one to come, and dies of SIGBUS."""
    path = tmp_path / "s.db"
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            store = await open_store(f"sqlite:///{path}")
            stack.push_async_callback(store.close)
            await store.journal.commit(accepting(f"r{len(await store.views.runs(None, [], None, None, 9))}"))
        inode = os.stat(f"{path}-shm").st_ino
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        assert [f"{os.getpid()}"] == list({line[4] for line in held if line[5].endswith(f":{inode}")})


async def test_all_who_wait_for_room_learn_that_the_store_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those for whom there is no room when the last group is answered."""
    monkeypatch.setattr(sqlite, "_QUEUED_MEMBERS", 2)
    store = SqliteStore(f"{tmp_path}/s.db")
    await store.open()
    commits = [asyncio.create_task(store.journal.commit(accepting(f"r{number}"))) for number in range(40)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await store.close()
        ended = await asyncio.gather(*commits, return_exceptions=True)
    assert {type(each) for each in ended} <= {Committed, errors.StoreUnavailable}
    assert Committed.APPLIED in ended
