"""Many runs started by one call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock, errors, step, sync, workflow


@step
async def doubled(number: int) -> int:
    return number * 2


@workflow(name="bulk-double")
async def double(number: int, plus: int = 0) -> int:
    return await doubled(number) + plus


async def test_runs_are_started_in_order_and_give_their_results(tmp_path: Path) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/s.db") as app:
        runs = await app.start_many(double, [(1,), {"number": 2, "plus": 10}, *[(number,) for number in range(3, 700)]])
        assert all(run.fresh for run in runs)
        assert [await run.result() for run in runs] == [2, 14, *[number * 2 for number in range(3, 700)]]


async def test_definition_of_many_starts_is_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand calls at once stored it ten thousand times, one transaction after the other."""
    async with Interlock(f"sqlite:///{tmp_path}/s.db", roles=[]) as client:
        journal, stored = client.session.store.journal, []
        define = journal.define

        async def counted(definition: Any) -> None:
            stored.append(definition.digest)
            await define(definition)

        monkeypatch.setattr(journal, "define", counted)
        await asyncio.gather(*[client.start(double, number) for number in range(300)])
        text = "document: {dsl: 1.0.3, namespace: n, name: y, version: 1.0.0}\ndo: [{a: {set: {b: 1}}}]\n"
        await asyncio.gather(*[client.session.start(text, detach=True) for _ in range(20)])
        assert len(stored) == len(set(stored)) == 2


@pytest.mark.slow
async def test_runs_of_others_are_stored_for_whoever_comes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with Interlock(url, roles=[]) as client:
        runs = await client.start_many(double, [(number,) for number in range(1_200)])
        assert await runs[-1].status() == "pending"
    async with Interlock(url) as app:
        run = await app.get(runs[-1].id, double)
        assert await run.result(timeout=60) == 2_398


@pytest.mark.parametrize("roles", [["engine", "dispatcher"], []])
async def test_ids_give_the_runs_that_are_there(tmp_path: Path, roles: list[str]) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/s.db", roles=roles) as app:
        first = await app.start_many(double, [(1,), (2,)], ids=["a", "b"])
        again = await app.start_many(double, [(2,), (3,)], ids=["b", "c"])
        assert [run.fresh for run in again] == [False, True]
        assert again[0].run == first[1].run
        with pytest.raises(errors.Conflict, match="'a' exists"):
            await app.start_many(double, [(7,)], ids=["a"])


@pytest.mark.parametrize(
    ("arguments", "ids", "complaint"),
    [
        ([(1,), 2], None, "neither"),
        ([(1,), ("x",)], None, "number"),
        ([(1,), (2, 3, 4)], None, "bulk-double|positional|takes"),
        ([(1,), (2,)], ["a"], "1 ids for 2 runs"),
        ([(1,), (2,)], ["a", "a"], "2 ids for 2 runs"),
        ([(1,), (2,)], ["a", ""], "1 to 128"),
    ],
)
async def test_nothing_is_accepted_when_something_does_not_fit(
    tmp_path: Path, arguments: list[Any], ids: list[str] | None, complaint: str
) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/s.db") as app:
        with pytest.raises((errors.Invalid, TypeError), match=complaint):
            await app.start_many(double, arguments, ids=ids)
        assert await app.list() == []


async def test_only_workflows_are_started(tmp_path: Path) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/s.db", roles=[]) as app:
        with pytest.raises(errors.Invalid, match="decorate it with @workflow"):
            await app.start_many(len, [(1,)])  # type: ignore[arg-type]
        assert await app.start_many(double, []) == []


def test_programs_without_a_loop_start_many_too(tmp_path: Path) -> None:
    with sync.Interlock(f"sqlite:///{tmp_path}/s.db") as app:
        runs = app.start_many(double, [(1,), {"number": 2}], ids=["a", "b"])
        assert [run.result() for run in runs] == [2, 4]
        assert [run.fresh for run in app.start_many(double, [(1,)], ids=["a"])] == [False]
