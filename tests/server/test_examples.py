"""The agent that dies and is replaced, and the token clients of other languages, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import required
import sampled
from server.site import Site

EXAMPLES = Path(__file__).parents[2] / "examples"
CLIENTS = {
    "node": ["node", str(EXAMPLES / "clients" / "token.mjs")],
    "java": ["java", str(EXAMPLES / "clients" / "Token.java")],
    "go": ["go", "run", str(EXAMPLES / "clients" / "token.go")],
}
ASKING = """
document: {dsl: 1.0.3, namespace: shop, name: asking, version: 1.0.0}
do:
  - ask: {call: "approval:1.0.0@default", with: {to: agents, question: "Ready?", expires: PT1H}}
"""


def test_agent_that_dies_is_replaced_and_the_run_goes_on() -> None:
    """TK-01, TK-17."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}
    environment["PYTHONPATH"] = str(EXAMPLES.parent / "src")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "agent_handshake" / "handshake.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    told = [line.partition(" s  ")[2] for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stdout + done.stderr
    assert "agent 1 died in the middle (-9); another one is started" in told
    assert "agent 2 has completed the task" in told
    assert told[-1] == "the run is done: merged after 3 comments"


@pytest.mark.parametrize("language", sampled.one_of(len(CLIENTS), ["java", "node", "go"]))
async def test_client_of_another_language_reports(site: Site, language: str) -> None:
    if required.may_skip(language, shutil.which(language) is not None):
        pytest.skip(f"{language} is not installed")
    async with site.client() as client:
        await client.start(document=ASKING, id="a1")
    rows = []
    async with asyncio.timeout(60):
        while not rows:
            run = await site.session.find("shop", "a1")
            rows = await site.session.store.tokens.of_run(run.run, 9)
            await asyncio.sleep(0.01)
    token = await site.session.secrets.token("shop", rows[0].token)
    callback = f"{site.url}/api/v1/tokens/{token}"

    async def report(action: str, given: object, to: str = callback) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [*CLIENTS[language], action, json.dumps(given)],
            env={**os.environ, "INTERLOCK_CALLBACK": to},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    alive = await report("heartbeat", {"read": 1})
    assert json.loads(alive.stdout)["cancel_requested"] is False, alive.stderr
    assert (await report("progress", {"fraction": 0.5, "message": "half"})).returncode == 0
    assert json.loads((await report("complete", {"pr": 812})).stdout)["state"] == "completed"
    assert json.loads((await report("complete", {"pr": 812})).stdout)["applied"] is False
    second = await report("complete", {"pr": 900})
    assert second.returncode == 1
    assert "token-already-completed" in second.stderr
    unknown = await report("fail", {"message": "no"}, f"{site.url}/api/v1/tokens/nonsense")
    assert "token-unknown" in unknown.stderr
    async with site.client() as client:
        assert await client.result("a1", timeout=60) == {"pr": 812}
