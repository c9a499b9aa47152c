"""Which policy a node goes by: that which people chose, else the configured one. DQ-05."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlock import telemetry
from interlock.decisions.pools import PoolStrategy
from interlock.dispatch.configuration import Scheduling
from interlock.dispatch.policies import Fifo, Priority
from interlock.dispatch.policy_in_force import PolicyInForce
from interlock.store.ports import ALL, PoolRow, PoolState

SCHEDULING = Scheduling(policy="priority", strategy=PoolStrategy.COST)


def together(policy: str | None) -> PoolRow:
    return PoolRow(
        pool=ALL, type="", state=PoolState.ENABLED, capacity=None, cpu=None, memory=None, gpus=None, settings=b"{}",
        declared_at=1.0, turn=0, policy=policy,
    )  # fmt: skip


@pytest.fixture
def told() -> Iterator[list[tuple[str, object]]]:
    found: list[tuple[str, object]] = []
    remove = telemetry.attach(lambda name, fields: found.append((name, fields.get("policy"))))
    yield found
    remove()


def test_the_policy_that_was_chosen_counts_until_the_configured_one_does_again(told: list[tuple[str, object]]) -> None:
    order = PolicyInForce("n1", SCHEDULING, Priority())
    order.look(None)
    order.look(together(None))
    assert (order.name, order.strategy, told) == ("priority", PoolStrategy.COST, [])
    order.look(together("fifo"))
    order.look(together("fifo"))
    assert (order.name, type(order.policy)) == ("fifo", Fifo)
    order.look(together("fair-share"))
    assert order.strategy is PoolStrategy.FAIR
    order.look(together(None))
    assert (order.name, type(order.policy), order.strategy) == ("priority", Priority, PoolStrategy.COST)
    assert told == [("policy.changed", name) for name in ("fifo", "fair-share", "priority")]


def test_policy_that_cannot_be_loaded_here_is_told_once_and_the_configured_one_stays(
    told: list[tuple[str, object]],
) -> None:
    order = PolicyInForce("n1", SCHEDULING, Priority())
    order.look(together("fifo"))
    order.look(together("of-a-package"))
    order.look(together("of-a-package"))
    assert (order.name, type(order.policy)) == ("priority", Priority)
    assert told == [("policy.changed", "fifo"), ("policy.not_loaded", "of-a-package")]
