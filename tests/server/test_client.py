"""The typed client against a real server: what programs elsewhere do with runs, events, locks and memory."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from interlock import errors, sync
from interlock.client.client import Client
from interlock.model.access import Role
from interlock.server.application import bounded, build
from interlock.server.listening import HttpServer, Place
from server import site as sites
from server.site import Site


async def test_run_is_started_followed_and_gives_its_result(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
        started = await client.start("shop/order", {"amount": 21}, id="o1")
        again = await client.start("shop/order:1.0.0", {"amount": 21}, id="o1")

        assert (started.id, started.namespace, started.fresh, again.fresh) == ("o1", "shop", True, False)
        assert await client.result("o1", timeout=60) == {"total": 42}
        seen = [each.type async for each in client.follow("o1")]
        assert seen == [each.type for each in (await client.history("o1")).items]
        assert seen[0] == "workflow.started"
        assert seen[-1] == "workflow.completed"
        whole = await client.get("o1")
        assert [(step.name, step.status) for step in whole.steps] == [("price", "completed")]


@pytest.mark.parametrize("id", ["a/b", "100% of ä", "%2F", "a?b#c", "a b", "../x"])
async def test_run_with_any_id_is_found(site: Site, id: str) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
        await client.start("shop/order", {"amount": 1}, id=id)

        assert await client.result(id, timeout=60) == {"total": 2}
        assert (await client.get(id)).id == id


async def test_another_input_for_the_same_id_is_a_conflict(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
        await client.start("shop/order", {"amount": 1}, id="o1")

        with pytest.raises(errors.Conflict, match="exists with definition"):
            await client.start("shop/order", {"amount": 2}, id="o1")


async def test_many_runs_are_started_at_once_and_listed_in_pages(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
        ids = [f"o{number}" for number in range(25)]
        started = await client.start_many("shop/order", [{"amount": number} for number in range(25)], ids=ids)
        assert [each.id for each in started] == ids
        for id in ids:
            await client.result(id, timeout=60)

        seen, before = [], None
        while True:
            page = await client.list(limit=10, before=before, status=["completed"])
            seen += [each.id for each in page.items]
            if page.next is None:
                break
            before = page.next
        assert sorted(seen) == sorted(ids)


async def test_fault_is_raised_with_what_happened(site: Site) -> None:
    async with site.client() as client:
        await client.start(document=sites.FAILING, id="f1")

        with pytest.raises(errors.RunFaulted, match="it broke") as caught:
            await client.result("f1", timeout=60)
        assert (caught.value.fault.type, caught.value.fault.status) == ("urn:oops", 422)


async def test_waiting_run_is_suspended_resumed_sent_an_event_and_cancelled(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await client.publish(sites.WAITING)
        for id in ("w1", "w2"):
            await client.start("waiting", id=id)
        with pytest.raises(TimeoutError, match="it goes on"):
            await client.result("w1", timeout=0.2)
        assert (await client.suspend("w1")).applied
        await _until(client, "w1", "suspended")
        assert (await client.resume("w1")).applied
        await _until(client, "w1", "waiting")
        assert (await client.cancel("w2", "not wanted")).applied
        with pytest.raises(errors.RunCancelled):
            await client.result("w2", timeout=60)

        sent = await client.send("go", {"n": 1}, source="urn:test", id="e1")
        again = await client.send("go", {"n": 1}, source="urn:test", id="e1")

        assert (sent.listeners, again.listeners) == (1, None)
        assert await client.result("w1", timeout=60) is not None


async def _until(client: Client, id: str, status: str) -> None:
    async with asyncio.timeout(60):
        while (await client.get(id)).status != status:
            await asyncio.sleep(0.05)


async def test_output_is_followed_while_it_is_printed(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.PRINTING)
        await client.start("shop/printing", id="p1")

        followed = [(each.stream, each.text) async for each in client.follow_logs("p1")]

        assert sorted(followed) == [("stderr", "two\n"), ("stdout", "one\n")]
        paged = (await client.logs("p1", step="say")).items
        assert sorted((each.stream, each.text) for each in paged) == sorted(followed)


async def test_locks_exclude_each_other_and_fences_grow(site: Site) -> None:
    async with site.client() as client:
        first = await client.locks.acquire("deploy/eu", "one", ttl=30, nonce="n1")
        same = await client.locks.acquire("deploy/eu", "one", ttl=30, nonce="n1")
        assert same.fence == first.fence
        with pytest.raises(errors.LockError, match="held by 'one'") as caught:
            await client.locks.acquire("deploy/eu", "two")
        assert caught.value.code == "lock-held"
        assert await client.locks.renew("deploy/eu", "one", first.fence)
        assert not await client.locks.renew("deploy/eu", "two", first.fence)
        with pytest.raises(errors.LockError):
            await client.locks.release("deploy/eu", "two", first.fence)
        assert [each.holder for each in await client.locks.list()] == ["one"]

        await client.locks.release("deploy/eu", "one", first.fence)

        assert (await client.locks.acquire("deploy/eu", "two")).fence > first.fence


async def test_memory_is_written_compared_and_watched(site: Site) -> None:
    async with site.client() as client:
        seen: list[tuple[str, object]] = []
        began = asyncio.Event()

        async def watch() -> None:
            async for change in client.memory.watch("tasks/*", after=cursor):
                seen.append((change.data["key"], change.data["value"]))
                if len(seen) == 2:
                    return

        one = await client.memory.set("tasks/1", {"phase": 1})
        cursor = None
        async with site.http() as http, http.stream("GET", "/api/v1/memory/global/watch?pattern=tasks/*") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    cursor = line[4:]
                    break
        watching = asyncio.create_task(watch())
        began.set()
        two = await client.memory.set("tasks/1", {"phase": 2}, base=one.version)
        with pytest.raises(errors.Conflict, match="Read it and decide anew"):
            await client.memory.set("tasks/1", {"phase": 3}, base=one.version)
        await client.memory.set("tasks/2", 7)
        async with asyncio.timeout(60):
            await watching

        assert seen == [("tasks/1", {"phase": 2}), ("tasks/2", 7)]
        assert two.version > one.version
        assert await client.memory.delete("tasks/2")
        with pytest.raises(errors.NotFound):
            await client.memory.get("tasks/2")
        assert [cell.key for cell in await client.memory.list("tasks/")] == ["tasks/1"]


async def test_wrong_definition_tells_every_problem(site: Site) -> None:
    async with site.client() as client:
        verdict = await client.validate("document: 3")
        assert not verdict.valid
        assert {each.code for each in verdict.problems} == {"missing-property", "wrong-type"}

        with pytest.raises(errors.Invalid):
            await client.publish("document: 3")


async def test_programs_without_a_loop_have_the_same(site: Site) -> None:
    def work() -> tuple[object, list[str]]:
        with sync.Client(site.url) as client:
            client.publish(sites.ORDER)
            client.start("shop/order", {"amount": 4}, id="o1")
            return client.result("o1", timeout=60), [each.type for each in client.follow("o1")]

    output, seen = await asyncio.to_thread(work)

    assert output == {"total": 8}
    assert seen[-1] == "workflow.completed"


async def test_wrong_key_and_missing_right_are_denied(site: Site) -> None:
    await site.with_keys()
    async with Client(site.url, key="ilk_nonsense") as client:
        with pytest.raises(errors.Denied, match="unknown, revoked or expired"):
            await client.me()
    async with site.client(Role.VIEWER) as client:
        assert (await client.me()).role == "viewer"
        with pytest.raises(errors.Denied, match="no right to publish"):
            await client.publish(sites.ORDER)


async def test_server_that_does_not_answer_is_said_so() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(errors.StoreUnavailable, match="does not answer"):
            await client.me()


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:7070"])
def test_what_is_no_server_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_SERVER", "nonsense")
    with pytest.raises(errors.Invalid, match="is no server"):
        Client(url)


async def test_unix_socket_serves_its_owner_alone(tmp_path: Path, site: Site) -> None:
    name = f"unix:{tmp_path}/interlock.sock"
    app = build(site.gateway, site.sessions, may_be_open=True, hosts=frozenset())
    listening = HttpServer(bounded(app), site.gateway, Place(name))
    await listening.start()
    try:
        async with Client(name) as client:
            assert (await client.me()).name == "local"
        assert (tmp_path / "interlock.sock").stat().st_mode & 0o777 == 0o600
        with pytest.raises(errors.Invalid, match="cannot listen"):
            Place(name)
    finally:
        await listening.stop()
    assert not (tmp_path / "interlock.sock").exists()


async def test_socket_that_was_left_behind_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(tmp_path / "left.sock"))
    left.close()
    Place(f"unix:{tmp_path}/left.sock").close()
    (tmp_path / "file").write_text("precious")

    with pytest.raises(errors.Invalid, match="cannot listen"):
        Place(f"unix:{tmp_path}/file")

    assert (tmp_path / "file").read_text() == "precious"


def test_answers_are_sent_without_delay() -> None:
    """A socket that names no protocol is left with Nagle's algorithm by asyncio, which costs 40 ms for each answer."""
    place = Place("127.0.0.1:0")
    try:
        assert place.socket.proto == socket.IPPROTO_TCP
    finally:
        place.close()
