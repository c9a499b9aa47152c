"""Encryption of payloads at rest, as an operator uses it: nothing in the files, everything on the screen."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import postgres
import required
from acceptance.shell import Ended
from interlock import config
from interlock.app.session import Session
from interlock.app.tokens import Tokens
from interlock.cli.main import outcome
from interlock.secrets.key import VARIABLE

OLD, NEW = "the-older-key-of-the-store", "the-newer-key-of-the-store"
MARK = "MARK"
PLACES = (
    "input",
    "set",
    "argument",
    "stdout",
    "stderr",
    "event",
    "fault",
    "outcome",
    "progress",
    "memory",
    "reason",
    "long",
)
SINK = """
document: {dsl: 1.0.3, namespace: default, name: sink, version: 1.0.0}
do:
  - begin: {set: {kept: '${ .given }', more: '${ "MARK-" + "set" }'}}
  - say:
      run:
        shell: {command: 'echo "MARK-std""out $1"; echo "MARK-std""err" >&2', arguments: ['${ .kept[0:20] }']}
        return: all
      output: {as: '{code, said: .stdout}'}
  - tell: {emit: {event: {with: {type: told, source: 'https://x.example', data: {a: '${ "MARK-" + "event" }'}}}}}
  - failing:
      try: [{fail: {raise: {error: {type: 'https://x.example/e', status: 500, title: '${ "MARK-" + "fault" }'}}}}]
      catch: {as: caught, do: [{kept: {set: '${ {caught: $caught.title} }'}}]}
  - ask: {call: 'approval:1.0.0@default', with: {to: ops, question: 'MARK-question?', expires: PT1H}}
  - out: {set: {all: '${ . }'}}
"""
BROKEN = """
document: {dsl: 1.0.3, namespace: default, name: broken, version: 1.0.0}
do: [{fail: {raise: {error: {type: https://x.example/e, status: 500, title: '${ .given }'}}}}]
"""

Interlock = Callable[..., Ended]


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/interlock.sqlite"  # not .db: what these tests leave needs a key that is gone by then
        return
    if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    async with postgres.database(await asyncio.to_thread(postgres.shared, postgres.NEWEST)) as made:
        yield made


@pytest.fixture
def interlock(url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Interlock:
    """The command line in this process; call it in a thread, since it has a loop of its own."""
    monkeypatch.setenv(VARIABLE, OLD)

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        code = outcome(["--store", url, *arguments])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run


def settings(url: str, *, is_on: bool) -> config.Settings:
    return config.Settings(store=config.Store(url=url), secrets=config.Secrets(encrypt_payloads=is_on))


async def perform(url: str, *, is_on: bool) -> dict[str, Any]:
    """Run the kitchen sink, and give its output."""
    given = "MARK-input " + "MARK-long " * 20_000  # large enough to be stored apart
    async with Session.open(settings(url, is_on=is_on)) as app:
        await app.bring_node()
        broken = await app.start(BROKEN, input={"given": "MARK-fault-of-the-run"}, id="broken")
        started = await app.start(SINK, input={"given": given}, id="sink")
        tokens = Tokens(app, "default")
        async with asyncio.timeout(60):
            while not (rows := await app.store.tokens.of_run(started.run, 9)):
                assert (await app.find("default", "sink")).fault is None, (await app.find("default", "sink")).fault
                await asyncio.sleep(0.02)
        text = await app.secrets.token("default", rows[0].token)
        await tokens.progress(text, 0.5, "MARK-progress")
        await tokens.heartbeat(text, {"rows": "MARK-heartbeat"})
        await tokens.complete(text, {"approved": True, "note": "MARK-outcome"})
        await app.finish(started.run)
        await app.finish(broken.run)
        waiting = await app.start(SINK.replace("sink", "sunk"), input={"given": "MARK-cancelled"}, id="cancelled")
        async with asyncio.timeout(60):
            while not await app.store.tokens.of_run(waiting.run, 9):
                await asyncio.sleep(0.02)
        assert await app.cancel(await app.find("default", "cancelled"), "MARK-reason")
        await app.finish(waiting.run)
        row = await app.find("default", "sink")
        assert row.output is not None
        value: dict[str, Any] = (await app.rows.value(row.run, row.output, app.store.journal)).value  # type: ignore[assignment]  # a map
        return value


async def input_of(url: str, id: str) -> Any:
    async with Session.open(settings(url, is_on=False)) as app:
        row = await app.find("default", id)
        assert row.input is not None
        return (await app.rows.value(row.run, row.input, app.store.journal)).value


async def raw(url: str) -> bytes:
    """Give everything that the database keeps, as it keeps it."""
    if url.startswith("sqlite"):
        store = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in store.parent.glob(f"{store.name}*") if file.is_file())
    connection = await asyncpg.connect(url)
    try:
        kept = []
        tables = "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"
        for (table,) in await connection.fetch(tables):
            for row in await connection.fetch(f"SELECT * FROM {table}"):
                kept += [value if isinstance(value, bytes) else str(value).encode() for value in row]
        return b"\n".join(kept)
    finally:
        await connection.close()


# What the text of a definition says is stored as it was written, so the markers of this one are put together as it runs.
PLANTED = [f"MARK-{place}".encode() for place in PLACES if place not in ("argument", "memory")]


@pytest.mark.slow
@pytest.mark.parametrize("is_on", [True, False])
async def test_files_hold_nothing_of_the_payloads_and_everything_is_shown(
    url: str, interlock: Interlock, *, is_on: bool
) -> None:
    """The same without encryption finds every marker, so this test can fail."""
    output = await perform(url, is_on=is_on)
    assert output["all"]["note"] == "MARK-outcome"
    wrote = await asyncio.to_thread(interlock, "memory", "set", "k", '{"a": "MARK-memory"}')
    assert wrote.code == 0, wrote.err
    kept = await raw(url)
    found = [mark for mark in [*PLANTED, b"MARK-memory"] if mark in kept]
    assert (found == []) if is_on else (len(found) == len(PLANTED) + 1), found

    shown = await asyncio.to_thread(interlock, "show", "sink", "--json")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["output"]["all"]["note"] == "MARK-outcome"
    assert await input_of(url, "broken") == {"given": "MARK-fault-of-the-run"}
    logs = (await asyncio.to_thread(interlock, "logs", "sink")).out
    assert "MARK-stdout MARK-input" in logs
    assert "MARK-stderr" in logs
    assert "MARK-event" in (await asyncio.to_thread(interlock, "events", "list", "--json")).out
    assert "MARK-memory" in (await asyncio.to_thread(interlock, "memory", "get", "k")).out
    assert "MARK-fault-of-the-run" in (await asyncio.to_thread(interlock, "show", "broken")).out


@pytest.mark.slow
async def test_operator_turns_it_on_later_rotates_and_removes_the_old_key(
    url: str, interlock: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await perform(url, is_on=False)
    before = await asyncio.to_thread(interlock, "show", "sink", "--json")
    idle = await asyncio.to_thread(interlock, "reseal")
    assert "payloads are not encrypted here" in idle.err
    monkeypatch.setenv("INTERLOCK_SECRETS_ENCRYPT_PAYLOADS", "true")
    first = await asyncio.to_thread(interlock, "reseal")
    assert first.code == 0, first.err
    assert first.out.startswith("sealed ")
    monkeypatch.delenv("INTERLOCK_SECRETS_ENCRYPT_PAYLOADS")
    assert [mark for mark in PLANTED if mark in await raw(url)] == []

    monkeypatch.setenv(VARIABLE, f"{NEW} {OLD}")
    rotated = await asyncio.to_thread(interlock, "reseal")
    assert rotated.code == 0, rotated.err
    assert "any more; remove it from what holds the store key" in rotated.err
    monkeypatch.setenv(VARIABLE, NEW)
    assert (await asyncio.to_thread(interlock, "show", "sink", "--json")).out == before.out
    monkeypatch.setenv(VARIABLE, OLD)
    refused = await asyncio.to_thread(interlock, "list")
    assert refused.code != 0
    assert "which this process does not have" in refused.err


async def test_a_backup_stays_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is worth nothing without the key, and is restored with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    url = f"sqlite:///{tmp_path}/interlock.sqlite"
    await perform(url, is_on=True)
    copied = await asyncio.to_thread(outcome, ["--store", url, "backup", str(tmp_path / "copy")])
    assert copied == 0
    assert [mark for mark in PLANTED if mark in (tmp_path / "copy").read_bytes()] == []
    assert await asyncio.to_thread(outcome, ["--store", url, "restore", str(tmp_path / "copy"), "--force"]) == 0
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "copy", other / "interlock.sqlite")
    assert await asyncio.to_thread(outcome, ["--store", f"sqlite:///{other}/interlock.sqlite", "list"]) != 0
    assert not (other / "interlock.sqlite.key").exists()
