"""Steps that wait for pools of a configuration, as a round sees them: grouped by what they ask for. SC-01, PO-03"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

from interlock.decisions.pools import PoolStrategy, PoolView
from interlock.dispatch import rounds, waiting_steps
from interlock.dispatch.configuration import PoolSettings, Scheduling
from interlock.dispatch.rounds import Rules
from interlock.model.call import Requirements
from interlock.model.task import ContainerTarget, ShellTarget, Target
from interlock.store.ports import QueuedStep, Store

SCHEDULING = Scheduling(
    pools={
        "small": PoolSettings(name="small", type="local-process"),
        "docker": PoolSettings(name="docker", type="docker"),
        "people": PoolSettings(name="people", type="worker"),
        "local": PoolSettings(name="local", type="docker"),
    }
)
ANY, NAMED = "?step=container", "?step=container,pool=docker"


class Ready:
    """The port of pools, with steps that are ready by lane."""

    def __init__(self, **lanes: Sequence[QueuedStep]) -> None:
        self.lanes = lanes
        self.read: list[tuple[str, int]] = []

    async def step_lanes(self, names: Sequence[str]) -> list[str]:
        return list(names)

    async def steps(self, lane: str, limit: int) -> list[QueuedStep]:
        self.read.append((lane, limit))
        return list(self.lanes.get(lane, ()))[:limit]


def store(ready: Ready) -> Store:
    return cast(Store, SimpleNamespace(pools=ready))


def step(task: str, target: Target | None = None, cpu: float = 0.0) -> QueuedStep:
    return QueuedStep(
        task=task,
        run_id="r",
        path=f"/do/0/{task}",
        priority=0,
        rank=1.0,
        target=target or ShellTarget(command="x"),
        requires=Requirements(cpu=cpu) if cpu else None,
    )


async def test_lanes_are_those_of_configured_pools_but_workers_and_the_nodes_own() -> None:
    found = await waiting_steps.lanes(store(Ready()), SCHEDULING)
    containers = [f"{ANY},pool={name}" for name in ("docker", "local", "small")]
    assert found == ["docker", "small", ANY, *containers]


async def test_step_that_asks_for_too_much_holds_up_none_of_its_lane() -> None:
    ready = Ready(small=[step("huge", cpu=64), step("a"), step("b", cpu=1), step("c")])
    pools = {"small": PoolView(name="small", type="local-process", capacity=3, cpu=4)}
    waiting = await waiting_steps.look(store(ready), SCHEDULING, ["small"], pools, 1000)
    assert ready.read == [("small", 103)]
    assert waiting.names["huge"] == "r/do/0/huge"
    rules = Rules(mapping={}, strategy=PoolStrategy.LEAST_LOADED, chance=lambda: 0.0)
    placed = rounds.place(waiting.heads, pools, rules, 1000, waiting.asked)
    assert sorted(each.task for each in placed.placements) == ["a", "b", "c"]
    assert [each.task for each in placed.stuck] == ["huge"]
    assert placed.stuck[0].warning is not None


async def test_container_goes_to_any_pool_of_containers_with_room() -> None:
    ready = Ready(**{ANY: [step("box", ContainerTarget(image="i"))]})
    pools = {
        "small": PoolView(name="small", type="local-process"),
        "docker": PoolView(name="docker", type="docker"),
        "local": PoolView(name="local", type="docker", state="disabled"),
    }
    waiting = await waiting_steps.look(store(ready), SCHEDULING, [ANY], pools, 1000)
    rules = Rules(mapping={}, strategy=PoolStrategy.LEAST_LOADED, chance=lambda: 0.0)
    placed = rounds.place(waiting.heads, pools, rules, 1000, waiting.asked)
    assert [(each.task, each.pool) for each in placed.placements] == [("box", "docker")]
    assert ready.read == [(ANY, 1000)]


async def test_of_a_lane_without_room_only_the_first_step_is_read() -> None:
    ready = Ready(**{NAMED: [step("a", ContainerTarget(image="i")), step("b", ContainerTarget(image="i"))]})
    for pool in (
        PoolView(name="docker", type="docker", capacity=1, running=1),
        PoolView(name="docker", type="docker", ill="no engine"),
    ):
        waiting = await waiting_steps.look(store(ready), SCHEDULING, [NAMED], {"docker": pool}, 1000)
        assert [task.task for tasks in waiting.heads.values() for task in tasks] == ["a"]
    assert ready.read == [(NAMED, 1)] * 2
