"""Secrets from where they are kept to where they are used, and nowhere else: not in the store, not in its logs."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import loopback
from acceptance import ledger
from interlock import config
from interlock.app.interlock import Interlock, Started
from interlock.model import event as events
from interlock.model.fault import Fault
from interlock.service import Clock, SystemClock

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\nuse: {secrets: [db, token, gone]}\n"
HIDDEN = ("hunter2", "t0p-s3cret")


class LaterClock(SystemClock):
    def now(self) -> float:
        return super().now() + 3600


class House:
    """A store, a folder of secrets, and a server that repeats what it was asked."""

    def __init__(self, folder: Path, server: loopback.Server) -> None:
        self.folder = folder
        self.server = server
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.keep("db", json.dumps({"user": "admin", "password": "hunter2", "port": 5432}))
        self.keep("token", "t0p-s3cret")
        (folder / "shop.py").write_text(
            "def sell(key, n):\n    print('key', key)\n    return {'key': key, 'n': n + 1}\n"
        )
        server.otherwise = lambda asked: loopback.Reply(
            200,
            json.dumps({"target": asked.target, "headers": asked.headers, "body": asked.body.decode()}).encode(),
            {"Content-Type": "application/json"},
        )

    def keep(self, name: str, value: str) -> None:
        (self.secrets / name).write_text(value)

    @asynccontextmanager
    async def open(self, clock: Clock | None = None) -> AsyncIterator[Interlock]:
        settings = config.Settings(
            store=config.Store(url=f"sqlite:///{self.folder}/runs.db"),
            secrets=config.Secrets(folder=str(self.secrets)),
            http=config.Http(allow_private=("127.0.0.1",)),
        )
        async with Interlock.open(settings, clock=clock) as app:
            await app.bring_node()
            yield app
            await ledger.check_store(app.store)

    async def run(self, app: Interlock, text: str, input: Any = None) -> Any:
        started = await app.start(HEADER + text, input=input or {}, folder=self.folder)
        await app.finish(started.run)
        return await self.ended(app, started)

    @staticmethod
    async def ended(app: Interlock, started: Started) -> Any:
        """Give the output of a run, or its fault."""
        row = await app.find(started.namespace, started.id)
        if row.fault is not None:
            return msgspec.json.decode(row.fault, type=Fault)
        assert row.output is not None
        return (await app.rows.value(row.run, row.output, app.store.journal)).value

    def stored(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.glob("runs.db*") if not file.name.endswith(".key"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with loopback.serving() as server:
        house = House(tmp_path, server)
        yield house
        for value in HIDDEN:
            assert value.encode() not in house.stored()


async def test_call_gets_the_values_and_the_store_does_not(house: House) -> None:
    async with house.open() as app:
        output = await house.run(
            app,
            f"""
do:
  - a: {{set: {{key: '${{ $secrets.token }}', db: '${{ $secrets.db }}'}}}}
  - b:
      call: http
      with:
        method: post
        endpoint: '{house.server.url("/v1/{key}")}'
        headers: {{X-Api: '${{ "Key \\($secrets.token)" }}', X-Port: '${{ $secrets.db.port }}'}}
        query: {{k: '${{ .key }}'}}
        body: '${{ .db }}'
""",
        )
    asked = house.server.asked[0]
    assert asked.target == "/v1/t0p-s3cret?k=t0p-s3cret"
    assert (asked.headers["x-api"], asked.headers["x-port"]) == ("Key t0p-s3cret", "5432")
    assert json.loads(asked.body) == {"user": "admin", "password": "hunter2", "port": 5432}
    assert output["target"] == "/v1/***?k=***"
    assert output["headers"]["x-api"] == "Key ***"
    assert (house.folder / "runs.db.key").stat().st_mode & 0o777 == 0o600


async def test_processes_and_functions_get_the_values_and_their_output_is_masked(house: House) -> None:
    async with house.open() as app:
        output = await house.run(
            app,
            """
do:
  - sh:
      run:
        shell:
          command: 'printf "%s" "$1"; printf "pw=%s " "$PW" >&2; for c in h u n t e r 2; do printf $c >&2; sleep 0.01; done'
          arguments: ['${ $secrets.token }']
          environment: {PW: '${ $secrets.db.password }'}
        return: all
      export: {as: .}
  - py: {call: 'python:shop:sell', with: {key: '${ $secrets.token }', n: 1}}
  - alone: {call: 'python:shop:sell', with: {key: '${ $secrets.token }', n: '${ .n }'}, metadata: {interlock: {isolated: true}}}
  - again: {run: {shell: {command: 'test "$1" = t0p-""s3cret && echo same', arguments: ['${ .key }']}}}
  - last: {set: {all: '${ $context }', same: '${ . }'}}
""",
        )
        (run,) = await app.store.views.runs(None, [], None, None, 1)
        logs = "".join(line.text for line in await app.store.views.logs(run.run, 0, 100, None))
    assert output["same"] == "same\n"
    assert output["all"]["stdout"].startswith("~~secret.token.")
    assert output["all"]["stderr"] == "pw=*** ***"
    assert logs.count("***") == 4  # the output of the shell, twice a password in its errors, the key printed alone
    assert not any(value in logs for value in HIDDEN)


async def test_error_that_repeats_a_secret_is_masked(house: House) -> None:
    house.server.otherwise = loopback.Reply(400, b"bad key t0p-s3cret", {"Content-Type": "text/plain"})
    async with house.open() as app:
        of_call = await house.run(
            app,
            f"do: [{{a: {{call: http, with: {{method: get, endpoint: '{house.server.url('/x')}', body: '${{ $secrets.token }}'}}}}}}]",
        )
        of_shell = await house.run(
            app, "do: [{a: {run: {shell: {command: 'echo no $1 >&2; exit 3', arguments: ['${ $secrets.token }']}}}}]"
        )
    assert of_call.detail.endswith("answered 400 Bad Request: bad key ***")
    assert of_shell.detail == "no ***"


async def test_missing_secret_faults_and_is_found_when_the_run_is_retried(house: House) -> None:
    text = (
        HEADER + "do: [{a: {run: {shell: {command: 'printf %s \"$1\" | wc -c', arguments: ['${ $secrets.gone }']}}}}]"
    )
    async with house.open() as app:
        started = await app.start(text, input={}, folder=house.folder)
        await app.finish(started.run)
        fault = await house.ended(app, started)
        assert (fault.status, fault.code) == (403, "no-secret")
        assert f"{house.secrets}/gone" in fault.detail
    house.keep("gone", "four")
    async with house.open() as app:
        assert await app.retry(await app.find(None, started.id))
        await app.finish(started.run)
        assert (await house.ended(app, started)).strip() == "4"


async def test_secret_that_went_missing_before_its_effect_faults_the_step(house: House) -> None:
    text = """
do:
  - a: {set: {key: '${ $secrets.token }'}}
  - b: {wait: {hours: 1}}
  - c: {run: {shell: {command: 'echo "$1"', arguments: ['${ .key }']}}}
"""
    started = await _left_waiting(house, text)
    (house.secrets / "token").unlink()
    async with house.open(LaterClock()) as app:
        await app.take(await app.find(None, started.id))
        await app.finish(started.run)
        fault = await house.ended(app, started)
    assert (fault.status, fault.code, fault.instance) == (403, "no-secret", "/do/2/c")


async def test_secret_that_lost_a_part_faults_a_call_in_the_node(house: House) -> None:
    text = """
do:
  - a: {set: {key: '${ $secrets.db.password }'}}
  - b: {wait: {hours: 1}}
  - c: {call: 'python:shop:sell', with: {key: '${ .key }', n: 1}}
"""
    started = await _left_waiting(house, text)
    house.keep("db", "{}")
    async with house.open(LaterClock()) as app:
        await app.take(await app.find(None, started.id))
        await app.finish(started.run)
        fault = await house.ended(app, started)
    assert fault.detail == "the secret 'db' has no 'password' any more, which this run refers to"


async def _left_waiting(house: House, text: str) -> Started:
    async with house.open() as app:
        started = await app.start(HEADER + text, input={}, folder=house.folder)
        async for _, news in app.follow(await app.find(None, started.id)):
            if any(isinstance(event, events.Waited) for event in news):
                return started
    raise AssertionError("it ended without waiting")


WAITING = """
do:
  - a: {set: {key: '${ $secrets.token }'}}
  - b: {wait: {hours: 1}}
  - c: {run: {shell: {command: 'test "$1" = t0p-""s3cret && echo same', arguments: ['${ .key }']}}}
"""


async def test_run_goes_on_in_another_process_with_its_markers(house: House) -> None:
    started = await _left_waiting(house, WAITING)
    async with house.open(LaterClock()) as app:
        await app.take(await app.find(None, started.id))
        await app.finish(started.run)
        assert await house.ended(app, started) == "same\n"


async def test_fork_of_a_run_takes_its_secrets_along(house: House) -> None:
    started = await _left_waiting(house, WAITING)
    async with house.open(LaterClock()) as app:
        await app.take(await app.find(None, started.id))
        await app.finish(started.run)
        copy = await app.fork(await app.find(None, started.id), "c", "copy")
        await app.take(await app.find(None, "copy"))
        await app.finish(copy.run)
        assert await house.ended(app, copy) == "same\n"


async def test_marker_of_another_run_is_text(house: House) -> None:
    count = "do: [{a: {run: {shell: {command: 'printf %s \"$1\" | wc -c', arguments: ['${ .key }']}}}}]"
    async with house.open() as app:
        first = await house.run(app, "do: [{a: {set: {key: '${ $secrets.token }'}}}]")
        length = await house.run(app, count, first)
    assert int(length) == len(first["key"]) > len("t0p-s3cret")


async def test_function_of_its_own_process_does_not_see_other_secrets(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_SECRET_OTHER", "x")
    monkeypatch.setenv("INTERLOCK_KEY", "a-key-for-this-very-test")
    (house.folder / "spy.py").write_text(
        "import os\ndef look():\n    return [n for n in os.environ if n.startswith(('INTERLOCK_SECRET', 'INTERLOCK_KEY'))]\n"
    )
    async with house.open() as app:
        text = "do: [{a: {call: 'python:spy:look', metadata: {interlock: {isolated: true}}}}]"
        assert await house.run(app, text) == []
    assert sys.modules.get("spy") is None
