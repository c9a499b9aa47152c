"""What happens when two processes meet over a token, a key, a limit or a cached result: one is stopped between two statements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from interlock.model.access import Role
from interlock.model.states import RunStatus
from interlock.model.task import Done
from interlock.store.ports import Batch, Completion, KeyRow, LimitSet, NewCached, NewToken, RevokedToken, TokenState
from interlock.store.sql.postgresql.store import PostgresStore
from interlock.store.sql.tokens import SqlTokens
from store.rows import accepting, batch, new_task
from store.stops import committing, is_blocked, stopped

Two = tuple[PostgresStore, PostgresStore]


Way = Callable[[PostgresStore, str], Awaitable[Completion | None]]


async def complete(store: PostgresStore, by: str = "ann") -> Completion | None:
    """Complete a token with others that are completed at the same time."""
    return await store.tokens.complete("k1", TokenState.COMPLETED, b"1", by, by, 150.0)


async def complete_alone(store: PostgresStore, by: str = "ann") -> Completion | None:
    """Complete a token by itself, as within the transaction of a caller."""
    return await SqlTokens.complete(store.tokens, "k1", TokenState.COMPLETED, b"1", by, by, 150.0)


WAYS = pytest.mark.parametrize(
    ("way", "first", "last"), [(complete, "tokens_lock", "tokens_end"), (complete_alone, "token_lock", "inbox_add")]
)


def asking() -> Batch:
    return accepting(tokens=[NewToken(token="k1", effect=1, name="approval")])


# -- tokens ----------------------------------------------------------------------------------------------------------


@WAYS
async def test_of_two_completions_that_meet_one_is_applied(
    two: Two, postgres_url: str, way: Way, first: str, last: str
) -> None:
    one, other = two
    await one.journal.commit(asking())
    stop = stopped(one, one.tokens, first)
    sooner = asyncio.create_task(way(one, "ann"))
    await stop.reached.wait()
    later = asyncio.create_task(way(other, "bob"))
    await is_blocked(postgres_url)
    stop.go_on.set()
    applied, refused = await sooner, await later
    assert applied is not None
    assert applied.applied
    assert applied.row.completed_by == "ann"
    assert refused == Completion(row=applied.row, applied=False)
    assert len(await one.journal.inbox("n1")) == 1


@WAYS
@pytest.mark.parametrize(
    "ending", [{"ended": True, "status": RunStatus.FAULTED}, {"revoked_tokens": [RevokedToken(token="k1")]}]
)
async def test_completion_that_meets_the_commit_that_revokes_the_token_is_refused(
    two: Two, postgres_url: str, ending: dict[str, object], way: Way, first: str, last: str
) -> None:
    one, other = two
    await one.journal.commit(asking())
    async with committing(one, batch(seq=1, **ending)) as applied:
        assert applied == {"r1"}
        late = asyncio.create_task(way(other, "ann"))
        await is_blocked(postgres_url)
    refused = await late
    assert refused is not None
    assert (refused.applied, refused.row.state) == (False, TokenState.REVOKED)
    assert await one.journal.inbox("n1") == []


@WAYS
@pytest.mark.parametrize(
    "ending", [{"ended": True, "status": RunStatus.FAULTED}, {"revoked_tokens": [RevokedToken(token="k1")]}]
)
async def test_token_whose_completion_meets_the_commit_that_revokes_it_stays_completed(
    two: Two, postgres_url: str, ending: dict[str, object], way: Way, first: str, last: str
) -> None:
    one, other = two
    await one.journal.commit(asking())
    stop = stopped(one, one.tokens, last)
    sooner = asyncio.create_task(way(one, "ann"))
    await stop.reached.wait()
    revoking = asyncio.create_task(other.journal.commit(batch(seq=1, **ending)))
    await is_blocked(postgres_url)
    stop.go_on.set()
    done = await sooner
    await revoking
    assert done is not None
    assert done.applied
    found = await other.tokens.get("k1")
    assert found == done.row
    await one.journal.sweep(0.0)
    assert len(await one.journal.inbox("n1")) == (0 if "ended" in ending else 1)


# -- keys ------------------------------------------------------------------------------------------------------------


async def test_key_that_two_revoke_at_once_is_revoked_by_one_of_them(two: Two, postgres_url: str) -> None:
    one, other = two
    new = KeyRow(id="k", name="ci", digest="", role=Role.ADMIN, namespaces=None, created_at=1.0, created_by="ann")
    await one.keys.create(new, "ann", 1.0)
    stop = stopped(one, one.keys, "key_get")
    first = asyncio.create_task(one.keys.revoke("k", "ann", 2.0))
    await stop.reached.wait()
    second = asyncio.create_task(other.keys.revoke("k", "bob", 3.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert [row and row.revoked_at for row in (await first, await second)] == [2.0, 2.0]
    connection = await asyncpg.connect(postgres_url)
    rows = await connection.fetch("SELECT actor FROM audit WHERE action = 'revoke-key'")
    await connection.close()
    assert [row["actor"] for row in rows] == ["ann"]


async def test_completion_that_meets_the_commit_in_which_the_token_expires_is_told_so(
    two: Two, postgres_url: str
) -> None:
    one, other = two
    await one.journal.commit(accepting(tokens=[NewToken(token="k1", effect=1, name="approval", expires_at=160.0)]))
    async with committing(one, batch(seq=1, at=160.0, revoked_tokens=[RevokedToken(token="k1")])):
        late = asyncio.create_task(complete(other))  # at 150, by the clock of who reports
        await is_blocked(postgres_url)
    refused = await late
    assert refused is not None
    assert (refused.applied, refused.row.state) == (False, TokenState.EXPIRED)
    assert await one.journal.inbox("n1") == []


@pytest.mark.parametrize(
    "ending", [{"ended": True, "status": RunStatus.FAULTED}, {"revoked_tokens": [RevokedToken(token="k1")]}]
)
async def test_sign_of_life_that_meets_the_commit_that_revokes_the_token_does_not_count(
    two: Two, postgres_url: str, ending: dict[str, object]
) -> None:
    one, other = two
    await one.journal.commit(asking())
    async with committing(one, batch(seq=1, **ending)):
        late = asyncio.create_task(other.tokens.beat("k1", b"1", None, 150.0))
        await is_blocked(postgres_url)
    refused = await late
    assert refused is not None
    assert (refused.counted, refused.row.state, refused.row.detail) == (False, TokenState.REVOKED, None)


async def test_sign_of_life_that_comes_before_the_commit_that_revokes_the_token_is_kept(
    two: Two, postgres_url: str
) -> None:
    one, other = two
    await one.journal.commit(asking())
    stop = stopped(one, one.tokens, "inbox_cancel")
    first = asyncio.create_task(one.tokens.beat("k1", b"1", None, 150.0))
    await stop.reached.wait()
    revoking = asyncio.create_task(
        other.journal.commit(batch(seq=1, revoked_tokens=[RevokedToken(token="k1", reason="late")]))
    )
    await is_blocked(postgres_url)
    stop.go_on.set()
    beat = await first
    await revoking
    assert beat is not None
    assert beat.counted
    row = await other.tokens.get("k1")
    assert row is not None
    assert (row.state, row.reason, row.heartbeat_at) == (TokenState.REVOKED, "late", 150.0)


# -- limits and cached results ---------------------------------------------------------------------------------------


async def test_two_commits_that_set_a_limit_at_once_are_both_made(two: Two, postgres_url: str) -> None:
    one, other = two

    def setting(run: str, capacity: int) -> Batch:
        names = ("a", "b") if run == "r1" else ("b", "a")
        return accepting(run, limits=[LimitSet(name=name, capacity=capacity) for name in names])

    async with committing(one, setting("r1", 1)):
        second = asyncio.create_task(other.journal.commit(setting("r2", 2)))
        await is_blocked(postgres_url)
    await second
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetch("SELECT name, capacity FROM limits ORDER BY name") == [("a", 2), ("b", 2)]
    await connection.close()


async def test_commit_that_sets_a_limit_as_it_is_waits_for_no_claim(two: Two) -> None:
    one, other = two
    limits = [LimitSet(name="key", capacity=2)]
    await one.journal.commit(accepting(tasks=[new_task(limits=["key"])], limits=limits))
    stop = stopped(one, one.queue, "limit_occupancy")
    claim = asyncio.create_task(one.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False))
    await stop.reached.wait()  # the claim holds the limit now
    async with asyncio.timeout(60):
        await other.journal.commit(accepting("r2", limits=limits, tasks=[new_task("t2", "r2", limits=["key"])]))
    stop.go_on.set()
    assert len(await claim) == 1


async def test_task_that_is_cancelled_while_it_is_brought_back_never_begins(two: Two, postgres_url: str) -> None:
    one, other = two
    tasks = [new_task(f"t{number}", effect=number, limits=["key"]) for number in (1, 2)]
    await one.journal.commit(accepting(tasks=tasks, limits=[LimitSet(name="key", capacity=1)]))
    (first,) = await one.queue.claim("n1", "local", 2, 2, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "task_readmit")
    settling = asyncio.create_task(one.queue.settle(first.task, first.fence, Done(1), 101.0))
    await stop.reached.wait()
    cancelling = asyncio.create_task(other.journal.commit(batch(seq=1, cancelled_tasks=[2])))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await settling
    await cancelling
    assert [row.state for row in await one.views.tasks("r1")] == ["done", "cancelled"]


async def test_two_commits_that_cache_under_the_same_keys_at_once_are_both_made(two: Two, postgres_url: str) -> None:
    one, other = two

    def caching(run: str) -> Batch:
        keys = ("a", "b") if run == "r1" else ("b", "a")
        rows = [NewCached(namespace="d", name="s", key=key, body=run.encode(), expires_at=9e9) for key in keys]
        return accepting(run, cached=rows)

    async with committing(one, caching("r1")):
        second = asyncio.create_task(other.journal.commit(caching("r2")))
        await is_blocked(postgres_url)
    await second
    assert [await one.journal.cached("d", "s", key, 0.0) for key in "ab"] == [b"r2", b"r2"]
