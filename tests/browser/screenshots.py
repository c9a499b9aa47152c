"""Writes pictures of the dashboard into a folder: `python tests/browser/screenshots.py FOLDER`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from browser import samples
from browser.board import Board, served
from browser.chromium import launched

PAGES = {
    "runs": "/ui/runs",
    "run": "/ui/runs/shop/order-1008?step=/do/2/check",
    "asked": "/ui/runs/shop/release-812?step=/do/1/approve",
    "faulted": "/ui/runs/shop/restock-5",
    "rolled-back": "/ui/runs/shop/refund-31?step=/do/1/pay",
    "completed": "/ui/runs/shop/order-1007",
    "none": "/ui/runs?workflow=nothing",
}
VIEWS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1360, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1360, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 400, "height": 860}},
}


async def taken(browser: Browser, board: Board, folder: Path) -> None:
    """Take every page in every view."""
    for view, options in VIEWS.items():
        context = await browser.new_context(**options)  # type: ignore[arg-type]  # playwright types each option by itself
        page = await context.new_page()
        for name, path in PAGES.items():
            await page.goto(board.url + path)
            await page.locator("#link[data-state=on]").wait_for()
            await page.screenshot(path=folder / f"{name}-{view}.png", full_page=True)
        await context.close()


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        async with served(Path(place)) as board, async_playwright() as playwright, launched(playwright) as browser:
            await samples.make(board.session)
            await taken(browser, board, folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")))
