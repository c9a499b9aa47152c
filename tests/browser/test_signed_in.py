"""The dashboard of a whole server, from signing in to who the audit log says it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from browser import samples
from interlock.model.access import Role
from interlock.model.states import RunStatus
from server import site as sites

pytestmark = pytest.mark.browser


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[sites.Site]:
    async with sites.opened(tmp_path) as site:
        yield site


async def test_link_of_the_server_signs_in_once(site: sites.Site, browser: Browser) -> None:
    await site.with_keys()
    code = site.sessions.link()
    page = await browser.new_page(base_url=site.url)
    await page.goto(f"/ui/sign-in?code={code}")
    await expect(page).to_have_url(f"{site.url}/ui/runs")
    await expect(page.locator(".who")).to_have_text("local")
    other = await browser.new_page(base_url=site.url)
    await other.goto(f"/ui/sign-in?code={code}")
    await expect(other.get_by_role("alert")).to_contain_text("was used before")


async def test_operator_signs_in_by_a_key_acts_and_is_named_in_the_audit_log(
    site: sites.Site, browser: Browser
) -> None:
    keys = await site.with_keys()
    await samples.start(site.session, samples.SLEEPER, "s")
    await samples.settled(site.session, "s", RunStatus.WAITING, namespace="bank")
    page = await browser.new_page(base_url=site.url)
    await page.goto("/ui/runs/bank/s")
    await page.set_viewport_size({"width": 400, "height": 800})
    assert await page.locator("html").evaluate("html => html.scrollWidth") <= 400
    await page.get_by_label("API key").fill("ilk_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("unknown, revoked or expired")
    await page.get_by_label("API key").fill(keys[Role.OPERATOR])
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{site.url}/ui/runs/bank/s")
    await expect(page.locator("#link")).to_have_attribute("data-state", "on")
    await page.get_by_text("Cancel", exact=True).click()
    await page.get_by_role("button", name="Cancel the run s").click()
    await expect(page.locator("#part-head .badge")).to_contain_text("cancelled")
    async with site.session.store.transaction() as joined:
        rows = await joined.rows("SELECT actor FROM audit WHERE action = 'cancel'")
    assert [actor for (actor,) in rows] == ["key:the-operator"]
    await page.get_by_role("button", name="Sign out").click()
    await page.goto("/ui/runs")
    await expect(page).to_have_url(f"{site.url}/ui/sign-in?next=%2Fui%2Fruns")


async def test_viewer_finds_no_buttons(site: sites.Site, browser: Browser) -> None:
    keys = await site.with_keys(namespaces=("bank",))
    await samples.start(site.session, samples.SLEEPER, "s")
    await samples.start(site.session, samples.order(), "o")
    page = await browser.new_page(base_url=site.url)
    await page.goto("/ui/sign-in")
    await page.get_by_label("API key").fill(keys[Role.VIEWER])
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.get_by_role("link", name="s", exact=True).click()
    await expect(page.locator("h1")).to_contain_text("settle")
    await expect(page.locator("#part-actions summary")).to_have_count(0)


async def test_page_is_told_nothing_after_its_key_was_revoked(site: sites.Site, browser: Browser) -> None:
    keys = await site.with_keys()
    await samples.start(site.session, samples.SLEEPER, "s")
    await samples.settled(site.session, "s", RunStatus.WAITING, namespace="bank")
    page = await browser.new_page(base_url=site.url)
    await page.goto("/ui/sign-in?next=/ui/runs/bank/s")
    await page.get_by_label("API key").fill(keys[Role.VIEWER])
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#link")).to_have_attribute("data-state", "on")
    await site.access.keys().revoke("the-viewer")
    await site.session.suspend(await site.session.find("bank", "s"))
    await expect(page.locator("#link")).to_have_attribute("data-state", "off")
    await samples.settled(site.session, "s", RunStatus.SUSPENDED, namespace="bank")
    await expect(page.locator("#part-head .badge")).to_contain_text("waiting")
    await page.reload()
    await expect(page.get_by_label("API key")).to_be_visible()
