"""A pool of a configuration and a pool of workers refuse each other when they have one name, in real processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from acceptance.shell import Shell, until
from acceptance.test_worker import Fleet

POOLS = "agent_pools:\n  builds: {type: %s, max_concurrency: 1}\nskill_mapping: {default: [builds]}\n"


@pytest.fixture
def fleet(shell: Shell) -> Iterator[Fleet]:
    found = Fleet(shell)
    yield found
    found.end()


def test_worker_is_refused_whose_pool_a_live_node_has(fleet: Fleet) -> None:
    shell = fleet.shell
    shell.write("agent-pools.yaml", POOLS % "local-process")
    first = fleet.start("node", says="ready=true")
    second = fleet.start("node", says="ready=true")
    refused = shell.run("worker", "--pool", "builds", "--id", "ann", "--for", "30s")

    assert refused.code != 0
    assert "the pool 'builds' is one of type local-process in the configuration of the node" in refused.err
    assert "name another one by --pool" in refused.err
    assert "ann" not in shell.run("workers", "list").out

    second.send_signal(signal.SIGTERM)  # the last one that declared it; the first has it still
    second.wait(60)
    assert shell.run("worker", "--pool", "builds", "--id", "ann", "--for", "30s").code == refused.code

    first.kill()  # what is dead offers nothing
    first.wait(60)
    fleet.start("worker", "--pool", "builds", "--id", "ann", says="worker.registered")


def test_node_is_refused_with_a_pool_that_a_live_worker_serves(fleet: Fleet) -> None:
    shell = fleet.shell
    worker = fleet.start("worker", "--pool", "builds", "--id", "ann", says="worker.registered")
    shell.write("agent-pools.yaml", POOLS % "local-process")
    refused = shell.run("node", "--for", "30s")
    assert refused.code != 0
    assert "the pool 'builds' of this configuration is served by the worker 'ann' already" in refused.err
    assert "`interlock workers drain ann`" in refused.err
    assert "no node has declared a pool yet" in shell.run("pools", "list").err

    shell.write("agent-pools.yaml", POOLS % "worker")  # the same pool, which both know to be of workers
    fleet.start("node", says="ready=true")

    shell.write("agent-pools.yaml", POOLS % "local-process")
    worker.kill()  # it is registered still, and its process is gone
    worker.wait(60)
    fleet.start("node", says="ready=true")
    until(lambda: "local-process" in shell.run("pools", "list").out)
