"""Prune, backup and restore through the command line, on stores in use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from acceptance.shell import Shell, until
from interlock import config, errors
from interlock.app import backup as copies
from interlock.app import retention
from interlock.app.retention import Rules
from interlock.app.session import Session
from interlock.service import SystemClock
from interlock.store.open import open_store

HELLO = "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}\ndo:\n  - a: {set: {x: 1}}\n"
SLOW = (
    "document: {dsl: 1.0.3, namespace: default, name: slow, version: 1.0.0}\n"
    "do:\n  - one: {run: {shell: {command: 'echo one >> ledger'}}}\n"
    "  - two: {run: {shell: {command: 'while ! test -e go; do sleep 0.05; done; echo two >> ledger'}}}\n"
)
STORE = ".interlock/interlock.db"


class Later(SystemClock):
    """A clock that is ahead."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


@pytest.fixture
def filled(shell: Shell) -> Shell:
    shell.write("order.yaml", HELLO)
    shell.write("slow.yaml", SLOW)
    for number in range(3):
        assert shell.run("run", "order.yaml", "--id", f"order-{number}").code == 0
    return shell


# -- prune -----------------------------------------------------------------------------------------------------------


def test_prune_removes_what_is_old_enough_and_says_so(filled: Shell) -> None:
    assert filled.run("prune").code == 2
    assert filled.run("prune", "--older-than", "soon").code == 2
    assert filled.run("prune", "--older-than", "0s", "--status", "running").code == 2
    dry = filled.run("prune", "--older-than", "0s", "--dry-run")
    assert len(dry.out.splitlines()) == 3
    assert "order-0  shop/order  completed" in dry.out
    assert filled.run("prune", "--older-than", "1d").out == "removed 0 runs\n"
    assert filled.run("prune", "--older-than", "0s", "--workflow", "other").out == "removed 0 runs\n"
    assert filled.run("prune", "--older-than", "0s", "--status", "faulted").out == "removed 0 runs\n"
    done = filled.run("prune", "--older-than", "0s", "--workflow", "shop/order", "--status", "completed")
    assert done.out == "removed 3 runs\n"
    assert filled.runs() == []
    with contextlib.closing(sqlite3.connect(filled.folder / STORE)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM history").fetchone() == (0,)
        assert connection.execute("SELECT action FROM audit").fetchall() == [("prune",)]
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,), "pages are given back"
    assert filled.run("run", "order.yaml", "--id", "order-0").code == 0


def test_prune_follows_the_settings_by_workflow(filled: Shell) -> None:
    filled.write("go", "")
    assert filled.run("run", "slow.yaml", "--id", "other").code == 0
    filled.write("interlock.toml", '[retention]\nkeep = "1h"\nworkflows = {"shop/order" = "0s"}\n')
    assert "the oldest run is at 0.00 of its time" in filled.run("doctor").out
    assert filled.run("prune").out == "removed 3 runs\n"
    assert [run["id"] for run in filled.runs()] == ["other"]


async def test_retention_is_applied_by_rule_and_its_lag_is_told(filled: Shell) -> None:
    store = await open_store(f"sqlite:///{filled.folder}/{STORE}")
    rules = Rules(keep=None, workflows={"shop/order": 100.0})
    clock = Later(1000.0)
    found = await retention.ratio(store, rules, clock.now())
    assert found is not None
    assert 10 <= found < 11
    assert await retention.ratio(store, Rules(), clock.now()) is None
    assert await retention.prune(store, Rules(), clock) == 0
    assert await retention.prune(store, rules, SystemClock()) == 0
    assert await retention.prune(store, rules, clock) == 3
    await store.close()


async def test_node_applies_retention_by_itself(filled: Shell) -> None:
    settings = config.Settings(
        store=config.Store(url=f"sqlite:///{filled.folder}/{STORE}"), retention=config.Retention(keep="0s")
    )
    async with Session.open(settings) as app:
        await app.bring_node(pinned=False, allow_all_python=False)
        while await app.store.views.runs(None, [], None, None, 9):
            await asyncio.sleep(0.01)


# -- backup and restore ----------------------------------------------------------------------------------------------


def test_backup_of_a_store_in_use_restores_and_its_runs_complete(shell: Shell) -> None:
    shell.write("slow.yaml", SLOW)
    with shell.started("run", "slow.yaml", "--id", "flying") as process:
        until(lambda: shell.ledger() == ["one"])
        copy = shell.run("backup", "copy.db")
        assert copy.code == 0, copy.err
        refused = shell.run("--store", f"sqlite:///{STORE}", "restore", "copy.db", "--force")
        assert refused.code == 2
        assert "in use by pid" in refused.err
        shell.write("go", "")
        assert process.wait(60) == 0
    assert shell.ledger() == ["one", "two"]
    restored = shell.run("--store", "sqlite:///other.db", "restore", "copy.db")
    assert restored.code == 0, restored.err
    assert "1 run can go on" in restored.out
    done = shell.run("--store", "sqlite:///other.db", "resume", "--all")
    assert done.code == 0, done.err
    assert shell.ledger() == ["one", "two", "two"]
    shown = shell.run("--store", "sqlite:///other.db", "show", "flying", "--json").json
    assert (shown["status"], shown["epoch"] > 1_000_000) == ("completed", True)


def test_backup_overwrites_nothing_and_leaves_nothing_half(filled: Shell) -> None:
    assert filled.run("backup", "copy.db").code == 0
    again = filled.run("backup", "copy.db")
    assert (again.code, "is there already" in again.err) == (2, True)
    assert filled.run("backup", "no/such/folder/copy.db").code == 4
    assert not [path for path in filled.folder.iterdir() if "partial" in path.name]
    assert filled.run("--store", "sqlite:///nothing.db", "backup", "x.db").code == 2
    postgres = filled.run("--store", "postgresql://localhost/x", "backup", "x.db")
    assert (postgres.code, "tools of its database" in postgres.err) == (2, True)


def test_restore_keeps_what_was_there(filled: Shell) -> None:
    filled.run("backup", "copy.db")
    filled.run("run", "order.yaml", "--id", "since")
    refused = filled.run("restore", "copy.db")
    assert (refused.code, "--force" in refused.err) == (2, True)
    done = filled.run("restore", "copy.db", "--force")
    assert done.code == 0, done.err
    assert len(filled.runs()) == 3
    (kept,) = filled.folder.glob(".interlock/*before*")
    assert kept.name in done.err
    old = filled.run("--store", f"sqlite:///{kept.relative_to(filled.folder)}", "list", "--json")
    assert len(json.loads(old.out)) == 4


def test_restore_of_what_is_no_backup_changes_nothing(filled: Shell) -> None:
    filled.write("text.db", "no database at all, but long enough to look like one" * 100)
    with contextlib.closing(sqlite3.connect(filled.folder / "foreign.db")) as connection, connection:
        connection.execute("CREATE TABLE other (x)")
    (filled.folder / "empty.db").touch()
    for file, code in (("text.db", 4), ("foreign.db", 4), ("empty.db", 4), ("absent.db", 2), (STORE, 2)):
        assert filled.run("restore", file, "--force").code == code, file
    assert filled.run("restore").code == 2
    assert filled.run("restore", "copy.db", "--raise-fences").code == 2
    assert len(filled.runs()) == 3
    assert not [path for path in filled.folder.rglob("*") if "restoring" in path.name or "before" in path.name]


@pytest.mark.slow
def test_damaged_store_is_replaced_by_force(filled: Shell) -> None:
    filled.run("backup", "copy.db")
    for end in ("-wal", "-shm"):
        (filled.folder / f"{STORE}{end}").unlink(missing_ok=True)
    (filled.folder / STORE).write_bytes(b"damaged" * 5000)
    assert filled.run("list").code == 4
    assert filled.run("restore", "copy.db", "--force").code == 0
    assert len(filled.runs()) == 3


def test_fences_of_a_store_that_other_tools_restored_are_raised(filled: Shell) -> None:
    done = filled.run("restore", "--raise-fences")
    assert done.code == 0, done.err
    assert "0 runs can go on" in done.out
    assert filled.run("show", "order-0", "--json").json["epoch"] > 1_000_000


async def test_damage_within_a_backup_is_found(filled: Shell, tmp_path: Path) -> None:
    filled.run("backup", "copy.db")
    data = bytearray((tmp_path / "copy.db").read_bytes())
    data[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    (tmp_path / "copy.db").write_bytes(data)
    with pytest.raises(errors.StoreCorrupt):
        await copies.restore(tmp_path / "copy.db", f"sqlite:///{tmp_path}/new.db", SystemClock(), "me", force=False)
    assert not (tmp_path / "new.db").exists()
