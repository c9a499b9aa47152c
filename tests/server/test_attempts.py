"""Programs in pools report by the token of their attempt, with curl; late ones are refused as superseded (TK-12)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from interlock import errors
from interlock.handshake.tokens import Tokens
from interlock.secrets.attempt import AttemptKey, key
from server.site import Site

REPORTING = """
document: {dsl: 1.0.3, namespace: shop, name: reporting, version: 1.0.0}
do:
  - work:
      run:
        shell:
          command: |
            post() { curl -sf -X POST "$INTERLOCK_CALLBACK/$1" -d "$2" > /dev/null; }
            post progress '{"fraction": 0.5, "message": "half"}'
            post heartbeat '{"details": {"pid": 7}}'
            post log '{"text": "said elsewhere"}'
            while ! test -e "$FOLDER/go"; do sleep 0.05; done
            trap 'touch "$FOLDER/ended"' TERM
            post complete '{"result": {"pr": 812}}'
            sleep 60 &
            wait
          environment: {FOLDER: FOLDER_HERE}
  - after: {set: {got: "${ .pr }"}}
"""
PLAIN = """
document: {dsl: 1.0.3, namespace: shop, name: plain, version: 1.0.0}
do:
  - work: {run: {shell: {command: printenv INTERLOCK_TOKEN}}}
"""


@pytest.fixture
async def attempt(site: Site, tmp_path: Path) -> AttemptKey:
    """An attempt in flight, which has reported everything but its end."""
    async with site.client() as client:
        await client.start(document=REPORTING.replace("FOLDER_HERE", str(tmp_path)), id="r1")
        async with asyncio.timeout(60):
            while not any(piece.text == "said elsewhere" for piece in (await client.logs("r1")).items):
                await asyncio.sleep(0.05)
    (task,) = await site.session.store.views.tasks((await site.session.find("shop", "r1")).run)
    return AttemptKey(task.task, 1)


async def test_program_reports_and_ends_its_step_at_once(site: Site, attempt: AttemptKey, tmp_path: Path) -> None:
    token = await site.session.secrets.attempt_token(attempt)
    async with site.http() as http:
        told = (await http.get(f"/api/v1/tokens/{token}")).json()
        assert (told["progress"], told["detail"]) == ({"fraction": 0.5, "message": "half"}, {"pid": 7})
        (tmp_path / "go").touch()
        async with site.client() as client:
            assert await client.result("r1", timeout=60) == {"got": 812}
        async with asyncio.timeout(60):  # the program is ended with its attempt
            while not (tmp_path / "ended").exists():
                await asyncio.sleep(0.02)
        late = await http.post(f"/api/v1/tokens/{token}/complete", json={"result": 1})
        assert late.status_code == 409
        assert late.json()["type"] == "/problems/token-superseded"
        assert token not in late.text


async def test_token_of_another_fence_or_task_is_none(site: Site, attempt: AttemptKey, tmp_path: Path) -> None:
    tokens = Tokens(site.session.store, site.session.secrets, site.session.clock, None)
    text = await site.session.secrets.attempt_token(attempt)
    proof = text.partition(".")[2]
    for other in (AttemptKey(attempt.task, 2), AttemptKey("t", 1)):
        with pytest.raises(errors.TokenUnknown):
            await tokens.heartbeat(f"{other.id}.{proof}")
    later = await site.session.secrets.attempt_token(AttemptKey(attempt.task, 2))
    with pytest.raises(errors.TokenError) as refused:
        await tokens.heartbeat(later)
    assert refused.value.code == "token-superseded"
    with pytest.raises(errors.Invalid, match="at once"):
        await tokens.log(text, "x" * 70_000)
    (tmp_path / "go").touch()
    async with site.client() as client:
        await client.result("r1", timeout=60)


async def test_cancelled_attempt_is_told_so(site: Site, attempt: AttemptKey) -> None:
    token = await site.session.secrets.attempt_token(attempt)
    async with site.client() as client, httpx.AsyncClient(base_url=site.url) as http:
        assert not (await http.post(f"/api/v1/tokens/{token}/heartbeat")).json()["cancel_requested"]
        await client.cancel("r1")
        async with asyncio.timeout(60):
            while (answer := await http.post(f"/api/v1/tokens/{token}/heartbeat")).status_code == 200:
                if answer.json()["cancel_requested"]:
                    break
                await asyncio.sleep(0.01)
        assert answer.status_code == 409 or answer.json()["reason"]


async def test_token_is_hidden_in_what_the_program_prints(site: Site) -> None:
    async with site.client() as client:
        await client.start(document=PLAIN, id="p1")
        assert await client.result("p1", timeout=60) == "***\n"


async def test_step_has_no_log(site: Site) -> None:
    asking = "document: {dsl: 1.0.3, namespace: shop, name: asking, version: 1.0.0}\n"
    asking += 'do:\n  - ask: {call: "approval:1.0.0@default", with: {question: "Ready?", expires: PT1H}}\n'
    async with site.client() as client:
        await client.start(document=asking, id="a1")
        async with asyncio.timeout(60):
            while not (rows := await site.session.store.tokens.of_run((await site.session.find("shop", "a1")).run, 9)):
                await asyncio.sleep(0.01)
        text = await site.session.secrets.token("shop", rows[0].token)
        with pytest.raises(errors.Invalid, match="only attempts"):
            await client.tokens.log(text, "x")


@pytest.mark.parametrize(
    "text", ["", "a1", "a0-61.x", "a1-6.x", "a1-zz.x", "a1-ff.x", "b1-61.x", "a99999999999999999999-61.x"]
)
def test_what_names_no_attempt(text: str) -> None:
    assert key(text) is None


def test_attempt_is_read_as_it_was_written() -> None:
    for given in (AttemptKey("t", 1), AttemptKey("GRAPH/ä.b", 7)):
        assert key(given.id) == given
