"""The conformance kit of the specification: 21 scenarios, offline, on each store."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import ows_kit
from acceptance.kit import gherkin
from acceptance.kit.executed import Executed, Place
from acceptance.kit.gherkin import Scenario
from interlock.flow import yaml
from interlock.model.states import RunStatus
from loopback import Asked, Reply, Server

pytestmark = [pytest.mark.kit, ows_kit.needs_kit]

_SCENARIOS = [
    pytest.param(scenario, id=f"{scenario.feature}: {scenario.name}")
    for path in sorted((ows_kit.FOLDER / "ctk" / "features").glob("*.feature"))
    for scenario in gherkin.read(path.read_text("utf-8"))
]


@dataclass
class Context:
    """What the steps of one scenario share."""

    definition: str = ""
    input: Any = field(default_factory=dict)
    executed: Executed | None = None

    @property
    def result(self) -> Executed:
        assert self.executed is not None, "no step executed the workflow"
        return self.executed


@pytest.fixture
def petstore(place: Place) -> Server:
    """The services that the kit calls, as small as its scenarios allow."""

    def answer(value: Any) -> Reply:
        return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def found(asked: Asked) -> Reply:
        return answer([pet(1), pet(2)] if asked.target.endswith("?status=available") else [])

    def pet(number: int) -> dict[str, Any]:
        return {"id": number, "name": f"pet {number}", "status": "available"}

    def login(asked: Asked) -> Reply:
        right = "Basic " + base64.b64encode(b"serverless-workflow:conformance-test").decode()
        return answer({"authenticated": True}) if asked.headers.get("authorization") == right else Reply(401)

    def operation(name: str, parameter: str, where: str) -> dict[str, Any]:
        parameters = [{"name": parameter, "in": where, "required": True, "type": "string"}]
        return {"get": {"operationId": name, "parameters": parameters}}

    description = {
        "swagger": "2.0",
        "host": "petstore.swagger.io",
        "basePath": "/v2",
        "schemes": ["https", "http"],
        "paths": {
            "/pet/findByStatus": operation("findPetsByStatus", "status", "query"),
            "/pet/{petId}": operation("getPetById", "petId", "path"),
        },
    }
    place.server.replies |= {
        "/v2/swagger.json": answer(description),
        "/v2/pet/findByStatus": found,
        "/v2/pet/1": answer(pet(1)),
        "/v2/pet/2": answer(pet(2)),
        "/v2/pet/getPetByName/Milou": Reply(404, b'{"message": "Pet not found"}', {"Content-Type": "application/json"}),
        "/basic-auth/serverless-workflow/conformance-test": login,
    }
    return place.server


def test_the_kit_has_21_scenarios() -> None:
    assert len(_SCENARIOS) == 21


@pytest.mark.usefixtures("petstore")
@pytest.mark.parametrize("scenario", _SCENARIOS)
async def test_scenario(place: Place, scenario: Scenario) -> None:
    context = Context()
    for step in scenario.steps:
        if step.text == "the workflow is executed":
            context.executed = await place.execute(context.definition, context.input)
        else:
            _take(context, step)


# -- the vocabulary --------------------------------------------------------------------------------------------------


def _take(context: Context, step: gherkin.Step) -> None:
    for pattern, act in _VOCABULARY.items():
        if match := re.fullmatch(pattern, step.text):
            assert step.doc is None or step.tag == "yaml"
            act(context, *match.groups(), *([] if step.doc is None else [step.doc]))
            return
    pytest.fail(f"no meaning is known of the step {step.text!r}")


def _define(context: Context, definition: str) -> None:
    context.definition = definition


def _give(context: Context, input: str) -> None:
    context.input = _value(input)


def _completes(context: Context) -> None:
    assert context.result.status is RunStatus.COMPLETED, context.result.fault


def _completes_with(context: Context, output: str) -> None:
    _completes(context)
    assert context.result.output == _value(output)


def _faults(context: Context) -> None:
    assert context.result.status is RunStatus.FAULTED


def _faults_with(context: Context, error: str) -> None:
    _faults(context)
    assert context.result.fault == _value(error)


def _has_properties(context: Context, paths: str) -> None:
    for path in re.findall(r"'([^']+)'", paths):
        _property(context, path)


def _has_value(context: Context, path: str, value: str) -> None:
    assert _property(context, path) == _value(value)


def _has_items(context: Context, path: str, count: str) -> None:
    assert len(_property(context, path)) == int(count)


def _first(context: Context, name: str) -> None:
    assert context.result.started[0] == name


def _last(context: Context, name: str) -> None:
    assert context.result.started[-1] == name


def _after(context: Context, name: str, other: str) -> None:
    assert context.result.started.index(name) > context.result.started.index(other)


def _before(context: Context, name: str, other: str) -> None:
    _after(context, other, name)


_VOCABULARY: dict[str, Callable[..., None]] = {
    r"a workflow with definition:": _define,
    r"given the workflow input is:": _give,
    r"the workflow should complete": _completes,
    r"the workflow should complete with output:": _completes_with,
    r"the workflow should fault": _faults,
    r"the workflow should fault with error:": _faults_with,
    r"the workflow output should have properties (.+)": _has_properties,
    r"the workflow output should have a '(.+)' property with value:": _has_value,
    r"the workflow output should have a '(.+)' property containing (\d+) items": _has_items,
    r"(\w+) should run first": _first,
    r"(\w+) should run last": _last,
    r"(\w+) should run after (\w+)": _after,
    r"(\w+) should run before (\w+)": _before,
}
"""Each step's pattern; its groups and its doc string are the arguments."""


def _property(context: Context, path: str) -> Any:
    value = context.result.output
    for part in path.split("."):
        assert isinstance(value, dict), f"{path}: {value!r} has no properties"
        assert part in value, f"{path}: there is no {part!r} in {sorted(value)}"
        value = value[part]
    return value


def _value(text: str) -> Any:
    source = yaml.read(text)
    assert not source.flaws
    return source.value
