"""Secrets from where they are kept to where they are used, and nowhere else: not in the store, not in its logs."""

from __future__ import annotations

import json
import sys

import pytest

import loopback
from acceptance.house import HEADER, HIDDEN, House, LaterClock
from interlock.app.interlock import Started
from interlock.model import event as events


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
