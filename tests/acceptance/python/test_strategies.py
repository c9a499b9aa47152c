"""WF-10: what a Python workflow does about a failed step: fail fast, continue, retry, roll back."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock import Interlock, Retries, gather, step, workflow

CALLS: Counter[str] = Counter()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Interlock]:
    CALLS.clear()
    async with Interlock(f"sqlite:///{tmp_path}/strategies.db") as opened:
        yield opened


def cancel(result: str, name: str) -> None:
    CALLS[f"cancel {name}"] += 1


@step(compensate=cancel)
async def book(name: str) -> str:
    CALLS[f"book {name}"] += 1
    return name


@step
async def refuse(name: str) -> str:
    CALLS[f"refuse {name}"] += 1
    raise ValueError(f"no {name}")


@step(retries=Retries(count=3, delay=0.01))
async def refuse_twice() -> str:
    CALLS["refuse_twice"] += 1
    if CALLS["refuse_twice"] < 3:
        raise ValueError("not yet")
    return "at last"


@step
async def never() -> None:
    CALLS["never"] += 1


@workflow(name="strategies-fail-fast")
async def fail_fast() -> None:
    await gather(book("hotel"), refuse("car"))
    await never()


async def test_fail_fast(app: Interlock) -> None:
    """WF-10 fail_fast: the first failure of a gather ends the run, and nothing more is begun."""
    run = await app.start(fail_fast)
    with pytest.raises(ValueError, match="no car"):
        await run.result("60s")
    assert CALLS["never"] == 0
    assert CALLS["refuse car"] == 1


@workflow(name="strategies-continue")
async def go_on() -> list[str]:
    found = await gather(book("hotel"), refuse("car"), return_exceptions=True)
    try:
        await refuse("flight")
    except ValueError as error:
        found.append(error)
    return [str(each) for each in found]


async def test_continue(app: Interlock) -> None:
    """WF-10 continue: failures are results, and the run ends well."""
    run = await app.start(go_on)
    assert await run.result("60s") == ["hotel", "no car", "no flight"]
    assert await run.status() == "completed"


@workflow(name="strategies-retry")
async def retry() -> str:
    return await refuse_twice()


async def test_retry(app: Interlock) -> None:
    """WF-10 retry: an attempt that failed is made again, within its budget."""
    run = await app.start(retry)
    assert await run.result("60s") == "at last"
    assert CALLS["refuse_twice"] == 3


@workflow(name="strategies-rollback")
async def roll_back() -> None:
    await book("hotel")
    await book("car")
    await refuse("flight")


async def test_rollback(app: Interlock) -> None:
    """WF-10 rollback: what was done is undone, and the run ends with the error that it failed with."""
    run = await app.start(roll_back)
    with pytest.raises(ValueError, match="no flight"):
        await run.result("60s")
    assert CALLS["cancel hotel"] == CALLS["cancel car"] == 1
    assert list(CALLS) == ["book hotel", "book car", "refuse flight", "cancel car", "cancel hotel"]
