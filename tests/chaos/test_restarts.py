"""A server that crashes again and again under load, also while a node is taken over, and directly after it came back."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

import postgres
from chaos import audit, load
from chaos.audit import Trouble
from chaos.client import Client
from chaos.cluster import Cluster, Node, is_full, until
from chaos.conftest import ClusterMaker

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

LONG_SECONDS = 14.0
"""Longer than the lease of a node: every node loses what it has, and none is told so."""
_SETTLING_SECONDS = 2.0


@pytest.mark.parametrize(("through", "crashes"), [("directly", 20), ("by a pooler", 20 if is_full() else 8)])
async def test_no_run_is_lost_when_the_server_crashes_again_and_again(
    clusters: ClusterMaker,
    server: postgres.Server,
    url: str,
    request: pytest.FixtureRequest,
    through: str,
    crashes: int,
) -> None:
    used = url if through == "directly" else request.getfixturevalue("pooled")
    cluster = clusters.make(used)
    client = Client(used, cluster.shell.folder, looking=url)
    await client.publish()
    nodes = [await cluster.start(), await cluster.start()]
    moments = random.Random(crashes)
    troubles = []
    async with asyncio.TaskGroup() as group:
        group.create_task(client.start(10 * crashes, 2.0 * crashes))
        await until(lambda: len(load.lines(cluster.shell.folder)) > 20, 60)
        for number in range(crashes):
            await asyncio.sleep(moments.uniform(0.3, 2.0))  # the moment of the crash is the experiment
            if number % 7 == 3:
                troubles.append(await _while_a_node_is_taken_over(cluster, server, nodes))
            elif number == crashes // 2:
                troubles.append(await _crash(server, LONG_SECONDS))
                assert all("store away" in node.log_file.read_text() for node in nodes)
            else:
                troubles.append(await _crash(server, moments.uniform(0.0, 1.0)))
    await client.all_have_ended(120)
    await until(lambda: all(node.is_ready for node in nodes), 30)
    assert all(node.process.poll() is None for node in nodes)
    found = await audit.check(url, cluster.shell.folder, client.seeds, troubles)
    print(f"\n{through}: {found}; {crashes} crashes, {sum(each.what == 'takeover' for each in troubles)} in a takeover")
    assert cluster.troubles() == []


async def _crash(server: postgres.Server, seconds: float) -> Trouble:
    """Let the server crash and be away for so long."""
    begin = time.time()
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.start)
    return Trouble("crash", begin, time.time() + _SETTLING_SECONDS)


async def _while_a_node_is_taken_over(cluster: Cluster, server: postgres.Server, nodes: list[Node]) -> Trouble:
    """Kill a node, and let the server crash while the other one takes over, and again as soon as it is back."""
    begin = nodes[0].kill()
    buried = len(nodes[1].told("node.buried"))
    await until(lambda: len(nodes[1].told("node.buried")) > buried, 30)
    await asyncio.to_thread(server.stop, "immediate")
    nodes[:] = [nodes[1], await cluster.start(wait=False)]
    await asyncio.to_thread(server.start)
    await _crash(server, 0.0)
    return Trouble("takeover", begin, time.time() + _SETTLING_SECONDS)
