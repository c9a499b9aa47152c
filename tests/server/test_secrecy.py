"""No token, no key and no secret of a caller is in any answer, page, stream, metric, nor in the files of the store (TK-13, TK-14)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from interlock.model.access import Role
from server.site import Site

ASKING = """
document: {dsl: 1.0.3, namespace: shop, name: asking, version: 1.0.0}
do:
  - ask: {call: "approval:1.0.0@default", with: {to: agents, question: "Ready?", expires: PT1H}}
  - after: {set: {got: "${ . }"}}
"""
WEBHOOK_SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAx"
WEBHOOK_PATH = "/hooks/very-private-path"
PLACES = (
    "/api/v1/runs/a1/commits", "/api/v1/runs/a1/definition", "/api/v1/deliveries", "/api/v1/stranded",
    "/api/v1/runs", "/api/v1/runs/a1", "/api/v1/runs/a1/history?limit=1000", "/api/v1/runs/a1/logs", "/api/v1/runs/a1/tokens",
    "/api/v1/runs/a1/tasks", "/api/v1/runs/a1/result", "/api/v1/keys", "/api/v1/me", "/api/v1/events", "/api/v1/nodes",
    "/api/v1/workers", "/api/v1/locks", "/api/v1/memory/global", "/api/v1/definitions/shop/asking", "/api/v1/audit", "/metrics",
    "/cluster/health", "/ui/runs", "/ui/runs/shop/a1", "/ui/runs/shop/a1?step=/do/0/ask",
)  # fmt: skip


async def test_nothing_that_gives_a_right_is_told_or_kept(site: Site, tmp_path: Path) -> None:
    await site.with_keys()
    secrets = [WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_"), WEBHOOK_PATH]
    secrets += [key.rpartition("_")[2] for key in site.keys.values()]
    callback = {
        "url": f"https://caller.example{WEBHOOK_PATH}",
        "secret": WEBHOOK_SECRET,
        "headers": {"X-Auth": "hunter2-x"},
    }
    secrets.append("hunter2-x")
    answers: list[str] = []
    async with site.client(Role.ADMIN) as client, site.http(Role.ADMIN) as http:
        await client.publish(ASKING)
        for id in ("a1", "a2"):
            await client.start("shop/asking", id=id, callback=callback)
        texts = [await text_of(site, id) for id in ("a1", "a2")]
        secrets += [proof for text in texts for proof in (text, text.rpartition(".")[2])]
        await client.tokens.heartbeat(texts[0], {"pid": 7})
        await client.tokens.progress(texts[0], 0.5, "half")
        answers += [(await http.get(place)).text for place in PLACES]
        for action in ("complete", "complete", "heartbeat"):
            answers.append((await http.post(f"/api/v1/tokens/{texts[0]}/{action}", json={})).text)
        answers.append((await http.post(f"/api/v1/tokens/{texts[0]}/complete", json={"result": 2})).text)
        answers.append((await http.get(f"/api/v1/tokens/{texts[1]}")).text)
        answers.append((await http.post("/api/v1/runs/a2/cancel?namespace=shop")).text)
        assert await client.result("a1", timeout=60) == {"got": None}
        async with http.stream("GET", "/api/v1/runs/a1/stream") as stream:
            answers.append("".join([line async for line in stream.aiter_lines()]))
        answers += [(await http.get(place)).text for place in PLACES]

    told = "\n".join(answers)
    assert "ask" in told
    assert [secret for secret in secrets if secret in told] == []
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file() and file.suffix != ".key")
    assert b"approval" in kept
    assert [secret for secret in secrets if secret.encode() in kept] == []


async def text_of(site: Site, id: str) -> str:
    """Give the text of a run's token, as whoever it was handed to has it."""
    async with asyncio.timeout(60):
        while True:
            run = await site.session.find("shop", id)
            if rows := await site.session.store.tokens.of_run(run.run, 9):
                return await site.session.secrets.token("shop", rows[0].token)
            await asyncio.sleep(0.01)
