"""The examples of the specification that wait for events, send them, start other workflows or are extended.

Each is executed by a function of its own, known by the name of its example: a name stands here only with what it asserts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import ows_kit
from acceptance.kit.executed import Executed, Place
from interlock.app import events as sending
from interlock.app.session import Session
from interlock.model import fault
from interlock.model.event import Listened
from interlock.model.states import RunStatus
from loopback import Reply

pytestmark = [pytest.mark.kit, ows_kit.needs_kit]

_EXAMPLES = ows_kit.texts("examples")
_VITALS = "com.fake-hospital.vitals.measurements"
_HOT = (f"{_VITALS}.temperature", {"temperature": 39})
_MILD = (f"{_VITALS}.temperature", {"temperature": 37})
_FAST = (f"{_VITALS}.bpm", {"bpm": 120})
_CALM = (f"{_VITALS}.bpm", {"bpm": 70})
_OUT = ("com.fake-hospital.patient.checked-out", {})
_ANY = ("com.example.any", {"n": 1})

Told = tuple[str, Any]


async def _listened(place: Place, name: str, events: list[Told], input: Any = None) -> Executed:
    """Start an example, send events once it listens, and wait for its end."""
    async with place.opened(_EXAMPLES[name]) as app:
        await app.bring_node()
        started = await app.start(_EXAMPLES[name], input=input or {}, folder=place.folder)
        await _listens(app, started.id)
        for type_, data in events:
            await sending.send(app, "test", {"type": type_, "data": data})
        async with asyncio.timeout(60):
            await app.finish(started.run)
        return await place.ended(app, started)


async def _listens(app: Session, run: str) -> None:
    async with asyncio.timeout(60):
        async for _, news in app.follow(await app.find(None, run)):
            if any(isinstance(event, Listened) for event in news):
                return


_Execute = Callable[[Place], Awaitable[None]]
EXECUTED: dict[str, _Execute] = {}
"""What executes an example and asserts what it gave, by the name of the example."""


def _executes(name: str) -> Callable[[_Execute], _Execute]:
    def known(execute: _Execute) -> _Execute:
        EXECUTED[name] = execute
        return execute

    return known


def _takes(name: str, events: list[Told], output: Any) -> None:
    """Let an example be executed that takes the events that fit."""

    async def execute(place: Place) -> None:
        executed = await _listened(place, name, events)
        assert (executed.status, executed.output) == (RunStatus.COMPLETED, output)

    EXECUTED[name] = execute


_takes("listen-to-all", [_MILD, _HOT, _CALM, _FAST], [_HOT[1], _FAST[1]])
_takes("listen-to-any-filter", [_CALM, _MILD, _FAST], [_FAST[1]])
_takes("listen-to-any", [_ANY], [_ANY[1]])
_takes("listen-to-any-until-condition", [_ANY] * 4, [_ANY[1]] * 4)
_takes("listen-to-any-until-consumed", [_HOT, _CALM, _FAST, _OUT], [_HOT[1], _FAST[1]])


@_executes("listen-to-all read-envelope")
async def _envelopes_are_read_whole(place: Place) -> None:
    executed = await _listened(place, "listen-to-all read-envelope", [_FAST, _HOT])
    assert [(event["type"], event["data"]) for event in executed.output] == [_FAST, _HOT]
    assert {event["specversion"] for event in executed.output} == {"1.0"}


@_executes("listen-to-one")
async def _listening_to_one_event_then_calling(place: Place) -> None:
    """The output of `listen` is an array, which has no `carId`: a name that is missing is empty in a URI template."""
    race = "com.virtual-wf-powered-race.events.race.started.v1"
    place.server.otherwise = Reply(200, b'{"started": true}', {"Content-Type": "application/json"})
    executed = await _listened(place, "listen-to-one", [_ANY, (race, {"carId": 7})])
    assert executed.status is RunStatus.COMPLETED, executed.fault
    assert [asked.target for asked in place.server.asked] == ["/api/v4/cars//start"]


@_executes("listen-to-any-forever-foreach")
async def _listening_for_ever_posts_each_event_until_it_is_cancelled(place: Place) -> None:
    name = "listen-to-any-forever-foreach"
    place.server.otherwise = Reply(200, b"{}", {"Content-Type": "application/json"})
    async with place.opened(_EXAMPLES[name]) as app:
        await app.bring_node()
        started = await app.start(_EXAMPLES[name], input={"roomId": 3}, folder=place.folder)
        await _listens(app, started.id)
        for number in range(3):
            await sending.send(app, "test", {"type": "gossip", "id": f"g{number}", "data": {"number": number}})
        async with asyncio.timeout(60):
            while len(place.server.asked) < 3:
                await asyncio.sleep(0.01)
        await app.cancel(await app.find(None, started.id), None)
        await app.finish(started.run)
        assert (await place.ended(app, started)).status is RunStatus.CANCELLED
    bodies = [json.loads(asked.body) for asked in place.server.asked]
    assert [body["event"] for body in bodies] == [{"number": number} for number in range(3)]


@_executes("accumulate-room-readings")
async def _readings_of_one_room_are_gathered(place: Place) -> None:
    """Two sensors of one room are heard together, another room's is not. The example then takes `.data` of the array that
    `listen` gives, which is an error of its own: the specification's prose and its example differ."""
    source = "https://my.home.com/sensor"
    async with place.opened(_EXAMPLES["accumulate-room-readings"]) as app:
        await app.bring_node()
        started = await app.start(_EXAMPLES["accumulate-room-readings"], input={}, folder=place.folder)
        await _listens(app, started.id)
        for kind, room in (("temperature", "a"), ("humidity", "b"), ("humidity", "a")):
            attributes = {"type": f"my.home.sensors.{kind}", "source": source, "roomid": room, "data": {"room": room}}
            await sending.send(app, "examples", attributes)
        async with asyncio.timeout(60):
            await app.finish(started.run)
        executed = await place.ended(app, started)
    assert executed.fault is not None
    assert (executed.fault["type"], executed.fault["instance"]) == (fault.EXPRESSION, "/do/0/consumeReading")
    heard = [event.event.value["roomid"] for event in executed.history if type(event).__name__ == "Heard"]
    assert heard == ["a", "a"]


@_executes("for")
async def _looping_over_pets_that_are_checked_up(place: Place) -> None:
    """The example adds `.pets` of the array that `listen` gives, which is an error; without a vet it loops over nothing."""
    pets = {"pets": [{"id": 1}]}
    executed = await place.execute(_EXAMPLES["for"], pets)
    assert (executed.status, executed.output) == (RunStatus.COMPLETED, pets)
    checked = ("com.fake.petclinic.pets.checkup.completed.v2", {"pet": 1})
    executed = await _listened(place, "for", [checked], input={**pets, "vet": "Ada"})
    assert executed.fault is not None
    assert executed.fault["instance"] == "/do/0/checkup/do/0/waitForCheckup"
    assert executed.fault["type"] == fault.EXPRESSION


@_executes("emit")
async def _emitting_gives_the_envelope(place: Place) -> None:
    executed = await place.execute(_EXAMPLES["emit"], {})
    assert executed.output["type"] == "com.petstore.order.placed.v1"
    assert executed.output["source"] == "https://petstore.com"
    assert executed.output["data"]["items"] == [{"breed": "dalmatian", "quantity": 101}]


@_executes("run-subflow")
async def _subflow_runs_the_published_workflow(place: Place) -> None:
    """`input` is literal: `.user` without `${ }` stays text."""
    child = (
        "document: {dsl: 1.0.3, namespace: test, name: register-customer, version: 0.1.0}\n"
        "do: [{register: {set: {registered: '${ .customer }'}}}]\n"
    )
    async with place.opened(_EXAMPLES["run-subflow"]) as app:
        await app.bring_node()
        await app.publish(child, None)
        started = await app.start(_EXAMPLES["run-subflow"], input={"user": "Ada"}, folder=place.folder)
        await app.finish(started.run)
        executed = await place.ended(app, started)
    assert executed.output == {"registered": ".user"}


@_executes("mock-service-extension")
async def _mocking_extension_as_written_tells_that_its_condition_is_broken(place: Place) -> None:
    """The example asks for `startswith` of an endpoint that is an object, which jq refuses."""
    executed = await place.execute(_EXAMPLES["mock-service-extension"], {})
    assert executed.fault is not None
    assert (executed.fault["type"], executed.fault["instance"]) == (fault.EXPRESSION, "/do/0/callHttp")


async def test_mocking_extension_answers_for_the_service(place: Place) -> None:
    text = _EXAMPLES["mock-service-extension"].replace("uri: https://fake.com/sample", "")
    text = text.replace("endpoint:\n", "endpoint: https://mocked.service.com/sample\n")
    executed = await place.execute(text, {})
    answer = {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "content": {"foo": {"bar": "baz"}}}
    assert executed.output == answer
    assert place.server.asked == []


@pytest.mark.parametrize("name", EXECUTED)
async def test_example_gives_what_it_should(place: Place, name: str) -> None:
    await EXECUTED[name](place)
