"""How large the machines are that serve a pool: one attempt may ask for no more, where no quota says otherwise. SC-04, PO-03."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from interlock.decisions.pools import PoolView
from interlock.dispatch import machines
from interlock.dispatch.machines import DeclaredMachines, Machine, Machines
from interlock.store.open import open_store
from interlock.store.ports import PoolRow, PoolState, Store
from interlock.testing.clock import VirtualClock
from store.rows import node

SMALL, LARGE = Machine(cpu=2.0, memory=1000.0), Machine(cpu=64.0, memory=500.0)
LOCAL = PoolView(name="local", type="local-process")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store("sqlite:///:memory:")
    yield store
    await store.close()


def row(nodes: tuple[str, ...], found: dict[str, Machine], pool: str = "local") -> PoolRow:
    return PoolRow(
        pool=pool, type="local-process", state=PoolState.ENABLED, capacity=None, cpu=None, memory=None, gpus=None,
        settings=msgspec.json.encode(DeclaredMachines(nodes=nodes, machines=found)), declared_at=1.0, turn=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "found", "live", "largest"),
    [
        (("a", "b"), {"a": SMALL, "b": LARGE}, {"a", "b"}, Machine(cpu=64.0, memory=1000.0)),
        (("a", "b"), {"a": SMALL, "b": LARGE}, {"a", "x"}, SMALL),
        (("a", "b"), {"a": SMALL, "b": LARGE}, set(), Machine(cpu=64.0, memory=1000.0)),
        (("a", "old"), {"a": SMALL}, {"a", "old"}, Machine()),
        (("a", "b"), {"a": SMALL, "b": Machine(cpu=1.0)}, {"a", "b"}, Machine(cpu=2.0)),
        ((), {}, {"a"}, Machine()),
    ],
)
def test_largest_machine_is_one_of_a_live_node_and_unknown_where_one_of_them_says_nothing(
    nodes: tuple[str, ...], found: dict[str, Machine], live: set[str], largest: Machine
) -> None:
    assert DeclaredMachines(nodes=nodes, machines=found).largest(live) == largest


@pytest.mark.parametrize(
    ("pool", "each"),
    [
        (LOCAL, (2.0, 1000.0)),
        (PoolView(name="calls", type="in-process"), (2.0, 1000.0)),
        (PoolView(name="box", type="docker"), (2.0, 1000.0)),
        (PoolView(name="box", type="docker", cpu=1.0), (None, 1000.0)),
        (replace(LOCAL, cpu=99.0), (None, 1000.0)),
        (replace(LOCAL, memory=99.0), (2.0, None)),
        (PoolView(name="far", type="kubernetes"), (None, None)),
        (PoolView(name="workers", type="worker"), (None, None)),
    ],
)
def test_machine_bounds_what_runs_on_it_and_a_quota_counts_before_it(
    pool: PoolView, each: tuple[float | None, float | None]
) -> None:
    found = machines.bounded(pool, SMALL)
    assert (found.cpu_each, found.memory_each) == each


def test_this_machine_has_cores() -> None:
    found = machines.here()
    assert found.cpu is not None
    assert found.cpu >= 1
    assert found.memory is None or found.memory == int(found.memory)


async def test_pools_everywhere_are_as_large_as_the_largest_live_machine(store: Store) -> None:
    """The node itself counts always; who is gone, and what does not name a pool, never."""
    clock = VirtualClock()
    seen = Machines("me", store, clock, {"local": SMALL, "here-only": SMALL})
    far = PoolView(name="far", type="kubernetes")
    own = {"local": seen.view(row(("me",), {"me": SMALL}), LOCAL), "far": seen.view(row((), {}, "far"), far)}
    assert (own["local"].cpu_each, own["far"]) == (2.0, far)
    assert await seen.everywhere(own) == own

    seen.view(row(("large", "me"), {"me": SMALL, "large": LARGE}), LOCAL)
    assert await seen.everywhere(own) == own

    await store.nodes.join(node("large", joined_at=clock.now()), 60.0)
    found = await seen.everywhere(own)
    assert (found["local"].cpu_each, found["local"].memory_each) == (64.0, 1000.0)
    assert found["far"] == far

    here_only = seen.view(row(("me",), {"me": SMALL}, "here-only"), replace(LOCAL, name="here-only"))
    assert (await seen.everywhere({"here-only": here_only}))["here-only"] == here_only
