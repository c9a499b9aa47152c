"""`tasks` and `pools` with --server: they print what they print at the store, and change what is there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.model.access import Role
from server.served import Ended, Served, plain
from server.site import Site

_SECONDS = 180.0

BUILD = """
graph: build
tasks:
  - {id: one, title: First, run: [sh, -c, "echo hello; printf kept | curl -sf -T - $INTERLOCK_CALLBACK/artifacts/a.txt"], skills: [backend], description: What is first, cpu: 0.5}
  - {id: two, run: ["false"], dependencies: [one], retry: {max_attempts: 1}}
  - {id: three, run: ["true"], dependencies: [two]}
"""
LATER = """
graph: later
tasks:
  - {id: one, run: ["true"], priority: 3}
  - {id: four, run: ["true"], dependencies: [one]}
"""


async def _loaded(site: Site) -> None:
    """Make a graph that has ended, and one that waits for its pool."""
    async with site.client() as client:
        await client.graphs.load(BUILD)
        await client.graphs.wait("build", timeout=_SECONDS)
        for pool in await client.pools.list():
            await client.pools.disable(pool.pool)
        await client.graphs.load(LATER)


LINES = {
    "status": ["tasks status", "tasks status --json", "tasks status build", "tasks status build --json", "tasks status nothing",
               "-n nowhere tasks status", "-n nowhere tasks status build"],
    "list": ["tasks list", "tasks list build", "tasks list build --json", "tasks list build --limit 2", "tasks list build --after 2",
             "tasks list build --state done", "tasks list build --state happy", "tasks list build --state held",
             "tasks list nothing"],
    "show": ["tasks show build/one", "tasks show build/one --json", "tasks show two", "tasks show four --json", "tasks show one",
             "tasks show build/nothing", "tasks show nothing", "tasks show build/", "tasks show a/b/c"],
    "logs": ["tasks logs build/one", "tasks logs one --json", "tasks logs two", "tasks logs nothing"],
    "artifacts": ["tasks artifacts build/one", "tasks artifacts one a.txt --out -", "tasks artifacts two --json",
                  "tasks artifacts build/one none.txt", "tasks artifacts build/one --attempt 2", "tasks artifacts nothing"],
    "explain": ["tasks explain build/one", "tasks explain build/one --json", "tasks explain two", "tasks explain two --json",
                "tasks explain later/one", "tasks explain four --json", "tasks explain nothing"],
    "refused": ["tasks retry build/one", "tasks retry later/one", "tasks retry nothing", "tasks cancel build/one",
                "tasks cancel nothing", "tasks cancel nothing --graph", "tasks cancel build --graph",
                "tasks reprioritise build/one 3", "tasks reprioritise nothing 3", "tasks load missing.yaml",
                "tasks load circle.yaml", "tasks validate circle.yaml"],
    "watch": ["tasks watch build --until-done", "tasks watch build --until-done --json", "tasks watch nothing"],
    "pools": ["pools list", "pools list --json", "pools enable nothing", "pools disable local", "pools drain loca",
              "pools policy", "pools policy --json", "pools policy priorty", "pools policy configured"],
}  # fmt: skip


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_graphs_of_a_server_are_printed_as_those_of_its_store(served: Served, lines: list[str]) -> None:
    Path("circle.yaml").write_text("graph: g\ntasks:\n  - {id: a, run: [x], dependencies: [a]}\n")
    served.ask(_loaded)
    near = {line: _printed(served.near(*line.split())) for line in lines}
    far = {line: _printed(served.far(*line.split())) for line in lines}

    assert far == near
    assert [line for line, (_, out, err) in near.items() if not out and not err] == []


def _printed(ended: Ended) -> tuple[int, str, str]:
    return ended.code, plain(ended.out), plain(ended.err)


def test_graph_is_loaded_and_followed_to_its_end_at_the_server(served: Served) -> None:
    Path("build.yaml").write_text(BUILD.replace('["false"]', "[pwd]"))
    loaded = served.far("tasks", "load", "build.yaml")
    watched = served.far("tasks", "watch", "build", "--until-done")
    again = served.far("tasks", "load", "build.yaml", "--json")

    assert (loaded.code, loaded.out) == (0, "build: 3 added\n")
    assert loaded.err == f"its tasks start in {Path.cwd()}, at the server\n"
    assert watched.code == 0
    assert watched.out.splitlines()[-1] == "build: 3 tasks, 3 done"
    assert json.loads(again.out)["same"] == 3
    assert served.near("tasks", "status", "build").out == "build  3 tasks: 3 done\n"


def test_changes_through_a_server_are_there_at_its_store(served: Served) -> None:
    served.ask(_loaded)
    moved = served.far("tasks", "reprioritise", "later/one", "9")
    cancelled = served.far("tasks", "cancel", "later/one")
    whole = served.far("tasks", "cancel", "later", "--graph")
    retried = served.far("tasks", "retry", "later/one")
    enabled = served.far("pools", "enable", "local")
    served.far("pools", "drain", "local", "--wait")

    ordered = served.far("pools", "policy", "fifo")
    # one that is tried again may have been placed by then
    assert re.fullmatch(r"tasks are ordered by fifo; [23] tasks got a new place\n", ordered.err)
    assert "fifo, chosen at run time; the configuration says priority" in served.near("pools", "list").out
    assert moved.err == "the task later/one has the priority 9 now, 3 before\n"
    assert cancelled.err == "the task later/one is cancelled\n"
    assert whole.err == "0 tasks of later cancelled\n"
    assert retried.err == "the task later/one is tried again\n"
    assert enabled.err == "the pool local takes tasks\n"
    assert "draining" in served.near("pools", "list").out
    actions = [each["action"] for each in json.loads(served.near("audit", "--json").out)]
    assert {"reprioritise-task", "cancel-task", "cancel-graph", "retry-task", "pool-draining", "choose-policy"} <= set(
        actions
    )


def test_change_at_a_store_is_in_its_audit_log(served: Served) -> None:
    served.ask(_loaded)
    served.near("tasks", "cancel", "later/one")
    served.near("pools", "enable", "local")

    assert "cancel-task" in served.far("audit").out
    assert "pool-enabled" in served.far("audit").out


def test_key_without_the_right_is_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("later.yaml").write_text(LATER)
    served.ask(_loaded)
    served.ask(lambda site: site.with_keys())
    unknown = served.far("tasks", "watch", "build", "--until-done")
    monkeypatch.setenv("INTERLOCK_API_KEY", served.site.keys[Role.VIEWER])
    watched = served.far("tasks", "watch", "build", "--until-done")
    assert "failed: application, Exited with 1" in watched.out
    refused = [served.far(*line.split()) for line in ("tasks cancel later/one", "tasks load later.yaml", "pools drain local")]  # fmt: skip

    assert (unknown.code, unknown.out) == (2, "")
    assert "send `Authorization: Bearer KEY`" in unknown.err
    assert watched.code == 1
    assert [each.code for each in refused] == [2, 2, 2]
    assert all("has no right to" in each.err for each in refused)


def test_server_without_a_dispatcher_is_told_and_signal_ends_the_look(served: Served) -> None:
    async def nobody(site: Site) -> None:
        await site.session.lose_node()

    served.ask(_loaded)
    served.ask(nobody)
    line = ["--server", served.site.url, "tasks", "watch", "later"]
    following = subprocess.Popen(
        [sys.executable, "-c", "from interlock.cli.main import main; main()", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert following.stdout is not None
        first = following.stdout.readline()  # it follows from then on
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=_SECONDS)
    finally:
        following.kill()
        following.wait(_SECONDS)

    assert "one" in first
    assert following.returncode == 130
    assert "no node places tasks now; `interlock node`, where the server's store is, does" in said
    assert "`interlock tasks watch later` follows it again" in said


def test_watch_follows_what_others_change(served: Served) -> None:
    served.ask(_loaded)
    changing = served.begin(_enabled)
    watched = served.far("tasks", "watch", "later", "--until-done")
    changing.result(_SECONDS)

    assert watched.code == 0
    assert watched.out.splitlines()[-1] == "later: 2 tasks, 2 done"


async def _enabled(site: Site) -> None:
    async with site.client() as client:
        async with asyncio.timeout(_SECONDS):
            while (await client.graphs.get("later")).states != {"ready": 1, "blocked": 1}:
                await asyncio.sleep(0.02)
        await client.pools.enable("local")
