"""What comes from elsewhere is fetched once and kept with the definition: every node and resumption sees the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import loopback
from acceptance import ledger
from acceptance.test_secrets import LaterClock
from interlock import config, errors
from interlock.app.session import Session, Started
from interlock.model import event as events

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"


class House:
    """A store, a folder, and a server with resources."""

    def __init__(self, folder: Path, server: loopback.Server) -> None:
        self.folder = folder
        self.server = server

    def serve(self, path: str, text: str) -> str:
        """Let the server have a text; give its URI."""
        self.server.replies[path] = loopback.Reply(200, text.encode(), {"Content-Type": "text/plain"})
        return self.server.url(path)

    @asynccontextmanager
    async def open(self, clock: LaterClock | None = None) -> AsyncIterator[Session]:
        settings = config.Settings(
            store=config.Store(url=f"sqlite:///{self.folder}/runs.db"),
            http=config.Http(allow_private=("127.0.0.1",), timeout_seconds=60),
            payload=config.Payload(max_bytes=8 * 2**20),
        )
        async with Session.open(settings, clock=clock) as app:
            yield app
            await ledger.check_store(app.store)

    async def run(self, text: str, input: Any = None, **more: Any) -> Any:
        async with self.open() as app:
            await app.bring_node()
            started = await app.start(HEADER + text, input=input, folder=self.folder, **more)
            await app.finish(started.run)
            return await self.output(app, started)

    async def refused(self, text: str, error: type[errors.InterlockError] = errors.Invalid) -> str:
        """Start what is refused: give the reason, and see that nothing is left behind."""
        async with self.open() as app:
            before = await app.store.views.runs(None, [], None, None, 10)
            with pytest.raises(error) as refused:
                await app.start(HEADER + text, input={}, folder=self.folder)
            assert await app.store.views.runs(None, [], None, None, 10) == before
        return str(refused.value)

    @staticmethod
    async def output(app: Session, started: Started) -> Any:
        row = await app.find(started.namespace, started.id)
        assert row.output is not None, row.fault
        return (await app.rows.value(row.run, row.output, app.store.journal)).value


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with loopback.serving() as server:
        yield House(tmp_path, server)


async def test_function_schema_and_script_come_from_elsewhere(house: House) -> None:
    function = house.serve("/f.yaml", "input: {schema: {document: {required: [x]}}}\nset: {doubled: '${ .x * 2 }'}")
    schema = house.serve("/s.json", '{"type": "object", "required": ["doubled"]}')
    script = house.serve("/main.py", "import sys\nprint('got', sys.argv[1], '${ .x }')")
    output = await house.run(
        f"""
do:
  - a: {{call: '{function}', with: {{x: 4}}, output: {{schema: {{resource: {{endpoint: '{schema}'}}}}}}}}
  - b: {{run: {{script: {{language: python, source: {{endpoint: '{script}'}}, arguments: ['${{ .doubled }}']}}}}}}
"""
    )
    assert output == "got 8 ${ .x }\n"


async def test_function_of_a_catalog_calls_one_of_another(house: House) -> None:
    house.serve(
        "/one/functions/outer/1.0.0/function.yaml", "do: [{a: {call: 'inner:2.1.0@two', with: {x: '${ .x }'}}}]"
    )
    house.serve("/two/functions/inner/2.1.0/function.yaml", "set: {got: '${ .x }'}")
    text = f"""
use: {{catalogs: {{one: {{endpoint: '{house.server.url("/one")}'}}, two: {{endpoint: {{uri: '{house.server.url("/two/")}'}}}}}}}}
do: [{{a: {{call: 'outer:1.0.0@one', with: {{x: 7}}}}}}]
"""
    assert await house.run(text) == {"got": 7}


async def test_input_of_a_function_is_checked_by_its_schema(house: House) -> None:
    uri = house.serve("/f.yaml", "input: {schema: {document: {required: [x]}}}\nset: {y: 1}")
    text = f"do: [{{a: {{try: [{{b: {{call: '{uri}', with: {{z: 1}}}}}}], catch: {{as: e, do: [{{c: {{set: {{s: '${{ $e.detail }}'}}}}}}]}}}}}}]"
    assert "required property" in (await house.run(text))["s"]


async def test_run_keeps_what_it_began_with(house: House) -> None:
    uri = house.serve("/f.yaml", "do: [{a: {wait: {hours: 1}}}, {b: {set: {version: one}}}]")
    async with house.open() as app:
        await app.bring_node()
        started = await app.start(f"{HEADER}do: [{{a: {{call: '{uri}'}}}}]", input={}, folder=house.folder)
        async for _, news in app.follow(await app.find(None, started.id)):
            if any(isinstance(event, events.Waited) for event in news):
                break
    house.serve("/f.yaml", "set: {version: two}")
    asked = len(house.server.asked)
    async with house.open(LaterClock()) as app:
        await app.bring_node()
        assert await app.take(await app.find(None, started.id))
        await app.finish(started.run)
        assert await house.output(app, started) == {"version": "one"}
    assert len(house.server.asked) == asked
    assert await house.run(f"do: [{{a: {{call: '{uri}'}}}}]") == {"version": "two"}


async def test_published_definition_keeps_what_it_was_published_with(house: House) -> None:
    uri = house.serve("/f.yaml", "set: {version: one}")
    text = f"do: [{{a: {{call: '{uri}'}}}}]"
    async with house.open() as app:
        first = await app.publish(HEADER + text, None)
        house.serve("/f.yaml", "set: {version: two}")
        with pytest.raises(errors.Conflict, match=r"raise document\.version"):
            await app.publish(HEADER + text, None)
    assert await house.run(text) == {"version": "one"}
    async with house.open() as app:
        kept = await app.store.journal.definition(first.digest)
        assert kept is not None
        assert json.loads(kept.resources or b"") == {uri: "set: {version: one}"}


async def test_same_id_with_another_resource_is_another_run(house: House) -> None:
    uri = house.serve("/f.yaml", "set: {version: one}")
    text = f"do: [{{a: {{call: '{uri}'}}}}]"
    assert await house.run(text, id="x") == {"version": "one"}
    assert await house.run(text, id="x") == {"version": "one"}
    house.serve("/f.yaml", "set: {version: two}")
    with pytest.raises(errors.Conflict, match="'x' exists with definition"):
        await house.run(text, id="x")


async def test_files_come_from_the_folder_of_the_run(house: House) -> None:
    (house.folder / "lib").mkdir()
    (house.folder / "lib" / "f.yaml").write_text(
        "run: {script: {language: python, source: {endpoint: 'file:main.py'}}}"
    )
    (house.folder / "main.py").write_text("print('here')")
    assert await house.run("do: [{a: {call: 'file:lib/f.yaml'}}]") == "here\n"
    assert await house.run(f"do: [{{a: {{call: 'file://{house.folder}/lib/f.yaml'}}}}]") == "here\n"


def call(uri: str) -> str:
    return f"do: [{{a: {{call: '{uri}'}}}}]"


async def test_files_elsewhere_are_refused(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "f.yaml"
    outside.write_text("set: {x: 1}")
    (house.folder / "link.yaml").symlink_to(outside)
    for uri in (f"file://{outside}", "file:../x.yaml", "file:link.yaml"):
        assert "is outside of the folder" in await house.refused(call(uri))
    assert "cannot be read from" in await house.refused(call("file:nothing.yaml"))
    foreign = house.serve("/f.yaml", "run: {script: {language: python, source: {endpoint: 'file:main.py'}}}")
    (house.folder / "main.py").write_text("print('here')")
    assert "may not read files here" in await house.refused(call(foreign))


async def test_what_cannot_be_fetched_is_told_with_its_place(house: House) -> None:
    uri = house.server.url("/f.yaml")
    assert "cannot be fetched: GET " + uri + " answered 404" in await house.refused(call(uri))
    assert "leads to" in await house.refused(call("http://169.254.169.254/f.yaml"))
    house.server.replies["/f.yaml"] = loopback.Reply(raw=b"")
    assert "cannot be fetched" in await house.refused(call(uri), errors.Environment)
    house.serve("/f.yaml", "set: {x: 1}\nthen: nowhere")
    assert f"{uri}:2:7: " in await house.refused(call(uri))
    house.serve("/f.yaml", "x" * (2**20 + 1))
    assert "has more than 1048576 bytes" in await house.refused(call(uri))
    house.server.replies["/f.yaml"] = loopback.Reply(200, b"\xff")
    assert "is no UTF-8 text" in await house.refused(call(uri))


@pytest.mark.slow
async def test_functions_in_circles_and_without_end_are_refused(house: House) -> None:
    one, two = house.server.url("/1.yaml"), house.server.url("/2.yaml")
    house.serve("/1.yaml", f"call: '{two}'")
    house.serve("/2.yaml", f"do: [{{a: {{call: '{one}'}}}}]")
    assert "a function calls itself" in await house.refused(call(one))

    def another(asked: loopback.Asked) -> loopback.Reply:
        return loopback.Reply(200, f"call: '{house.server.url(asked.target + 'x')}'".encode())

    house.server.otherwise = another
    assert "functions that call functions more than 8 deep" in await house.refused(call(house.server.url("/x")))
    house.server.otherwise = loopback.Reply(200, b"set: {x: 1}")
    many = ", ".join(f"{{t{number}: {{call: '{house.server.url(f'/{number}')}'}}}}" for number in range(99))
    more = ", ".join(f"{{t{number}: {{call: '{house.server.url(f'/m{number}')}'}}}}" for number in range(2))
    house.serve("/0", f"do: [{more}]")
    assert "needs more than 100 resources" in await house.refused(f"do: [{many}]")


async def test_catalog_may_ask_who_comes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_SECRET_CATALOG", "t0p-s3cret")
    path = "/c/functions/f/1.0.0/function.yaml"
    house.server.replies[path] = lambda asked: (
        loopback.Reply(200, b"set: {x: 1}")
        if asked.headers.get("authorization") == "Bearer t0p-s3cret"
        else loopback.Reply(401)
    )

    def text(token: str) -> str:
        return f"""
use:
  secrets: [catalog]
  catalogs: {{c: {{endpoint: {{uri: '{house.server.url("/c")}', authentication: {{bearer: {{token: '{token}'}}}}}}}}}}
do: [{{a: {{call: 'f:1.0.0@c'}}}}]
"""

    assert await house.run(text("${ $secrets.catalog }")) == {"x": 1}
    assert await house.run(text("${ $secrets | .catalog }")) == {"x": 1}
    assert "answered 401" in await house.refused(text("wrong"))
    assert "may read nothing but $secrets" in await house.refused(text("${ $context.token }"))
    assert "needs the property 'token' as a text" in await house.refused(text("${ .token }"))
