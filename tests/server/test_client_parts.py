"""The parts of the client against a real server: definitions, deliveries, artifacts, keys, fleet, tokens by their step."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from interlock import errors
from interlock.secrets.attempt import AttemptKey
from server import site as sites
from server.site import Site

ASKING = """
document: {dsl: 1.0.3, namespace: shop, name: asking, version: 1.0.0}
do:
  - ask: {call: "approval:1.0.0@default", with: {question: "Ready?", expires: PT1H}}
"""
HOLDING = """
document: {dsl: 1.0.3, namespace: shop, name: holding, version: 1.0.0}
do:
  - hold: {run: {shell: {command: 'while ! test -e "$FOLDER/go"; do sleep 0.05; done', environment: {FOLDER: FOLDER_HERE}}}}
"""


async def test_definitions_are_listed_in_pages_and_by_name(site: Site) -> None:
    async with site.client() as client:
        texts = [sites.ORDER, sites.WAITING, *(sites.ORDER.replace("1.0.0", f"1.{number}.0") for number in (10, 2))]
        for text in [*texts, sites.ORDER.replace("namespace: shop", "namespace: bank")]:
            await client.definitions.publish(text)
        found, after = [], None
        for _ in range(3):
            page = await client.definitions.list(after=after, limit=2)
            found += [f"{each.namespace}/{each.name}:{each.version}" for each in page.items]
            after = page.next
        assert after is None
        assert found == [
            "bank/order:1.0.0", "shop/order:1.0.0", "shop/order:1.10.0", "shop/order:1.2.0", "shop/waiting:1.0.0",
        ]  # fmt: skip
        assert [each.namespace for each in (await client.definitions.list(name="order", version="1.0.0")).items] == [
            "bank", "shop",
        ]  # fmt: skip
        newest = await client.definitions.get("shop", "order")
        assert newest.version == "1.10.0"
        assert await client.definitions.get("shop", "order", "1.10.0") == newest
        assert (await client.definitions.validate(sites.ORDER)).valid
        with pytest.raises(errors.NotFound):
            await client.definitions.get("shop", "nothing")
    async with site.client(namespace="bank") as client:
        assert [each.namespace for each in (await client.definitions.list()).items] == ["bank"]


@pytest.mark.parametrize("after", ["x", "a/b", "a:b", "/b:c", "a/:c", "a/b:", "a/b:c\0"])
async def test_place_of_a_page_that_is_none_is_refused(site: Site, after: str) -> None:
    async with site.client() as client:
        with pytest.raises(errors.Invalid, match="NAMESPACE/NAME:VERSION"):
            await client.definitions.list(after=after)


async def test_tokens_are_reported_by_run_and_step(site: Site) -> None:
    async with site.client() as client:
        await client.start(document=ASKING, id="a1")
        async with asyncio.timeout(60):
            while not (waiting := await client.tokens.of_run("a1")):
                await asyncio.sleep(0.01)
        assert [each.step for each in waiting] == ["/do/0/ask"]
        assert (await client.tokens.of_step("a1", "ask")).state == "open"
        assert not (await client.tokens.heartbeat_step("a1", "ask", {"at": "desk"})).cancel_requested
        await client.tokens.progress_step("a1", "ask", 0.5)
        assert (await client.tokens.complete_step("a1", "ask", True)).applied
        assert await client.result("a1", timeout=60) is True
        with pytest.raises(errors.TokenError) as refused:
            await client.tokens.fail_step("a1", "ask", "no")
        assert refused.value.code == "token-already-completed"
        text = await site.session.secrets.token("shop", waiting[0].id)
        assert (await client.tokens.show(text)).state == "completed"


async def test_artifacts_are_kept_and_read(site: Site, tmp_path: Path) -> None:
    content = b"x" * 200_000 + b"end"
    async with site.client() as client:
        await client.start(document=HOLDING.replace("FOLDER_HERE", str(tmp_path)), id="h1")
        async with asyncio.timeout(60):
            while not (tasks := await client.tasks("h1")) or tasks[0].state != "running":
                await asyncio.sleep(0.01)
        token = await site.session.secrets.attempt_token(AttemptKey(tasks[0].task, 1))
        kept = await client.artifacts.keep(token, "a.bin", content)
        assert (await client.artifacts.list("h1")).items == [kept]
        assert await client.artifacts.get("h1", "a.bin", step="hold", attempt=1) == content
        for failing in (
            client.artifacts.get("h1", "b"),
            client.artifacts.list("h2"),
            client.artifacts.keep("x", "a", b""),
        ):
            with pytest.raises(errors.NotFound):
                await failing
        (tmp_path / "go").touch()
        await client.result("h1", timeout=60)
        with pytest.raises(errors.TokenError):
            await client.artifacts.keep(token, "late", b"")


async def test_what_was_recorded_is_read(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
        await client.start("shop/order", {"amount": 2}, id="o1")
        await client.result("o1", timeout=60)
        commits = await client.commits("o1")
        assert [each async for each in client.follow_commits("o1")] == commits.items
        assert (await client.source("o1")).document == sites.ORDER
        assert await client.stranded() == []
        assert [each.action for each in (await client.audit()).items][-1:] == ["publish"]
        await client.send("shop.paid", id="1", source="urn:shop", namespace="shop")
        assert [each.event["type"] for each in (await client.events(type="shop.paid")).items] == ["shop.paid"]
        assert (await client.deliveries.list(run="o1")).items == []
        for failing in (client.deliveries.get("d"), client.deliveries.retry("d")):
            with pytest.raises(errors.NotFound):
                await failing


async def test_each_of_many_runs_has_its_own_caller(site: Site) -> None:
    def caller(number: int) -> dict[str, str]:
        return {"url": f"http://127.0.0.1:9/told-{number}", "secret": "whsec_" + "A" * 40}

    async with site.client() as client:
        await client.publish(sites.WAITING)
        ids = ["w1", "w2", "w3"]
        await client.start_many("shop/waiting", [{}] * 3, ids=ids, callbacks=[caller(1), None, caller(3)])
        keys = [(await client.get(id)).key for id in ids]
        assert {each.run for each in (await client.deliveries.list()).items} == {keys[0], keys[2]}
        with pytest.raises(errors.Invalid, match="2 callbacks for 1 runs"):
            await client.start_many("shop/waiting", [{}], callbacks=[None, None])
        with pytest.raises(errors.Invalid, match="url"):
            await client.start_many("shop/waiting", [{}, {}], ids=["w4", "w5"], callbacks=[None, {"url": "nonsense"}])
        with pytest.raises(errors.NotFound):
            await client.get("w4")


async def test_fleet_keys_and_locks_are_looked_after(site: Site) -> None:
    async with site.client() as client:
        (node,) = await client.fleet.nodes()
        assert node.state == "live"
        assert await client.fleet.workers(status=["active"], free=True, skills=["x"]) == []
        assert await client.fleet.worker_events() == []
        for failing in (client.fleet.worker("w"), client.fleet.drain_worker("w"), client.fleet.undrain_worker("w")):
            with pytest.raises(errors.NotFound):
                await failing
        with pytest.raises(errors.NotFound):
            await client.fleet.drain_node("n")
        await client.locks.acquire("l", "h")
        assert [each.holder for each in (await client.locks.standing("l")).holders] == ["h"]
        assert (await client.locks.release_all("h"), await client.locks.clear()) == (1, 0)
        made = await client.keys.create("ci", "admin")
    async with sites.Client(site.url, key=made.key) as client:
        assert [each.name for each in (await client.keys.list()).items] == ["ci"]
        assert (await client.keys.revoke("ci")).revoked_at is not None


# -- what the caller has already ---------------------------------------------------------------------------------------


async def test_what_did_not_change_is_not_sent_again(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
        await client.start("shop/order", {"amount": 2}, id="o1")
        await client.result("o1", timeout=60)
        await client.memory.set("k", 1)
    paths = ["definitions/shop/order", "definitions/shop/order/1.0.0", "runs/o1", "runs/o1/history", "runs/o1/commits"]
    async with site.http() as http:
        for path in [*paths, "memory/global/value?key=k"]:
            first = await http.get(f"/api/v1/{path}")
            tag = first.headers["etag"]
            again = await http.get(f"/api/v1/{path}", headers={"If-None-Match": f'"x", {tag}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
            other = await http.get(f"/api/v1/{path}", headers={"If-None-Match": '"x"'})
            assert (other.status_code, other.content) == (200, first.content), path


async def test_history_that_grew_is_sent_again(site: Site) -> None:
    async with site.client() as client, site.http() as http:
        await client.publish(sites.WAITING)
        await client.start("shop/waiting", id="w1")
        async with asyncio.timeout(60):
            while (await client.get("w1")).status != "waiting":
                await asyncio.sleep(0.01)
        first = await http.get("/api/v1/runs/w1/history")
        await client.send("go", namespace="shop")
        await client.result("w1", timeout=60)
        again = await http.get("/api/v1/runs/w1/history", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 200
        assert len(again.json()["items"]) > len(first.json()["items"])


async def test_cell_is_written_only_where_the_expected_one_is(site: Site) -> None:
    async with site.http() as http:
        place = "/api/v1/memory/global/value?key=k"
        first = await http.put(place, json={"value": 1}, headers={"If-None-Match": "*"})
        assert first.status_code == 200
        tag = first.headers["etag"]
        assert (await http.put(place, json={"value": 2}, headers={"If-None-Match": "*"})).status_code == 412
        second = await http.put(place, json={"value": 2}, headers={"If-Match": tag})
        assert second.headers["etag"] != tag
        late = await http.put(place, json={"value": 3}, headers={"If-Match": tag})
        assert (late.status_code, late.json()["type"]) == (412, "/problems/precondition-failed")
        assert (await http.delete(place, headers={"If-Match": tag})).status_code == 412
        assert (await http.get(place)).json()["value"] == 2
        both = await http.put(place, json={"value": 3, "base": 1}, headers={"If-Match": tag})
        assert both.status_code == 400
        assert (await http.put(place, json={"value": 3, "base": 99})).status_code == 409
        for wrong in ("*", "7", 'W/"7"', '"x"', '"' + "9" * 40 + '"'):
            assert (await http.put(place, json={"value": 3}, headers={"If-Match": wrong})).status_code == 422
        assert (await http.delete(place, headers={"If-Match": second.headers["etag"]})).json()["deleted"]
