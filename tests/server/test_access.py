"""Who may do what over HTTP: every route against every role, keys that end, sessions, and pages of other places."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.responses import Response

from interlock import config, errors
from interlock.app.keys import Keys
from interlock.model.access import RIGHTS, Principal, Right, Role
from interlock.server.access import chosen, is_loopback, listed
from interlock.server.application import ROUTERS
from interlock.server.sessions import COOKIE, CSRF_HEADER, LOCAL
from server import site as sites
from server.site import Site

NEEDS: Final[dict[tuple[str, str], Right | None]] = {
    ("POST", "/api/v1/runs"): Right.OPERATE,
    ("POST", "/api/v1/runs/bulk"): Right.OPERATE,
    ("GET", "/api/v1/runs"): Right.READ,
    ("GET", "/api/v1/runs/{run}"): Right.READ,
    ("GET", "/api/v1/runs/{run}/result"): Right.READ,
    ("POST", "/api/v1/runs/{run}/cancel"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/suspend"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/resume"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/retry"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/fork"): Right.OPERATE,
    ("GET", "/api/v1/runs/{run}/history"): Right.READ,
    ("GET", "/api/v1/runs/{run}/stream"): Right.READ,
    ("GET", "/api/v1/runs/{run}/commits"): Right.READ,
    ("GET", "/api/v1/runs/{run}/commits/stream"): Right.READ,
    ("GET", "/api/v1/runs/{run}/definition"): Right.READ,
    ("GET", "/api/v1/stranded"): Right.READ,
    ("GET", "/api/v1/runs/{run}/logs"): Right.READ,
    ("GET", "/api/v1/runs/{run}/logs/stream"): Right.READ,
    ("GET", "/api/v1/runs/{run}/artifacts"): Right.READ,
    ("GET", "/api/v1/runs/{run}/artifacts/{name}"): Right.READ,
    ("GET", "/api/v1/runs/{run}/tasks"): Right.READ,
    ("GET", "/api/v1/runs/{run}/tokens"): Right.READ,
    ("POST", "/api/v1/runs/{run}/tokens/complete"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/tokens/fail"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/tokens/heartbeat"): Right.OPERATE,
    ("POST", "/api/v1/runs/{run}/tokens/progress"): Right.OPERATE,
    ("GET", "/api/v1/runs/{run}/tokens/standing"): Right.READ,
    ("POST", "/api/v1/locks/release-all"): Right.OPERATE,
    ("POST", "/api/v1/locks/clear"): Right.OPERATE,
    ("GET", "/api/v1/worker-events"): Right.READ,
    ("GET", "/api/v1/deliveries"): Right.READ,
    ("GET", "/api/v1/deliveries/{delivery}"): Right.READ,
    ("POST", "/api/v1/deliveries/{delivery}/retry"): Right.OPERATE,
    ("POST", "/api/v1/definitions"): Right.PUBLISH,
    ("GET", "/api/v1/definitions"): Right.READ,
    ("POST", "/api/v1/definitions/validate"): Right.READ,
    ("GET", "/api/v1/definitions/{namespace}/{name}"): Right.READ,
    ("GET", "/api/v1/definitions/{namespace}/{name}/{version}"): Right.READ,
    ("POST", "/api/v1/events"): Right.OPERATE,
    ("GET", "/api/v1/events"): Right.READ,
    ("GET", "/api/v1/locks"): Right.READ,
    ("GET", "/api/v1/locks/standing"): Right.READ,
    ("POST", "/api/v1/locks/acquire"): Right.OPERATE,
    ("POST", "/api/v1/locks/renew"): Right.OPERATE,
    ("POST", "/api/v1/locks/release"): Right.OPERATE,
    ("GET", "/api/v1/memory/{space}"): Right.READ,
    ("GET", "/api/v1/memory/{space}/value"): Right.READ,
    ("PUT", "/api/v1/memory/{space}/value"): Right.OPERATE,
    ("DELETE", "/api/v1/memory/{space}/value"): Right.OPERATE,
    ("GET", "/api/v1/memory/{space}/watch"): Right.READ,
    ("GET", "/api/v1/workers"): Right.READ,
    ("GET", "/api/v1/workers/{worker}"): Right.READ,
    ("POST", "/api/v1/workers/{worker}/drain"): Right.ADMINISTER,
    ("POST", "/api/v1/workers/{worker}/undrain"): Right.ADMINISTER,
    ("GET", "/api/v1/nodes"): Right.READ,
    ("POST", "/api/v1/nodes/{node}/drain"): Right.ADMINISTER,
    ("POST", "/api/v1/graphs"): Right.PUBLISH,
    ("GET", "/api/v1/graphs"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}"): Right.READ,
    ("POST", "/api/v1/graphs/{graph}/cancel"): Right.OPERATE,
    ("GET", "/api/v1/graphs/{graph}/document"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}/tasks"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}/tasks/{task}"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}/tasks/{task}/artifacts"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}/tasks/{task}/artifacts/{name}"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}/tasks/{task}/explanation"): Right.READ,
    ("GET", "/api/v1/graphs/{graph}/tasks/{task}/logs"): Right.READ,
    ("POST", "/api/v1/graphs/{graph}/tasks/{task}/retry"): Right.OPERATE,
    ("POST", "/api/v1/graphs/{graph}/tasks/{task}/cancel"): Right.OPERATE,
    ("POST", "/api/v1/graphs/{graph}/tasks/{task}/reprioritise"): Right.OPERATE,
    ("GET", "/api/v1/tasks/{task}"): Right.READ,
    ("GET", "/api/v1/pools"): Right.READ,
    ("GET", "/api/v1/runs/{run}/explanation"): Right.READ,
    ("POST", "/api/v1/pools/policy"): Right.ADMINISTER,
    ("POST", "/api/v1/pools/{pool}/enable"): Right.ADMINISTER,
    ("POST", "/api/v1/pools/{pool}/disable"): Right.ADMINISTER,
    ("POST", "/api/v1/pools/{pool}/drain"): Right.ADMINISTER,
    ("GET", "/api/v1/me"): Right.READ,
    ("GET", "/api/v1/keys"): Right.ADMINISTER,
    ("POST", "/api/v1/keys"): Right.ADMINISTER,
    ("POST", "/api/v1/keys/{key}/revoke"): Right.ADMINISTER,
    ("GET", "/api/v1/audit"): Right.ADMINISTER,
    ("GET", "/cluster/health"): Right.READ,
    ("GET", "/metrics"): Right.READ,
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
}
"""The right that each route asks for; None: no key at all."""

BY_TOKEN: Final = "/api/v1/tokens/{token}"
"""Routes below this ask for no key: the token in the path is the right."""

QUERIES: Final = {
    "/api/v1/runs/{run}/tokens/complete": {"step": "s"},
    "/api/v1/runs/{run}/tokens/fail": {"step": "s"},
    "/api/v1/runs/{run}/tokens/heartbeat": {"step": "s"},
    "/api/v1/runs/{run}/tokens/progress": {"step": "s"},
    "/api/v1/runs/{run}/tokens/standing": {"step": "s"},
    "/api/v1/runs/{run}/explanation": {"step": "hold"},
    "/api/v1/locks/release-all": {"holder": "h"},
    "/api/v1/locks/standing": {"name": "l"},
    "/api/v1/locks/acquire": {"name": "l"},
    "/api/v1/locks/renew": {"name": "l"},
    "/api/v1/locks/release": {"name": "l"},
    "/api/v1/memory/{space}/value": {"key": "k"},
    "/api/v1/memory/{space}/watch": {"pattern": "k"},
}
BODIES: Final = {
    "/api/v1/runs/{run}/tokens/fail": {"message": "m"},
    "/api/v1/runs/{run}/tokens/progress": {"fraction": 0.5},
    "/api/v1/runs": {"workflow": "shop/waiting"},
    "/api/v1/runs/bulk": {"workflow": "shop/waiting", "runs": [{}]},
    "/api/v1/runs/{run}/fork": {"step": "hold"},
    "/api/v1/definitions": {"document": sites.ORDER},
    "/api/v1/definitions/validate": {"document": sites.ORDER},
    "/api/v1/events": {"type": "go"},
    "/api/v1/locks/acquire": {"holder": "h"},
    "/api/v1/locks/renew": {"holder": "h", "fence": 1},
    "/api/v1/locks/release": {"holder": "h", "fence": 1},
    "/api/v1/memory/{space}/value": {"value": 1},
    "/api/v1/keys": {"name": "n", "role": "viewer"},
    "/api/v1/graphs": {"document": {"graph": "g", "namespace": "shop", "tasks": [{"id": "a", "run": ["true"]}]}},
    "/api/v1/graphs/{graph}/tasks/{task}/reprioritise": {"priority": 1},
    "/api/v1/pools/policy": {"policy": "fifo"},
}


def routes() -> list[tuple[str, str]]:
    return sorted(
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    )


def test_every_route_is_in_the_table() -> None:
    """A route that is added has to say here which right it asks for."""
    assert [each for each in routes() if not each[1].startswith(BY_TOKEN)] == sorted(NEEDS)


async def asked(http: httpx.AsyncClient, method: str, path: str, namespace: str) -> int:
    """Send a request that would do something, and give the status of the answer; streams are left after their head."""
    place = path.format(
        run="w1",
        namespace=namespace or "shop",
        name="order",
        version="1.0.0",
        space="global",
        worker="w",
        node="n",
        key="nobody",
        delivery="d",
        graph="g",
        task="a",
        pool="p",
    )
    query = dict(QUERIES.get(path, {})) | ({"namespace": namespace} if namespace and "{namespace}" not in path else {})
    body = BODIES.get(path) if method in ("POST", "PUT") else None
    async with http.stream(method, place, params=query, json=body) as answer:
        return answer.status_code


async def test_every_role_may_what_it_has_a_right_to_and_no_more(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.WAITING)
        await client.publish(sites.ORDER)
        await client.start("shop/waiting", id="w1")
    await site.with_keys()
    wrong = []
    for role in (None, *Role):
        async with site.http(role) as http:
            for (method, path), right in NEEDS.items():
                status = await asked(http, method, path, "")
                if right is None:
                    fits = status == 200
                elif role is None:
                    fits = status == 401
                elif right in RIGHTS[role]:
                    fits = status < 500 and status not in (401, 403, 422)
                else:
                    fits = status == 403
                if not fits:
                    wrong.append((role, method, path, status))

    assert wrong == []


async def test_key_of_one_namespace_opens_no_other(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.WAITING)
        await client.publish(sites.ORDER)
        await client.start("shop/waiting", id="w1")
    await site.with_keys(namespaces=("other",))
    async with site.http(Role.ADMIN) as http:
        for (method, path), right in NEEDS.items():
            if right is None or path in ("/api/v1/me", "/api/v1/definitions/validate"):
                continue
            assert await asked(http, method, path, "shop") == 403, (method, path)
        assert (await http.get("/api/v1/runs/w1")).status_code == 404
        assert (await http.get("/api/v1/runs")).json()["items"] == []
        assert (await http.put("/api/v1/memory/global/value?key=k", json={"value": 1})).status_code == 200


async def test_revoked_and_expired_keys_open_nothing(site: Site) -> None:
    keys = Keys(site.session.store, site.session.clock)
    await site.with_keys()
    row, text = await keys.create("short", Role.ADMIN)
    async with httpx.AsyncClient(base_url=site.url, headers={"Authorization": f"Bearer {text}"}) as http:
        await keys.revoke(row.id)
        answer = await http.get("/api/v1/me")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer", "Basic eDp5", "bearer ilk_x", "Bearer " + "x" * 5000])
async def test_header_that_is_no_key_is_refused(site: Site, header: str) -> None:
    """A header that somebody sends counts, also where nobody would have to send one."""
    async with site.http(authorization=header) as http:
        assert (await http.get("/api/v1/me")).status_code in (401, 431)


# -- pages of other places -------------------------------------------------------------------------------------------


async def test_name_that_was_made_to_lead_here_is_refused(site: Site) -> None:
    """DNS rebinding: a page of evil.example whose name suddenly means 127.0.0.1 must not reach a server without keys."""
    async with site.http(host="evil.example") as http:
        answer = await http.get("/api/v1/runs")
        assert answer.status_code == 421
        assert (await http.get("/health")).status_code == 200


async def test_change_by_a_page_of_another_place_is_refused(site: Site) -> None:
    async with site.http(origin="https://evil.example") as http:
        assert (await http.post("/api/v1/events", json={"type": "x"})).status_code == 403
        assert (await http.get("/api/v1/runs")).status_code == 200
    async with site.http(origin=site.url) as http:
        assert (await http.post("/api/v1/events", json={"type": "x"})).status_code == 202


def signed_in(site: Site, key: str) -> dict[str, str]:
    response = Response()
    site.sessions.sign_in(response, key)
    return {COOKIE: response.headers["set-cookie"].partition("=")[2].partition(";")[0]}


async def test_session_changes_something_only_with_the_proof_of_its_page(site: Site) -> None:
    await site.with_keys()
    cookies = signed_in(site, LOCAL)
    async with httpx.AsyncClient(base_url=site.url, cookies=cookies) as http:
        assert (await http.get("/api/v1/me")).json()["name"] == "local"
        assert (await http.post("/api/v1/events", json={"type": "x"})).status_code == 403
        assert (
            await http.post("/api/v1/events", json={"type": "x"}, headers={CSRF_HEADER: "wrong"})
        ).status_code == 403
        request = httpx.Request("GET", site.url, headers={"cookie": f"{COOKIE}={cookies[COOKIE]}"})
        session = site.sessions.found(_Request(request))  # type: ignore[arg-type]  # it reads the cookies only
        assert session is not None
        proof = {CSRF_HEADER: site.sessions.csrf(session)}
        assert (await http.post("/api/v1/events", json={"type": "x"}, headers=proof)).status_code == 202
        stranger = proof | {"origin": "https://evil.example"}
        assert (await http.post("/api/v1/events", json={"type": "x"}, headers=stranger)).status_code == 403


class _Request:
    def __init__(self, request: httpx.Request) -> None:
        name, _, value = request.headers["cookie"].partition("=")
        self.cookies = {name: value}


async def test_session_ends_with_its_key_and_cannot_be_changed(site: Site) -> None:
    keys = Keys(site.session.store, site.session.clock)
    await site.with_keys()
    row, _ = await keys.create("person", Role.VIEWER)
    cookies = signed_in(site, row.id)
    async with httpx.AsyncClient(base_url=site.url, cookies=cookies) as http:
        assert (await http.get("/api/v1/me")).json() == {"name": "person", "role": "viewer", "namespaces": None}
    await keys.revoke(row.id)
    body, _, mac = cookies[COOKIE].rpartition(".")
    for cookie in (f"{body[:-4]}AAAA.{mac}", f"{body}.{mac[:-1]}{'1' if mac[-1] == '0' else '0'}", body, "x" * 3000):
        async with httpx.AsyncClient(base_url=site.url, cookies={COOKIE: cookie}) as http:
            assert (await http.get("/api/v1/me")).status_code == 401


async def test_sign_in_code_works_once(site: Site) -> None:
    code = site.sessions.link()

    assert site.sessions.redeem(code)
    assert not site.sessions.redeem(code)
    assert not site.sessions.redeem("x")


# -- bounds ----------------------------------------------------------------------------------------------------------


async def test_more_requests_than_a_key_may_send_are_told_when_to_come_again(tmp_path: Path) -> None:
    async with sites.opened(tmp_path, server=sites.with_rate(1)) as site, site.http() as http:
        answers = [await http.get("/api/v1/me") for _ in range(5)]
        refused = [answer for answer in answers if answer.status_code == 429]

        assert answers[0].status_code == 200
        assert refused
        assert int(refused[0].headers["retry-after"]) >= 1
        assert (await http.get("/health")).status_code == 200


async def test_server_beyond_loopback_is_closed_without_a_key(tmp_path: Path) -> None:
    async with sites.opened(tmp_path, may_be_open=False) as site, site.http() as http:
        assert (await http.get("/api/v1/me")).status_code == 401
        assert (await http.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False), ("[::]", False),
     ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_loopback_is_known(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_namespace_of_a_request() -> None:
    everything = Principal("a", Role.ADMIN, None)
    one, two = Principal("b", Role.VIEWER, ("shop",)), Principal("c", Role.VIEWER, ("shop", "bank"))

    assert [chosen(each, None) for each in (everything, one, two)] == ["default", "shop", "default"]
    assert [chosen(each, "x") for each in (everything, one, two)] == ["x", "x", "x"]
    assert [listed(each, None) for each in (everything, one, two)] == [None, "shop", "default"]


def test_settings_of_the_server_are_checked() -> None:
    def problem(**flags: object) -> str:
        with pytest.raises(errors.InvalidSettings) as caught:
            config.load({f"server.{name}": value for name, value in flags.items()}, {}, Path("/"), Path("/"))
        return str(caught.value)

    assert "HOST:PORT" in problem(listen="7070")
    assert "HOST:PORT" in problem(listen="1.2.3.4:99999")
    assert "https://interlock.example" in problem(public_url="interlock.example")
