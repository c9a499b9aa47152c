"""Places ready tasks of graphs and steps of workflows in pools, and has them performed there.

Each round looks at the pools, then at the heads of the lanes for which some pool has room, plans in memory, and has the
store carry the plan out in one transaction, which counts anew. What another dispatcher was quicker with is left out, so any
number of them may serve the same pools. Tasks for pools of type `worker` are left to the workers, who claim them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from interlock import telemetry
from interlock.decisions import obstacles, steps
from interlock.decisions import pools as choosing
from interlock.decisions.pools import Asked, PoolView
from interlock.dispatch import rounds, told, waiting_steps
from interlock.dispatch.attempts import LEASE_SECONDS
from interlock.dispatch.configuration import LOCAL, Scheduling
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.dispatcher import Dispatcher
from interlock.dispatch.lanes import PREFIX
from interlock.dispatch.machines import Machine, Machines
from interlock.dispatch.outlook import view
from interlock.dispatch.placed_attempts import PlacedAttempts
from interlock.dispatch.placement import is_placed
from interlock.dispatch.policies import FairShare, Policy
from interlock.dispatch.policy_in_force import PolicyInForce
from interlock.dispatch.quotas import Quotas
from interlock.dispatch.rounds import Round, Rules, Stuck
from interlock.dispatch.waiting_steps import Waiting
from interlock.model.task_graph import TaskSpec
from interlock.pool.launcher import Launcher
from interlock.service import Clock
from interlock.store.ports import ALL, ClaimedTask, Orphan, PoolRow, QueuedTask, Store

MOST_AT_ONCE: Final = 1000
"""Tasks that one round places: one transaction, which others wait for."""
_LANES_AT_ONCE: Final = 500
_KNOWN_LANES: Final = 10_000
_LEAST_OF_A_LANE: Final = 50
"""Tasks that are read of each lane however many lanes there are; what one round does not reach the next one reads again."""
_MOST_ATTEMPTS: Final = 10_000
_SNOOZE_SECONDS: Final = 2.0
_CONCLUDE_SECONDS: Final = 60.0  # between looks for graphs whose loader died just before the end
_OF_A_HOST: Final = frozenset({"local-process", "in-process", "docker"})
"""Types whose attempts run on one machine, so that only that one can find them again."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The first tasks of lanes. `cut`: the lanes of which there are more, for which there would be room."""

    tasks: dict[str, list[QueuedTask]]
    cut: set[str]


class Placer(Dispatcher):
    """Serves the pools of a configuration. `launchers`: by pool, those whose attempts begin in this process."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        scheduling: Scheduling,
        policy: Policy,
        attempts: PlacedAttempts,
        delayed: Delayed,
        launchers: Mapping[str, Launcher],
        *,
        local_slots: int,
        local_running: Callable[[], int],
        host: str,
        machines: Mapping[str, Machine],
        may_claim: Callable[[], bool],
    ) -> None:
        """`local_slots`: of the pool `local` where no file configures pools; `local_running`: what else runs there;
        `machines`: those of its pools, where nothing is placed that asks for more."""
        super().__init__(
            node,
            store,
            clock,
            "graphs",
            attempts,
            delayed,
            slots=_MOST_ATTEMPTS,
            own=False,
            host=host,
            may_claim=may_claim,
            readies_delayed=False,
        )
        if (poll_seconds := scheduling.poll_seconds) is not None:
            self._interval_seconds = min(self._interval_seconds, poll_seconds)
            self._resting_seconds = poll_seconds
        self._placed = attempts
        self._scheduling = scheduling
        self._order = PolicyInForce(node, scheduling, policy)
        self._launchers = launchers
        self._local_slots = local_slots
        self._local_running = local_running
        self._specs: OrderedDict[str, TaskSpec] = OrderedDict()
        """By lane, the spec of one of its tasks: what it asks for, all others of the lane ask for too."""
        self._after = PREFIX
        self._plan = Round()
        self._ranks: Mapping[str, float] = {}
        self._conclude_at = clock.monotonic()
        self._warned: dict[str, str] = {}
        self._quotas = Quotas()
        self._machines = Machines(node, store, clock, machines)
        self._pools: Mapping[str, PoolView] = {}
        """As the last round left them."""

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Place nothing any more; what runs may end within the grace of the configuration, where that gives one."""
        self._placed.leave_runs()
        grace_seconds = self._scheduling.grace_seconds
        await super().quiesce(seconds if grace_seconds is None else grace_seconds, hurry)

    # -- placing -------------------------------------------------------------------------------------------------

    async def round(self) -> bool:
        if self._clock.monotonic() >= self._conclude_at:
            await self._store.tasks.conclude_loads(self._clock.stamp())
            self._conclude_at = self._clock.monotonic() + _CONCLUDE_SECONDS
        return await super().round()

    async def _ready(self) -> bool:
        lanes = [lane for lane in await self._store.pools.lanes(self._after, _LANES_AT_ONCE) if lane.startswith(PREFIX)]
        self._after = lanes[-1] if len(lanes) == _LANES_AT_ONCE else PREFIX
        of_steps = await waiting_steps.lanes(self._store, self._scheduling)
        if not lanes and not of_steps:
            return False
        pools = self._pools = await self._views()
        self._quotas.look(pools)
        waiting = await self._waiting(of_steps, pools)
        of_graphs = await self._heads([lane for lane in lanes if not lane.startswith(steps.PREFIX)], pools)
        heads = of_graphs.tasks | waiting.heads
        self._ranks = {task.task: task.rank for tasks in heads.values() for task in tasks}
        self._plan = self._planned(heads, pools, waiting.asked, of_graphs.cut)
        return bool(self._plan.placements)

    def _planned(
        self,
        heads: Mapping[str, Sequence[QueuedTask]],
        pools: Mapping[str, PoolView],
        asked: Mapping[str, Asked],
        cut: Collection[str],
    ) -> Round:
        rules = Rules(
            mapping=self._scheduling.mapping,
            strategy=self._order.strategy,
            chance=lambda: self._clock.uniform(0.0, 1.0),
            failover=self._scheduling.failover,
            policy=self._order.name,
        )
        return rounds.place(heads, pools, rules, MOST_AT_ONCE, asked, cut)

    async def _claim(self, free: int) -> list[ClaimedTask]:
        placed = await self._store.pools.place(
            self._node, self._plan.placements[:free], LEASE_SECONDS, self._clock.stamp()
        )
        for task in placed.claimed:
            told.placed(task)
        if placed.claimed and isinstance(self._order.policy, FairShare):
            reached = max((self._ranks[task.task] for task in placed.claimed if task.spec is not None), default=0.0)
            await self._store.pools.reach({"": reached})
        if placed.refused:
            self.wake()  # another dispatcher, or a limit, was quicker: what is left is planned anew
        else:
            self._quotas.look(self._pools)
        return list(placed.claimed)

    async def _waiting(self, lanes: Sequence[str], pools: Mapping[str, PoolView]) -> Waiting:
        """Give the ready steps of workflows, and tell of those that can never run as things are."""
        waiting = await waiting_steps.look(self._store, self._scheduling, lanes, pools, MOST_AT_ONCE)
        everywhere = await self._machines.everywhere(pools) if waiting.heads else pools
        for lane, tasks in waiting.heads.items():
            self._say(rounds.stuck(lane, tasks[0], waiting.asked[lane], everywhere), waiting.names[tasks[0].task])
        if waiting.heads and isinstance(self._order.policy, FairShare):
            # Their ranks are moments, and those of graphs are shares: they stand where a share that begins now would.
            now = (await self._store.pools.shares([""])).get("", 0.0)
            for lane, tasks in waiting.heads.items():
                waiting.heads[lane] = [msgspec.structs.replace(task, rank=now) for task in tasks]
        return waiting

    async def _views(self) -> dict[str, PoolView]:
        """Give the pools of the configuration as they are now."""
        found: dict[str, PoolView] = {}
        total: PoolRow | None = None
        now = self._clock.now()
        for row in await self._store.pools.all():
            if row.pool == ALL:
                total = row
            elif (settings := self._scheduling.pools.get(row.pool)) is not None:
                found[row.pool] = self._machines.view(row, view(row, settings, self._node, now))
        self._order.look(total)
        if (local := found.get(LOCAL)) is not None and local.capacity is None and local.type == "local-process":
            # Without a file the pool is that of this node, which has so many slots for steps and tasks alike.
            local.running = self._local_running() + self._placed.in_pool(LOCAL)
            local.capacity = self._local_slots
        for name, pool in found.items():
            if name not in self._launchers and pool.type != "worker":
                pool.ill = "this node has nothing that launches there"
        if total is not None and total.capacity is not None and total.running >= total.capacity:
            for pool in found.values():
                if pool.type != choosing.WORKFLOWS:
                    pool.ill = f"all pools together run {total.running} of {total.capacity}"
        return found

    async def _heads(self, lanes: Sequence[str], pools: Mapping[str, PoolView]) -> Heads:
        """Give the first tasks of the lanes for which there is room; tells of those that wait for somebody."""
        asked = await self._asked(lanes)
        rooms = {lane: rounds.room(self._specs[lane], found, pools, MOST_AT_ONCE) for lane, found in asked.items()}
        able = [lane for lane, room in rooms.items() if room]
        for lane in able:
            if asked[lane].warning is None:
                self._warned.pop(lane, None)
        told = {lane: found for lane, found in asked.items() if not rooms[lane] or found.warning is not None}
        everywhere = await self._machines.everywhere(pools) if told else pools
        for lane, found in told.items():
            await self._warn(lane, found, everywhere)
        if not able:
            return Heads({}, set())
        page = min(MOST_AT_ONCE, max(_LEAST_OF_A_LANE, 2 * MOST_AT_ONCE // len(able)))
        heads = await self._store.pools.heads(able, page)
        cut = {lane for lane, tasks in heads.items() if len(tasks) == page < rooms[lane]}
        return Heads({lane: tasks[: rooms[lane]] for lane, tasks in heads.items()}, cut)

    async def _asked(self, lanes: Sequence[str]) -> dict[str, Asked]:
        """Give the pools that the tasks of each lane may have; of a lane that has none any more, nothing."""
        unknown = [lane for lane in lanes if lane not in self._specs]
        if unknown:
            for lane, tasks in (await self._store.pools.heads(unknown, 1)).items():
                self._specs[lane] = tasks[0].spec
        found = {
            lane: choosing.preferred(
                choosing.asked(self._specs[lane], self._scheduling.mapping), failover=self._scheduling.failover
            )
            for lane in lanes
            if lane in self._specs
        }
        while len(self._specs) > _KNOWN_LANES:
            self._specs.popitem(last=False)
        return found

    async def _warn(self, lane: str, asked: Asked, pools: Mapping[str, PoolView]) -> None:
        """Say once that the tasks of a lane can never run as things are, or run elsewhere than their skill says."""
        warning = obstacles.standing(self._specs[lane], asked, pools)
        if warning == self._warned.get(lane):
            return
        heads = await self._store.pools.heads([lane], 1)
        if lane in heads:
            self._say(Stuck(lane, heads[lane][0].task, warning), heads[lane][0].task)

    def _say(self, why: Stuck, name: str) -> None:
        text = why.warning
        if text is None:
            self._warned.pop(why.lane, None)
        elif self._warned.get(why.lane) != text:
            self._warned[why.lane] = text
            telemetry.emit("task.stuck", task=name, warning=text)

    # -- what nodes that are gone have left ----------------------------------------------------------------------

    def _may_adopt(self, orphan: Orphan) -> bool:
        if not is_placed(orphan.task) or orphan.pool not in self._launchers:
            return False
        settings = self._scheduling.pools.get(orphan.pool)
        return settings is None or settings.type not in _OF_A_HOST or orphan.host == self._host

    async def _held(self) -> list[ClaimedTask]:
        found: list[ClaimedTask] = []
        for pool in self._launchers:
            found += [task for task in await self._store.queue.held(self._node, pool) if is_placed(task)]
        return found
