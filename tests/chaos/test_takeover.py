"""Nodes that die and nodes that are stopped for longer than their lease, under load, on a server that keeps what it wrote."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from chaos import audit, load
from chaos.audit import Trouble
from chaos.client import Client
from chaos.cluster import Cluster, Node, until
from chaos.conftest import ClusterMaker

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RUNS = 500
STOPPED_SECONDS = 30.0
TAKEOVER_SECONDS = 15.0


async def test_no_run_is_lost_and_no_finished_step_repeats_when_nodes_die_and_freeze(
    clusters: ClusterMaker, url: str
) -> None:
    cluster = clusters.make(url)
    client = Client(url, cluster.shell.folder)
    await client.publish()
    victim, sleeper = await cluster.start(), await cluster.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.start(RUNS, 12.0))
        await until(lambda: len(load.lines(cluster.shell.folder)) > 200, 60)
        killed_at = victim.kill()
        of_the_dead = await owned(url, victim)
        await cluster.start()
        killed = Trouble("killed", killed_at, killed_at + TAKEOVER_SECONDS)

        await taken_over(url, of_the_dead)
        await until(lambda: len(load.lines(cluster.shell.folder)) > 600, 60)
        stopped_at = sleeper.stop()
        of_the_sleeper = await owned(url, sleeper)
        await asyncio.sleep(STOPPED_SECONDS)  # how long it is stopped is the experiment
        stopped = Trouble("stopped", stopped_at, sleeper.go_on())

    await client.all_have_ended(200)
    await until(lambda: len(sleeper.told("node.joined")) == 2, 30)
    found = await audit.check(url, cluster.shell.folder, client.seeds, [killed, stopped])
    killed_waits, stopped_waits = [
        await takeovers(url, cluster, runs, each.begin)
        for runs, each in ((of_the_dead, killed), (of_the_sleeper, stopped))
    ]
    print(f"\n{found}")
    for what, (claimed, committed) in (("killed", killed_waits), ("stopped", stopped_waits)):
        print(
            f"{what}: {len(claimed)} runs taken over, the last after {max(claimed):.1f} s;"
            f" the last of {len(committed)} first commits after {max(committed):.1f} s"
        )
    assert len(client.seeds) == RUNS
    assert cluster.troubles() == []
    for claimed, committed in (killed_waits, stopped_waits):
        assert max(claimed + committed) <= TAKEOVER_SECONDS


async def owned(url: str, node: Node) -> dict[str, int]:
    """Give the epochs of the live runs that a node owns."""
    (id,) = (told.fields["node"] for told in node.told("node.joined"))
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT run, epoch FROM runs WHERE owner = $1 AND ended_at IS NULL", id)
        return {row[0]: row[1] for row in found}
    finally:
        await connection.close()


async def taken_over(url: str, runs: dict[str, int]) -> None:
    """Wait until each run has ended or has another owner."""
    connection = await asyncpg.connect(url)
    try:

        async def all_are() -> bool:
            left = await connection.fetchval(
                "SELECT count(*) FROM runs JOIN unnest($1::text[], $2::bigint[]) AS o (run, epoch) USING (run, epoch)"
                " WHERE ended_at IS NULL",
                list(runs), list(runs.values()),
            )  # fmt: skip
            return not left

        await until(all_are, 30)
    finally:
        await connection.close()


async def takeovers(url: str, cluster: Cluster, runs: dict[str, int], since: float) -> tuple[list[float], list[float]]:
    """Give how long after `since` each of the runs was claimed under the next epoch, and had its first commit under it."""
    claims = {(told.fields["run"], int(told.fields["epoch"])): told.at for told in cluster.claims()}
    claimed = [claims[run, epoch + 1] - since for run, epoch in runs.items() if (run, epoch + 1) in claims]
    connection = await asyncpg.connect(url)
    try:
        commits = await connection.fetch(
            "SELECT min(at) FROM history JOIN unnest($1::text[], $2::bigint[]) AS o (run, epoch) USING (run)"
            " WHERE history.epoch > o.epoch GROUP BY run",
            list(runs), list(runs.values()),
        )  # fmt: skip
    finally:
        await connection.close()
    return claimed, [row[0] - since for row in commits]
