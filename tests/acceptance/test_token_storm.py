"""Two servers on PostgreSQL behind a proxy that loses one request in five: every report by token is applied once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import loopback
from acceptance import lossy
from acceptance.shell import Shell
from interlock.client.client import Client

HANDING = """
document: {{dsl: 1.0.3, namespace: shop, name: handing, version: 1.0.0}}
do:
  - work:
      call: http
      with: {{method: post, endpoint: "{endpoint}", body: "${{ .number }}"}}
      metadata: {{interlock: {{await: {{token: {{expires: 1h}}}}}}}}
"""
CLIENTS = 16


@contextlib.asynccontextmanager
async def server(shell: Shell, url: str, key: str) -> AsyncIterator[tuple[str, int]]:
    """Give where an `interlock up` of its own listens."""
    place = shell.folder / f"{secrets.token_hex(4)}.port"
    environment = {
        "INTERLOCK_KEY": key,
        "INTERLOCK_HTTP_ALLOW_PRIVATE": "127.0.0.1",
        "INTERLOCK_SERVER_REQUESTS_PER_SECOND": "100000",
    }
    with shell.started("--store", url, "up", "--listen", "127.0.0.1:0", env=environment) as process:
        assert process.stderr is not None
        line = await asyncio.to_thread(process.stderr.readline)
        host, _, port = line.rpartition("url=http://")[2].strip().rpartition(":")
        place.write_text(port)
        draining = asyncio.create_task(asyncio.to_thread(process.stderr.read))
        yield host, int(port)
        process.terminate()
        await draining


async def storm(folder: Path, url: str, size: int, seed: int) -> None:
    key = secrets.token_urlsafe(32)
    shell = Shell(folder)
    handed: dict[int, str] = {}

    def take(asked: loopback.Asked) -> loopback.Reply:
        handed[int(asked.body)] = asked.headers["interlock-token"]
        return loopback.Reply(201, b"{}", {"Content-Type": "application/json"})

    async with (
        loopback.serving() as agents,
        server(shell, url, key) as one,
        server(shell, url, key) as two,
        lossy.between([one, two], seed) as proxy,
    ):
        agents.otherwise = take
        async with Client(f"http://{one[0]}:{one[1]}") as direct:
            await direct.publish(HANDING.format(endpoint=agents.url("/work")))
            for first in range(0, size, 500):
                numbers = range(first, min(first + 500, size))
                await direct.start_many(
                    "shop/handing", [{"number": number} for number in numbers], ids=[f"h{number}" for number in numbers]
                )
            async with asyncio.timeout(60 + size / 20):
                while len(handed) < size:
                    await asyncio.sleep(0.1)

            order = list(handed.items())
            random.Random(seed).shuffle(order)
            answers = await reported(proxy.url, order)

            results = {number: await direct.result(f"h{number}", timeout=60) for number in handed}
            assert results == {number: {"done": number} for number in handed}
            assert sum(applied for applied, _ in answers.values()) <= size
            assert all(state == "completed" for _, state in answers.values())
            await each_was_completed_once(direct, size)
        assert proxy.lost[0] > size / 20
        assert proxy.lost[1] > size / 20


async def reported(url: str, order: list[tuple[int, str]]) -> dict[int, tuple[bool, str]]:
    """Report every token until an answer comes; give of each whether it was the first report, and the state."""
    answers: dict[int, tuple[bool, str]] = {}
    waiting = iter(order)

    async def report(http: httpx.AsyncClient) -> None:
        for number, token in waiting:
            for _ in range(100):
                try:
                    answer = await http.post(f"/api/v1/tokens/{token}/complete", json={"result": {"done": number}})
                except httpx.TransportError:
                    continue
                assert answer.status_code == 200, answer.text
                answers[number] = (answer.json()["applied"], answer.json()["state"])
                break

    async with httpx.AsyncClient(base_url=url, timeout=60, headers={"connection": "close"}) as http:
        await asyncio.gather(*(report(http) for _ in range(CLIENTS)))
    return answers


async def each_was_completed_once(client: Client, size: int) -> None:
    for number in random.Random(7).sample(range(size), min(size, 100)):
        events = (await client.history(f"h{number}", limit=1000)).items
        assert [event.type for event in events].count("step.completed") == 1


@pytest.mark.slow
async def test_every_report_is_applied_once_whatever_is_lost(tmp_path: Path, postgres_url: str) -> None:
    """TK-07, TK-18; at full size in `make chaos`."""
    await storm(tmp_path, postgres_url, 200, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
async def test_five_thousand_reports_are_applied_once_whatever_is_lost(tmp_path: Path, postgres_url: str) -> None:
    """TK-07, TK-18."""
    await storm(tmp_path, postgres_url, int(os.environ.get("INTERLOCK_STORM_TOKENS", "5000")), seed=2)
