"""A caller is told how its run ended, whatever happens on the way: real runs, real processes, real receivers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

import loopback
import temporal_stub
from acceptance.shell import Shell
from interlock import Interlock, config, errors, step, workflow
from interlock.app.actor import actor
from interlock.app.deliveries import Delivery
from interlock.model.states import RunStatus
from interlock.store.ports import DeliveryState
from loopback import Asked

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
HEADER = "document: {dsl: 1.0.3, namespace: default, name: %s, version: 1.0.0}\n"
LOOPBACK = {"INTERLOCK_HTTP_ALLOW_PRIVATE": "127.0.0.1"}
LONG = HEADER % "long" + "do: [{w: {wait: PT60S}}]"
OK = loopback.Reply(200)


@pytest.fixture
async def server() -> AsyncIterator[loopback.Server]:
    async with loopback.serving() as server:
        server.otherwise = OK
        yield server


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Interlock]:
    settings = config.Settings(
        store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"), http=config.Http(allow_private=("127.0.0.1",))
    )
    async with Interlock(settings=settings) as app:
        yield app


def hook(server: loopback.Server, path: str = "/done") -> dict[str, Any]:
    return {"url": server.url(path), "secret": SECRET}


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Give what `condition` gives as soon as that is something."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
    return found


async def heard(server: loopback.Server, count: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
    """Give the bodies of the webhooks that came, verified, once there are so many."""

    async def enough() -> bool:
        return len(server.asked) >= count

    await until(enough, seconds)
    return [standardwebhooks.Webhook(SECRET).verify(each.body, each.headers) for each in server.asked]


async def settled(app: Interlock, run: str) -> list[Delivery]:
    """Give the deliveries of a run when none is pending any more, oldest first."""

    async def over() -> list[Delivery]:
        found = await app.deliveries.list(run=run)
        return [] if any(each.state is DeliveryState.PENDING for each in found) else found

    return list(reversed(await until(over)))


@step
async def doubled(number: int) -> int:
    return number * 2


class NoFunds(Exception):
    pass


@workflow
async def told_double(number: int) -> int:
    if number < 0:
        raise NoFunds(f"{number} is less than nothing")
    return await doubled(number)


# -- how a run may end -----------------------------------------------------------------------------------------------


async def test_python_run_tells_its_result(app: Interlock, server: loopback.Server) -> None:
    """TK-04, TK-17."""
    run = await app.start(told_double, 21, id="a", callback=hook(server))
    (told,) = await heard(server)
    assert (told["type"], told["run"], told["status"], told["output"]) == ("run.completed", "a", "completed", 42)
    assert await run.result() == 42
    (delivery,) = await settled(app, "a")
    assert delivery.id == server.asked[0].headers["webhook-id"]
    assert (delivery.state, delivery.attempts, delivery.problem) == (DeliveryState.DELIVERED, 1, None)


async def test_python_run_that_raises_tells_its_error(app: Interlock, server: loopback.Server) -> None:
    """TK-04, TK-05."""
    await app.start(told_double, -1, callback=hook(server))
    (told,) = await heard(server)
    assert (told["type"], told["error"]["type"], told["error"]["message"]) == (
        "run.faulted", "NoFunds", "-1 is less than nothing",
    )  # fmt: skip


ENDINGS = {
    "completed": ("do: [{a: {set: {x: 1}}}]", "run.completed", None),
    "raised": (
        "do: [{a: {raise: {error: {type: 'https://shop.example/sold-out', status: 409}}}}]", "run.faulted", "sold-out",
    ),
    "timed out": ("timeout: {after: {milliseconds: 100}}\ndo: [{w: {wait: PT60S}}]", "run.faulted", "timeout"),
    "failed": ("do: [{a: {run: {shell: {command: 'exit 3'}}}}]", "run.faulted", "runtime"),
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
async def test_run_of_a_document_tells_how_it_ended(app: Interlock, server: loopback.Server, ending: str) -> None:
    """TK-05, TK-06, TK-17."""
    body, told_type, error = ENDINGS[ending]
    await app.start_definition(HEADER % "ends" + body, id="a", callback=hook(server))
    (told,) = await heard(server)
    assert (told["type"], (told.get("error") or {}).get("type")) == (told_type, error)
    assert ("output" in told) == (ending == "completed")


async def test_run_that_is_cancelled_tells_so(app: Interlock, server: loopback.Server) -> None:
    """TK-05, TK-06."""
    run = await app.start_definition(LONG, id="a", callback=hook(server))
    await run.cancel("not wanted")
    (told,) = await heard(server)
    assert (told["type"], told["error"]["type"], told["error"]["retryable"]) == ("run.cancelled", "cancelled", False)


async def test_run_whose_node_was_lost_and_that_is_cancelled_by_hand_tells_so(
    shell: Shell, server: loopback.Server
) -> None:
    """TK-06: the process dies, another one ends the run and tells."""
    shell.write("long.yaml", LONG)
    shell.write("callback.json", json.dumps(hook(server)))
    await asyncio.to_thread(shell.run, "run", "long.yaml", "--id", "a", "--detach", "--callback", "callback.json")
    with shell.started("node", env=LOOPBACK) as node:
        await until(lambda: asyncio.to_thread(_has_status, shell, "waiting"))
        node.send_signal(signal.SIGKILL)
        node.wait()
    assert server.asked == []
    await asyncio.to_thread(shell.run, "cancel", "a", env=LOOPBACK)
    with shell.started("node", env=LOOPBACK):
        (told,) = await heard(server)
    assert told["type"] == "run.cancelled"


def _has_status(shell: Shell, status: str) -> bool:
    return [each["status"] for each in shell.runs()] == [status]


# -- crashes ---------------------------------------------------------------------------------------------------------


async def test_run_that_was_accepted_is_told_though_who_accepted_it_is_gone(
    shell: Shell, server: loopback.Server
) -> None:
    """TK-03, TK-16."""
    shell.write("fast.yaml", HEADER % "fast" + "do: [{a: {set: {x: 1}}}]")
    shell.write("callback.yaml", f"url: {server.url('/done')}\nsecret: {SECRET}\n")
    fault = {"INTERLOCK_TESTING": "1", "INTERLOCK_FAULT": "commit:1:after"}
    died = await asyncio.to_thread(
        shell.run, "run", "fast.yaml", "--id", "a", "--detach", "--callback", "callback.yaml", env=fault
    )
    assert died.code != 0
    with shell.started("node", env=LOOPBACK):
        (told,) = await heard(server)
    assert (told["run"], told["status"]) == ("a", "completed")


@pytest.mark.slow
async def test_kill_between_the_commit_and_its_delivery_tells_again_under_the_same_id(
    shell: Shell, server: loopback.Server
) -> None:
    """TK-07: two sendings, both in the log, and one effect at a receiver that knows ids."""
    effects: set[str] = set()
    holding = asyncio.Event()

    def first_hangs(asked: Asked) -> loopback.Reply:
        effects.add(asked.headers["webhook-id"])
        return loopback.Reply(gate=holding) if len(server.asked) == 1 else OK

    server.otherwise = first_hangs
    shell.write("fast.yaml", HEADER % "fast" + "do: [{a: {set: {x: 1}}}]")
    shell.write("callback.json", json.dumps(hook(server)))
    await asyncio.to_thread(shell.run, "run", "fast.yaml", "--id", "a", "--detach", "--callback", "callback.json")
    with shell.started("node", env=LOOPBACK) as node:
        await heard(server)
        assert await asyncio.to_thread(_has_status, shell, "completed")
        node.send_signal(signal.SIGKILL)
        node.wait()
    with shell.started("node", env=LOOPBACK):
        told = await heard(server, 2)
        (delivery,) = await until(lambda: asyncio.to_thread(_delivered, shell))
    holding.set()
    assert [each["status"] for each in told] == ["completed", "completed"]
    assert effects == {delivery["id"]}
    shown = (await asyncio.to_thread(shell.run, "deliveries", "show", delivery["id"], "--json")).json
    assert [(each["number"], each["status"]) for each in shown["attempts_made"]] == [(1, None), (2, "200")]
    assert len({each["node"] for each in shown["attempts_made"]}) == 2


def _delivered(shell: Shell) -> list[dict[str, Any]]:
    return [each for each in shell.run("deliveries", "list", "--json").json if each["state"] == "delivered"]


async def test_run_of_one_command_is_told_before_it_leaves(shell: Shell, server: loopback.Server) -> None:
    shell.write("fast.yaml", HEADER % "fast" + "do: [{a: {set: {x: 1}}}]")
    done = await asyncio.to_thread(_run_with, shell, json.dumps(hook(server)))
    assert done.code == 0, done.err
    assert len(await heard(server)) == 1


def _run_with(shell: Shell, callback: str) -> Any:
    return shell.run("run", "fast.yaml", "--callback", "-", env=LOOPBACK, stdin=callback)


# -- receivers -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_receiver_that_is_away_is_told_when_it_is_back(app: Interlock, server: loopback.Server) -> None:
    """TK-08, TK-09."""
    server.otherwise = lambda asked: loopback.Reply(503) if len(server.asked) < 3 else OK
    run = await app.start(told_double, 1, id="a", callback=hook(server))
    assert await run.result() == 2
    (delivery,) = await settled(app, "a")
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 3)
    assert [each.status for each in await app.deliveries.attempts(delivery.id)] == ["503", "503", "200"]
    assert await run.status() is RunStatus.COMPLETED


async def test_receiver_that_refuses_changes_nothing_about_the_run(app: Interlock, server: loopback.Server) -> None:
    """TK-09."""
    server.otherwise = loopback.Reply(404)
    run = await app.start(told_double, 1, id="a", callback=hook(server))
    (delivery,) = await settled(app, "a")
    assert (delivery.state, delivery.attempts, delivery.problem) == (
        DeliveryState.FAILED, 1, "it answered 404, which no further try changes",
    )  # fmt: skip
    assert (await run.status(), await run.result()) == (RunStatus.COMPLETED, 2)
    server.otherwise = OK
    again = await app.deliveries.retry(delivery.id)
    assert again.state is DeliveryState.PENDING
    (delivery,) = await settled(app, "a")
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 2)
    with pytest.raises(errors.Conflict, match="is delivered, so there is nothing to send again"):
        await app.deliveries.retry(delivery.id)


async def test_private_address_is_not_called(tmp_path: Path, server: loopback.Server) -> None:
    """OP-13."""
    url = f"sqlite:///{tmp_path}/interlock.db"
    async with Interlock(settings=config.Settings(store=config.Store(url=url))) as app:
        await app.start(told_double, 1, id="a", callback=hook(server))
        (delivery,) = await settled(app, "a")
    assert delivery.state is DeliveryState.FAILED
    assert delivery.problem is not None
    assert "a loopback address" in delivery.problem
    assert server.asked == []


async def test_many_runs_tell_each_their_own_caller(app: Interlock, server: loopback.Server) -> None:
    """TK-18."""
    numbers = list(range(40))
    random.Random(7).shuffle(numbers)
    await asyncio.gather(
        *(app.start(told_double, number, id=f"r{number}", callback=hook(server, f"/{number}")) for number in numbers)
    )
    told = await heard(server, 40)
    for asked, body in zip(server.asked, told, strict=True):
        assert (body["run"], body["output"]) == (f"r{asked.target[1:]}", int(asked.target[1:]) * 2)
    assert len({asked.headers["webhook-id"] for asked in server.asked}) == 40


# -- callers that come again -----------------------------------------------------------------------------------------


async def test_retries_of_the_caller_join_the_run_that_is_there(app: Interlock, server: loopback.Server) -> None:
    """TK-11."""
    runs = [await app.start_definition(LONG, id="a", callback=hook(server)) for _ in range(5)]
    assert [run.fresh for run in runs] == [True, False, False, False, False]
    assert len(await app.deliveries.list(run="a")) == 1
    await app.start_definition(LONG, id="a", callback=hook(server, "/other"))
    await runs[0].cancel()
    await heard(server, 2)
    await asyncio.sleep(0.2)
    assert sorted(each.target for each in server.asked) == ["/done", "/other"]


async def test_caller_of_a_run_that_has_ended_is_told_at_once(app: Interlock, server: loopback.Server) -> None:
    """TK-11."""
    run = await app.start(told_double, 1, id="a")
    assert await run.result() == 2
    again = await app.start(told_double, 1, id="a", callback=hook(server))
    assert not again.fresh
    assert [each["output"] for each in await heard(server)] == [2]


async def test_other_input_under_the_same_id_is_refused_and_nobody_is_told(
    app: Interlock, server: loopback.Server
) -> None:
    await (await app.start(told_double, 1, id="a")).result()
    with pytest.raises(errors.Conflict):
        await app.start(told_double, 2, id="a", callback=hook(server))
    assert await app.deliveries.list(run="a") == []


async def test_callback_is_stored_with_its_transaction_or_not_at_all(app: Interlock, server: loopback.Server) -> None:
    """TK-03."""
    with pytest.raises(NoFunds):
        await _started_and_undone(app, hook(server))
    assert await app.deliveries.list() == []
    async with app.transaction() as tx:
        await app.start(told_double, 1, id="a", conn=tx, callback=hook(server))
    assert [each["run"] for each in await heard(server)] == ["a"]


async def _started_and_undone(app: Interlock, callback: dict[str, Any]) -> None:
    async with app.transaction() as tx:
        await app.start(told_double, 1, id="a", conn=tx, callback=callback)
        raise NoFunds


async def test_no_callback_is_fire_and_forget(app: Interlock) -> None:
    """TK-02."""
    for number, nothing in enumerate([None, {}, "", {"temporal": {"address": "t:7233", "task_token": ""}}]):
        assert await (await app.start(told_double, 1, id=f"r{number}", callback=nothing)).result() == 2
    assert await app.deliveries.list() == []


async def test_callback_that_is_none_is_refused_before_anything_is_stored(app: Interlock) -> None:
    with pytest.raises(errors.Invalid, match="no `url` that can be called"):
        await app.start(told_double, 1, id="a", callback={"url": "ftp://x"})
    with pytest.raises(errors.NotFound):
        await app.get("a")


# -- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_no_read_gives_a_callback_and_the_store_holds_none_in_clear(
    shell: Shell, server: loopback.Server, tmp_path: Path
) -> None:
    """TK-13, TK-14."""
    shell.write("fast.yaml", HEADER % "fast" + "do: [{a: {set: {x: 1}}}]")
    callback = {"url": server.url("/hush-path"), "secret": SECRET, "headers": {"X-Key": "hush-header"}}
    server.otherwise = loopback.Reply(404)
    ran = await asyncio.to_thread(_run_with, shell, json.dumps(callback))
    (delivery,) = (await asyncio.to_thread(shell.run, "deliveries", "list", "--json")).json
    reads = [
        ["list", "--json"], ["inspect", delivery["run"], "--json"], ["history", delivery["run"], "--json"],
        ["deliveries", "list"], ["deliveries", "list", "--json"], ["deliveries", "show", delivery["id"]],
        ["deliveries", "show", delivery["id"], "--json"], ["deliveries", "retry", delivery["id"]],
        ["--debug", "deliveries", "list"],
    ]  # fmt: skip
    said = ran.out + ran.err
    for arguments in reads:
        ended = await asyncio.to_thread(shell.run, *arguments)
        said += ended.out + ended.err
    stored = b"".join(path.read_bytes() for path in (tmp_path / ".interlock").iterdir() if ".key" not in path.name)
    for secret in ("hush-path", "hush-header", SECRET, SECRET.removeprefix("whsec_")):
        assert secret not in said
        assert secret.encode() not in stored


@pytest.mark.slow
async def test_retry_by_hand_is_in_the_audit_log(shell: Shell, server: loopback.Server) -> None:
    """TK-19."""
    shell.write("fast.yaml", HEADER % "fast" + "do: [{a: {set: {x: 1}}}]")
    server.otherwise = loopback.Reply(404)
    await asyncio.to_thread(_run_with, shell, json.dumps(hook(server)))
    (delivery,) = (await asyncio.to_thread(shell.run, "deliveries", "list", "--json")).json
    shown = await asyncio.to_thread(shell.run, "deliveries", "show", delivery["id"])
    assert "failed" in shown.out
    assert "it answered 404" in shown.out
    done = await asyncio.to_thread(shell.run, "deliveries", "retry", delivery["id"])
    assert done.out.startswith(f"{delivery['id']}  pending")
    assert "`interlock node` sends it" in done.err
    with contextlib.closing(sqlite3.connect(shell.folder / ".interlock" / "interlock.db")) as connection:
        audited = connection.execute("SELECT actor, target FROM audit WHERE action = 'delivery-retry'").fetchall()
    assert audited == [(actor(), f"{delivery['run']}/{delivery['id']}")]
    server.otherwise = OK
    with shell.started("node", env=LOOPBACK):
        await until(lambda: asyncio.to_thread(_delivered, shell))
    again = await asyncio.to_thread(shell.run, "deliveries", "retry", delivery["id"])
    assert (again.code, "is delivered" in again.err) == (errors.Conflict.exit_code, True)
    assert (await asyncio.to_thread(shell.run, "deliveries", "show", "nothing")).code == errors.NotFound.exit_code
    assert (
        await asyncio.to_thread(shell.run, "deliveries", "list", "--state", "lost")
    ).code == errors.Invalid.exit_code


@pytest.mark.slow
async def test_node_tells_of_what_it_could_not_deliver(shell: Shell, server: loopback.Server) -> None:
    """TK-13."""
    server.otherwise = loopback.Reply(404)
    shell.write("fast.yaml", HEADER % "fast" + "do: [{a: {set: {x: 1}}}]")
    shell.write("callback.json", json.dumps(hook(server, "/hush-path")))
    await asyncio.to_thread(shell.run, "run", "fast.yaml", "--detach", "--callback", "callback.json")
    served = await asyncio.to_thread(shell.run, "node", "--for", "2s", env=LOOPBACK)
    (line,) = [each for each in served.err.splitlines() if "delivery." in each]
    assert "warning delivery.failed" in line
    assert "it answered 404" in line
    assert "hush-path" not in served.err


# -- Temporal --------------------------------------------------------------------------------------------------------


def activity(stub: temporal_stub.Stub, token: bytes, **more: Any) -> dict[str, Any]:
    """Give the callback of an attempt of one activity; it is the only one that Temporal knows from now on."""
    stub.tokens = {token}
    return {
        "temporal": {
            "address": f"127.0.0.1:{stub.port}",
            "task_token": base64.b64encode(token).decode(),
            "workflow": "outer-1",
            "activity": "5",
        }
        | more
    }


async def test_five_attempts_of_an_outer_activity_are_one_run_and_the_last_one_is_told(app: Interlock) -> None:
    """TK-11, TK-12: MaximumAttempts 5."""
    async with temporal_stub.serving() as stub:
        for number in range(1, 6):
            run = await app.start_definition(LONG, id="a", callback=activity(stub, f"attempt {number}".encode()))
            assert run.fresh == (number == 1)
        await run.cancel()
        found = await settled(app, "a")
        assert [each.state for each in found] == [DeliveryState.SUPERSEDED] * 4 + [DeliveryState.DELIVERED]
        assert [(each.how, each.token) for each in stub.outcomes()] == [("failed", b"attempt 5")]


async def test_token_of_an_attempt_that_timed_out_is_refused_and_the_run_stays_as_it_is(app: Interlock) -> None:
    """TK-08, TK-09."""
    async with temporal_stub.serving() as stub:
        callback = activity(stub, b"old")
        stub.tokens = set()
        run = await app.start(told_double, 1, id="a", callback=callback)
        (delivery,) = await settled(app, "a")
        assert delivery.state is DeliveryState.FAILED
        assert delivery.problem is not None
        assert "does not know the task any more" in delivery.problem
        assert await run.result() == 2


@pytest.mark.slow
async def test_cancellation_of_the_outer_activity_cancels_the_run(app: Interlock) -> None:
    """TK-15: within a heartbeat."""
    async with temporal_stub.serving() as stub:
        run = await app.start_definition(LONG, id="a", callback=activity(stub, b"t", heartbeat="1s"))

        async def beaten() -> bool:
            return len(stub.reported) >= 2

        await until(beaten)
        assert await run.status() is RunStatus.WAITING
        stub.cancel.add(b"t")
        assert await run.wait("10s") is RunStatus.CANCELLED
        (delivery,) = await settled(app, "a")
        assert delivery.state is DeliveryState.DELIVERED
        assert [each.how for each in stub.outcomes()] == ["cancelled"]


async def test_temporal_that_was_away_is_told_when_it_is_back(app: Interlock) -> None:
    """TK-08."""
    async with temporal_stub.serving() as stub:
        callback = activity(stub, b"t")
    run = await app.start(told_double, 4, id="a", callback=callback)
    assert await run.result() == 8

    async def tried() -> bool:
        return any(each.attempts >= 1 and each.problem for each in await app.deliveries.list(run="a"))

    await until(tried)
    async with temporal_stub.serving(stub, stub.port):
        (delivery,) = await settled(app, "a")
        assert delivery.state is DeliveryState.DELIVERED
        assert delivery.attempts >= 2
        (told,) = stub.outcomes()
        assert await told.values() == [8]


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_of_several_nodes_one_tells_each_outcome(
    postgres_url: str, server: loopback.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TK-07, TK-18."""
    monkeypatch.setenv("INTERLOCK_KEY", "one-key-of-all-nodes")
    settings = config.Settings(store=config.Store(url=postgres_url), http=config.Http(allow_private=("127.0.0.1",)))
    async with Interlock(settings=settings) as one, Interlock(settings=settings) as other:
        runs = [
            await (one, other)[number % 2].start(told_double, number, id=f"r{number}", callback=hook(server))
            for number in range(20)
        ]
        told = await heard(server, 20)
        for run in runs:
            (delivery,) = await settled(one, run.id)
            assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert sorted(each["run"] for each in told) == sorted(run.id for run in runs)


async def test_callback_without_a_store_key_is_refused_before_anything_is_stored(
    postgres_url: str, server: loopback.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TK-14."""
    monkeypatch.delenv("INTERLOCK_KEY", raising=False)
    async with Interlock(postgres_url, roles=()) as app:
        with pytest.raises(errors.Invalid, match="needs the store key"):
            await app.start(told_double, 1, id="a", callback=hook(server))
        with pytest.raises(errors.NotFound):
            await app.get("a")
        await app.start(told_double, 1, id="b")
