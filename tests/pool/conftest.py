"""Processes that a test started are known by a mark in their environment, so that a leak is seen whoever leaked it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import interlock

MARK = "INTERLOCK_TEST_MARK"


@pytest.fixture(autouse=True)
def _package_for_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(interlock.__file__).parents[1]), prepend=os.pathsep)


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """Text that the environment of every process of this test holds."""
    return f"{MARK}={tmp_path}"


@pytest.fixture(autouse=True)
async def _no_process_is_left(mark: str) -> AsyncIterator[None]:
    yield
    await until(lambda: not marked(mark), "a process is left")


def marked(mark: str) -> list[int]:
    """Give the pids of living processes whose environment holds the mark."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
                state = Path(f"/proc/{name}/stat").read_text().rpartition(") ")[2][0]
            except OSError:
                continue
            if mark.encode() in environment and state != "Z":
                found.append(int(name))
    return found


async def until(condition: Callable[[], object], complaint: str, seconds: float = 60.0) -> None:
    """Wait for a condition that other processes bring about, however slow a busy machine makes them."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(complaint)
