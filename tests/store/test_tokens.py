"""Conformance of tokens: completed once, in the transaction that tells the run."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from interlock.model.states import RunStatus
from interlock.store.ports import Committed, Completion, NewToken, Store, TokenRow, TokenState
from store.rows import accepting, batch

FOREVER = 1e12


def token(name: str = "k1", effect: int = 1, expires_at: float | None = None) -> NewToken:
    return NewToken(token=name, effect=effect, name="approval", expires_at=expires_at)


async def complete(store: Store, name: str = "k1", **more: Any) -> Completion | None:
    given: dict[str, Any] = {
        "state": TokenState.COMPLETED,
        "outcome": b'"yes"',
        "digest": "d",
        "cause_id": f"token:{name}",
        "cause": b'{"kind":"token"}',
        "actor": "ann",
        "now": 150.0,
    }
    return await store.tokens.complete(name, **given | more)


async def state(store: Store, name: str = "k1") -> TokenState | None:
    row = await store.tokens.get(name)
    return None if row is None else row.state


async def inbox(store: Store) -> list[bytes]:
    return [row.cause for row in await store.journal.inbox("n1")]


async def test_token_is_open_from_the_commit_that_asks_for_it(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2, 500.0)]))
    assert await store.tokens.get("k2") == TokenRow(
        token="k2", run="r1", effect=2, name="approval", state=TokenState.OPEN, outcome=None, digest=None,
        expires_at=500.0, created_at=100.0, completed_at=None, completed_by=None,
    )  # fmt: skip
    assert await state(store, "nothing") is None
    assert await store.journal.commit(batch(seq=7, tokens=[token("k3")])) is Committed.STALE
    assert await state(store, "k3") is None


@pytest.mark.parametrize("ending", [TokenState.COMPLETED, TokenState.FAILED])
async def test_first_completion_counts_and_tells_the_run_once(store: Store, ending: TokenState) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    first = await complete(store, state=ending)
    assert first is not None
    assert first.applied
    again = await complete(store, state=TokenState.FAILED, outcome=b'"no"', digest="other", actor="bob")
    assert again == Completion(row=first.row, applied=False)
    assert await store.tokens.get("k1") == first.row
    assert (first.row.state, first.row.outcome, first.row.digest) == (ending, b'"yes"', "d")
    assert (first.row.completed_at, first.row.completed_by) == (150.0, "ann")
    assert await inbox(store) == [b'{"kind":"token"}']


async def test_completion_of_an_unknown_token_tells_nobody(store: Store) -> None:
    assert await complete(store, "nothing") is None
    assert await inbox(store) == []


async def test_token_that_is_over_cannot_be_completed_and_says_so(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(expires_at=150.0)]))
    late = await complete(store, now=150.0)
    assert late is not None
    assert (late.applied, late.row.state, late.row.outcome) == (False, TokenState.EXPIRED, None)
    assert await state(store) is TokenState.EXPIRED
    early = await complete(store, now=149.0)
    assert early is not None
    assert not early.applied
    assert await inbox(store) == []


async def test_revoked_token_cannot_be_completed(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2), token("k3", 3)]))
    await store.journal.commit(accepting("r2"))
    assert (await complete(store, "k3")) is not None
    assert await store.journal.commit(batch(seq=7, revoked_tokens=["k1"])) is Committed.STALE
    assert await store.journal.commit(batch("r2", 1, revoked_tokens=["k2"])) is Committed.APPLIED
    assert await store.journal.commit(batch(seq=1, revoked_tokens=["k1", "k3", "nothing"])) is Committed.APPLIED
    assert [await state(store, name) for name in ("k1", "k2", "k3")] == [
        TokenState.REVOKED,
        TokenState.OPEN,
        TokenState.COMPLETED,
    ]
    refused = await complete(store)
    assert refused is not None
    assert (refused.applied, refused.row.state) == (False, TokenState.REVOKED)


async def test_tokens_that_are_open_when_their_run_ends_are_revoked(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2)]))
    await store.journal.commit(accepting("r2", tokens=[token("k3")]))
    await complete(store, "k2")
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.FAULTED))
    assert [await state(store, name) for name in ("k1", "k2", "k3")] == [
        TokenState.REVOKED,
        TokenState.COMPLETED,
        TokenState.OPEN,
    ]


async def test_token_of_a_commit_that_ends_the_run_or_revokes_it_is_never_open(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()], ended=True, status=RunStatus.COMPLETED))
    await store.journal.commit(accepting("r2", tokens=[token("k2"), token("k3", 2)], revoked_tokens=["k2"]))
    assert [await state(store, name) for name in ("k1", "k2", "k3")] == [
        TokenState.REVOKED,
        TokenState.REVOKED,
        TokenState.OPEN,
    ]


async def test_completion_for_a_run_that_a_process_of_before_ended_is_refused(store: Store) -> None:
    """Such a process ends the run and leaves its tokens as they are."""
    await store.journal.commit(accepting(tokens=[token()]))
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.COMPLETED))
    await _execute(store, "UPDATE tokens SET state = 'open'")
    refused = await complete(store)
    assert refused is not None
    assert (refused.applied, refused.row.state) == (False, TokenState.REVOKED)
    assert await state(store) is TokenState.REVOKED


async def _execute(store: Store, sql: str) -> None:
    async def work(transaction: Any) -> None:
        done = transaction._connection.execute(sql)
        if inspect.isawaitable(done):
            await done

    await store.database.write(work)  # type: ignore[attr-defined]  # both kinds of stores have it


async def test_tokens_of_a_removed_run_go_with_it(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(f"k{number}", number) for number in range(1, 300)]))
    await store.journal.commit(accepting("r2", tokens=[token("other")]))
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.COMPLETED))
    assert await store.upkeep.remove(["r1"], FOREVER) == 1
    while await store.upkeep.clear():
        pass
    assert await state(store, "k1") is None
    assert await state(store, "other") is TokenState.OPEN


async def test_token_whose_id_is_taken_fails_its_commit_alone(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    group = [accepting("bad", tokens=[token()]), accepting("good", tokens=[token("k2")])]
    results = await asyncio.gather(*(store.journal.commit(each) for each in group), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert results[1] is Committed.APPLIED


async def test_many_completions_at_once_are_applied_once(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    calls = [complete(store, outcome=b"%d" % number, digest=str(number)) for number in range(20)]
    done = [each for each in await asyncio.gather(*calls) if each is not None]
    assert sorted(each.applied for each in done) == [False] * 19 + [True]
    assert len({each.row.digest for each in done}) == 1
    assert len(await inbox(store)) == 1
