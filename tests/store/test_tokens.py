"""Conformance of tokens: completed once, in the transaction that tells the run."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import msgspec
import pytest

from interlock.model.states import RunStatus
from interlock.store.ports import Committed, Completion, NewToken, RevokedToken, Store, TokenRow, TokenState
from store.rows import accepting, batch

FOREVER = 1e12


def token(name: str = "k1", effect: int = 1, expires_at: float | None = None) -> NewToken:
    return NewToken(token=name, effect=effect, name="approval", expires_at=expires_at)


def revoked(*names: str) -> list[RevokedToken]:
    return [RevokedToken(token=name, reason="nobody waits") for name in names]


async def complete(store: Store, name: str = "k1", **more: Any) -> Completion | None:
    given: dict[str, Any] = {
        "state": TokenState.COMPLETED,
        "outcome": b'"yes"',
        "digest": "d",
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
        expires_at=500.0, created_at=100.0, completed_at=None, completed_by=None, namespace="default", run_id="r1",
    )  # fmt: skip
    assert await state(store, "nothing") is None
    assert await store.journal.commit(batch(seq=7, tokens=[token("k3")])) is Committed.STALE
    assert await state(store, "k3") is None


async def test_reports_that_come_together_have_an_answer_each(store: Store) -> None:
    names = [f"t{number}" for number in range(40)]
    await store.journal.commit(
        accepting(tokens=[*(token(name, number, 200.0) for number, name in enumerate(names)), token("over", 90, 140.0)])
    )
    await store.journal.commit(accepting("ended", ended=True))
    asked = [*names, "over", "unknown", "t1", "t2"]
    answers = await asyncio.gather(*(complete(store, name, outcome=b'"%s"' % name.encode()) for name in asked))
    assert [answer is not None and answer.applied for answer in answers].count(True) == 40
    assert [None if answer is None else answer.row.state for answer in answers] == (
        [TokenState.COMPLETED] * 40 + [TokenState.EXPIRED, None] + [TokenState.COMPLETED] * 2
    )
    for name, answer in zip(names, answers[:40], strict=True):
        assert answer is not None
        assert await store.tokens.get(name) == answer.row
    wanted = {b'{"kind":"settled","effect":%d,"outcome":"t%d"}' % (number, number) for number in range(40)}
    assert set(await inbox(store)) == wanted
    assert [row.action for row in await store.views.audit(None, 100)].count("token-completed") == 40


async def test_report_that_did_not_look_at_the_terms_changes_nothing_where_there_are_some(store: Store) -> None:
    bound = msgspec.structs.replace(token(), terms=b'{"operations":["show"]}')
    await store.journal.commit(accepting(tokens=[bound, token("free", 2)]))
    first = await complete(store, plain=True)
    assert first is not None
    assert (first.applied, first.row.terms, await state(store)) == (False, bound.terms, TokenState.OPEN)
    assert await inbox(store) == []
    free = await complete(store, "free", plain=True)
    assert free is not None
    assert (free.applied, free.row.run_id, free.row.namespace) == (True, "r1", "default")
    looked = await complete(store)
    assert looked is not None
    assert looked.applied


@pytest.mark.parametrize("ending", [TokenState.COMPLETED, TokenState.FAILED])
async def test_first_completion_counts_and_tells_the_run_once(store: Store, ending: TokenState) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    first = await complete(store, state=ending)
    assert first is not None
    assert first.applied
    again = await complete(store, state=TokenState.FAILED, outcome=b'"no"', digest="other", actor="bob")
    assert again == Completion(row=first.row, applied=False)
    found = await store.tokens.get("k1")
    assert found == first.row
    assert (first.row.state, first.row.outcome, first.row.digest) == (ending, b'"yes"', "d")
    assert (first.row.completed_at, first.row.completed_by) == (150.0, "ann")
    assert await inbox(store) == [b'{"kind":"settled","effect":1,"outcome":"yes"}']


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
    assert await store.journal.commit(batch(seq=7, revoked_tokens=revoked("k1"))) is Committed.STALE
    assert await store.journal.commit(batch("r2", 1, revoked_tokens=revoked("k2"))) is Committed.APPLIED
    assert await store.journal.commit(batch(seq=1, revoked_tokens=revoked("k1", "k3", "nothing"))) is Committed.APPLIED
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
    await store.journal.commit(accepting("r2", tokens=[token("k2"), token("k3", 2)], revoked_tokens=revoked("k2")))
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


# -- signs of life ---------------------------------------------------------------------------------------------------


async def test_sign_of_life_is_kept_and_says_whether_the_run_is_to_end(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    assert await store.tokens.beat("nothing", b"1", None, 150.0) is None
    first = await store.tokens.beat("k1", b'{"rows":3}', None, 150.0)
    assert first is not None
    assert (first.counted, first.cancel) == (True, None)
    await store.journal.post("r1", "cancel:1", b'{"kind":"cancel"}', "ann", 151.0)
    await store.journal.post("r1", "event:1", b"{}", "ann", 151.0)
    second = await store.tokens.beat("k1", None, b"0.5", 152.0)
    assert second is not None
    assert second.cancel == b'{"kind":"cancel"}'
    assert (second.row.detail, second.row.progress, second.row.heartbeat_at) == (b'{"rows":3}', b"0.5", 152.0)


@pytest.mark.parametrize(
    ("new", "moment"),
    [
        ({"expires_at": 150.0}, 150.0),
        ({"heartbeat_seconds": 50.0}, 150.0),
    ],
)
async def test_sign_of_life_that_comes_too_late_does_not_count(
    store: Store, new: dict[str, float], moment: float
) -> None:
    await store.journal.commit(accepting(tokens=[NewToken(token="k1", effect=1, name="a", **new)]))  # type: ignore[arg-type]  # both are floats
    early = await store.tokens.beat("k1", None, None, moment - 40.0)
    assert early is not None
    assert early.counted
    late = await store.tokens.beat("k1", b"1", None, moment + 10.0)
    assert late is not None
    assert (late.counted, late.row.detail, late.row.heartbeat_at) == (False, None, moment - 40.0)
    await store.journal.commit(batch(seq=1, revoked_tokens=revoked("k1")))
    over = await store.tokens.beat("k1", None, None, moment - 39.0)
    assert over is not None
    assert (over.counted, over.row.reason) == (False, "nobody waits")


async def test_token_that_is_revoked_after_its_time_has_expired(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(expires_at=120.0), token("k2", 2, 500.0), token("k3", 3)]))
    await store.journal.commit(
        batch(seq=1, at=120.0, revoked_tokens=[RevokedToken(token="k1"), RevokedToken(token="k2", superseded=True)])
    )
    await store.journal.commit(
        batch(seq=2, at=130.0, ended=True, status=RunStatus.CANCELLED, end_reason="the run was cancelled: late")
    )
    assert [await state(store, name) for name in ("k1", "k2", "k3")] == [
        TokenState.EXPIRED,
        TokenState.REVOKED,
        TokenState.REVOKED,
    ]
    rows = await store.tokens.of_run("r1", 10, only_open=False)
    assert [(row.superseded, row.reason) for row in rows] == [
        (False, None), (True, None), (False, "the run was cancelled: late"),
    ]  # fmt: skip


@pytest.mark.parametrize("before", ["revoked", "failed"])
async def test_token_that_a_retry_asks_for_again_is_open_again(store: Store, before: str) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    if before == "failed":
        await complete(store, state=TokenState.FAILED)
    await store.journal.commit(batch(seq=1, revoked_tokens=revoked("k1")))
    await store.journal.commit(batch(seq=2, at=200.0, tokens=[token(effect=7)]))
    row = await store.tokens.get("k1")
    assert row == TokenRow(
        token="k1", run="r1", effect=7, name="approval", state=TokenState.OPEN, outcome=None, digest=None,
        expires_at=None, created_at=200.0, completed_at=None, completed_by=None, namespace="default", run_id="r1",
    )  # fmt: skip
    done = await complete(store, outcome=b'"late"')
    assert done is not None
    assert done.applied
    assert (await inbox(store))[-1] == b'{"kind":"settled","effect":7,"outcome":"late"}'


async def test_completion_that_never_reached_the_run_is_told_to_the_retry(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    await complete(store)
    await store.journal.commit(batch(seq=1, consumed=[row.number for row in await store.journal.inbox("n1")]))
    assert await inbox(store) == []
    await store.journal.commit(batch(seq=2, tokens=[token(effect=7)]))
    assert await inbox(store) == [b'{"kind":"settled","effect":7,"outcome":"yes"}']
    assert await state(store) is TokenState.COMPLETED


async def test_holder_of_an_open_token_may_be_asked_to_stop(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2)]))
    asked = [RevokedToken(token=name, reason="rolled back") for name in ("k1", "k2")]
    await complete(store, "k2")
    assert await store.journal.commit(batch(seq=7, asked_tokens=asked)) is Committed.STALE
    assert await store.journal.commit(batch(seq=1, asked_tokens=asked)) is Committed.APPLIED
    beat = await store.tokens.beat("k1", None, None, 150.0)
    assert beat is not None
    assert (beat.counted, beat.row.state, beat.row.reason) == (True, TokenState.OPEN, "rolled back")
    done = await store.tokens.get("k2")
    assert done is not None
    assert done.reason is None


async def test_open_tokens_are_listed_by_run_and_counted_by_age(store: Store) -> None:
    await store.journal.commit(
        accepting(tokens=[token(), token("k2", 2, 200.0), token("k3", 3, 120.0), token("k4", 4, 1100.0)])
    )
    await store.journal.commit(accepting("r2", tokens=[token("k5", 1, 200.0)]))
    await complete(store, "k4")
    assert [row.token for row in await store.tokens.of_run("r1", 2)] == ["k1", "k2"]
    assert [row.token for row in await store.tokens.of_run("r1", 9)] == ["k1", "k2", "k3"]
    assert len(await store.tokens.of_run("r1", 9, only_open=False)) == 4
    assert await store.tokens.ages(180.0) == {-1: 1, 8: 2, 10: 1}
