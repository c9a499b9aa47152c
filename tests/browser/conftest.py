from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

import required
from browser import chromium


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if required.may_skip("chromium", chromium.path() is not None):
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright, chromium.launched(playwright) as browser:
        yield browser
