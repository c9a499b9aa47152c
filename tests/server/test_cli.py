"""Commands with --server: they print what they print at the store, and say what they cannot do there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from interlock import errors
from interlock.app.tokens import Tokens
from interlock.cli import choice
from interlock.coord.workers import WorkerRegistry
from interlock.model.access import Role
from interlock.model.states import RunStatus
from interlock.model.worker import Capabilities
from interlock.store.ports import DeliveryState
from interlock.wire.runs import Happened
from server import site as sites
from server.served import Served, plain
from server.site import Site

_SECONDS = 180.0


async def _prepared(site: Site) -> None:
    """Make a run of every kind."""
    async with site.client() as client:
        for document in (sites.ORDER, sites.WAITING, sites.PRINTING, sites.FAILING):
            await client.publish(document)
        await client.start("shop/order", {"amount": 21}, id="order-7")
        await client.start("shop/printing", id="printing-7")
        await client.start("shop/failing", id="failing-7")
        await client.start("shop/waiting", id="waiting-7")
        await client.result("order-7", timeout=_SECONDS)
        await client.result("printing-7", timeout=_SECONDS)
    async with asyncio.timeout(_SECONDS):
        while (await site.session.find(None, "failing-7")).status is not RunStatus.FAULTED:
            await asyncio.sleep(0.02)
        while not any(each.type.endswith("listening") for each in await _history(site)):
            await asyncio.sleep(0.02)


async def _history(site: Site) -> list[Happened]:
    async with site.client() as client:
        return list((await client.history("waiting-7")).items)


LOOKS = (
        "list", "list --json", "list --status completed --limit 1", "list --workflow order --json",
        "list --before waiting-7", "list --status stranded", "-n nowhere list", "list --status nonsense",
        "show order-7", "show order-7 --json", "show order-7 --output", "show orde --output --json",
        "show failing-7", "show failing-7 --json", "show waiting-7", "show waiting-7 --output", "show nothing",
        "history order-7", "history order-7 --json", "history failing-7 --json", "history waiting-7",
        "logs printing-7", "logs printing-7 --json", "logs printing-7 say", "logs printing-7 nothing",
        "logs printing-7 --follow",
    )  # fmt: skip


def test_looking_at_a_server_prints_what_looking_at_its_store_prints(served: Served) -> None:
    served.ask(_prepared)
    for line in LOOKS:
        near, far = served.near(*line.split()), served.far(*line.split())

        assert (line, plain(far.out)) == (line, plain(near.out))
        assert (line, plain(far.err)) == (line, plain(near.err))
        assert (line, far.code) == (line, near.code)
        assert near.out or near.err, line


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_server_and_store_exclude_each_other(served: Served) -> None:
    ended = served.typed("--server", served.site.url, "--store", "sqlite:///x.db", "list")

    assert (ended.code, ended.out) == (2, "")
    assert "--server and --store exclude each other" in ended.err


OF_A_STORE = ("node", "worker", "up", "prune", "backup x", "restore x", "doctor", "check-deploy", "demo")  # fmt: skip


def test_command_of_a_store_is_refused_by_name(served: Served) -> None:
    for command in OF_A_STORE:
        ended = served.far(*command.split())

        assert (ended.code, ended.out) == (2, "")
        assert f"`interlock {command.split()[0]}` does not work with --server: " in ended.err


def test_server_is_taken_from_the_environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.ask(_prepared)
    monkeypatch.setenv("INTERLOCK_SERVER", served.site.url)

    assert "order-7" in served.typed("list").out
    assert "no runs here" in served.typed("--store", "sqlite:///other.db", "list").err


def test_key_is_taken_from_the_environment_and_a_wrong_one_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.ask(_prepared)
    served.ask(lambda site: site.with_keys())
    without = served.far("list")
    monkeypatch.setenv("INTERLOCK_API_KEY", "ilk_wrong")
    wrong = served.far("list")
    monkeypatch.setenv("INTERLOCK_API_KEY", next(iter(served.site.keys.values())))

    assert (without.code, without.out) == (2, "")
    assert (wrong.code, wrong.out) == (2, "")
    assert "this API key is unknown, revoked or expired" in wrong.err
    assert "order-7" in served.far("list").out


def test_server_that_is_away_is_told_with_its_own_code(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ended = served.typed("--server", f"http://127.0.0.1:{port}", "list")

    assert (ended.code, ended.out) == (4, "")
    assert "does not answer" in ended.err
    assert len(ended.err.splitlines()) == 1


# -- executing -------------------------------------------------------------------------------------------------------


def test_file_is_started_at_the_server_and_followed(served: Served) -> None:
    Path("order.yaml").write_text(sites.ORDER)
    ended = served.far("run", "order.yaml", "--input", '{"amount": 4}', "--id", "order-1")
    again = served.far("run", "order.yaml", "--input", '{"amount": 4}', "--id", "order-1", "--json")
    other = served.far("run", "order.yaml", "--input", '{"amount": 5}', "--id", "order-1")

    assert (ended.code, ended.out) == (0, '{\n  "total": 8\n}\n')
    assert "✓ price" in ended.err
    assert f"order · order-1 · {served.site.url}" in ended.err
    assert again.code == 0
    assert json.loads(again.out)["output"] == {"total": 8}
    assert other.code == 2
    assert not list(Path.cwd().glob(".interlock*"))


def test_published_workflow_is_started_by_name_and_ends_with_the_code_of_its_end(served: Served) -> None:
    Path("failing.yaml").write_text(sites.FAILING)
    published = served.far("publish", "failing.yaml")
    ended = served.far("run", "shop/failing:1.0.0", "--id", "failing-1")
    retried = served.far("retry", "failing-1")

    assert (published.code, published.out) == (0, "shop/failing:1.0.0\n")
    assert (ended.code, retried.code) == (1, 1)
    assert "`interlock retry failing-1` goes on from there" in ended.err
    assert "it broke" in retried.err
    assert served.far("run", "shop/nothing").code == 2


def test_run_is_left_to_the_server_and_controlled_there(served: Served) -> None:
    Path("waiting.yaml").write_text(sites.WAITING)
    started = served.far("run", "waiting.yaml", "--id", "waiting-1", "--detach")
    suspended = served.far("suspend", "waiting-1")
    resting = served.far("list", "--status", "suspended").out
    cancelled = served.far("cancel", "waiting-1", "--reason", "enough")
    ended = served.far("resume", "waiting-1")

    assert (started.code, started.out) == (0, "waiting-1\n")
    assert (suspended.code, suspended.err) == (0, "suspended waiting-1; `interlock resume waiting-1` goes on\n")
    assert "waiting-1" in resting
    assert (cancelled.code, cancelled.err) == (0, "cancelled waiting-1\n")
    assert (ended.code, ended.err) == (2, "interlock: the run waiting-1 has ended (cancelled)\n")
    assert served.far("cancel", "waiting-1").err == served.near("cancel", "waiting-1").err


def test_fork_and_resume_follow_at_the_server(served: Served) -> None:
    served.ask(_prepared)
    forked = served.far("fork", "order-7", "--from", "price", "--id", "order-8", "--json")
    served.far("suspend", "waiting-7")
    later = served.begin(lambda site: _cancelled_when_resumed(site, "waiting-7"))
    resumed = served.far("resume", "waiting-7")

    assert (forked.code, json.loads(forked.out)["output"]) == (0, {"total": 42})
    later.result(_SECONDS)
    assert resumed.code == 3
    assert "cancelled" in resumed.err


async def _cancelled_when_resumed(site: Site, id: str) -> None:
    async with asyncio.timeout(_SECONDS):
        while (await site.session.find(None, id)).status is RunStatus.SUSPENDED:
            await asyncio.sleep(0.02)
    await site.session.cancel(await site.session.find(None, id), None)


NOT_AT_A_SERVER = (
        ("run wrong.yaml", "wrong.yaml:"),
        ("run shop.flows:order", "code of this machine"),
        ("publish shop.flows:order", "code of this machine"),
        ("resume --all", "name one run"),
        ("resume", "name one run, or write --all"),
        ("retry order-7", "only a faulted run can be retried"),
        ("fork order-7 --from nothing", "nothing"),
    )  # fmt: skip


def test_what_cannot_be_executed_at_a_server_is_told(served: Served) -> None:
    served.ask(_prepared)
    Path("wrong.yaml").write_text("document: {dsl: 1.0.3, namespace: shop, name: wrong, version: 1.0.0}\n")
    for line, said in NOT_AT_A_SERVER:
        ended = served.far(*line.split())

        assert (line, ended.code, ended.out) == (line, 2, "")
        assert said in ended.err


# -- coordination ----------------------------------------------------------------------------------------------------

APPROVED = """
document: {dsl: 1.0.3, namespace: shop, name: approved, version: 1.0.0}
do:
  - approve:
      call: approval:1.0.0@default
      with: {to: ann, question: "May it?"}
"""


async def _coordinated(site: Site) -> None:
    """Make what the commands about coordination list."""
    async with site.client() as client:
        await client.publish(APPROVED)
        await client.start("shop/approved", id="approved-7")
        await client.send("shop.paid", {"order": 7}, source="urn:shop", id="7")
        await client.locks.acquire("deploy/eu", "deployer-1", ttl=3000)
        await client.memory.set("tasks/7", {"phase": 2})
        await client.memory.set("tasks/8", {"phase": 3})
        await client.start(
            document=sites.ORDER,
            input={"amount": 1},
            id="told-7",
            callback={"url": "http://127.0.0.1:9/told", "secret": "whsec_" + "A" * 40},
        )
        await client.result("told-7", timeout=_SECONDS)
    registry = WorkerRegistry(site.session.store, site.session.clock)
    await registry.register("render-1", capacity=4, capabilities=Capabilities(skills={"gpu"}, region="eu"))
    async with asyncio.timeout(_SECONDS):
        while not await Tokens(site.session, "shop").of_run((await site.session.find(None, "approved-7")).run):
            await asyncio.sleep(0.02)
        told = (await site.session.find(None, "told-7")).run
        while not any(each.state is DeliveryState.FAILED for each in await site.session.store.deliveries.of_run(told)):
            await asyncio.sleep(0.02)  # its address is not public, which is final


COORDINATING = (
        "audit", "audit --json", "audit --limit 1", "events list", "events list --json", "events list --type nothing", "-n shop events list",
        "locks list", "locks list --json", "locks list --worker nobody", "locks list --expired",
        "locks show deploy/eu", "locks show deploy/eu --json", "locks show nothing",
        "locks release deploy/eu", "locks release nothing", "locks release deploy/eu --fence 99", "locks clear",
        "locks release --worker nobody", "locks release",
        "memory get tasks/7", "memory get tasks/7 --json", "memory get nothing", "memory list", "memory list tasks/* --json",
        "memory list nothing", "memory set tasks/7 1 --base 99 --json", "memory delete tasks/7 --base 99",
        "workers list", "workers list --json", "workers list --skill gpu --region eu", "workers list --free --json",
        "workers list --skill nothing", "workers list --status nonsense", "workers show render-1",
        "workers show render-1 --json", "workers show nobody", "workers events", "workers events --json",
        "workers drain nobody",
        "nodes list", "nodes list --json", "nodes drain nothing", "nodes drain",
        "keys list", "keys list --json", "keys revoke nothing",
        "token show --run approved-7", "token show --run approved-7 --json",
        "token show --run approved-7 --step approve", "token show --run approved-7 --step approve --json",
        "token show --run approved-7 --step nothing", "token complete nonsense", "token heartbeat",
        "token heartbeat --run approved-7 --step approve --json",
        "token progress --run approved-7 --step approve --fraction 0.5 --json",
        "deliveries list", "deliveries list --json", "deliveries list --state nonsense", "deliveries list --run told-7",
        "deliveries list --state delivered", "deliveries show nothing", "deliveries retry nothing",
    )  # fmt: skip


def test_coordinating_at_a_server_prints_what_it_prints_at_the_store(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.ask(_coordinated)
    served.ask(lambda site: site.with_keys())
    monkeypatch.setenv("INTERLOCK_API_KEY", served.site.keys[Role.ADMIN])
    for line in COORDINATING:
        near, far = served.near(*line.split()), served.far(*line.split())

        assert (line, steady(far.out)) == (line, steady(near.out))
        assert (line, steady(far.err)) == (line, steady(near.err))
        assert (line, far.code) == (line, near.code)
        assert near.out or near.err, line


def steady(text: str) -> str:
    """Give what was printed without what changes between two looks."""
    text = re.sub(r'"(silent_seconds|silent_at|heard|priority|due_at|attempts|problem)":[^,}]+', r'"\1":0', text)
    return re.sub(r"  \d+×  ", "  N×  ", plain(text))


def test_changes_through_a_server_are_there_at_its_store(served: Served) -> None:
    served.ask(_coordinated)
    sent = served.far("events", "send", "shop.paid", "--data", '{"order": 8}', "--id", "8", "--json")
    freed = served.far("locks", "release", "deploy/eu", "--fence", "1")
    drained = served.far("workers", "drain", "render-1")
    done = served.far("token", "complete", "--run", "approved-7", "--step", "approve", "--result", '{"approved": true}')
    stored = served.far("memory", "set", "tasks/9", "1", "--ttl", "1h")
    deleted = served.far("memory", "delete", "tasks/8")
    made = served.far("keys", "create", "ci", "--role", "admin", "--expires", "90d")

    assert json.loads(sent.out)["event"]["source"] == "urn:interlock:cli"
    assert json.loads(sent.out)["listeners"] == 0
    assert (freed.out, served.near("locks", "show", "deploy/eu").out) == ("1 released\n", "deploy/eu is free\n")
    assert drained.err == "the worker render-1 takes no new tasks, and has none\n"
    assert "draining" in served.near("workers", "list").out
    assert (done.code, done.err) == (0, "completed: /do/0/approve of the run approved-7\n")
    assert stored.err.startswith("set, version ")
    assert deleted.err == "deleted\n"
    assert served.near("memory", "list").out == "tasks/7\ntasks/9\n"
    assert made.out.startswith("ilk_")
    assert "ci  admin of all namespaces" in served.near("keys", "list").out


def test_watching_goes_through_the_server(served: Served) -> None:
    watching = served.begin(lambda site: _set_until(site, "tasks/7"))
    seen = served.far("memory", "watch", "tasks/*", "--count", "1", "--for", "30s", "--json")
    watching.cancel()

    assert seen.code == 0
    assert json.loads(seen.out)["key"] == "tasks/7"


async def _set_until(site: Site, key: str) -> None:
    """Change a value again and again, until cancelled."""
    async with site.client() as client:
        for number in range(10_000):
            await client.memory.set(key, number)
            await asyncio.sleep(0.05)


KEEPING = """
document: {dsl: 1.0.3, namespace: shop, name: keeping, version: 1.0.0}
do:
  - keep: {run: {shell: {command: 'printf "one\\0two" | curl -sf -T - "$INTERLOCK_CALLBACK/artifacts/a.bin"'}}}
"""


async def _kept(site: Site) -> None:
    async with site.client() as client:
        await client.start(document=KEEPING, id="kept-7")
        await client.result("kept-7", timeout=_SECONDS)


ARTIFACTS = (
        "artifacts list kept-7", "artifacts list kept-7 --json", "artifacts list nothing", "artifacts get kept-7 a.bin --out -",
        "artifacts get kept-7 b", "artifacts get kept-7 a.bin --step other", "artifacts get kept-7 ../x", "artifacts get kept-7 a/b",
        "artifacts get kept-7 a.bin --attempt 2 --step keep", "artifacts get kept-7 a.bin --out nowhere/a",
    )  # fmt: skip


def test_artifacts_at_a_server_are_what_they_are_at_its_store(served: Served) -> None:
    served.ask(_kept)
    for line in ARTIFACTS:
        near, far = served.near(*line.split()), served.far(*line.split())

        assert (line, far.code, far.out) == (line, near.code, near.out)
        assert near.out or near.err, line
    assert not list(Path().glob("nowhere*"))


def test_artifact_is_fetched_into_a_file(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.ask(_kept)
    monkeypatch.chdir(tmp_path)
    for typed in (served.near, served.far):
        done = typed("artifacts", "get", "kept-7", "a.bin")
        assert (done.code, done.err) == (0, "wrote a.bin, 7 bytes\n")
        assert Path("a.bin").read_bytes() == b"one\0two"
    assert served.far("artifacts", "get", "kept-7", "a.bin", "--out", "b").code == 0
    assert not list(tmp_path.glob(".*.*"))


def test_command_runs_under_a_lock_of_the_server(served: Served) -> None:
    script = 'echo "$INTERLOCK_LOCK $INTERLOCK_LOCK_FENCE" > under; exit 7'
    assert served.far("locks", "run", "deploy/eu", "--", "sh", "-c", script).code == 7
    name, fence = Path("under").read_text().split()
    assert (name, int(fence) > 0) == ("deploy/eu", True)
    assert served.near("locks", "show", "deploy/eu").out == "deploy/eu is free\n"


def test_lock_of_the_server_that_is_not_free_in_time_is_told(served: Served) -> None:
    async def taken(site: Site) -> None:
        async with site.client() as client:
            await client.locks.acquire("deploy/eu", "somebody", ttl=60)

    served.ask(taken)
    ended = served.far("locks", "run", "deploy/eu", "--timeout", "300ms", "--", "true")
    assert ended.code == 2
    assert "'deploy/eu' was not free within 300ms" in ended.err
    assert "somebody" in ended.err


def test_lock_of_the_server_outlasts_its_time_while_the_command_runs(served: Served) -> None:
    """It is renewed: somebody else has it once the command has ended, and not before."""
    done: list[bool] = []

    async def contend(site: Site) -> None:
        async with site.client() as client:
            while not await client.locks.list():
                await asyncio.sleep(0.02)
            while True:
                try:
                    await client.locks.acquire("deploy/eu", "other")
                    break
                except errors.LockError:
                    await asyncio.sleep(0.02)
        done.append(Path("done").exists())

    contending = served.begin(contend)
    ended = served.far("locks", "run", "deploy/eu", "--ttl", "3s", "--", "sh", "-c", "sleep 4.5; touch done")
    contending.result(_SECONDS)
    assert (ended.code, ended.err, done) == (0, "", [True])


def test_command_is_ended_when_its_lock_of_the_server_is_lost(served: Served) -> None:
    async def steal(site: Site) -> None:
        async with site.client() as client:
            while not (held := await client.locks.list()):
                await asyncio.sleep(0.02)
            await client.locks.release_all(held[0].holder)

    stealing = served.begin(steal)
    ended = served.far("locks", "run", "deploy/eu", "--ttl", "1s", "--", "sleep", "50")
    stealing.result(_SECONDS)
    assert ended.code == 4
    assert "'deploy/eu' was lost under the number" in ended.err


# -- leaving ---------------------------------------------------------------------------------------------------------


def test_signal_leaves_the_run_at_the_server(served: Served) -> None:
    """Whoever follows may go; the run stays."""
    Path("waiting.yaml").write_text(sites.WAITING)
    line = ["--server", served.site.url, "run", "waiting.yaml", "--id", "waiting-1"]
    following = subprocess.Popen(
        [sys.executable, "-c", "from interlock.cli.main import main; main()", *line],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert following.stderr is not None
        title = following.stderr.readline()  # it follows from then on
        served.ask(_prepared)
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=_SECONDS)
    finally:
        following.kill()
        following.wait(_SECONDS)

    assert "waiting · waiting-1" in title
    assert following.returncode == 130
    assert said.endswith("the run waiting-1 goes on at the server; `interlock show waiting-1` tells how it stands\n")
    assert served.far("list", "--status", "waiting").out.count("waiting-1") == 1


# -- completion ------------------------------------------------------------------------------------------------------


def test_completing_asks_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choice.is_far("http://127.0.0.1:9", None)
    assert not choice.is_far(None, None)
    monkeypatch.setenv("INTERLOCK_SERVER", "http://127.0.0.1:9")
    assert choice.is_far(None, None)
    assert not choice.is_far(None, "sqlite:///x.db")


@pytest.mark.parametrize("command", ["doctor", "validate", "node"])
def test_variable_is_for_commands_that_may_ask_a_server(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("INTERLOCK_SERVER", "http://127.0.0.1:9")

    assert choice.server(None, None, command) is None
    assert choice.server(None, None, "list") == "http://127.0.0.1:9"
