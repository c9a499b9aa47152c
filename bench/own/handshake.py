"""T1 to T3 and TK-20: what a handshake costs: reports by token until the next step begins, HTTP, an outcome told."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import datetime

import httpx

from bench.case import Figures, Given, percentile, percentiles_ms
from bench.own import workflows
from bench.own.pending import KEY, waiting
from interlock import Interlock
from interlock.app.readiness import Readiness
from interlock.model.states import RunStatus
from interlock.server.application import bounded, build
from interlock.server.gateway import Gateway
from interlock.server.listening import HttpServer, Place
from interlock.server.sessions import Sessions
from interlock.service import SystemClock

_WAIT_SECONDS = 120.0
_DOCUMENT = """
document: {dsl: 1.0.3, namespace: default, name: one-step, version: 1.0.0}
do:
  - nothing: {set: {done: true}}
"""


async def completion(given: Given) -> Figures:
    """T1: a report by token, from the call until the step behind it runs; one at a time."""
    taken = []
    async with _opened(given) as app:
        for number in range(given.sizes.warm_ups + given.sizes.latency_runs):
            (text,) = await waiting(app, 1)
            await _at_rest(app, text)
            begin = time.monotonic()
            await app.tokens.complete(text, begin)
            took = await _took(text)
            if number >= given.sizes.warm_ups:
                taken.append(took)
    return percentiles_ms(taken)


async def completions(given: Given) -> Figures:
    """T2: the same at a steady rate, whether those before are done or not."""
    count, rate = given.sizes.token_reports, given.sizes.token_rate
    async with _opened(given) as app:
        texts = await waiting(app, count)
        begin = time.monotonic()

        async def report(number: int, text: str) -> None:
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            await app.tokens.complete(text, begin + number / rate)

        await asyncio.gather(*(report(number, text) for number, text in enumerate(texts)))
        taken = [await _took(text) for text in texts]
    return {"p50_ms": percentile(taken, 50) * 1000, "p99_ms": percentile(taken, 99) * 1000}


async def over_http(given: Given) -> Figures:
    """T3: a run started over HTTP until it is accepted, and until its result is there; one at a time."""
    accepted, ended = [], []
    async with _opened(given) as app:
        settings = app.settings
        gateway = Gateway(settings, Readiness(lambda reasons: None))
        gateway.open(app.session)
        sessions = Sessions(SystemClock(), settings.server.session_seconds, secure=False)
        place = Place("127.0.0.1:0")
        server = HttpServer(bounded(build(gateway, sessions, may_be_open=True, hosts=frozenset())), gateway, place)
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=place.url, timeout=_WAIT_SECONDS) as http:
                published = await http.post("/api/v1/definitions", json={"document": _DOCUMENT})
                assert published.status_code == 201, published.text
                for number in range(given.sizes.warm_ups + given.sizes.latency_runs):
                    id = f"r{number}"
                    begin = time.perf_counter()
                    answer = await http.post("/api/v1/runs", json={"workflow": "default/one-step", "id": id})
                    middle = time.perf_counter()
                    result = await http.get(f"/api/v1/runs/{id}/result?wait=30")
                    assert (answer.status_code, result.status_code) == (201, 200)
                    if number >= given.sizes.warm_ups:
                        accepted.append(middle - begin)
                        ended.append(time.perf_counter() - begin)
        finally:
            await server.stop()
    return {
        "start_p50_ms": percentile(accepted, 50) * 1000,
        "start_p99_ms": percentile(accepted, 99) * 1000,
        "result_p50_ms": percentile(ended, 50) * 1000,
    }


async def told(given: Given) -> Figures:
    """TK-20: a run that ends, until its caller has the outcome by a webhook; one at a time."""
    taken: list[float] = []
    arrived = asyncio.Event()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line[15:]) for line in head.decode().splitlines() if line.lower().startswith("content-length:")
        )
        body = json.loads(await reader.readexactly(length))
        taken.append(time.time() - datetime.fromisoformat(body["ended_at"]).timestamp())
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        arrived.set()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    os.environ["INTERLOCK_HTTP_ALLOW_PRIVATE"] = "127.0.0.1"
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/done"
    async with _opened(given) as app:
        for _ in range(given.sizes.warm_ups + given.sizes.latency_runs):
            arrived.clear()
            await app.start(workflows.one_step, callback={"url": url})
            async with asyncio.timeout(_WAIT_SECONDS):
                await arrived.wait()
    server.close()
    return percentiles_ms(taken[given.sizes.warm_ups :])


def _opened(given: Given) -> Interlock:
    os.environ.setdefault("INTERLOCK_KEY", KEY)
    os.environ["INTERLOCK_SERVER_REQUESTS_PER_SECOND"] = "1000000"
    workflows.GONE_ON.clear()
    return Interlock(given.url)


async def _at_rest(app: Interlock, text: str) -> None:
    """Wait until the run of a token has nothing to commit any more: nobody reports within a millisecond."""
    run = (await app.tokens.show(text)).run_id
    async with asyncio.timeout(_WAIT_SECONDS):
        while (await app.session.find(None, run)).status is not RunStatus.WAITING:  # noqa: ASYNC110 (before what is measured)
            await asyncio.sleep(0.001)


async def _took(text: str) -> float:
    """Give the seconds from the moment that was reported to the step behind it."""
    async with asyncio.timeout(_WAIT_SECONDS):
        return await workflows.GONE_ON[text]
