"""Signing in to the dashboard, and who is led there."""

from __future__ import annotations

import httpx
import pytest

from interlock.model.access import Role
from server.site import Site


def browser(site: Site) -> httpx.AsyncClient:
    """A browser of somebody: keeps cookies, follows nothing by itself."""
    return httpx.AsyncClient(base_url=site.url, headers={"origin": site.url})


async def test_page_leads_to_the_sign_in_and_back(site: Site) -> None:
    await site.with_keys()
    async with browser(site) as http:
        first = await http.get("/ui/runs?status=faulted")
        assert (first.status_code, first.headers["location"]) == (
            303,
            "/ui/sign-in?next=%2Fui%2Fruns%3Fstatus%3Dfaulted",
        )
        form = {"key": site.keys[Role.VIEWER], "next": "/ui/runs?status=faulted"}
        signed = await http.post("/ui/sign-in", data=form)
        assert (signed.status_code, signed.headers["location"]) == (303, "/ui/runs?status=faulted")
        cookie = signed.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert (await http.get("/ui/runs")).status_code == 200
        await http.post("/ui/sign-out")
        assert (await http.get("/ui/runs")).status_code == 303


async def test_wrong_key_signs_nobody_in_and_is_not_repeated(site: Site) -> None:
    await site.with_keys()
    async with browser(site) as http:
        answer = await http.post("/ui/sign-in", data={"key": "ilk_guess<script>"})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "guess" not in answer.text


async def test_link_of_the_server_signs_in_once(site: Site) -> None:
    await site.with_keys()
    code = site.sessions.link()
    async with browser(site) as one, browser(site) as two:
        assert (await one.get(f"/ui/sign-in?code={code}")).headers["location"] == "/ui/runs"
        assert (await one.get("/ui/runs")).status_code == 200
        assert "was used before" in (await two.get(f"/ui/sign-in?code={code}")).text
        assert (await two.get("/ui/runs")).status_code == 303


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/ui/../../x//evil",
        "javascript:alert(1)",
        "/ui/\r\nx: y",
        "",
    ],
)
async def test_sign_in_leads_to_pages_of_ours_only(site: Site, place: str) -> None:
    await site.with_keys()
    async with browser(site) as http:
        signed = await http.post("/ui/sign-in", data={"key": site.keys[Role.ADMIN], "next": place})

    assert signed.headers["location"] == "/ui/runs"


async def test_page_of_another_place_signs_nobody_in_or_out(site: Site) -> None:
    await site.with_keys()
    async with httpx.AsyncClient(base_url=site.url, headers={"origin": "https://evil.example"}) as http:
        assert (await http.post("/ui/sign-in", data={"key": site.keys[Role.ADMIN]})).status_code == 403
        assert (await http.post("/ui/sign-out")).status_code == 403


async def test_who_is_nobody_in_particular_sees_pages_and_proves_changes(site: Site) -> None:
    async with browser(site) as http:
        assert (await http.get("/", follow_redirects=True)).status_code == 200
        async with site.client() as client:
            await client.start(
                document="document: {dsl: 1.0.3, namespace: shop, name: w, version: 1.0.0}\ndo: [{a: {wait: {hours: 1}}}]\n",
                id="w1",
            )
        refused = await http.post("/ui/runs/shop/w1/cancel", data={"csrf": "guessed"})
        assert refused.status_code == 403
        done = await http.post("/ui/runs/shop/w1/cancel", data={"csrf": site.sessions.csrf(None)})
        assert done.status_code == 303
