"""The dashboard in Chromium: it is live, it can be used, it fits, everybody can read it, and nothing complains."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, expect

import required
from browser import samples
from browser.board import Board, served
from interlock.model.states import RunStatus
from interlock.server.dashboard.pages import runs

pytestmark = pytest.mark.browser

SERIOUS: Final = ("serious", "critical")
NARROW: Final = {"width": 400, "height": 800}


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with served(tmp_path) as board:
        yield board


@contextlib.asynccontextmanager
async def looking(browser: Browser, board: Board, path: str, **options: Any) -> AsyncIterator[Page]:
    """Open a page that is live, and fail at the end for whatever it complained of."""
    context = await browser.new_context(base_url=board.url, **options)
    page = await context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
    await page.goto(path)
    if options.get("java_script_enabled", True):
        await page.locator("#link[data-state=on]").wait_for()
    yield page
    await page.goto("about:blank")  # what leaving a page interrupts, such as its stream, is no failure
    await context.close()
    assert [each for each in complaints if "ERR_ABORTED" not in each] == []


async def waiting(board: Board, id: str = "s") -> str:
    """Start a run that waits; give the address of its page."""
    await samples.start(board.session, samples.SLEEPER, id)
    await samples.settled(board.session, id, RunStatus.WAITING, namespace="bank")
    return f"/ui/runs/bank/{id}"


# -- it is live ------------------------------------------------------------------------------------------------------


async def test_list_shows_new_runs_and_changes_rows_in_place(board: Board, browser: Browser) -> None:
    await waiting(board, "first")
    async with looking(browser, board, "/ui/runs") as page:
        await waiting(board, "second")
        rows = page.locator("#rows tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("second")
        await board.session.cancel(await board.session.find("bank", "first"), None)
        await expect(rows.nth(1)).to_contain_text("cancelled")
        await rows.nth(1).get_by_role("link", name="first").hover()
        await waiting(board, "third")
        await expect(page.locator("#news")).to_have_text("1 new run")
        await expect(rows).to_have_count(2)
        await page.mouse.move(1, 1)
        await expect(rows.first).to_contain_text("third")


async def test_empty_list_fills_itself(board: Board, browser: Browser) -> None:
    async with looking(browser, board, "/ui/runs") as page:
        await expect(page.locator(".empty")).to_contain_text("interlock run FILE")
        await waiting(board)
        await expect(page.locator("#rows tr")).to_have_count(1)


async def test_run_page_follows_the_run_to_its_end(board: Board, browser: Browser) -> None:
    await samples.start(board.session, samples.order("{seconds: 1}"), "o")
    async with looking(browser, board, "/ui/runs/shop/o") as page:
        await expect(page.locator("#part-head .badge")).to_contain_text("completed")
        await expect(page.get_by_role("link", name="ship: completed")).to_be_visible()
        await expect(page.locator(".log")).to_contain_text("credit of ann is fine")
        await expect(page.locator(".history")).to_contain_text("workflow.completed")
        await expect(page.locator("#part-actions summary")).to_have_count(0)
        assert "completed" in (await page.locator("#icon").get_attribute("href") or "")
        assert "completed: order o" in await page.title()
        assert await page.locator(".piece").count() == 2, "each piece of the log once"


async def test_page_goes_on_when_the_server_was_away(board: Board, browser: Browser) -> None:
    path = await waiting(board)
    async with looking(browser, board, path) as page:
        board.gateway.closing.set()
        await expect(page.locator("#link")).to_have_attribute("data-state", "off")
        board.gateway.closing.clear()
        await expect(page.locator("#link")).to_have_attribute("data-state", "on")
        await board.session.suspend(await board.session.find("bank", "s"))
        await expect(page.locator("#part-head .badge")).to_contain_text("suspended")


async def test_list_catches_up_with_what_happened_while_the_server_was_away(board: Board, browser: Browser) -> None:
    await waiting(board)
    async with looking(browser, board, "/ui/runs?status=waiting") as page:
        board.gateway.closing.set()
        await expect(page.locator("#link")).to_have_attribute("data-state", "off")
        await board.session.cancel(await board.session.find("bank", "s"), None)
        await samples.settled(board.session, "s", RunStatus.CANCELLED, namespace="bank")
        board.gateway.closing.clear()
        await expect(page.locator("#rows tr")).to_have_count(0)


# -- it can be used --------------------------------------------------------------------------------------------------


async def test_run_is_suspended_resumed_and_cancelled_with_what_that_does_said_first(
    board: Board, browser: Browser
) -> None:
    async with looking(browser, board, await waiting(board)) as page:
        state = page.locator("#part-head .badge")
        await page.get_by_text("Suspend", exact=True).click()
        await expect(page.locator(".confirm:visible")).to_contain_text("nothing new starts")
        await page.get_by_role("button", name="Suspend the run s").click()
        await expect(state).to_contain_text("suspended")
        await page.get_by_text("Resume", exact=True).click()
        await page.get_by_role("button", name="Resume the run s").click()
        await expect(state).to_contain_text("waiting")
        await page.get_by_text("Cancel", exact=True).click()
        await page.get_by_label("Reason").fill("no <b>more</b>")
        await page.get_by_role("button", name="Cancel the run s").click()
        await expect(state).to_contain_text("cancelled")
        await expect(page.locator(".history")).to_contain_text("no <b>more</b>")


async def test_form_is_not_replaced_under_the_hands_of_somebody(board: Board, browser: Browser) -> None:
    async with looking(browser, board, await waiting(board)) as page:
        await page.get_by_text("Cancel", exact=True).click()
        await page.get_by_label("Reason").fill("half a sen")
        await board.session.suspend(await board.session.find("bank", "s"))
        await expect(page.locator("#part-head .badge")).to_contain_text("suspended")
        await expect(page.get_by_label("Reason")).to_have_value("half a sen")
        await page.keyboard.press("Escape")
        await expect(page.get_by_text("Resume", exact=True)).to_be_visible()


async def test_step_is_selected_with_the_keyboard_and_has_an_address(board: Board, browser: Browser) -> None:
    await samples.start(board.session, samples.order(), "o")
    await samples.settled(board.session, "o", RunStatus.COMPLETED)
    async with looking(browser, board, "/ui/runs/shop/o") as page:
        await page.get_by_role("link", name="stock: completed").focus()
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile(r"step=/do/2/check/fork/branches/1/stock"))
        await expect(page.locator("#part-side")).to_contain_text('"stock": 12')
        await page.reload()
        await expect(page.locator("#part-side h2")).to_have_text("Step stock")


async def test_filters_lead_to_addresses(board: Board, browser: Browser) -> None:
    await samples.make(board.session)
    async with looking(browser, board, "/ui/runs") as page:
        await page.get_by_role("link", name="faulted", exact=True).click()
        await expect(page.locator("#rows tr")).to_have_count(2)
        await page.get_by_label("Workflow").fill("refund")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator("#rows tr")).to_have_count(1)
        await expect(page).to_have_url(re.compile(r"status=faulted.*workflow=refund"))


async def test_theme_is_that_of_the_system_until_it_is_chosen_and_stays(board: Board, browser: Browser) -> None:
    async with looking(browser, board, "/ui/runs", color_scheme="dark") as page:
        dark = await _paper(page)
        await page.get_by_role("button", name="Theme").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        light = await _paper(page)
        assert dark != light
        await page.reload()
        assert await _paper(page) == light


async def _paper(page: Page) -> str:
    found: str = await page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    return found


# -- everybody can read it -------------------------------------------------------------------------------------------


PATHS: Final = (
    "/ui/runs", "/ui/runs?status=pending", "/ui/runs/shop/order-1008?step=/do/2/check", "/ui/runs/shop/refund-31",
    "/ui/runs/shop/restock-5",
)  # fmt: skip


async def test_pages_fit_a_telephone(board: Board, browser: Browser) -> None:
    await samples.make(board.session)
    for path in (*PATHS, await _harmful(board)):
        async with looking(browser, board, path, viewport=NARROW) as page:
            width = await page.locator("html").evaluate("html => html.scrollWidth")
            assert width <= NARROW["width"], path


async def _harmful(board: Board) -> str:
    rows = await board.session.store.views.runs("shop", [], "harm", None, 1)
    return runs.href("shop", rows[0].id)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(board: Board, browser: Browser, scheme: str) -> None:
    package = importlib.util.find_spec("axe_playwright_python")
    if required.may_skip("axe", package is not None):
        pytest.skip("axe-playwright-python is not installed")
    assert package is not None
    assert package.origin is not None
    axe = (Path(package.origin).parent / "axe.min.js").read_text("utf-8")
    await samples.make(board.session)
    for path in PATHS:
        async with looking(browser, board, path, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True) as page:
            await page.add_script_tag(content=axe)
            found = await page.evaluate("axe.run()")
            serious = [each for each in found["violations"] if each["impact"] in SERIOUS]
            told = [(each["id"], [node["html"][:160] for node in each["nodes"]][:3]) for each in serious]
            assert not told, f"{path}: {json.dumps(told, indent=1)}"


async def test_pages_can_be_read_and_used_without_a_script(board: Board, browser: Browser) -> None:
    path = await waiting(board)
    async with looking(browser, board, "/ui/runs", java_script_enabled=False) as page:
        await page.get_by_role("link", name="s", exact=True).click()
        await expect(page.locator("#part-head .badge")).to_contain_text("waiting")
        await expect(page.locator(".copy:visible, #theme:visible")).to_have_count(0)
        await page.get_by_text("Cancel", exact=True).click()
        await page.get_by_role("button", name="Cancel the run s").click()
        await expect(page).to_have_url(re.compile("done=cancel"))
        await samples.settled(board.session, "s", RunStatus.CANCELLED, namespace="bank")
        await page.goto(path)
        await expect(page.locator("#part-head .badge")).to_contain_text("cancelled")


async def test_names_that_mean_harm_do_nothing(board: Board, browser: Browser) -> None:
    await samples.make(board.session)
    async with looking(browser, board, "/ui/runs") as page:
        page.on("dialog", lambda dialog: pytest.fail(f"a script of a name ran: {dialog.message}"))
        await page.locator("#rows").get_by_role("link", name="alert(3)").click()
        await expect(page.locator("h1")).to_contain_text("<script>alert(3)</script>")
        await page.locator(".graph a").first.click()
        await expect(page.locator("#part-side h2")).to_contain_text("alert(2)")


async def test_question_is_answered_on_the_page_of_its_step(board: Board, browser: Browser) -> None:
    await samples.start(board.session, samples.ASKING, "r")
    await samples.settled(board.session, "r", RunStatus.WAITING)
    async with looking(browser, board, "/ui/runs/shop/r?step=/do/1/approve") as page:
        await expect(page.locator(".question")).to_have_text("Ship <b>shop/web:812</b> to everybody?")
        await page.get_by_text("Approve", exact=True).click()
        await page.get_by_role("button", name="Approve approve").click()
        await expect(page.locator("#main > .message")).to_contain_text("the run goes on")
        await page.get_by_role("link", name="measure: waiting").click()
        await page.get_by_text("Complete", exact=True).click()
        await page.get_by_label("Result, as JSON").fill('{"size": 3}')
        await page.get_by_role("button", name="Complete").last.click()
        await expect(page.locator("#part-head .badge")).to_contain_text("completed")
