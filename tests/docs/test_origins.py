"""Every operation of the coordination that Interlock replaces is here, where its reference says it is."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from interlock import Coordination, sync
from interlock.cli import commands

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "origins.md").read_text("utf-8")
SECTION = TEXT.partition("### The 31 operations\n")[2].partition("\n## ")[0]
ROWS = re.findall(
    r"^\| `(\w+)\.(\w+)\((.*?)\)`( \(named only\))? \| `([\w.]+):(\w+)\.(\w+)`(.*) \|(.*)\|$", SECTION, re.M
)
TARGETS = re.findall(r"`(interlock[\w.]*):(\w+(?:\.\w+)*)`", TEXT)
PARTS = {
    "LockManager": "locks", "WorkerRegistry": "workers", "MemorySyncManager": "memory", "LoadBalancer": "balancer",
    "HeartbeatMonitor": "heartbeats",
}  # fmt: skip
DOCUMENTED = {
    "LockManager": "acquireLock releaseLock isLocked getLock cleanupStaleLocks listLocks releaseWorkerLocks recoverStaleLocks",
    "WorkerRegistry": "register deregister updateStatus getWorker listWorkers markStale cleanupStaleWorkers",
    "MemorySyncManager": "set get delete list sync watch",
    "LoadBalancer": "getNextTask selectWorker setStrategy getLoadDistribution rebalance",
    "HeartbeatMonitor": "start stop sendHeartbeat checkStaleWorkers recoverStaleLocks",
}
NAMED_ONLY = {"releaseWorkerLocks", "recoverStaleLocks", "cleanupStaleWorkers"}


def found(module: str, path: str) -> Any:
    """Give what a target names. Raises ImportError, AttributeError."""
    value: Any = importlib.import_module(module)
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_all_31_operations_are_listed_once() -> None:
    listed = [(each[0], each[1]) for each in ROWS]
    documented = [(owner, name) for owner, names in DOCUMENTED.items() for name in names.split()]

    assert len(documented) == 31
    assert listed == documented
    told = {each[1] for each in ROWS if each[3]}
    assert told == NAMED_ONLY


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}.{row[1]}" for row in ROWS])
def test_operation_is_where_the_reference_says(row: tuple[str, ...]) -> None:
    owner, _, _, _, module, kept, method, _, _ = row

    assert kept == owner, "under the name that its users know"
    assert callable(found(module, f"{owner}.{method}"))
    assert callable(getattr(getattr(sync, owner), method)), "and for programs without a loop"


def test_five_classes_are_parts_of_coordination() -> None:
    for owner, part in PARTS.items():
        assert inspect.signature(vars(Coordination)[part].fget).return_annotation == owner


@pytest.mark.parametrize(("module", "path"), TARGETS, ids=[f"{module}:{path}" for module, path in TARGETS])
def test_python_target_exists(module: str, path: str) -> None:
    assert found(module, path) is not None


def test_target_that_is_not_there_is_found() -> None:
    with pytest.raises(AttributeError):
        found("interlock.coord.locks", "LockManager.acquire_lock")


def test_commands_that_are_named_exist() -> None:
    root: Any = typer.main.get_command(commands.app)
    named = set(re.findall(r"`interlock (\w+) (\w+)", SECTION))

    assert len(named) > 10
    for group, command in named:
        assert command in root.commands[group].commands
