"""Secrets that would leave their run: into a child run, back from it, in an event, or to a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from acceptance.house import House
from acceptance.shell import Shell
from interlock.app.session import Session
from interlock.model import fault
from interlock.model.states import RunStatus

PARENT = "document: {dsl: 1.0.3, namespace: default, name: parent, version: 1.0.0}\n"
CHILD = "document: {dsl: 1.0.3, namespace: team, name: child, version: 1.0.0}\n"
DECLARED = "use: {secrets: [token, db]}\n"
ASKING = "{run: {workflow: {namespace: team, name: child, version: 1.0.0, input: {key: '${ $secrets.token }'}}}}"


async def _executed(house: House, app: Session, parent: str, child: str, input: Any = None) -> Any:
    """Publish a child, execute a parent, and give its output or its fault."""
    await app.publish(CHILD + child, None)
    started = await app.start(PARENT + parent, input=input or {}, folder=house.folder)
    await app.finish(started.run)
    return await house.ended(app, started)


async def test_child_that_declares_a_secret_can_use_what_it_is_given(house: House) -> None:
    child = f"do: [{{a: {{call: http, with: {{method: post, endpoint: '{house.server.url('/x')}', body: '${{ .key }}'}}}}}}]"
    async with house.open() as app:
        await _executed(house, app, f"{DECLARED}do: [{{a: {ASKING}}}]", DECLARED + child)
    assert [asked.body.decode() for asked in house.server.asked] == ["t0p-s3cret"]


async def test_input_that_goes_on_as_it_is_carries_its_secrets_too(house: House) -> None:
    parent = """
do:
  - a: {set: {key: '${ $secrets.token }'}}
  - b: {run: {workflow: {namespace: team, name: child, version: 1.0.0}}}
"""
    child = (
        """do: [{a: {run: {shell: {command: 'test "$1" = t0p-""s3cret && echo same', arguments: ['${ .key }']}}}}]"""
    )
    async with house.open() as app:
        assert await _executed(house, app, DECLARED + parent, DECLARED + child) == "same\n"


async def test_fork_of_a_child_keeps_what_it_was_given(house: House) -> None:
    child = (
        """do: [{a: {run: {shell: {command: 'test "$1" = t0p-""s3cret && echo same', arguments: ['${ .key }']}}}}]"""
    )
    async with house.open() as app:
        await _executed(house, app, f"{DECLARED}do: [{{a: {ASKING}}}]", DECLARED + child)
        (row,) = await app.store.views.runs("team", [], None, None, 10)
        forked = await app.fork(await app.find("team", row.id), "a", None)
        await app.take(await app.find(None, forked.id))
        await app.finish(forked.run)
        assert await house.ended(app, forked) == "same\n"


async def test_child_that_does_not_declare_a_secret_is_not_started(house: House) -> None:
    async with house.open() as app:
        error = await _executed(house, app, f"{DECLARED}do: [{{a: {ASKING}}}]", "do: [{a: {set: {got: '${ .key }'}}}]")
        assert len(await app.store.views.runs(None, [], None, None, 10)) == 1
    assert (error.type, error.status, error.code) == (fault.AUTHORIZATION, 403, "secret-not-declared")
    assert error.instance == "/do/0/a"
    assert "'token' would go to team/child:1.0.0, which does not declare it" in error.detail


async def test_secret_that_a_child_gives_back_can_be_used(house: House) -> None:
    parent = f"""{DECLARED}
do:
  - a: {{run: {{workflow: {{namespace: team, name: child, version: 1.0.0}}}}}}
  - b: {{call: http, with: {{method: post, endpoint: '{house.server.url("/x")}', body: '${{ .mine }}'}}}}
"""
    async with house.open() as app:
        await _executed(house, app, parent, DECLARED + "do: [{a: {set: {mine: '${ $secrets.db.password }'}}}]")
    assert [asked.body.decode() for asked in house.server.asked] == ["hunter2"]


async def test_secret_that_a_child_gives_back_unasked_fails_the_step(house: House) -> None:
    parent = "do: [{a: {run: {workflow: {namespace: team, name: child, version: 1.0.0}}}}]"
    async with house.open() as app:
        error = await _executed(house, app, parent, DECLARED + "do: [{a: {set: {mine: '${ $secrets.token }'}}}]")
        done = await app.store.views.runs("team", [], None, None, 10)
    assert (error.code, error.instance) == ("secret-not-declared", "/do/0/a")
    assert [row.status for row in done] == [RunStatus.COMPLETED]


RAISING = "do: [{a: {raise: {error: {type: 'https://x.example/e', status: 400, detail: '${ $secrets.token }'}}}}]"


@pytest.mark.parametrize("declared", ["", DECLARED])
async def test_error_of_a_child_does_not_carry_foreign_markers(house: House, declared: str) -> None:
    parent = "do: [{a: {run: {workflow: {namespace: team, name: child, version: 1.0.0}}}}]"
    async with house.open() as app:
        error = await _executed(house, app, declared + parent, DECLARED + RAISING)
        (row,) = await app.store.views.runs("default", [], None, None, 10)
        own = [reference.name for reference in (await app.secrets.markers(row.run)).found(error.detail)]
    assert error.type == "https://x.example/e"
    assert own == (["token"] if declared else [])
    assert ("***" in error.detail) is not bool(declared)


EMITTING = "do: [{a: {emit: {event: {with: {type: t, source: 'https://x.example', data: %s}}}}}]"


@pytest.mark.parametrize("data", ["{key: '${ $secrets.token }'}", "'${ $secrets.db }'", "'${ .there }'"])
async def test_secret_in_an_event_is_refused(house: House, data: str) -> None:
    text = DECLARED + EMITTING.replace("do: [", "do: [{z: {set: {there: '${ $secrets.token }'}}}, ") % data
    async with house.open() as app:
        error = await _executed(house, app, text, "do: [{a: {set: {x: 1}}}]")
        assert await app.store.views.events(None, None, None, 10) == []
    assert (error.type, error.code, error.instance) == (fault.EXPRESSION, "secret-in-data", "/do/1/a")


async def test_event_without_a_secret_leaves_a_run_that_has_some(house: House) -> None:
    async with house.open() as app:
        output = await _executed(house, app, DECLARED + EMITTING % "{x: 1}", "do: [{a: {set: {x: 1}}}]")
    assert output["data"] == {"x": 1}


@pytest.mark.slow
def test_terminal_shows_stars_for_secrets(shell: Shell) -> None:
    secrets = {"INTERLOCK_SECRET_TOKEN": "t0p-s3cret", "INTERLOCK_SECRET_DB": "hunter2"}
    steps = "[{a: {set: {key: '${ $secrets.token }'}, export: {as: .}}}, {b: {set: '${ $context.key }'}}, {c: {set: '${ $context }'}}"
    (shell.folder / "good.yaml").write_text(f"{PARENT}{DECLARED}do: {steps}]\n")
    (shell.folder / "bad.yaml").write_text(PARENT + DECLARED + RAISING)
    commands = [
        ("run", "good.yaml", "--id", "good"),
        ("run", "bad.yaml", "--id", "bad"),
        ("list",),
        *((command, run) for command in ("show", "history", "logs") for run in ("good", "bad")),
        ("show", "good", "--output"),
        ("list", "--json"),
        *((command, run, "--json") for command in ("show", "history") for run in ("good", "bad")),
    ]
    for command in commands:
        ended = shell.run(*command, env=secrets)
        said = ended.out + ended.err
        assert "~~secret" not in said, command
        assert "t0p-s3cret" not in said, command
        if command[0] != "logs" and command[1:2] != ("--json",):
            assert "***" in said, command
