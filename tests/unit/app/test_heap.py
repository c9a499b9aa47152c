import asyncio
import ctypes
import threading

import pytest

from interlock.app import heap
from interlock.app.heap import Trim


async def test_heap_is_trimmed_again_and_again_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_ROUND_SECONDS", 0.01)
    threads: list[int] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def trim() -> None:
        threads.append(threading.get_ident())
        if len(threads) == 3:
            loop.call_soon_threadsafe(enough.set)

    service = Trim(trim)
    await service.start()
    async with asyncio.timeout(60):
        await enough.wait()
    await service.stop()
    assert threading.get_ident() not in threads


async def test_c_library_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    service = Trim()
    await service.start()
    await service.stop()


def test_this_machine_can() -> None:
    found = heap._of_glibc()
    if found is not None:
        found()
