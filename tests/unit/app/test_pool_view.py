"""How a pool looks from outside of its nodes: whose troubles count. SC-05"""

from __future__ import annotations

import msgspec
import pytest

from interlock.app.declared import DeclaredOfPool
from interlock.app.tasks import pool_view
from interlock.store.ports import Ill, PoolRow, PoolState

NOW = 100.0


def row(nodes: tuple[str, ...], ills: dict[str, float]) -> PoolRow:
    """Give a pool of these nodes, some of which cannot launch in it until a moment."""
    return PoolRow(
        pool="box", type="docker", state=PoolState.ENABLED, capacity=2, cpu=None, memory=None, gpus=None,
        settings=msgspec.json.encode(DeclaredOfPool(nodes=nodes)), declared_at=1.0, turn=0,
        ills=[Ill(pool="box", node=node, reason=f"{node} says so", since=1.0, again_at=at) for node, at in ills.items()],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "ills", "live", "ill"),
    [
        (("a",), {}, {"a"}, None),
        (("a",), {"a": 101.0}, {"a"}, "a says so"),
        (("a",), {"a": 99.0}, {"a"}, None),
        (("a", "b"), {"a": 101.0}, {"a", "b"}, None),
        (("a", "b"), {"a": 101.0, "b": 101.0}, {"a", "b"}, "a says so"),
        (("a", "b"), {"a": 101.0, "b": 101.0}, {"b"}, "b says so"),
        (("b",), {"a": 101.0}, {"b"}, None),
        (("a",), {"a": 101.0}, set(), "a says so"),
        ((), {"a": 101.0}, {"a"}, "a says so"),
    ],
)
def test_pool_is_ill_when_all_live_nodes_that_have_it_found_it_so(
    nodes: tuple[str, ...], ills: dict[str, float], live: set[str], ill: str | None
) -> None:
    """One node of two, or one that is gone, was enough. Where none is live, or a row names none, what is known counts."""
    assert pool_view(row(nodes, ills), NOW, live).ill == ill
