"""OpenAPI calls: the document, the operation, where each parameter goes, what is refused before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import loopback
from interlock import config
from interlock.effects.openapi import call
from interlock.effects.openapi.documents import Documents
from interlock.model import fault
from interlock.model.task import Credentials, Done, Failed, FailureClass, OpenApiTarget, Outcome
from interlock.net.client import Client
from interlock.service import SystemClock


class MovedClock(SystemClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Api:
    """A service that repeats what it was asked, described by a document at /docs/api."""

    def __init__(self, server: loopback.Server, client: Client) -> None:
        self.server = server
        self.clock = MovedClock()
        self._client = client
        self._documents = Documents(self.clock)
        server.otherwise = lambda asked: loopback.Reply(
            200,
            json.dumps([asked.method, asked.target, asked.body.decode()]).encode(),
            {"Content-Type": "application/json"},
        )

    def describe(self, content: Any, **headers: str) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.server.replies["/docs/api"] = loopback.Reply(200, body, headers)

    async def call(self, operation: str, parameters: dict[str, Any] | None = None, **more: Any) -> Outcome:
        target = OpenApiTarget(
            document=self.server.url("/docs/api"), operation=operation, parameters=parameters or {}, **more
        )
        return await call.perform(target, "key", self._client, self._documents)

    async def asked(self, operation: str, parameters: dict[str, Any] | None = None, **more: Any) -> list[str]:
        """Call, and give method, target and body of what was asked."""
        outcome = await self.call(operation, parameters, **more)
        assert isinstance(outcome, Done), outcome
        value: list[str] = outcome.value
        return value

    async def refused(self, operation: str, parameters: dict[str, Any] | None = None) -> str:
        """Call what is not sent, and give the reason."""
        outcome = await self.call(operation, parameters)
        assert isinstance(outcome, Failed), outcome
        assert outcome.failure is FailureClass.INVALID
        assert [asked.target for asked in self.server.asked] == ["/docs/api"]
        return outcome.fault.detail or ""


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with loopback.serving() as server:
        client = Client(config.Http(allow_private=("127.0.0.1",), timeout_seconds=60), max_bytes=100_000)
        try:
            yield Api(server, client)
        finally:
            await client.close()


def swagger(parameters: list[Any], method: str = "get", path: str = "/x", **more: Any) -> dict[str, Any]:
    operation = {"operationId": "op", "parameters": parameters, **more}
    return {"swagger": "2.0", "schemes": ["http"], "basePath": "/v2", "paths": {path: {method: operation}}}


def openapi(parameters: list[Any], method: str = "get", path: str = "/x", **more: Any) -> dict[str, Any]:
    operation = {"operationId": "op", "parameters": parameters, **more}
    return {"openapi": "3.1.0", "servers": [{"url": "/v3/"}], "paths": {path: {method: operation}}}


def given(name: str, place: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, **more}


# -- parameters --------------------------------------------------------------------------------------------------------

LIST, MAP = ["a b", 1, True], {"r": 1, "g": "x y"}


@pytest.mark.parametrize(
    ("declared", "value", "query"),
    [
        ({}, "a b/c&", "?q=a%20b%2Fc%26"),
        ({}, 1.5, "?q=1.5"),
        ({}, False, "?q=false"),
        ({}, LIST, "?q=a%20b&q=1&q=true"),
        ({"explode": False}, LIST, "?q=a%20b,1,true"),
        ({"style": "spaceDelimited", "explode": False}, LIST, "?q=a%20b%201%20true"),
        ({"style": "pipeDelimited", "explode": False}, LIST, "?q=a%20b|1|true"),
        ({}, MAP, "?r=1&g=x%20y"),
        ({"explode": False}, MAP, "?q=r,1,g,x%20y"),
        ({"style": "deepObject"}, MAP, "?q%5Br%5D=1&q%5Bg%5D=x%20y"),
        ({"content": {"application/json": {}}}, MAP, "?q=%7B%22r%22%3A1%2C%22g%22%3A%22x%20y%22%7D"),
        ({}, [], ""),
        ({}, None, ""),
    ],
)
async def test_query_parameter_of_version_3(api: Api, declared: Any, value: Any, query: str) -> None:
    api.describe(openapi([given("q", "query", **declared)]))
    assert await api.asked("op", {"q": value}) == ["GET", f"/v3/x{query}", ""]


@pytest.mark.parametrize(
    ("declared", "query"),
    [
        ({}, "?q=a%20b,1,true"),
        ({"collectionFormat": "csv"}, "?q=a%20b,1,true"),
        ({"collectionFormat": "ssv"}, "?q=a%20b%201%20true"),
        ({"collectionFormat": "tsv"}, "?q=a%20b%091%09true"),
        ({"collectionFormat": "pipes"}, "?q=a%20b|1|true"),
        ({"collectionFormat": "multi"}, "?q=a%20b&q=1&q=true"),
    ],
)
async def test_query_parameter_of_version_2(api: Api, declared: Any, query: str) -> None:
    api.describe(swagger([given("q", "query", **declared)]))
    assert await api.asked("op", {"q": LIST}) == ["GET", f"/v2/x{query}", ""]


@pytest.mark.parametrize(
    ("declared", "value", "path"),
    [
        ({}, "a/b", "a%2Fb"),
        ({}, LIST, "a%20b,1,true"),
        ({}, MAP, "r,1,g,x%20y"),
        ({"explode": True}, MAP, "r=1,g=x%20y"),
        ({"style": "label"}, LIST, ".a%20b,1,true"),
        ({"style": "label", "explode": True}, LIST, ".a%20b.1.true"),
        ({"style": "matrix"}, "a", ";p=a"),
        ({"style": "matrix"}, LIST, ";p=a%20b,1,true"),
        ({"style": "matrix", "explode": True}, LIST, ";p=a%20b;p=1;p=true"),
        ({"style": "matrix", "explode": True}, MAP, ";r=1;g=x%20y"),
        ({"content": {"application/json": {}}}, [1], "%5B1%5D"),
    ],
)
async def test_path_parameter(api: Api, declared: Any, value: Any, path: str) -> None:
    api.describe(openapi([given("p", "path", required=True, **declared)], path="/x/{p}/y"))
    assert await api.asked("op", {"p": value}) == ["GET", f"/v3/x/{path}/y", ""]


async def test_headers_and_cookies(api: Api) -> None:
    api.describe(openapi([given("X-List", "header"), given("c", "cookie"), given("d", "cookie", explode=False)]))
    await api.asked("op", {"X-List": ["a b", 1], "c": "x y", "d": [1, 2]})
    headers = api.server.asked[1].headers
    assert (headers["x-list"], headers["cookie"]) == ("a b,1", "c=x%20y; d=1,2")
    assert headers["idempotency-key"] == "key"


async def test_parameters_of_the_path_hold_for_its_operations_unless_they_are_replaced(api: Api) -> None:
    content = openapi([given("q", "query")])
    content["paths"]["/x"]["parameters"] = [given("q", "query", explode=False), given("r", "query")]
    api.describe(content)
    assert (await api.asked("op", {"q": [1, 2], "r": [3, 4]}))[1] == "/v3/x?q=1&q=2&r=3&r=4"


# -- bodies ------------------------------------------------------------------------------------------------------------

PET = {"name": "Milou", "tags": ["a", "b"]}
SCHEMA = {"type": "object", "properties": {"name": {}, "tags": {}}}


def body(schema: Any = SCHEMA, media_type: str = "application/json", **more: Any) -> dict[str, Any]:
    return openapi([], "post", requestBody={"content": {media_type: {"schema": schema}}, **more})


@pytest.mark.parametrize("parameters", [{"body": PET}, PET])
async def test_json_body_is_given_whole_or_by_its_properties(api: Api, parameters: dict[str, Any]) -> None:
    api.describe(body())
    method, target, text = await api.asked("op", parameters)
    assert (method, target, json.loads(text)) == ("POST", "/v3/x", PET)
    assert api.server.asked[1].headers["content-type"] == "application/json"


async def test_properties_are_found_through_references_and_parts(api: Api) -> None:
    content = body({"allOf": [{"$ref": "#/components/schemas/a~1b"}, {"properties": {"tags": {}}}]})
    content["components"] = {
        "schemas": {"a/b": {"$ref": "#/components/schemas/c%20d"}, "c d": {"properties": {"name": {}}}}
    }
    api.describe(content)
    assert json.loads((await api.asked("op", PET))[2]) == PET


async def test_text_is_json_where_json_is_asked_for(api: Api) -> None:
    api.describe(body({"type": "string"}))
    assert (await api.asked("op", {"body": "a text"}))[2] == '"a text"'


async def test_text_is_text_where_text_is_asked_for(api: Api) -> None:
    api.describe(body({"type": "string"}, "text/csv"))
    assert (await api.asked("op", {"body": "a,b"}))[2] == "a,b"
    assert api.server.asked[1].headers["content-type"] == "text/csv"


async def test_form_has_its_fields(api: Api) -> None:
    api.describe(body(media_type="application/x-www-form-urlencoded"))
    assert (await api.asked("op", PET))[2] == "name=Milou&tags=a&tags=b"


async def test_multipart_has_a_part_for_each_field(api: Api) -> None:
    api.describe(body(media_type="multipart/form-data"))
    text = (await api.asked("op", {"name": "Milou"}))[2]
    kind = api.server.asked[1].headers["content-type"]
    boundary = kind.partition("boundary=")[2]
    assert text == (f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\nMilou\r\n--{boundary}--\r\n')


async def test_json_is_preferred_to_other_types(api: Api) -> None:
    content = openapi(
        [], "put", requestBody={"content": {"application/xml": {}, "application/merge-patch+json": {"schema": SCHEMA}}}
    )
    api.describe(content)
    await api.asked("op", PET)
    assert api.server.asked[1].headers["content-type"] == "application/merge-patch+json"


@pytest.mark.parametrize("parameters", [{"pet": PET}, {"body": PET}, PET])
async def test_body_of_version_2(api: Api, parameters: dict[str, Any]) -> None:
    content = swagger([given("pet", "body", required=True, schema={"$ref": "#/definitions/Pet"})], "post")
    api.describe(content | {"definitions": {"Pet": SCHEMA}})
    method, target, text = await api.asked("op", parameters)
    assert (method, target, json.loads(text)) == ("POST", "/v2/x", PET)


@pytest.mark.parametrize(
    ("consumes", "kind"),
    [([], "application/x-www-form-urlencoded"), (["multipart/form-data"], "multipart/form-data; boundary=")],
)
async def test_form_of_version_2(api: Api, consumes: list[str], kind: str) -> None:
    api.describe(
        swagger([given("name", "formData", required=True), given("age", "formData")], "post", consumes=consumes)
    )
    assert "Milou" in (await api.asked("op", {"name": "Milou"}))[2]
    assert api.server.asked[1].headers["content-type"].startswith(kind)


async def test_body_that_is_not_needed_may_be_absent(api: Api) -> None:
    api.describe(body())
    assert (await api.asked("op"))[2] == ""
    api.clock.seconds = 1000
    api.describe(openapi([], "post", requestBody={"content": {}}))
    assert (await api.asked("op"))[2] == ""


# -- servers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("servers", "path"),
    [
        ([{"url": "/deep/"}], "/deep/x"),
        ([{"url": "rel"}], "/docs/rel/x"),
        ([{"url": "/{v}/{w}", "variables": {"v": {"default": "one"}, "w": {"default": 2}}}], "/one/2/x"),
        ([], "/x"),
    ],
)
async def test_server_of_version_3(api: Api, servers: list[Any], path: str) -> None:
    api.describe(openapi([]) | {"servers": servers})
    assert (await api.asked("op"))[1] == path


async def test_server_of_the_operation_counts_before_that_of_the_path(api: Api) -> None:
    content = openapi([])
    content["paths"]["/x"]["servers"] = [{"url": "/of-path"}]
    api.describe(content)
    assert (await api.asked("op"))[1] == "/of-path/x"
    content["paths"]["/x"]["get"]["servers"] = [{"url": "/of-operation"}]
    api.clock.seconds = 1000
    api.describe(content)
    assert (await api.asked("op"))[1] == "/of-operation/x"


async def test_server_variable_without_a_default_is_refused(api: Api) -> None:
    api.describe(openapi([]) | {"servers": [{"url": "/{v}"}]})
    assert "has no default for {v}" in await api.refused("op")


async def test_server_of_version_2_is_that_of_the_document_unless_it_says_another(api: Api) -> None:
    content = swagger([])
    del content["schemes"], content["basePath"]
    api.describe(content)
    assert (await api.asked("op"))[1] == "/x"
    api.clock.seconds = 1000
    api.describe(content | {"host": "elsewhere.invalid", "schemes": ["http", "https"]})
    outcome = await api.call("op")
    assert isinstance(outcome, Failed)
    assert "GET https://elsewhere.invalid/x" in (outcome.fault.detail or "")


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_unknown_operation_names_the_nearest(api: Api) -> None:
    api.describe(openapi([]))
    assert "there is no operation 'opp'; did you mean 'op'?" in await api.refused("opp")
    assert "there is no operation 'quite another'; it has op" in await api.refused("quite another")


@pytest.mark.parametrize(
    ("content", "parameters", "reason"),
    [
        (openapi([given("p", "query", required=True)]), {}, "needs the query parameter 'p'"),
        (openapi([given("p", "path")], path="/{p}"), {}, "needs the path parameter 'p'"),
        (openapi([given("status", "query")]), {"statsu": 1}, "no parameter 'statsu'; did you mean 'status'?"),
        (openapi([]), {"x": 1}, "no parameter 'x'; it has none"),
        (openapi([], path="/{p}"), {}, "the path '/{p}' of 'op' has a part that no parameter describes"),
        (body(required=True), {}, "needs a body: body, name, tags"),
        (body(), {"body": PET, "name": "x"}, "the body is given twice: as 'body' and by its property 'name'"),
        (swagger([given("pet", "body", required=True)], "post"), {}, "needs a body: pet, body"),
        (swagger([given("a", "formData", required=True)], "post"), {}, "needs the parameter 'a'"),
        (openapi([{"$ref": "other.yaml#/p"}]), {}, "leads out of the document"),
        (openapi([{"$ref": "#/nowhere"}]), {}, "'#/nowhere' leads nowhere"),
        (openapi([{"name": "x"}]), {}, "a parameter without `name` and `in`"),
        (openapi([{"$ref": "#/a"}]) | {"a": {"$ref": "#/a"}}, {}, "references lead in a circle"),
        (body({"$ref": "#/s"}) | {"s": {"allOf": [{"$ref": "#/s"}]}}, {}, "schemas lead in a circle"),
    ],
)
async def test_call_that_does_not_fit_is_never_sent(api: Api, content: Any, parameters: Any, reason: str) -> None:
    api.describe(content)
    assert reason in await api.refused("op", parameters)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: [", "it is neither JSON nor YAML: line 2, column 1"),
        ("[1]", "it has neither `openapi` nor `swagger`"),
        ("{}", "it has neither `openapi` nor `swagger`"),
        ("openapi: 4.0.0", "it is written for version 4.0.0; 2.0, 3.0 and 3.1 are known"),
    ],
)
async def test_text_that_is_no_document_is_refused(api: Api, content: str, reason: str) -> None:
    api.describe(content)
    assert reason in await api.refused("op")


async def test_document_that_is_not_there(api: Api) -> None:
    api.server.replies["/docs/api"] = loopback.Reply(404)
    outcome = await api.call("op")
    assert isinstance(outcome, Failed)
    assert (outcome.fault.type, outcome.fault.status) == (fault.COMMUNICATION, 404)
    assert re.search(r"GET http://127.0.0.1:\d+/docs/api answered 404", outcome.fault.detail or "")


# -- documents and results ---------------------------------------------------------------------------------------------


async def test_document_in_yaml_at_the_end_of_a_redirection(api: Api) -> None:
    text = "openapi: 3.0.3\npaths:\n  /x:\n    get: {operationId: op, parameters: [{$ref: '#/p'}]}\np: {name: q, in: query}\n"
    api.server.replies["/real"] = loopback.Reply(200, text.encode())
    api.server.replies["/docs/api"] = loopback.Reply(302, b"", {"Location": "/real"})
    assert await api.asked("op", {"q": 1}) == ["GET", "/x?q=1", ""]


async def test_document_is_fetched_once_in_a_few_minutes_and_once_per_authentication(api: Api) -> None:
    api.describe(openapi([]))
    login = Credentials(scheme="basic", properties={"username": "jo", "password": "pw"})
    for seconds in (0, 299, 300):
        api.clock.seconds = seconds
        await api.asked("op")
    await api.asked("op", document_credentials=login, credentials=Credentials(scheme="bearer", properties="t"))
    asked = [(asked.target, asked.headers.get("authorization")) for asked in api.server.asked]
    assert asked == [
        ("/docs/api", None), ("/v3/x", None), ("/v3/x", None), ("/docs/api", None), ("/v3/x", None),
        ("/docs/api", "Basic am86cHc="), ("/v3/x", "Bearer t"),
    ]  # fmt: skip


async def test_kept_documents_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.effects.openapi.documents._KEPT", 1)
    api.describe(openapi([]))
    login = Credentials(scheme="bearer", properties="t")
    for credentials in (None, login, None):
        await api.asked("op", document_credentials=credentials)
    assert [asked.target for asked in api.server.asked].count("/docs/api") == 3


@pytest.mark.parametrize(("redirect", "is_result"), [(False, False), (True, True)])
async def test_result_is_told_as_for_http(api: Api, redirect: bool, is_result: bool) -> None:
    api.describe(openapi([]))
    api.server.otherwise = loopback.Reply(302, b"moved", {"Content-Type": "text/plain"})
    outcome = await api.call("op", redirect=redirect, output_format="response")
    assert isinstance(outcome, Done) is is_result
    if isinstance(outcome, Done):
        assert (outcome.value["statusCode"], outcome.value["content"]) == (302, "moved")


def test_target_is_written_and_read_whole() -> None:
    target = OpenApiTarget(document="http://x", operation="o", credentials=Credentials(scheme="bearer", properties="t"))
    assert msgspec.json.decode(msgspec.json.encode(target), type=OpenApiTarget) == target
