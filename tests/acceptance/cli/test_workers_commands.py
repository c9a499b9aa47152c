"""`interlock workers` in real processes: what it shows, what it changes, how it refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from acceptance.shell import Shell
from interlock.coord.balancer import LoadBalancer
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.task import Task
from interlock.model.worker import Capabilities, Device
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import Store

BUILDER = Capabilities(task_types={"build"}, skills={"rust"}, cpu_cores=4, memory_mb=8000, region="eu")


@contextlib.asynccontextmanager
async def _store(shell: Shell) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{shell.folder}/interlock.db")
    try:
        yield store
    finally:
        await store.close()


def _prepare(shell: Shell, work: Callable[[Store], Awaitable[object]]) -> None:
    async def main() -> None:
        async with _store(shell) as store:
            await work(store)

    asyncio.run(main())


@pytest.fixture
def fleet(shell: Shell) -> Shell:
    """A store with two workers, of which one has a task."""

    async def work(store: Store) -> None:
        registry = WorkerRegistry(store, SystemClock())
        await registry.register("builder", capacity=2, capabilities=BUILDER, device=Device(cpu=80.0), host="h1")
        await registry.register("other", metadata={"role": "spare"}, host="h2")
        assert await LoadBalancer(store, SystemClock()).select_worker(Task(id="t1", type="build"), among=["builder"])

    assert shell.run("--store", f"sqlite:///{shell.folder}/interlock.db", "workers", "list").code == 2
    _prepare(shell, work)
    return shell


def workers(shell: Shell, *arguments: str) -> Any:
    return shell.run("--store", f"sqlite:///{shell.folder}/interlock.db", "workers", *arguments)


def ids(shell: Shell, *arguments: str) -> list[str]:
    return [row["worker"] for row in workers(shell, "list", "--json", *arguments).json]


def test_workers_are_listed_with_how_they_stand(fleet: Shell) -> None:
    lines = workers(fleet, "list").out.splitlines()
    assert lines[0].split() == ["worker", "status", "tasks", "health", "cpu", "memory", "region", "host", "heard"]
    assert lines[1].split()[:5] == ["other", "active", "0", "of", "1"]
    assert lines[2].split()[:6] == ["builder", "active", "1", "of", "2", "degraded"]
    row = next(row for row in workers(fleet, "list", "--json").json if row["worker"] == "builder")
    assert (row["free"], row["utilisation_percent"], row["region"], row["skills"]) == (1, 50.0, "eu", ["rust"])
    assert (row["device_score"], row["quality"]) == (68.0, "good")


def test_list_fits_all_that_is_asked(fleet: Shell) -> None:
    """WR-06"""
    assert ids(fleet) == ["other", "builder"]
    assert ids(fleet, "--type", "test") == ["other"]
    assert ids(fleet, "--type", "build", "--skill", "rust", "--region", "eu", "--free") == ["builder"]
    assert ids(fleet, "--status", "busy", "--status", "stale") == []
    assert workers(fleet, "list", "--skill", "go").err == "no worker fits\n"


def test_worker_is_shown_with_its_tasks(fleet: Shell) -> None:
    shown = workers(fleet, "show", "builder").out
    for text in (
        "status       active",
        "slots        1 of 2 taken",
        "takes        build",
        "holds        t1 (reserved)",
    ):
        assert text in shown
    found = workers(fleet, "show", "builder", "--json").json
    assert [(task["task"], task["started"]) for task in found["tasks"]] == [("t1", False)]


def test_worker_drains_and_comes_back(fleet: Shell) -> None:
    """WR-04"""
    ended = workers(fleet, "drain", "builder")
    assert (ended.code, ended.err) == (0, "the worker builder takes no new tasks; it still has 1 task\n")
    assert ids(fleet, "--status", "draining") == ["builder"]
    assert workers(fleet, "drain", "other").err == "the worker other takes no new tasks, and has none\n"
    assert workers(fleet, "drain", "builder", "--undo").err == "the worker builder takes tasks again\n"
    assert ids(fleet, "--free") == ["builder"]


def test_events_are_listed_page_by_page(fleet: Shell) -> None:
    workers(fleet, "drain", "other")
    found = workers(fleet, "events", "--json").json
    assert [(event["worker"], event["kind"]) for event in found] == [
        ("builder", "registered"),
        ("other", "registered"),
        ("other", "draining"),
    ]
    page = workers(fleet, "events", "--limit", "1")
    assert page.out.split()[3:5] == ["builder", "registered"]
    assert page.err == f"later ones: interlock workers events --after {found[0]['number']}\n"
    later = workers(fleet, "events", "--after", str(found[0]["number"]))
    assert [line.split()[4] for line in later.out.splitlines()] == ["registered", "draining"]
    assert workers(fleet, "events", "--after", "99").err == "nothing happened to workers in the last day\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--status", "asleep"), "'asleep' is no state of a worker; they are new, active"),
        (("show", "nobody"), "there is no worker 'nobody'; `interlock workers list` shows those there are"),
        (("drain", "nobody"), "there is no worker 'nobody'"),
        (("drain",), "see `interlock workers drain --help`"),
        (("events", "--limit", "0"), "see `interlock workers events --help`"),
        (("lists",), "workers"),
    ],
)
def test_wrong_input_is_refused_with_help(fleet: Shell, arguments: tuple[str, ...], words: str) -> None:
    ended = workers(fleet, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_worker_that_is_gone_cannot_drain(fleet: Shell) -> None:
    async def leave(store: Store) -> None:
        assert await WorkerRegistry(store, SystemClock()).deregister("other")

    _prepare(fleet, leave)
    ended = workers(fleet, "drain", "other")
    assert ended.code == 2
    assert "is removed and cannot be made draining; nothing can be made of it" in ended.err
    assert ids(fleet) == ["builder"]
    assert "not any more" in workers(fleet, "list", "--status", "removed").out


def test_store_without_workers_says_so(shell: Shell) -> None:
    _prepare(shell, lambda store: store.workers.slots(None))
    assert workers(shell, "list").err == "no worker is registered\n"
