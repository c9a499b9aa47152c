"""Python workflows on PostgreSQL: the same as on SQLite, with several nodes and a real crash."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest

from acceptance.shell import Shell, until
from interlock import (
    Conflict,
    Interlock,
    continue_as_new,
    gather,
    set_attributes,
    sleep,
    step,
    token,
    wait_for_event,
    workflow,
)

undone: list[str] = []
texts: list[str] = []


def forget(result: str, number: int) -> None:
    undone.append(result)


@step(compensate=forget)
async def note(number: int) -> str:
    return f"n{number}"


@step(concurrency=2)
async def narrow(number: int) -> int:
    return number


@step
def fail() -> None:
    raise LookupError("nothing there")


@workflow
async def many(count: int) -> list[str]:
    set_attributes(count=count, kind="many")
    found = await gather(*[note(number) for number in range(count)])
    await gather(*[narrow(number) for number in range(count)])
    await sleep(0.01)
    return found


@workflow
async def saga() -> None:
    await note(1)
    await gather(note(2), note(3))
    await fail()


@step
async def hand_out(text: str) -> None:
    texts.append(text)


@workflow
async def waits() -> list[object]:
    paid = await wait_for_event("paid", data={"order": 7}, timeout="20s")
    asked = token("approval", expires="1h")
    await hand_out(await asked.text())  # in a step: it begins when the token is in the store
    return [paid["data"], await asked.result(bool)]


@workflow
async def rounds(number: int) -> int:
    await note(number)
    if number < 4:
        continue_as_new(number + 1)
    return number


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_KEY", "k" * 32)


async def test_workflows_run_on_postgresql(postgres_url: str, key: None) -> None:
    undone.clear()
    texts.clear()
    async with Interlock(postgres_url) as app:
        run = await app.start(many, 6, id="many")
        assert await run.result("60s") == [f"n{number}" for number in range(6)]
        assert [found.id for found in await app.list(where={"kind": "many", "count": 6})] == ["many"]
        assert await (await app.start(rounds, 1)).result("60s") == 4
        with pytest.raises(LookupError, match="nothing there"):
            await (await app.start(saga)).result("60s")
        assert undone[-1] == "n1"
        assert sorted(undone) == ["n1", "n2", "n3"]

        waiting = await app.start(waits)
        while not await app.send("paid", {"order": 7, "amount": 3}):
            await asyncio.sleep(0.02)
        while not texts:
            await asyncio.sleep(0.02)
        assert (await app.tokens.complete(texts[0], True)).applied
        assert await waiting.result("60s") == [{"order": 7, "amount": 3}, True]
        with pytest.raises(Conflict, match="completed before"):
            await app.tokens.complete(texts[0], False)


async def test_start_commits_with_the_statements_of_the_program(postgres_url: str) -> None:
    async with Interlock(postgres_url) as app:
        async with app.transaction() as tx:
            await tx.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
        async with app.transaction() as tx:
            await tx.execute("INSERT INTO orders VALUES ($1)", 1)
            first = await app.start(many, 1, id="first", conn=tx)
        with pytest.raises(asyncpg.UniqueViolationError):  # noqa: PT012 (the block as a program has it)
            async with app.transaction() as tx:
                await app.start(many, 1, id="second", conn=tx)
                await tx.execute("INSERT INTO orders VALUES ($1)", 1)
        assert await first.result("60s") == ["n0"]
        assert [run.id for run in await app.list()] == ["first"]


SHOP = """
from pathlib import Path
from interlock import gather, sleep, step, step_context, workflow

LEDGER = Path(__file__).with_name("ledger")


@step
async def mark(number: int) -> int:
    with LEDGER.open("a") as file:
        file.write(f"{number}:{step_context().idempotency_key}\\n")
    return number


@workflow
async def march() -> int:
    total = 0
    for number in range(5):
        total += await mark(number)
    total += sum(await gather(mark(10), mark(20)))
    await sleep(0.05)
    return total + await mark(30)
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["commit:1:after", "commit:4:before", "commit:7:after", "commit:9:before"])
def test_run_that_was_killed_goes_on(shell: Shell, postgres_url: str, fault: str) -> None:
    shell.write("shop.py", SHOP)
    store = ("--store", postgres_url)
    killed = shell.run(*store, "run", "shop:march", "--id", "one", env={"INTERLOCK_FAULT": fault})
    assert killed.code == -signal.SIGKILL, killed.err
    with shell.started(*store, "node", "--app", "shop"), shell.started(*store, "node", "--app", "shop"):
        until(lambda: shell.run(*store, "list", "--json").json[0]["status"] == "completed", 60)
    assert shell.run(*store, "show", "one", "--output").out.strip() == "70"
    marks = shell.ledger()
    assert len(set(marks)) == 8
    assert len(marks) <= 10
