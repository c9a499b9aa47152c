"""Shared memory that steps write: with their results, once, wherever they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock import Coordination, Interlock, Limit, Retries, errors, gather, step, step_context, workflow

ATTEMPTS: list[int] = []


@step
async def ship(number: int) -> int:
    memory = step_context().memory
    memory.set(f"orders/{number}", {"state": "shipping"}, space="tasks")
    memory.set(f"orders/{number}", {"state": "shipped"}, space="tasks")
    memory.set("last", number, ttl="1h")
    return number


@step
def ship_in_a_thread(number: int) -> int:
    step_context().memory.set(f"orders/{number}", {"state": "shipped"}, space="tasks")
    return number


@step(isolated=True)
def ship_elsewhere(number: int) -> int:
    step_context().memory.set(f"orders/{number}", {"state": "shipped"}, space="tasks")
    return number


@step(concurrency=Limit(limit=1, key="shipping"))
async def ship_in_turn(number: int) -> int:
    step_context().memory.set(f"orders/{number}", {"state": "shipped"}, space="tasks")
    return number


@step
async def take_back(number: int) -> int:
    step_context().memory.delete(f"orders/{number}", space="tasks")
    return number


@step(retries=Retries(count=1, delay=0))
async def stumble() -> int:
    attempt = step_context().attempt
    ATTEMPTS.append(attempt)
    step_context().memory.set("stumbled", attempt)
    if attempt == 1:
        raise RuntimeError("once")
    return attempt


@step
async def fail() -> int:
    step_context().memory.set("failed", True)
    raise RuntimeError("always")


@step
async def write_nonsense(what: str) -> None:
    memory = step_context().memory
    match what:
        case "key":
            memory.set("a//b", 1)
        case "space":
            memory.set("k", 1, space="no space")
        case "value":
            memory.set("k", object())  # type: ignore[arg-type]  # what is refused
        case "much":
            memory.set("a", "x" * 600_000)
            memory.set("b", "x" * 600_000)
        case "many":
            for number in range(1_001):
                memory.set(f"k{number}", number)


@workflow(name="step-memory-all")
async def everywhere() -> int:
    return sum(await gather(ship(1), ship_in_a_thread(2), ship_elsewhere(3), ship_in_turn(4), take_back(5)))


@workflow(name="step-memory-stumbling")
async def stumbling() -> int:
    return await stumble()


@workflow(name="step-memory-failing")
async def failing() -> int:
    return await fail()


@workflow(name="step-memory-nonsense")
async def nonsense(what: str) -> None:
    await write_nonsense(what)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/memory.db"
    found: Any = request.getfixturevalue("postgres_url")
    return str(found)


async def test_steps_write_with_their_results_wherever_they_run(url: str) -> None:
    """MS-01"""
    async with Coordination(url, worker="reader") as coord, Interlock(url) as app:
        await coord.memory.set("orders/5", {"state": "paid"}, space="tasks")
        async with coord.memory.watch("orders/*", space="tasks") as changes:
            run = await app.start(everywhere)
            assert await run.result("60s") == 15
            seen = {}
            async for change in changes:
                assert change.key not in seen, "written twice"
                seen[change.key] = change.value
                assert change.writer == (run.id if change.key != "orders/5" else change.writer)
                if len(seen) == 5:
                    break
        shipped = {"state": "shipped"}
        assert seen == {f"orders/{number}": shipped for number in range(1, 5)} | {"orders/5": None}
        assert await coord.memory.get("last") == 1
        cell = await coord.memory.cell("last")
        assert cell is not None
        assert cell.expires_at is not None


async def test_only_the_attempt_that_counts_writes(url: str) -> None:
    """MS-01"""
    ATTEMPTS.clear()
    async with Coordination(url, worker="reader") as coord, Interlock(url) as app:
        run = await app.start(stumbling)
        assert await run.result("60s") == 2
        assert ATTEMPTS == [1, 2]
        assert await coord.memory.get("stumbled") == 2
        faulted = await app.start(failing)
        with pytest.raises(RuntimeError, match="always"):
            await faulted.result("60s")
        assert await coord.memory.cell("failed") is None


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("key", "empty segment"),
        ("space", "cannot be a space"),
        ("value", "shared memory holds JSON"),
        ("much", "more than the 1048576 of one commit"),
        ("many", "at most 1000 keys"),
    ],
)
async def test_what_cannot_be_stored_is_refused_where_it_is_written(tmp_path: Path, what: str, message: str) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/memory.db") as app:
        run = await app.start(nonsense, what)
        with pytest.raises((errors.Invalid, errors.Misfit), match=message):
            await run.result("60s")
