"""Conformance of artifacts: on record while their attempt is in flight, listed in pages, forgotten after their run."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.model.states import RunStatus
from interlock.model.task import Done
from interlock.store.ports import ArtifactRow, KeptArtifact, ReceivedFile, Store
from interlock.store.sql.postgresql.store import PostgresStore
from store.rows import accepting, batch, graph, graph_task, new_task
from store.stops import is_blocked, stopped
from store.test_tasks import place

Two = tuple[PostgresStore, PostgresStore]


def file(place: str = "r1/aa", digest: str = "d1", size: int = 7) -> ReceivedFile:
    return ReceivedFile(place=place, size=size, digest=digest)


async def in_flight(store: Store, run: str = "r1") -> None:
    await store.journal.commit(accepting(run, tasks=[new_task(f"{run}-t1", run)]))
    await store.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)


async def keep(store: Store, name: str = "a.txt", **more: Any) -> KeptArtifact | None:
    given: dict[str, Any] = {
        "task": "r1-t1",
        "fence": 1,
        "media_type": "text/plain",
        "file": file(),
        "most": 9,
        "now": 150.0,
    }
    return await store.artifacts.keep(name=name, **given | more)


async def names(store: Store) -> list[tuple[str, str]]:
    return [(row.name, row.place) for row in await store.artifacts.page("r1", None, 100)]


async def test_artifact_is_listed_as_it_was_kept(store: Store) -> None:
    await in_flight(store)
    kept = await keep(store)
    row = ArtifactRow(
        run="r1", task="r1-t1", attempt=1, name="a.txt", path="/do/0/a", media_type="text/plain", size=7, digest="d1",
        place="r1/aa", created_at=150.0,
    )  # fmt: skip
    assert kept == KeptArtifact(row=row)
    assert await store.artifacts.page("r1", None, 10) == [row]
    assert await store.artifacts.page("r2", None, 10) == []


async def test_same_file_again_changes_nothing_and_another_one_takes_its_place(store: Store) -> None:
    await in_flight(store)
    first = await keep(store)
    assert first is not None
    again = await keep(store, file=file("r1/bb"), now=160.0)
    assert again == KeptArtifact(row=first.row, unused="r1/bb")
    other = await keep(store, file=file("r1/cc", "d2", 8), now=170.0)
    assert other == KeptArtifact(
        row=msgspec.structs.replace(first.row, place="r1/cc", digest="d2", size=8, created_at=170.0), unused="r1/aa"
    )
    assert await names(store) == [("a.txt", "r1/cc")]


@pytest.mark.parametrize(("task", "fence"), [("r1-t1", 2), ("r1-t2", 1), ("", 1)])
async def test_artifact_of_no_attempt_in_flight_is_refused(store: Store, task: str, fence: int) -> None:
    await in_flight(store)
    assert await keep(store, task=task, fence=fence) is None
    assert await names(store) == []


async def test_artifact_after_the_end_of_its_attempt_is_refused(store: Store) -> None:
    await in_flight(store)
    await store.queue.settle("r1-t1", 1, Done(1), 140.0)
    assert await keep(store) is None
    assert await names(store) == []


async def test_attempt_has_so_many_names_and_no_more(store: Store) -> None:
    await in_flight(store)
    for name in ("a", "b"):
        await keep(store, name, most=2)
    with pytest.raises(errors.Conflict, match="2 artifacts"):
        await keep(store, "c", most=2)
    assert await keep(store, "b", most=2, file=file("r1/zz", "d9")) is not None
    assert [name for name, _ in await names(store)] == ["a", "b"]


async def test_artifacts_are_listed_in_pages_without_a_gap(store: Store) -> None:
    await in_flight(store)
    for name in ("c", "a", "b"):
        await keep(store, name)
    first = await store.artifacts.page("r1", None, 2)
    second = await store.artifacts.page("r1", ("r1-t1", 1, "b"), 2)
    assert [row.name for row in [*first, *second]] == ["a", "b", "c"]
    assert await store.artifacts.page("r1", ("r1-t1", 1, "c"), 2) == []


async def test_artifacts_of_removed_runs_are_found_and_forgotten(store: Store) -> None:
    for run in ("r1", "r2", "r3"):
        await in_flight(store, run)
        await keep(store, task=f"{run}-t1", file=file(f"{run}/aa"))
    assert await store.artifacts.abandoned("", 10) == []
    for run in ("r1", "r2"):
        await store.queue.settle(f"{run}-t1", 1, Done(1), 150.0)
        await store.journal.commit(batch(run, 1, ended=True, status=RunStatus.COMPLETED))
    assert await store.upkeep.remove(["r1", "r2"], 500.0) == 2
    assert await store.artifacts.abandoned("", 1) == ["r1"]
    assert await store.artifacts.abandoned("r1", 10) == ["r2"]
    for run in ("r1", "r3"):
        await store.artifacts.forget(run)
    assert await store.artifacts.abandoned("", 10) == ["r2"]
    assert await names(store) == []
    assert len(await store.artifacts.page("r3", None, 10)) == 1  # the run is there


async def test_artifact_that_meets_the_end_of_its_attempt_is_there_before_it(two: Two, postgres_url: str) -> None:
    one, other = two
    await in_flight(one)
    stop = stopped(one, one.artifacts, "artifact_attempt")
    keeping = asyncio.create_task(keep(one))
    await stop.reached.wait()
    ending = asyncio.create_task(other.queue.settle("r1-t1", 1, Done(1), 151.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await keeping is not None
    assert await ending
    assert len(await names(one)) == 1


async def test_of_two_files_of_one_name_that_meet_the_second_knows_of_the_first(two: Two, postgres_url: str) -> None:
    one, other = two
    await in_flight(one)
    stop = stopped(one, one.artifacts, "artifact_get")
    first = asyncio.create_task(keep(one))
    await stop.reached.wait()
    second = asyncio.create_task(keep(other, file=file("r1/bb", "d2")))
    await is_blocked(postgres_url)
    stop.go_on.set()
    await first
    kept = await second
    assert kept is not None
    assert kept.unused == "r1/aa"
    assert await names(one) == [("a.txt", "r1/bb")]


async def test_artifacts_of_a_task_of_a_graph_stay_as_long_as_the_graph(store: Store) -> None:
    await store.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    (placed,) = await place(store, "a")
    kept = await keep(store, task=placed.task, fence=placed.fence, file=file("default-g/aa"))
    assert kept is not None
    assert await store.artifacts.abandoned("", 10) == []
