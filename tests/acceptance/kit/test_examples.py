"""The examples of the specification: those of kinds that this version executes give what they should, the others are
refused by the name of what is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import ows_kit
from acceptance.kit import test_event_examples
from acceptance.kit.executed import Executed, LaterClock, Place
from interlock import errors
from interlock.app.interlock import Started
from interlock.flow import check, compile
from interlock.flow.graph import ProcessWork
from interlock.flow.meaning import executable
from interlock.model import event as events
from interlock.model import fault
from interlock.model.event import Event
from interlock.model.states import RunStatus
from loopback import Asked, Reply

pytestmark = [pytest.mark.kit, ows_kit.needs_kit]

_EXAMPLES = ows_kit.texts("examples")
_PET = {"id": 1, "name": "Milou"}
_PEOPLE = {"count": 1, "results": [{"name": "Leia"}]}
_BET = {"customer": {"age": 30}, "bet": 5}
_NO_BET = {"type": "https://superbet-casinos.com/customer/access-forbidden", "status": 400, "title": "Access Forbidden"}
_PATIENT = {"patient": {"fullName": "Ada Low"}, "room": {"number": 7}}
_EVENT = {
    "data": {"patient": {"id": "p1", "name": "Ada", "room": {"number": 7}, "vitals": {"bpm": 12}}, "timestamp": "t"}
}
_COLOURS = [{"name": "red", "hex": "#FF0000"}, {"name": "green", "hex": "#00FF00"}, {"name": "blue", "hex": "#0000FF"}]
_SEARCH = {"searchQuery": "Leia & co"}
_FOUND = "GET swapi.dev /api/people/?search=Leia+%26+co"
_TODO = {
    "type": "https://serverlessworkflow.io/errors/not-implemented",
    "status": 500,
    "title": "Not Implemented",
    "instance": "/do/0/notImplemented",
    "detail": "The workflow 'raise-not-implemented:0.1.0' is a work in progress and cannot be run yet",
}


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Example:
    """What goes in and what comes of it. `asked`: the requests, in order; `fault`: a part of the error, else completed."""

    input: Any = field(default_factory=dict)
    output: Any = None
    asked: tuple[str, ...] = ()
    fault: dict[str, Any] | None = None
    started: tuple[str, ...] | None = None
    answer: Reply | Callable[[Asked], Reply] = field(default_factory=lambda: _json(_PET))
    secrets: dict[str, str] = field(default_factory=dict)


def _planets(asked: Asked) -> Reply:
    return _json(
        {"name": "Tatooine"} if "planets" in asked.target else {"homeworld": "https://swapi.dev/api/planets/1"}
    )


_AUTHORITY = {"grant": "client_credentials", "client": {"id": "us", "secret": "s3cret"}}
_FORM = "grant_type=client_credentials&client_id=%s&client_secret=%s"
_OURS = _FORM % ("workflow-runtime-id", "workflow-runtime-secret")
_GIVEN = _FORM % ("us", "s3cret")
_SECRET = {"MYSECRET": json.dumps({**_AUTHORITY, "authority": "https://petstore.swagger.io/auth"})}


def _authority(asked: Asked) -> Reply:
    if asked.target.endswith("openid-configuration"):
        place = asked.target.partition("/.well-known")[0]
        return _json({"token_endpoint": f"http://{asked.headers['host']}{place}/tokens"})
    if asked.method == "POST":
        return _json({"access_token": "t0ken", "token_type": "Bearer", "expires_in": 300})
    return _json(_PET)


_FUNCTION = b"""
input:
  schema: {document: {type: object, required: [message, level]}}
set:
  logged: ${ "[\\(.level)] \\(.message)" }
"""
_SWAGGER = {
    "swagger": "2.0",
    "host": "petstore.swagger.io",
    "basePath": "/v2",
    "schemes": ["http", "https"],
    "paths": {
        "/pet/findByStatus": {
            "get": {
                "operationId": "findPetsByStatus",
                "parameters": [{"name": "status", "in": "query", "required": True, "type": "string"}],
            }
        }
    },
}


def _petstore(asked: Asked) -> Reply:
    return _json(_SWAGGER if asked.target.endswith("swagger.json") else [_PET])


_PETS = (
    "GET petstore.swagger.io /v2/swagger.json",
    "GET petstore.swagger.io /v2/pet/findByStatus?status=available",
)


def _pet(**given: Any) -> Example:
    return Example(input={"petId": 1}, output=_PET, asked=("GET petstore.swagger.io /v2/pet/1",), **given)


_REFUSED = _json({"message": "no such pet"}, 404)
_COMMUNICATION = {"type": fault.COMMUNICATION, "status": 404, "instance": "/do/0/tryGetPet/try/0/getPet"}

_RUN = {
    "authentication-oauth2": Example(
        {"petId": 1},
        _PET,
        (
            f"POST keycloak /realms/fake-authority/auth/token {_OURS}",
            "GET petstore.swagger.io /v2/pet/1 Bearer t0ken",
        ),
        answer=_authority,
    ),
    "authentication-oauth2-secret": Example(
        {"petId": 1},
        _PET,
        (
            f"POST petstore.swagger.io /auth/oauth2/token {_GIVEN}",
            "GET petstore.swagger.io /v2/pet/1 Bearer t0ken",
        ),
        answer=_authority,
        secrets=_SECRET,
    ),
    "authentication-oidc": Example(
        {"petId": 1},
        _PET,
        (
            "GET keycloak /realms/fake-authority/.well-known/openid-configuration",
            f"POST keycloak /realms/fake-authority/tokens {_OURS}",
            "GET petstore.swagger.io /v2/pet/1 Bearer t0ken",
        ),
        answer=_authority,
    ),
    "authentication-oidc-secret": Example(
        {"petId": 1},
        _PET,
        (
            "GET petstore.swagger.io /auth/.well-known/openid-configuration",
            f"POST petstore.swagger.io /auth/tokens {_GIVEN}",
            "GET petstore.swagger.io /v2/pet/1 Bearer t0ken",
        ),
        answer=_authority,
        secrets=_SECRET,
    ),
    "call-custom-function-cataloged": Example(
        {},
        {"logged": "[information] Hello, world!"},
        ("GET raw.githubusercontent.com /serverlessworkflow/catalog/main/functions/log/1.0.0/function.yaml",),
        answer=Reply(200, _FUNCTION, {"Content-Type": "text/plain"}),
    ),
    "call-openapi": Example({}, [_PET], _PETS, answer=_petstore),
    "call-openapi-redirect": Example({}, [_PET], _PETS, answer=_petstore),
    "authentication-bearer-uri-format": Example(
        {"petId": 1, "token": "t0ken"}, _PET, ("GET petstore.swagger.io /v2/pet/1 Bearer t0ken",)
    ),
    "authentication-bearer": Example({"token": "t0ken"}, _PET, ("GET petstore.swagger.io /v2/pet/1 Bearer t0ken",)),
    "authentication-reusable": Example(
        {"petId": 1, "token": "t0ken"}, _PET, ("GET petstore.swagger.io /v2/pet/1 Bearer t0ken",)
    ),
    "call-custom-function-inline": Example({}, _PET, ("GET petstore.swagger.io /v2/pet/69",)),
    "call-http-endpoint-interpolation-shorthand": _pet(),
    "call-http-endpoint-interpolation": _pet(),
    "call-http-query-headers-expressions": Example(_SEARCH, _PEOPLE, (_FOUND,), answer=_json(_PEOPLE)),
    "call-http-query-parameters": Example(_SEARCH, _PEOPLE, (_FOUND,), answer=_json(_PEOPLE)),
    "call-http-redirect": Example(
        _SEARCH, "moved", (_FOUND,), answer=Reply(302, b"moved", {"Location": "/x", "Content-Type": "text/plain"})
    ),
    "conditional-task": Example(
        _BET, _PET, ('POST superbet-casinos.com /api/bet/on/football {"customer":".customer","bet":".bet"}',)
    ),
    "do-multiple": Example(
        {"petId": 1},
        {"petId": 2, "name": "Milou"},
        (
            "GET petstore.swagger.io /v2/pet/1",
            'PUT petstore.swagger.io /v2/pet/2 {"petId":2,"name":"Milou","status":"sold"}',
        ),
        answer=_json({"petId": 2, "name": "Milou"}),
    ),
    "do-single": _pet(),
    "for-inline-array": Example({}, {"processed": _COLOURS}, started=("logColors", *["setProcessed"] * 3)),
    "fork": Example(_PATIENT, _PET),
    "raise-inline": Example(fault=_TODO),
    "raise-reusable": Example(fault=_TODO),
    "run-script-with-stdin-and-arguments": Example({}, "stdin >  Hello Workflow\narg >  hello\nenv >  bar\n"),
    "run-shell-stdin-and-arguments": Example({}, "STDIN was: Hello World\nARGS are Foo Bar\n"),
    "schedule-cron": Example({}, _PET, ("POST example.com /api/v1/backup/start",)),
    "schedule-event-driven": Example([_EVENT], _PET),
    "set-expression": Example([{"data": 1}], {"data": 1}),
    "set": Example([{"data": 1}], {"startEvent": {"data": 1}}),
    "star-wars-homeworld": Example(
        {"id": 1},
        {"name": "Tatooine"},
        ("GET swapi.dev /api/people/1", "GET swapi.dev /api/planets/1"),
        answer=_planets,
    ),
    "switch-then-string": Example(
        {"orderType": "physical"},
        {"inventory": "clear", "items": 1, "address": "Elmer St"},
        started=("processOrder", "processPhysicalOrder"),
    ),
    "try-catch-retry-inline": _pet(),
    "try-catch-retry-reusable": _pet(),
    "try-catch-then-directive": Example(
        {},
        {"status": "failed"},
        started=("trySomething", "callExternalService", "recordFailure"),
        answer=_json({}, 503),
    ),
    "try-catch": Example({"petId": 1}, {"petId": 1}, answer=_REFUSED),
    "try-catch-then": Example(
        {"petId": 1},
        {"error": "$error"},  # text: no `${ }` stands around it
        ("GET petstore.swagger.io /v2/pet/1",),
        started=("tryGetPet", "getPet", "notifySupport", "setError"),
        answer=_REFUSED,
    ),
}
_OTHERWISE = {
    "conditional-task": Example(
        {"customer": {"age": 17}, "bet": 5}, fault=_NO_BET | {"instance": "/do/0/raiseErrorIfUnderage"}
    ),
    "switch-then-string": Example(
        {"orderType": "by owl"},
        {"log": "warn", "message": "something's wrong"},
        started=("processOrder", "handleUnknownOrderType"),
    ),
    "try-catch": Example(
        {"petId": 1},
        fault=_COMMUNICATION | {"status": 500, "title": "Internal Server Error"},
        answer=Reply(500),
    ),
    "try-catch-then": Example(
        {"petId": 1},
        {"petId": 1},
        ("GET petstore.swagger.io /v2/pet/1", 'PUT petstore.swagger.io /v2/pet/1 {"petId":1,"status":"sold"}'),
        answer=_json({"petId": 1}),
    ),
    "try-catch-retry-inline": Example({"petId": 1}, fault=_COMMUNICATION | {"title": "Not Found"}, answer=Reply(404)),
    "try-catch-then-directive": Example(
        {}, {"status": "ok"}, started=("trySomething", "callExternalService", "continueProcessing")
    ),
    "call-http-query-parameters": Example(
        {},
        fault={"type": fault.VALIDATION, "status": 400, "title": "The input does not fit its schema", "instance": "/"},
    ),
}
"""The same examples with an input or an answer that leads another way."""
_WAITING = {"wait-duration-inline": 30, "wait-duration-iso8601": 30}
_RETRYING = {"try-catch-retry-inline": 3, "try-catch-retry-reusable": 3}


@pytest.mark.parametrize("name", _RUN)
async def test_example_gives_what_it_should(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret, value in _RUN[name].secrets.items():
        monkeypatch.setenv(f"INTERLOCK_SECRET_{secret}", value)
    await _check(place, name, _RUN[name])


@pytest.mark.parametrize("name", _OTHERWISE)
async def test_example_goes_another_way(place: Place, name: str) -> None:
    await _check(place, name, _OTHERWISE[name])


async def _check(place: Place, name: str, example: Example) -> None:
    place.server.otherwise = example.answer
    executed = await place.execute(_EXAMPLES[name], example.input)
    found = {key: value for key, value in (executed.fault or {}).items() if key in (example.fault or {"type"})}
    assert found == (example.fault or {})
    assert executed.output == example.output
    if example.asked:
        assert [_described(asked) for asked in place.server.asked] == list(example.asked)
    if example.started is not None:
        assert executed.started == list(example.started)


def _described(asked: Asked) -> str:
    parts = [asked.method, asked.headers["host"], asked.target, asked.headers.get("authorization"), asked.body.decode()]
    return " ".join(part for part in parts if part)


async def test_the_doctor_wins_when_the_nurses_do_not_answer(place: Place) -> None:
    place.server.replies["/api/v3/alert/nurses"] = Reply(gate=asyncio.Event())  # never
    place.server.replies["/api/v3/alert/doctor"] = _json({"coming": True})
    executed = await place.execute(_EXAMPLES["fork"], _PATIENT)
    assert executed.output == {"coming": True}
    bodies = [json.loads(asked.body) for asked in place.server.asked]
    assert bodies == [{"patientId": "Ada Low", "room": 7}] * 2


@pytest.mark.parametrize("name", _WAITING)
async def test_wait_goes_on_in_another_process_when_its_time_has_come(place: Place, name: str) -> None:
    """The wait is in the store; nobody needs to be there while it lasts."""
    started = await _left_waiting(place, name, {"kept": 1}, events.Waited, _WAITING[name])
    executed = await _gone_on(place, name, started, _WAITING[name])
    assert (executed.status, executed.output) == (RunStatus.COMPLETED, {"kept": 1})


@pytest.mark.parametrize("name", _RETRYING)
async def test_retry_goes_on_in_another_process_when_its_time_has_come(place: Place, name: str) -> None:
    place.server.otherwise = _json({}, 503)
    started = await _left_waiting(place, name, {"petId": 1}, events.RetryScheduled, _RETRYING[name])
    place.server.otherwise = _json(_PET)
    executed = await _gone_on(place, name, started, _RETRYING[name])
    assert (executed.status, executed.output) == (RunStatus.COMPLETED, _PET)
    assert [_described(asked) for asked in place.server.asked] == ["GET petstore.swagger.io /v2/pet/1"] * 2


async def _left_waiting(place: Place, name: str, input: Any, kind: type[Event], seconds: float) -> Started:
    """Start an example and leave as soon as it waits, for as long as it should."""
    async with place.opened(_EXAMPLES[name]) as app:
        await app.bring_node()
        started = await app.start(_EXAMPLES[name], input=input, folder=place.folder)
        row = await app.find(None, started.id)
        async for _, news in app.follow(row):
            waits = [event for event in news if isinstance(event, kind)]
            if waits:
                assert waits[0].until - waits[0].at == pytest.approx(seconds)  # type: ignore[attr-defined]
                return started
    raise AssertionError(f"{name} ended without waiting")


async def _gone_on(place: Place, name: str, started: Started, seconds: float) -> Executed:
    async with place.opened(_EXAMPLES[name], LaterClock(seconds)) as app:
        await app.bring_node()
        assert await app.take(await app.find(None, started.id))
        await app.finish(started.run)
        return await place.ended(app, started)


_COMING = ("`call: grpc`", "`call: asyncapi`", "`call: a2a`", "`call: mcp`")
"""What the specification has and this version does not execute yet; a schedule beside these, which `run` passes over."""


def _unbuilt(text: str) -> list[str]:
    """Give the places of what cannot be executed yet, except for a schedule, which `run` passes over."""
    warnings = check.load(text).warnings
    return [problem.path for problem in warnings if problem.code == executable.CODE and problem.path != "/schedule"]


def test_every_example_is_executed_or_refused_for_a_kind_that_is_still_to_come() -> None:
    """Nothing is accepted and then ignored."""
    executed = [*_RUN, *_WAITING, *test_event_examples.EXECUTED]
    refused = {name for name, text in _EXAMPLES.items() if _unbuilt(text)}
    assert len(_EXAMPLES) == 68
    assert sorted([*executed, *refused, *_CONTAINERS]) == sorted(_EXAMPLES)


_CONTAINERS = sorted(name for name, text in _EXAMPLES.items() if "container:" in text)
"""Their images come from a registry, which tests do without: what a pool makes of containers is tested where pools are."""


@pytest.mark.parametrize("name", _CONTAINERS)
def test_example_with_a_container_is_compiled_for_a_pool_of_containers(name: str) -> None:
    loaded = check.load(_EXAMPLES[name], name)
    assert loaded.problems == ()
    works = [node.work for node in compile.compile(loaded.required(), loaded.value).nodes.values()]
    assert [work.kind for work in works if isinstance(work, ProcessWork)] == ["container"]


@pytest.mark.parametrize("name", sorted(name for name, text in _EXAMPLES.items() if _unbuilt(text)))
async def test_example_of_a_kind_that_is_still_to_come_is_refused_by_name(place: Place, name: str) -> None:
    with pytest.raises(errors.InvalidDefinition) as refused:
        await place.execute(_EXAMPLES[name], {})
    problems = refused.value.problems
    assert problems
    assert {problem.message.partition(" is valid, but")[0] for problem in problems} <= {*_COMING}
    assert [problem.path for problem in problems] == _unbuilt(_EXAMPLES[name])
    async with place.opened(_EXAMPLES[name]) as app:
        assert await app.store.views.runs(None, [], None, None, 10) == []


async def test_schedule_runs_once_by_hand_and_cannot_be_published(place: Place) -> None:
    text = _EXAMPLES["schedule-cron"]
    place.server.otherwise = _json(_PET)
    async with place.opened(text) as app:
        await app.bring_node()
        started = await app.start(text, input={}, folder=place.folder)
        await app.finish(started.run)
        assert started.has_schedule
        assert (await place.ended(app, started)).status is RunStatus.COMPLETED
        with pytest.raises(errors.InvalidDefinition) as refused:
            await app.publish(text, None)
        assert [problem.path for problem in refused.value.problems] == ["/schedule"]
