"""Tokens end to end: YAML steps that wait for a report, the answers that holders get, and that no text is ever kept."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import loopback
from interlock import Interlock, config, errors, gather, step, telemetry, token, workflow
from interlock.app.session import Session, Started
from interlock.app.tokens import Tokens
from interlock.model import event as events
from interlock.model.states import RunStatus
from interlock.secrets.callback import shortened
from interlock.testing.kit import Kit

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"
APPROVE = """
do:
  - approve:
      call: approval:1.0.0@default
      with: {to: ops, question: 'Ship it?', schema: {type: object, required: [ok]}, expires: PT1H}
"""


T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """Look, backing off, until there is something; give it."""
    pause = 0.005
    async with asyncio.timeout(60):
        while not (found := await look()):
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return found


class House:
    """A store with a node, a server that plays agents, and what it was handed."""

    def __init__(self, app: Session, server: loopback.Server) -> None:
        self.app = app
        self.server = server
        self.tokens = Tokens(app, "default")
        server.otherwise = loopback.Reply(201, b'"accepted"', {"Content-Type": "application/json"})

    async def start(self, text: str, **more: Any) -> Started:
        return await self.app.start(HEADER + text.replace("AGENT", self.server.url("/work")), **more)

    async def handed(self, count: int = 1) -> list[str]:
        """Wait until so many tokens were handed out and give them."""

        async def look() -> bool:
            return len(self.server.asked) >= count

        await eventually(look)
        return [asked.headers["interlock-token"] for asked in self.server.asked]

    async def text(self, run: str) -> str:
        """Give the text of the only token of a run, as the server would hand it to an agent."""
        return (await self.texts(run))[0]

    async def texts(self, run: str) -> list[str]:
        rows = await eventually(lambda: self.app.store.tokens.of_run(run, 9))
        return [await self.app.secrets.token("default", row.token) for row in rows]

    async def ended(self, run: str) -> Any:
        """Give the output of a run, or its fault."""
        async with asyncio.timeout(60):
            await self.app.finish(run)
        row = await self.app.find(None, run)
        if row.status is not RunStatus.COMPLETED:
            return row
        assert row.output is not None
        return (await self.app.rows.value(row.run, row.output, self.app.store.journal)).value


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    settings = config.Settings(
        store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"),
        http=config.Http(allow_private=("127.0.0.1",)),
    )
    async with loopback.serving() as server, Session.open(settings, public_url="https://interlock.example/") as app:
        await app.bring_node()
        yield House(app, server)


@pytest.fixture
def refusals() -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    end = telemetry.attach(lambda name, fields: found.append(fields) if name == "token.refused" else None)
    yield found
    end()


async def run_of(house: House, text: str, **more: Any) -> str:
    return (await house.start(text, **more)).run


# -- reports -------------------------------------------------------------------------------------------------------------

AGENT = """
do:
  - work:
      call: http
      with: {method: post, endpoint: AGENT, headers: {Interlock-Token: theirs, X-Mine: kept}}
      metadata: {interlock: {await: {token: {expires: 1h, heartbeat: 30s, operations: [complete, fail, heartbeat]}}}}
  - after: {set: {got: '${ . }'}}
"""


async def test_call_hands_its_token_on_and_ends_with_the_report(house: House) -> None:
    """TK-04."""
    run = await run_of(house, AGENT)
    (text,) = await house.handed()
    (asked,) = house.server.asked
    assert asked.headers["interlock-callback"] == f"https://interlock.example/api/v1/tokens/{text}"
    assert asked.headers["x-mine"] == "kept"
    reported = await house.tokens.complete(text, {"pr": 812})
    assert (reported.state, reported.run, reported.step, reported.applied) == ("completed", run, "/do/0/work", True)
    assert await house.ended(run) == {"got": {"pr": 812}}
    again = await house.tokens.complete(text, {"pr": 812})
    assert (again.state, again.applied) == ("completed", False)


async def test_failure_says_what_and_whether_it_may_be_retried(house: House) -> None:
    """TK-04."""
    retried = AGENT.replace("interlock: {await", "interlock: {retry: {application: 1}, await")
    run = await run_of(house, retried)
    (first,) = await house.handed()
    await house.tokens.fail(first, "no GPU", type="Busy", retryable=True, details={"queue": 3})
    second = (await house.handed(2))[1]
    assert first != second
    with pytest.raises(errors.TokenError, match="failed before, with another outcome") as late:
        await house.tokens.complete(first, 1)
    assert late.value.code == "token-already-completed"
    await house.tokens.fail(second, "bad input", type="Broken", details={"field": "x"})
    row = await house.ended(run)
    assert row.status is RunStatus.FAULTED
    (fault,) = [event.fault for event in await house.app.history(run) if isinstance(event, events.Faulted)]
    assert (fault.title, fault.detail, fault.details) == ("Broken", "bad input", {"field": "x"})
    assert fault.described()["details"] == {"field": "x"}


async def test_result_that_is_not_what_was_asked_for_is_an_error_of_who_reports(house: House) -> None:
    run = await run_of(house, APPROVE)
    text = await house.text(run)
    with pytest.raises(errors.Invalid, match=r"does not fit what `approve` asks for: .*nothing was applied"):
        await house.tokens.complete(text, {"no": True})
    assert (await house.tokens.show(text)).state == "open"
    await house.tokens.complete(text, {"ok": True})
    assert await house.ended(run) == {"ok": True}


async def joined_in_vain(house: House, text: str) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with house.app.store.transaction() as joined:
            await house.tokens.complete(text, {"ok": 1}, conn=joined)
            raise ZeroDivisionError


async def test_report_within_a_transaction_counts_when_that_is_committed(house: House) -> None:
    run = await run_of(house, APPROVE)
    text = await house.text(run)
    await joined_in_vain(house, text)
    assert (await house.tokens.show(text)).state == "open"
    async with house.app.store.transaction() as joined:
        await house.tokens.complete(text, {"ok": 2}, conn=joined)
    assert await house.ended(run) == {"ok": 2}


# -- signs of life and cancellation --------------------------------------------------------------------------------------


async def test_sign_of_life_is_shown_and_progress_with_it(house: House) -> None:
    run = await run_of(house, APPROVE)
    text = await house.text(run)
    with pytest.raises(errors.Invalid, match="outside of 0 to 1"):
        await house.tokens.progress(text, 1.5)
    with pytest.raises(errors.Invalid, match="neither was given"):
        await house.tokens.progress(text)
    alive = await house.tokens.heartbeat(text, {"rows": 3})
    assert (alive.run, alive.step, alive.cancel_requested, alive.silent_at) == (run, "/do/0/approve", False, None)
    await house.tokens.progress(text, 0.5, "half")
    view = await house.tokens.show(text)
    assert (view.detail, view.progress) == ({"rows": 3}, {"fraction": 0.5, "message": "half"})
    assert (view.to, view.question, view.schema) == ("ops", "Ship it?", {"type": "object", "required": ["ok"]})
    assert view.heartbeat_at is not None
    (listed,) = await house.tokens.of_run(run)
    assert listed == view
    assert await house.tokens.ages() == {0: 1}


async def test_holder_learns_that_the_run_is_cancelled(house: House) -> None:
    run = await run_of(house, APPROVE)
    text = await house.text(run)
    row = await house.app.find(None, run)
    await house.app.cancel(row, "not wanted")
    await house.ended(run)
    for use in (house.tokens.heartbeat(text), house.tokens.complete(text, {"ok": 1})):
        with pytest.raises(errors.TokenError, match="the run was cancelled: not wanted") as refused:
            await use
        assert refused.value.code == "token-revoked"


async def test_holder_is_asked_to_stop_while_nobody_has_applied_the_cancellation(house: House) -> None:
    run = await run_of(house, APPROVE)
    text = await house.text(run)
    await house.app.lose_node()
    await house.app.cancel(await house.app.find(None, run), "not wanted")
    alive = await house.tokens.heartbeat(text)
    assert (alive.cancel_requested, alive.reason) == (True, "not wanted")


ROLLED_BACK = """
do:
  - work:
      call: http
      with: {method: post, endpoint: AGENT}
      metadata: {interlock: {await: token, compensate: {set: {undone: true}}}}
"""


async def test_rollback_waits_for_what_became_of_the_work_and_asks_its_holder_to_stop(house: House) -> None:
    run = await run_of(house, ROLLED_BACK)
    (text,) = await house.handed()
    await house.app.cancel(await house.app.find(None, run), "not wanted", rollback=True)

    async def asked() -> bool:
        return (await house.tokens.heartbeat(text)).reason == "the run is being rolled back: not wanted"

    await eventually(asked)
    assert (await house.tokens.heartbeat(text)).cancel_requested
    await house.tokens.fail(text, "stopped")
    assert (await house.ended(run)).status is RunStatus.CANCELLED


# -- refusals ------------------------------------------------------------------------------------------------------------


async def test_what_is_no_token_here_is_told_alike_and_counted(house: House, refusals: list[dict[str, Any]]) -> None:
    """TK-12, TK-13."""
    run = await run_of(house, APPROVE)
    text = await house.text(run)
    id, key, mac = text.split(".")
    never = await house.app.secrets.token("default", "0" * 32)
    tampered = f"{id}.{key}.{mac[:-1]}{'0' if mac[-1] != '0' else '1'}"
    wrong = [
        "\0.a.b",
        "",
        ".",
        "x",
        "\ud800",
        "é" * 40,
        "a.b.c",
        never,
        tampered,
        text.upper(),
        text + "0",
        text * 9,
        f"{id}.{mac}",
    ]
    for given in wrong:
        with pytest.raises(errors.TokenUnknown) as unknown:
            await house.tokens.complete(given, 1)
        assert (unknown.value.code, str(unknown.value)) == (
            "token-unknown",
            "this is no token of this store and namespace; check that all of it was passed on",
        )
    with pytest.raises(errors.TokenUnknown):
        await Tokens(house.app, "tenant").complete(text, 1)
    assert [fields["code"] for fields in refusals] == ["token-unknown"] * (len(wrong) + 1)
    assert all(text not in fields["token"] for fields in refusals)
    assert (await house.tokens.show(text)).state == "open"


@pytest.mark.parametrize(
    ("text", "shown"), [("", "…"), ("a", "…"), ("abc", "a…"), ("a" * 30, "a" * 15 + "…"), ("b" * 74, "b" * 20 + "…")]
)
def test_never_more_than_half_of_a_token_is_shown(text: str, shown: str) -> None:
    """TK-13."""
    assert shortened(text) == shown


async def test_token_is_good_for_what_it_is_limited_to(house: House, refusals: list[dict[str, Any]]) -> None:
    await run_of(house, AGENT)
    (text,) = await house.handed()
    await house.tokens.heartbeat(text)
    with pytest.raises(errors.TokenError, match="may be used for complete, fail, heartbeat") as refused:
        await house.tokens.show(text)
    assert refused.value.code == refusals[0]["code"] == "token-forbidden"


async def test_operator_reports_for_a_step_without_its_text(house: House) -> None:
    """TK-19."""
    run = await run_of(house, APPROVE)
    await house.text(run)
    with pytest.raises(errors.NotFound, match="those that do: /do/0/approve"):
        await house.tokens.of_step(run, "aprove")
    held = await house.tokens.of_step(run, "approve")
    await house.tokens.complete(held, {"ok": 1}, by="user:ann")
    assert await house.ended(run) == {"ok": 1}
    with pytest.raises(
        errors.TokenError, match=r"completed before, with another outcome, by user:ann at \d{4}-"
    ) as late:
        await house.tokens.complete(held, {"ok": 2})
    assert (late.value.by, late.value.state) == ("user:ann", "completed")
    again = await house.tokens.complete(await house.tokens.of_step(run, "approve"), {"ok": 1})
    assert (again.state, again.applied) == ("completed", False)
    with pytest.raises(errors.NotFound, match="those that do: none"):
        await house.tokens.of_step(run, "other")


# -- many at once --------------------------------------------------------------------------------------------------------


async def test_shuffled_completions_reach_their_own_runs(house: House) -> None:
    """TK-18."""
    runs = [await run_of(house, APPROVE) for _ in range(30)]
    texts = {run: await house.text(run) for run in runs}
    shuffled = random.Random(7).sample(runs, len(runs))
    await asyncio.gather(*[house.tokens.complete(texts[run], {"ok": run}) for run in shuffled])
    assert [await house.ended(run) for run in runs] == [{"ok": run} for run in runs]


async def test_thousand_pending_tokens_take_no_thread_and_keep_no_state(house: House) -> None:
    """TK-01."""
    before = threading.active_count()
    runs = [started.run for started in await asyncio.gather(*[house.start(APPROVE) for _ in range(1000)])]

    async def all_wait() -> bool:
        return sum((await house.app.store.tokens.ages(0.0)).values()) == 1000

    await eventually(all_wait)
    assert house.app.node is not None

    async def parked() -> bool:
        assert house.app.node is not None
        return all(live.state is None for live in house.app.node.engine._runs.values())

    await eventually(parked)
    assert threading.active_count() <= before + 4
    texts = [await house.text(run) for run in runs[::10]]
    await asyncio.gather(*[house.tokens.complete(text, {"ok": 1}) for text in texts])
    assert [await house.ended(run) for run in runs[::10]] == [{"ok": 1}] * 100


# -- what is kept --------------------------------------------------------------------------------------------------------


SCRIPTS = """
do:
  - shell:
      run: {shell: {command: 'echo "mine: $INTERLOCK_TOKEN $INTERLOCK_CALLBACK" >&2; echo "$INTERLOCK_TOKEN" > "$OUT"', environment: {OUT: '${ .out }'}}}
      metadata: {interlock: {await: token}}
  - script:
      run: {script: {language: python, code: "import os, sys; print(os.environ['INTERLOCK_TOKEN']); open(sys.argv[1], 'w').write(os.environ['INTERLOCK_TOKEN'])", arguments: ['${ $workflow.input.out }']}}
      metadata: {interlock: {await: token}}
  - fails:
      try:
        - call: {call: http, with: {method: post, endpoint: AGENT}, metadata: {interlock: {await: token}}}
      catch: {as: error, do: [{told: {set: {told: '${ $error }'}}}]}
"""


async def test_no_text_of_a_token_is_in_a_store_a_log_or_an_answer(house: House, tmp_path: Path) -> None:
    """TK-14."""
    told: list[str] = []
    end = telemetry.attach(lambda name, fields: told.append(repr((name, fields))))
    house.server.otherwise = lambda asked: loopback.Reply(
        500, asked.headers["interlock-token"].encode(), {"Content-Type": "text/plain"}
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    run = await run_of(house, SCRIPTS, input={"out": str(outside / "text")})
    texts: list[str] = []
    for number in range(2):

        async def written() -> str:
            file = outside / "text"
            return file.read_text().strip() if file.exists() else ""

        text = await eventually(written)
        (outside / "text").unlink()
        texts.append(text)
        with pytest.raises(errors.TokenUnknown):
            await house.tokens.complete(text + "x", 1)
        assert text not in repr(await house.tokens.of_run(run))
        await house.tokens.complete(text, number)
    output = await house.ended(run)
    assert "answered 500" in str(output)
    texts += [asked.headers["interlock-token"] for asked in house.server.asked]
    end()
    assert len(texts) == 3
    logged = [line.text for line in await house.app.store.views.logs(run, 0, 99, None)]
    assert any("mine: ***" in line for line in logged)
    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    macs = [text.partition(".")[2] for text in texts]
    assert not [mac for mac in macs for body in kept if mac.encode() in body]
    seen = [*told, repr(output), *logged, repr(await house.app.history(run))]
    assert not [line for line in seen if any(mac in line for mac in macs)]


# -- time ----------------------------------------------------------------------------------------------------------------


async def test_token_of_a_step_is_good_for_a_day_with_a_warning_before_its_end() -> None:
    """TK-10."""
    warned: list[dict[str, Any]] = []
    end = telemetry.attach(lambda name, fields: warned.append(fields) if name == "token.expiring" else None)
    async with Kit() as kit:
        run = (await kit.session.start(HEADER + "do: [{ask: {call: 'approval:1.0.0@default'}}]")).run
        await kit.drain()
        (row,) = await kit.session.store.tokens.of_run(run, 9)
        text = await kit.session.secrets.token("default", row.token)
        assert row.expires_at == pytest.approx(kit.clock.now() + 86_400, abs=1)
        await kit.advance("19h")
        assert warned == []
        await kit.advance("1h")
        assert [fields["step"] for fields in warned] == ["/do/0/ask"]
        await kit.advance("5h")
        assert (await kit.session.find(None, run)).status is RunStatus.FAULTED
        with pytest.raises(errors.TokenError) as late:
            await kit.tokens.complete(text, True)
        assert late.value.code == "token-expired"
    end()


async def test_silent_holder_loses_the_step_to_another_one_and_a_heartbeat_keeps_it() -> None:
    """TK-12."""
    text = """
do:
  - work:
      run: {shell: {command: 'true'}}
      metadata: {interlock: {await: {token: {heartbeat: 30s}}}}
"""
    async with Kit() as kit:
        run = (await kit.session.start(HEADER + text)).run
        store = kit.session.store

        async def handed() -> bool:
            return any(isinstance(event, events.HandedOver) for event in await kit.session.history(run))

        await kit.drain()
        await eventually(handed)
        (row,) = await store.tokens.of_run(run, 9)
        first = await kit.session.secrets.token("default", row.token)
        commits = (await kit.session.find(None, run)).seq
        for _ in range(5):
            await kit.advance("20s")
            alive = await kit.tokens.heartbeat(first)
            assert alive.silent_at == pytest.approx(kit.clock.now() + 30)
        assert (await kit.session.find(None, run)).seq == commits
        await kit.advance("31s")
        with pytest.raises(errors.TokenError) as lost:
            await kit.tokens.heartbeat(first)
        assert lost.value.code == "token-superseded"
        (row,) = await store.tokens.of_run(run, 9)
        second = await kit.session.secrets.token("default", row.token)
        with pytest.raises(errors.TokenError, match="the step to somebody else"):
            await kit.tokens.complete(first, 1)
        await kit.tokens.complete(second, 2)
        await kit.drain()
        assert (await kit.session.find(None, run)).status is RunStatus.COMPLETED


# -- retries by hand -----------------------------------------------------------------------------------------------------

FAILS = [True]
ASKED: list[str] = []


@step
async def tokens_fail_first() -> int:
    if FAILS[0]:
        raise ValueError("first")
    return 1


@workflow(name="tokens-asking-again")
async def asking_again() -> list[int]:
    right = token("approval")
    ASKED.append(await right.text())
    return list(await gather(tokens_fail_first(), right.result(int)))


async def test_run_that_is_retried_asks_again_by_the_token_that_was_handed_out() -> None:
    FAILS[0] = True
    ASKED.clear()
    async with Interlock("sqlite:///:memory:") as app:
        run = await app.start(asking_again)
        with pytest.raises(ValueError, match="first"):
            await run.result("60s")
        with pytest.raises(errors.TokenError, match="the run faulted: ValueError: first") as revoked:
            await app.tokens.heartbeat(ASKED[0])
        assert revoked.value.code == "token-revoked"
        FAILS[0] = False
        await run.retry()
        await eventually(lambda: app.tokens.of_run(run.run))
        assert (await app.tokens.complete(ASKED[0], 7)).applied
        assert await run.result("60s") == [1, 7]
        assert len(set(ASKED)) == 1
