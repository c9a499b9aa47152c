"""Task graphs and pools over HTTP: loaded, executed by the node of the site, read, explained, steered; and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlock import errors
from interlock.client.client import Client
from interlock.model.access import Role
from server.site import Site

_SECONDS = 180.0
_ONCE = {"max_attempts": 1}

GRAPH: dict[str, Any] = {
    "graph": "build",
    "namespace": "shop",
    "tasks": [
        {"id": "one", "title": "First", "run": ["sh", "-c", "echo out; echo err >&2"], "skills": ["backend"]},
        {"id": "two", "run": ["sh", "-c", "pwd"], "dependencies": ["one"], "cpu": 0.1, "metadata": {"owner": "ops"}},
        {"id": "three", "run": ["true"], "dependencies": ["two"]},
    ],
}


def graph(name: str, *tasks: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    return {"graph": name, "namespace": namespace, "tasks": [{"run": ["true"], **each} for each in tasks]}


async def resting(client: Client) -> None:
    """Let nothing begin from now on."""
    for pool in await client.pools.list():
        await client.pools.disable(pool.pool)


# -- load, follow, read ----------------------------------------------------------------------------------------------


async def test_graph_is_loaded_executed_and_read(site: Site, tmp_path: Path) -> None:
    async with site.client(namespace="shop") as client:
        loaded = await client.graphs.load(GRAPH, folder=str(tmp_path))
        done = await client.graphs.wait("build", timeout=_SECONDS)
        first = await client.graphs.tasks("build", limit=2)
        rest = await client.graphs.tasks("build", after=first.next or 0, limit=2)
        two = await client.graphs.task("build", "two")
        logs = await client.graphs.logs("build", "two")
        both = await client.graphs.logs("build", "one", limit=1)

    assert (loaded.added, loaded.changed, loaded.same, loaded.served) == (["one", "two", "three"], [], 0, True)
    assert (done.tasks, done.states, done.loads, done.folder) == (3, {"done": 3}, 1, str(tmp_path))
    assert [each.id for each in first.items + rest.items] == ["one", "two", "three"]
    assert (first.next, rest.next) == (2, None)
    assert (two.task, two.state, two.attempt, two.dependencies) == ("build/two", "done", 1, ["one"])
    assert (two.cpu, two.metadata, two.kind) == (0.1, {"owner": "ops"}, "run")
    assert [(each.outcome, each.attempt, each.pool) for each in two.tries] == [("done", 1, two.pool)]
    assert [each.text.strip() for each in logs.items] == [str(tmp_path)]
    assert both.next == both.items[0].number


async def test_same_document_again_changes_nothing_and_another_one_what_has_not_begun(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(GRAPH)
        again = await client.graphs.load(GRAPH)
        changed = await client.graphs.load({**GRAPH, "tasks": [*GRAPH["tasks"][:1], {"id": "two", "run": ["false"]}]})
        source = await client.graphs.document("build")

    assert (again.added, again.changed, again.same) == ([], [], 3)
    assert (changed.changed, changed.absent, changed.same) == (["two"], ["three"], 1)
    assert [each["id"] for each in source.document["tasks"]] == ["one", "two"]


async def test_text_is_as_good_as_json(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        loaded = await client.graphs.load("graph: text\nnamespace: shop\ntasks:\n  - {id: a, run: ['true']}\n")
        await client.graphs.wait("text", timeout=_SECONDS)

    assert (loaded.graph, loaded.added, loaded.folder) == ("text", ["a"], str(Path.cwd()))


async def test_graphs_are_listed_in_pages_of_the_namespaces_that_one_may_see(site: Site) -> None:
    async with site.client() as client:
        await resting(client)
        for space, name in (("shop", "b"), ("bank", "z"), ("shop", "a")):
            await client.graphs.load(graph(name, {"id": "t"}, namespace=space))
        first = await client.graphs.list(limit=2)
        second = await client.graphs.list(limit=2, after=first.next)
    async with site.client(namespace="bank") as client:
        bank = await client.graphs.list()

    assert [f"{each.namespace}/{each.graph}" for each in first.items + second.items] == ["bank/z", "shop/a", "shop/b"]
    assert (first.next, second.next) == ("shop/a", None)
    assert first.items[0].states == {"ready": 1}
    assert [each.graph for each in bank.items] == ["z"]


async def test_answer_that_is_known_is_not_sent_again(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(GRAPH)
    async with site.http() as http:
        for path in ("graphs/build", "graphs/build/document", "graphs/build/tasks/one", "tasks/one"):
            answer = await http.get(f"/api/v1/{path}?namespace=shop")
            known = {"if-none-match": answer.headers["etag"]}
            assert answer.status_code == 200
            assert (await http.get(f"/api/v1/{path}?namespace=shop", headers=known)).status_code == 304
        before = (await http.get("/api/v1/graphs/build/tasks/one?namespace=shop")).headers["etag"]
        await http.post("/api/v1/graphs/build/tasks/one/cancel?namespace=shop")
        after = await http.get("/api/v1/graphs/build/tasks/one?namespace=shop", headers={"if-none-match": before})
        assert after.status_code == 200


# -- steer -----------------------------------------------------------------------------------------------------------


async def test_task_that_failed_is_retried_with_what_was_skipped_because_of_it(site: Site, tmp_path: Path) -> None:
    tasks = (
        {"id": "flaky", "run": ["test", "-e", "go"], "retry": _ONCE},
        {"id": "behind", "dependencies": ["flaky"]},
    )
    async with site.client(namespace="shop") as client:
        await client.graphs.load(graph("g", *tasks), folder=str(tmp_path))
        failed = await client.graphs.wait("g", timeout=_SECONDS)
        explained = await client.graphs.explain("g", "flaky")
        skipped = await client.graphs.tasks("g", state="skipped")
        (tmp_path / "go").touch()
        again = await client.graphs.retry("g", "flaky")
        done = await client.graphs.wait("g", timeout=_SECONDS)

    assert failed.states == {"failed": 1, "skipped": 1}
    assert explained.budgets["application"].used == explained.budgets["application"].of == 0
    assert explained.placements[0].chosen == explained.tries[0].pool
    assert [each.id for each in skipped.items] == ["behind"]
    assert again.state != "failed"
    assert done.states == {"done": 2}


async def test_running_task_is_asked_to_stop(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await client.graphs.load(graph("g", {"id": "long", "run": ["sleep", "600"]}))
        async with asyncio.timeout(_SECONDS):
            while (await client.graphs.task("g", "long")).state != "running":
                await asyncio.sleep(0.02)
        asked = await client.graphs.cancel("g", "long")
        ended = await client.graphs.wait("g", timeout=_SECONDS)

    assert (asked.state, asked.cancel) == ("running", True)
    assert ended.states == {"cancelled": 1}


async def test_tasks_that_wait_are_explained_reprioritised_and_cancelled(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(GRAPH)
        explained = await client.graphs.explain("build", "one")
        waiting = await client.graphs.explain("build", "two")
        moved = await client.graphs.reprioritise("build", "one", 7)
        cancelled = await client.graphs.cancel("build", "one")
        states = (await client.graphs.get("build")).states
        count = await client.graphs.cancel_all("build")

    assert (explained.state, list(explained.now.values())) == ("ready", ["is disabled"])
    assert waiting.waits_for == ["one"]
    assert moved.priority == 7
    assert cancelled.state == "cancelled"
    assert states == {"cancelled": 1, "skipped": 2}
    assert count == 0


async def test_whole_graph_is_cancelled(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(graph("g", {"id": "a"}, {"id": "b"}))

        assert await client.graphs.cancel_all("g") == 2
        assert (await client.graphs.get("g")).states == {"cancelled": 2}


async def test_task_is_found_by_its_id_while_only_one_graph_has_it(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(graph("g", {"id": "a"}, {"id": "b"}))
        await client.graphs.load(graph("h", {"id": "b"}))

        assert (await client.graphs.find("a")).task == "g/a"
        with pytest.raises(errors.Conflict, match="2 graphs have a task 'b'; name one of g/b, h/b"):
            await client.graphs.find("b")
        with pytest.raises(errors.NotFound, match="there is no task 'c'; name it GRAPH/ID"):
            await client.graphs.find("c")


# -- pools -----------------------------------------------------------------------------------------------------------


async def test_policy_is_chosen_at_run_time(site: Site) -> None:
    """DQ-05."""
    async with site.client(namespace="shop") as client:
        pool, _ = await client.pools.list()  # and that of workflows
        await client.pools.disable(pool.pool)
        await client.graphs.load(graph("g", {"id": "a"}, {"id": "b", "priority": 5}))
        before = await client.pools.policy()
        chosen, again = await client.pools.choose_policy("fifo"), await client.pools.choose_policy("fifo")
        explained = await client.graphs.explain("g", "a")
        with pytest.raises(errors.Invalid, match="there are fifo, priority, skill-based"):
            await client.pools.choose_policy("fifi")
        back = await client.pools.choose_policy(None)

    assert before == "priority"
    assert (chosen.policy, chosen.configured, chosen.changed, chosen.stamped) == ("fifo", "priority", True, 2)
    assert (again.changed, again.stamped) == (False, 0)
    assert explained.policy == "fifo"
    assert (back.policy, back.changed, back.stamped) == ("priority", True, 1)


async def test_pool_takes_tasks_when_people_say_so(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        pool, _ = await client.pools.list()  # and that of workflows
        first, second = await client.pools.disable(pool.pool), await client.pools.disable(pool.pool)
        await client.graphs.load(graph("g", {"id": "a"}))
        standing = (await client.graphs.get("g")).states
        drained = await client.pools.drain(pool.pool)
        enabled = await client.pools.enable(pool.pool)
        done = await client.graphs.wait("g", timeout=_SECONDS)
        with pytest.raises(errors.NotFound, match=f"there is no pool 'loca'; did you mean '{pool.pool}'"):
            await client.pools.drain("loca")
        after, _ = await client.pools.list()

    assert (pool.state, first.state, first.changed, second.changed) == ("enabled", "disabled", True, False)
    assert standing == {"ready": 1}
    assert (drained.state, enabled.state, done.states) == ("draining", "enabled", {"done": 1})
    assert after.placed == pool.placed + 1


# -- what is refused -------------------------------------------------------------------------------------------------


ABOUT_NOTHING = (
        ("GET", "graphs/nothing", 404, "there is no task graph 'nothing'; `interlock tasks list` shows those there are"),
        ("GET", "graphs/nothing/document", 404, "there is no task graph 'nothing'"),
        ("GET", "graphs/nothing/tasks", 404, "there is no task graph 'nothing'"),
        ("POST", "graphs/nothing/cancel", 404, "there is no task graph 'nothing'"),
        ("GET", "graphs/g/tasks/x", 404, "there is no task 'g/x'; `interlock tasks list GRAPH` shows those there are"),
        ("GET", "graphs/g/tasks/x/logs", 404, "there is no task 'g/x'"),
        ("GET", "graphs/g/tasks/x/explanation", 404, "there is no task 'g/x'"),
        ("POST", "graphs/g/tasks/x/retry", 404, "there is no task 'g/x'"),
        ("GET", "graphs/g%2Fx", 404, "there is no task graph 'g/x'"),
        ("GET", "graphs/%00", 404, "a name has no such characters"),
        ("GET", "graphs/g/tasks/a%00", 404, "a name has no such characters"),
        ("POST", "pools/x%00/drain", 404, "there is no pool"),
        ("GET", "graphs/g/tasks?state=happy", 422, "query/state"),
        ("GET", "graphs/g/tasks?after=-1", 422, "query/after"),
        ("GET", "graphs/g/tasks?limit=100000", 422, "query/limit"),
        ("GET", "graphs?after=nonsense", 400, "write NAMESPACE/GRAPH"),
        ("POST", "graphs/g/tasks/a/retry", 409, "the task g/a is ready; only one that failed"),
        ("POST", "graphs/g/tasks/over/cancel", 409, "the task g/over is cancelled already"),
    )  # fmt: skip


async def test_request_about_nothing_is_refused_as_what_it_is(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(graph("g", {"id": "a"}, {"id": "over"}))
        await client.graphs.cancel("g", "over")
    async with site.http() as http:
        for method, path, status, said in ABOUT_NOTHING:
            answer = await http.request(method, f"/api/v1/{path}{'&' if '?' in path else '?'}namespace=shop")

            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
            assert said in answer.json()["detail"]


NO_PRIORITY = (
        ({"priority": "high"}, 422), ({"priority": 10**9}, 422), ({}, 422), ({"priority": 1, "x": 1}, 422),
        ({"priority": 1}, 409),
    )  # fmt: skip


async def test_priority_that_is_none_or_comes_too_late_is_refused(site: Site) -> None:
    async with site.client(namespace="shop") as client:
        await resting(client)
        await client.graphs.load(graph("g", {"id": "a"}))
        await client.graphs.cancel("g", "a")
    async with site.http() as http:
        for body, status in NO_PRIORITY:
            answer = await http.post("/api/v1/graphs/g/tasks/a/reprioritise?namespace=shop", json=body)

            assert answer.status_code == status, body


async def test_every_problem_of_a_document_is_told_with_its_place(site: Site) -> None:
    wrong = graph("g", {"id": "a", "dependencies": ["c"]}, {"id": "b", "dependencies": ["a"]}, {"id": "c", "dependencies": ["b"]},
                  {"id": "d", "dependencies": ["nothing"]})  # fmt: skip
    text = "graph: g\ntasks:\n  - {id: a, run: [x], dependencies: [a]}\n"
    async with site.http() as http:
        answer = await http.post("/api/v1/graphs", json={"document": wrong})
        of_text = await http.post("/api/v1/graphs", json={"document": text})
        found = {each["code"]: each for each in answer.json()["problems"]}

        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-definition")
        assert found["circular-dependency"]["message"] == "`a`, `c` and `b` wait for each other: a -> c -> b -> a"
        assert found["circular-dependency"]["path"] == "/tasks/0/dependencies"
        assert found["unknown-dependency"]["path"] == "/tasks/3/dependencies/0"
        assert of_text.json()["problems"][0]["line"] == 3
        assert (await http.get("/api/v1/graphs")).json()["items"] == []


NO_GRAPH = (
        ({}, 422), ({"document": 7}, 422), ({"document": []}, 422), ({"document": {}}, 422), ({"document": ""}, 422),
        ({"document": "]["}, 422), ({"document": GRAPH, "folder": "here"}, 400), ({"document": GRAPH, "folder": "/a\0"}, 400),
        ({"document": {**GRAPH, "repository": "a\0b"}}, 400), ({"document": graph("g", {"id": "a", "skills": ["\0"]})}, 400),
        ({"document": graph("g", {"id": "a", "concurrency": {"key": "\0", "limit": 1}})}, 400),
        ({"document": GRAPH, "x": 1}, 422), ({"document": {**GRAPH, "graph": "a/b"}}, 422),
    )  # fmt: skip


async def test_body_that_is_no_graph_is_refused_and_nothing_stored(site: Site) -> None:
    async with site.http() as http:
        for body, status in NO_GRAPH:
            answer = await http.post("/api/v1/graphs", json=body)

            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body
        assert (await http.get("/api/v1/graphs")).json()["items"] == []


# -- who -------------------------------------------------------------------------------------------------------------


async def test_key_of_one_namespace_has_its_own_graphs_and_no_pools(site: Site) -> None:
    async with site.client() as client:
        await resting(client)
        await client.graphs.load(graph("theirs", {"id": "t"}))
    await site.with_keys(namespaces=("bank",))
    async with site.client(Role.ADMIN) as client:
        await client.graphs.load(graph("ours", {"id": "o"}, namespace="bank"))
        own = await client.graphs.get("ours")
        listed = await client.graphs.list()
        for asked in (
            client.graphs.load(graph("theirs", {"id": "t"})),
            client.pools.list(),
            client.pools.drain("local"),
            client.pools.choose_policy("fifo"),
        ):
            with pytest.raises(errors.Denied):
                await asked
        with pytest.raises(errors.NotFound):
            await client.graphs.get("theirs")

    assert (own.namespace, [each.graph for each in listed.items]) == ("bank", ["ours"])


async def test_key_of_one_namespace_starts_no_workflow_of_another_by_a_task(site: Site) -> None:
    def calling(namespace: str) -> dict[str, Any]:
        return {
            "graph": "g",
            "namespace": "bank",
            "tasks": [{"id": "a", "workflow": {"namespace": namespace, "name": "w"}}],
        }

    await site.with_keys(namespaces=("bank",))
    async with site.client(Role.ADMIN) as client:
        with pytest.raises(errors.Denied, match="no right to operate in the namespace 'shop'"):
            await client.graphs.load(calling("shop"))
        with pytest.raises(errors.NotFound):
            await client.graphs.get("g")
        await client.graphs.load(calling("bank"))


async def test_operator_steers_and_only_who_may_publish_loads(site: Site) -> None:
    """The tasks of a graph are code, as an unpublished workflow is."""
    async with site.client() as client:
        await resting(client)
        await client.graphs.load(graph("g", {"id": "a"}, {"id": "b"}))
    await site.with_keys()
    async with site.client(Role.OPERATOR, namespace="shop") as client:
        assert (await client.graphs.reprioritise("g", "a", 3)).priority == 3
        with pytest.raises(errors.Denied, match="no right to publish in the namespace 'shop'"):
            await client.graphs.load(graph("g", {"id": "a"}))
        with pytest.raises(errors.Denied, match="no right to administer"):
            await client.pools.enable("local")


async def test_changes_are_in_the_audit_log_with_who_made_them(site: Site) -> None:
    async with site.client() as client:
        pool, _ = await client.pools.list()  # and that of workflows
    await site.with_keys()
    async with site.client(Role.ADMIN, namespace="shop") as client:
        await client.pools.disable(pool.pool)
        await client.graphs.load(graph("g", {"id": "a"}, {"id": "b"}))
        await client.graphs.reprioritise("g", "a", 3)
        await client.graphs.cancel("g", "a")
        await client.graphs.retry("g", "a")
        await client.graphs.cancel_all("g")
        with pytest.raises(errors.Conflict):
            await client.graphs.cancel("g", "a")
        told = [(each.actor, each.action, each.target) for each in (await client.audit()).items]

    assert [each for each in told if each[0] == "key:the-admin"][::-1] == [
        ("key:the-admin", "pool-disabled", pool.pool), ("key:the-admin", "load-graph", "shop/g"),
        ("key:the-admin", "reprioritise-task", "shop/g/a 3"), ("key:the-admin", "cancel-task", "shop/g/a"),
        ("key:the-admin", "retry-task", "shop/g/a"), ("key:the-admin", "cancel-graph", "shop/g"),
    ]  # fmt: skip


async def test_document_of_the_api_has_examples_that_are_right(site: Site) -> None:
    async with site.http() as http:
        paths = (await http.get("/api/v1/openapi.json")).json()["paths"]
        examples = {
            path: operation["requestBody"]["content"]["application/json"]["example"]
            for path, operations in paths.items()
            for operation in operations.values()
            if path.startswith("/api/v1/graphs") and "requestBody" in operation
        }
        assert sorted(examples) == [
            "/api/v1/graphs", "/api/v1/graphs/{graph}/tasks/{task}/reprioritise",
        ]  # fmt: skip
        loaded = await http.post("/api/v1/graphs", json=examples["/api/v1/graphs"])

    assert (loaded.status_code, loaded.json()["added"]) == (200, ["schema", "api"])
