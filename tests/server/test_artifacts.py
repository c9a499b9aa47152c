"""Programs in pools keep files by the token of their attempt, with curl; people find them at the run."""

from __future__ import annotations

import asyncio
import hashlib
import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock import config, errors
from interlock.app import retention
from interlock.app.retention import Rules
from interlock.model.access import Role
from interlock.model.task import Done
from interlock.secrets.attempt import AttemptKey
from interlock.service import SystemClock
from s3 import BUCKET, bucket, endpoint, needs_server
from server import site as sites
from server.site import Site

WORKING = """
document: {dsl: 1.0.3, namespace: shop, name: working, version: 1.0.0}
do:
  - work:
      run:
        shell:
          command: |
            printf '<h1>fine</h1>' > "$FOLDER/report.html"
            curl -sf -T "$FOLDER/report.html" -H 'Content-Type: text/html' "$INTERLOCK_CALLBACK/artifacts/report.html" > /dev/null
            while ! test -e "$FOLDER/go"; do sleep 0.05; done
          environment: {FOLDER: FOLDER_HERE}
"""
REPORT = b"<h1>fine</h1>"
KEEPING = """
graph: g
tasks:
  - id: agent
    agent: [sh, -c, 'for name in a b; do printf 1 | curl -sf -T - $INTERLOCK_CALLBACK/artifacts/$name.txt; done']
  - id: agent2
    run: [sh, -c, 'printf 22 | curl -sf -T - $INTERLOCK_CALLBACK/artifacts/a.txt']
    dependencies: [agent]
"""
__all__ = ["bucket", "endpoint"]


@pytest.fixture
async def address(site: Site, tmp_path: Path) -> str:
    """Where an attempt that is at work keeps files; it has kept one."""
    return await begun(site, tmp_path)


async def begun(site: Site, folder: Path) -> str:
    async with site.client() as client:
        await client.start(document=WORKING.replace("FOLDER_HERE", str(folder)), id="r1")
    async with site.http() as http, asyncio.timeout(60):
        while not (await http.get("/api/v1/runs/r1/artifacts")).json()["items"]:
            await asyncio.sleep(0.05)
    return f"/api/v1/tokens/{await site.session.secrets.attempt_token(await key(site))}/artifacts"


async def key(site: Site) -> AttemptKey:
    (task,) = await site.session.store.views.tasks((await site.session.find("shop", "r1")).run)
    return AttemptKey(task.task, 1)


def stored(site: Site) -> list[Path]:
    (folder,) = Path(site.session.settings.store.url.removeprefix("sqlite:///")).parent.glob("*.artifacts")
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_file_of_a_program_is_found_at_its_run(site: Site, address: str) -> None:
    async with site.http() as http:
        (told,) = (await http.get("/api/v1/runs/r1/artifacts")).json()["items"]
        assert told.pop("created_at") > 1e9
        digest = hashlib.sha256(REPORT).hexdigest()
        assert told == {
            "name": "report.html", "step": "/do/0/work", "attempt": 1, "media_type": "text/html", "size": 13, "digest": digest,
        }  # fmt: skip
        got = await http.get("/api/v1/runs/r1/artifacts/report.html?step=work&attempt=1")
        assert (got.content, got.headers["content-type"]) == (REPORT, "application/octet-stream")
        assert got.headers["content-disposition"] == 'attachment; filename="report.html"'
        assert "sandbox" in got.headers["content-security-policy"]
        assert got.headers["etag"] == f'"{digest}"'
        again = await http.get("/api/v1/runs/r1/artifacts/report.html", headers={"If-None-Match": got.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for query in ("step=other", "attempt=2"):
            gone = await http.get(f"/api/v1/runs/r1/artifacts/report.html?{query}")
            assert gone.status_code == 404
            assert "report.html (/do/0/work, attempt 1)" in gone.json()["detail"]


async def test_file_that_is_sent_again_changes_nothing_and_a_newer_one_takes_its_place(
    site: Site, address: str
) -> None:
    async with site.http() as http:
        for content, size in ((REPORT, 13), (b"", 0), (b"x" * 3_000_000, 3_000_000)):
            for _ in range(2):
                kept = await http.put(f"{address}/report.html", content=content, headers={"Content-Type": "text/html"})
                assert (kept.status_code, kept.json()["size"]) == (200, size)
            assert (await http.get("/api/v1/runs/r1/artifacts/report.html")).content == content
            assert len(stored(site)) == 1


async def test_artifacts_are_listed_in_pages(site: Site, address: str) -> None:
    async with site.http() as http:
        for name in ("b", "a", "c"):
            assert (await http.put(f"{address}/{name}", content=b"x")).json()[
                "media_type"
            ] == "application/octet-stream"
        found, query = [], "limit=3"
        for _ in range(2):
            page = (await http.get(f"/api/v1/runs/r1/artifacts?{query}")).json()
            found += [each["name"] for each in page["items"]]
            query = f"limit=3&after={page.get('next')}"
        assert found == ["a", "b", "c", "report.html"]
        assert page.get("next") is None
        for cursor in ("x", "eA==", "WyIiXQ==", "ä", "WyIAIiwxLCIiXQ=="):
            assert (await http.get("/api/v1/runs/r1/artifacts", params={"after": cursor})).status_code == 400


HOSTILE = [
    "..", ".", "%2e%2e", "%2E%2E%2Fetc", "..%2f..%2fetc%2fpasswd", "a%2fb", "a%5cb", ".hidden", "-rf", "a%00b", "a%0d%0ab",
    "%c3%a4", "%ff", "a%20b", "x" * 201, "a;b", "a%22b", "",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_name_that_could_lead_elsewhere_is_refused(site: Site, address: str, name: str) -> None:
    """Traversal in names, header injection, what a file system or a shell would take for something else."""
    place = site.url.removeprefix("http://")
    raw = await _raw(
        place, f"PUT {address}/{name} HTTP/1.1\r\nHost: {place}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    )
    assert int(raw.split()[1]) in (404, 405, 422), raw[:200]
    assert len(stored(site)) == 1


async def _raw(place: str, request: str) -> str:
    host, _, port = place.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    await writer.drain()
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer.decode("latin-1")


async def test_file_that_is_not_what_was_promised_is_refused(site: Site, address: str) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    async with site.http() as http:
        assert (await http.put(f"{address}/a", content=b"x", headers={"X-Content-SHA256": digest.upper()})).is_success
        refused = await http.put(f"{address}/b", content=b"y", headers={"X-Content-SHA256": digest})
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/invalid")
        assert (await http.put(f"{address}/b", content=b"y", headers={"X-Content-SHA256": "zz"})).status_code == 422
        for kind in ("nonsense", "a/b\x7f", "text/html; charset=utf-8; x=y", "t" * 101 + "/x", 'text/"x"'):
            assert (await http.put(f"{address}/b", content=b"y", headers={"Content-Type": kind})).status_code == 400
        plain = await http.put(f"{address}/c", content=b"y", headers={"Content-Type": "text/plain; charset=utf-8"})
        assert plain.json()["media_type"] == "text/plain; charset=utf-8"
    assert len(stored(site)) == 3


async def test_file_that_ends_in_the_middle_is_not_kept(site: Site, address: str) -> None:
    place = site.url.removeprefix("http://")
    host, _, port = place.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"PUT {address}/half HTTP/1.1\r\nHost: {place}\r\nContent-Length: 9000000\r\n\r\n".encode() + b"x" * 2_000_000
    )
    await writer.drain()
    async with asyncio.timeout(60):
        while len(stored(site)) < 2:  # its draft
            await asyncio.sleep(0.01)
        writer.close()
        while len(stored(site)) > 1:
            await asyncio.sleep(0.01)
    async with site.http() as http:
        assert (await http.get("/api/v1/runs/r1/artifacts/half")).status_code == 404


async def test_file_that_is_too_large_is_refused_by_its_own_bound(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    server = replace(config.Server(), max_body_bytes=2_000)
    artifacts = config.Artifacts(max_size_bytes=100_000)
    async with sites.opened(tmp_path, server=server, artifacts=artifacts) as site, site.http() as http:
        address = await begun(site, tmp_path)
        assert (await http.put(f"{address}/a", content=b"x" * 100_000)).status_code == 200
        for content in (b"x" * 100_001, endless()):
            refused = await http.put(f"{address}/b", content=content)
            assert refused.status_code == 413
            assert "artifacts.max_size" in refused.json()["detail"]
        refused = await http.post("/api/v1/events", content=b"x" * 2_001)
        assert "server.max_body" in refused.json()["detail"]
        assert len(stored(site)) == 2


async def test_late_file_is_refused_as_superseded_and_not_kept(site: Site, address: str) -> None:
    """TK-12: also when the attempt ends while its file comes."""
    attempt = await key(site)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 100
        assert await site.session.store.queue.settle(attempt.task, attempt.fence, Done(1), site.session.clock.stamp())
        yield b"y"

    async with site.http() as http:
        for content in (slow(), b"x"):
            late = await http.put(f"{address}/late", content=content)
            assert (late.status_code, late.json()["type"]) == (409, "/problems/token-superseded")
    assert len(stored(site)) == 1


async def test_text_that_is_no_token_keeps_nothing(site: Site, address: str) -> None:
    other = address.replace("/tokens/a1-", "/tokens/a2-")
    async with site.http() as http:
        assert (await http.put(f"{other}/a", content=b"x")).status_code == 404
        assert (await http.put("/api/v1/tokens/x/artifacts/a", content=b"x")).status_code == 404
    assert len(stored(site)) == 1


async def test_step_has_no_artifacts(site: Site) -> None:
    asking = "document: {dsl: 1.0.3, namespace: shop, name: asking, version: 1.0.0}\n"
    asking += 'do:\n  - ask: {call: "approval:1.0.0@default", with: {question: "Ready?", expires: PT1H}}\n'
    async with site.client() as client, site.http() as http:
        await client.start(document=asking, id="a1")
        async with asyncio.timeout(60):
            while not (rows := await site.session.store.tokens.of_run((await site.session.find("shop", "a1")).run, 9)):
                await asyncio.sleep(0.01)
        text = await site.session.secrets.token("shop", rows[0].token)
        refused = await http.put(f"/api/v1/tokens/{text}/artifacts/a", content=b"x")
        assert (refused.status_code, "only attempts" in refused.json()["detail"]) == (400, True)


async def test_key_of_another_namespace_finds_no_artifact(site: Site, address: str) -> None:
    await site.with_keys(namespaces=("other",))
    async with site.http(Role.ADMIN) as http:
        for path in ("", "/report.html"):
            assert (await http.get(f"/api/v1/runs/r1/artifacts{path}")).status_code == 404
            assert (await http.get(f"/api/v1/runs/r1/artifacts{path}?namespace=shop")).status_code == 403


async def test_artifacts_go_with_their_run(site: Site, address: str, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    async with site.client() as client:
        await client.result("r1", timeout=60)
    session = site.session
    assert await retention.prune(session.store, Rules(keep=0.0), SystemClock(), artifacts=session.artifacts) == 1
    assert stored(site) == []
    assert await session.store.artifacts.abandoned("", 9) == []


async def test_page_of_a_run_leads_to_its_files(site: Site, address: str) -> None:
    async with site.http() as http:
        page = (await http.get("/ui/runs/shop/r1")).text
        (link,) = re.findall(r'<a href="([^"]*)"><bdi>report.html, 13 bytes, work</bdi></a>', page)
        assert (await http.get(html.unescape(link))).content == REPORT
        for number in range(25):
            await http.put(f"{address}/more-{number}", content=b"x")
        page = (await http.get("/ui/runs/shop/r1")).text
        assert page.count("/artifacts/more-") == 20
        assert "interlock artifacts list" in page


async def test_file_that_somebody_removed_is_told_as_such(site: Site, address: str) -> None:
    (path,) = stored(site)
    path.unlink()
    async with site.http() as http:
        gone = await http.get("/api/v1/runs/r1/artifacts/report.html")
        assert gone.status_code == 404
        assert "artifacts.folder" in gone.json()["detail"]


async def test_store_without_a_folder_says_what_to_set(tmp_path: Path) -> None:
    async with sites.opened(tmp_path, url="sqlite:///:memory:") as site:
        with pytest.raises(Exception, match=r"artifacts\.folder"):
            site.session.artifacts._folder()
        assert await site.session.artifacts.tidy(0.0) == 0


@needs_server
async def test_files_of_a_program_are_kept_in_a_bucket(tmp_path: Path, bucket: Any, endpoint: str) -> None:
    """They are found at their run, and go with it; one that somebody removed is told as such."""
    url = f"s3://{BUCKET}/of-the-store"
    async with sites.opened(tmp_path, artifacts=config.Artifacts(url=url, endpoint=endpoint)) as site:
        address = await begun(site, tmp_path)
        async with site.http() as http:
            assert (await http.put(f"{address}/more", content=b"x" * 100_000)).is_success
            assert (await http.get("/api/v1/runs/r1/artifacts/report.html")).content == REPORT
            assert len([key.key for key in bucket.objects.filter(Prefix="of-the-store/")]) == 2
            for each in bucket.objects.all():
                each.delete()
            gone = await http.get("/api/v1/runs/r1/artifacts/more")
            assert (gone.status_code, "artifacts.url" in gone.json()["detail"]) == (404, True)
            assert (await http.put(f"{address}/again", content=b"y")).is_success
        (tmp_path / "go").touch()
        async with site.client() as client:
            await client.result("r1", timeout=60)
        session = site.session
        assert await retention.prune(session.store, Rules(keep=0.0), SystemClock(), artifacts=session.artifacts) == 1
        assert list(bucket.objects.all()) == []


async def test_files_of_tasks_of_a_graph_are_found_at_the_task_that_kept_them(site: Site) -> None:
    """The contract of agents: `artifact` is one of their reports, and what they kept is theirs alone, page by page."""
    async with site.client() as client:
        await client.graphs.load(KEEPING)
        await client.graphs.wait("g", timeout=60)
        of_one = await client.graphs.artifacts("g", "agent", limit=1)
        rest = await client.graphs.artifacts("g", "agent", limit=1, after=of_one.next)
        end = await client.graphs.artifacts("g", "agent", limit=1, after=rest.next)
        (other,) = (await client.graphs.artifacts("g", "agent2")).items
        read = [piece async for piece in client.graphs.artifact("g", "agent", "a.txt", attempt=1)]
        with pytest.raises(errors.NotFound, match=r"the task has no such artifact 'c\.txt'; those it has: a\.txt"):
            [piece async for piece in client.graphs.artifact("g", "agent2", "c.txt")]
    assert [(each.name, each.step, each.attempt, each.size) for each in of_one.items + rest.items] == [
        ("a.txt", "agent", 1, 1),
        ("b.txt", "agent", 1, 1),
    ]
    assert (end.items, end.next) == ([], None)
    assert (other.name, other.step, other.size) == ("a.txt", "agent2", 2)
    assert b"".join(read) == b"1"
    await retention.prune(site.session.store, Rules(), SystemClock(), artifacts=site.session.artifacts)
    assert len(stored(site)) == 3  # a graph that is there keeps its files
