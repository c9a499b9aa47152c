"""Places ready tasks of graphs and steps of workflows in pools, and sees the attempts there to their end.

Each round looks at the pools, then at the heads of the lanes for which some pool has room, plans in memory, and has the
store carry the plan out in one transaction, which counts anew. What another dispatcher was quicker with is left out, so any
number of them may serve the same pools. Tasks for pools of type `worker` are left to the workers, who claim them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.decisions import pools as choosing
from interlock.decisions import steps
from interlock.decisions.pools import Asked, PoolView
from interlock.dispatch import briefing, results, rounds, told, waiting_steps
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.configuration import LOCAL, Scheduling
from interlock.dispatch.dispatcher import LEASE_SECONDS, Dispatcher
from interlock.dispatch.lanes import PREFIX
from interlock.dispatch.logbook import Logbook
from interlock.dispatch.outlook import view
from interlock.dispatch.policies import FairShare, Policy
from interlock.dispatch.policy_in_force import PolicyInForce
from interlock.dispatch.quotas import Quotas
from interlock.dispatch.rounds import Round, Rules, Stuck
from interlock.dispatch.waiting_steps import Waiting
from interlock.dispatch.workspaces import Workspaces, workspace_of
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import ContainerTarget, Failed, FailureClass, Outcome, Snoozed, Target, WorkflowTarget
from interlock.model.task_graph import TaskSpec
from interlock.pool.launcher import Launch, Launcher
from interlock.pool.workspaces import Workspace
from interlock.secrets.keeper import Keeper
from interlock.service import Clock
from interlock.store.ports import ALL, ClaimedTask, Orphan, PoolRow, QueuedTask, Store

MOST_AT_ONCE: Final = 1000
"""Tasks that one round places: one transaction, which others wait for."""
_LANES_AT_ONCE: Final = 500
_KNOWN_LANES: Final = 10_000
_MOST_ATTEMPTS: Final = 10_000
_SNOOZE_SECONDS: Final = 2.0
_CONCLUDE_SECONDS: Final = 60.0  # between looks for graphs whose loader died just before the end
_OF_A_HOST: Final = frozenset({"local-process", "in-process", "docker"})
"""Types whose attempts run on one machine, so that only that one can find them again."""


class Placer(Dispatcher):
    """Serves the pools of a configuration. `launchers`: by pool, those whose attempts begin in this process."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        scheduling: Scheduling,
        policy: Policy,
        launchers: Mapping[str, Launcher],
        logbook: Logbook,
        secrets: Keeper,
        *,
        workspaces: Workspaces,
        local: Launcher,
        local_slots: int,
        local_running: Callable[[], int],
        orphan_grace_seconds: float,
        away: Callable[[errors.Environment], None],
        host: str,
        may_act: Callable[[], bool],
        may_claim: Callable[[], bool],
    ) -> None:
        """`launchers`: one that starts later comes in later. `local_slots`: of the pool `local` where no file configures
        pools; `local_running`: what else runs there."""
        super().__init__(
            node,
            store,
            clock,
            "graphs",
            local,  # never asked: each attempt has its pool's
            logbook,
            secrets,
            slots=_MOST_ATTEMPTS,
            own=False,
            orphan_grace_seconds=orphan_grace_seconds,
            away=away,
            host=host,
            may_act=may_act,
            may_claim=may_claim,
            looks_for_due=False,
        )
        if (poll_seconds := scheduling.poll_seconds) is not None:
            self._interval_seconds = min(self._interval_seconds, poll_seconds)
            self._resting_seconds = poll_seconds
        self._scheduling = scheduling
        self._order = PolicyInForce(node, scheduling, policy)
        self._launchers = launchers
        self._local_slots = local_slots
        self._local_running = local_running
        self._workspaces = workspaces
        self._leased: dict[str, Workspace] = {}
        self._briefs: dict[str, str] = {}
        self._specs: OrderedDict[str, TaskSpec] = OrderedDict()
        """By lane, the spec of one of its tasks: what it asks for, all others of the lane ask for too."""
        self._after = PREFIX
        self._plan = Round()
        self._ranks: Mapping[str, float] = {}
        self._conclude_at = clock.monotonic()
        self._warned: dict[str, str] = {}
        self._quotas = Quotas()
        self._pools: Mapping[str, PoolView] = {}
        """As the last round left them."""
        self._here: dict[str, str] = {}
        """By attempt in flight here, its pool."""

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Place nothing any more; what runs may end within the grace of the configuration, where that gives one."""
        for task, pool in self._here.items():
            if pool == choosing.WORKFLOWS:  # its run goes on, and whoever watches next joins it
                self._attempts[task].cancel()
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
        heads = await self._heads([lane for lane in lanes if not lane.startswith(steps.PREFIX)], pools) | waiting.heads
        self._ranks = {task.task: task.rank for tasks in heads.values() for task in tasks}
        self._plan = self._planned(heads, pools, waiting.asked)
        return bool(self._plan.placements)

    def _planned(
        self, heads: Mapping[str, Sequence[QueuedTask]], pools: Mapping[str, PoolView], asked: Mapping[str, Asked]
    ) -> Round:
        rules = Rules(
            mapping=self._scheduling.mapping,
            strategy=self._order.strategy,
            chance=lambda: self._clock.uniform(0.0, 1.0),
            failover=self._scheduling.failover,
            policy=self._order.name,
        )
        return rounds.place(heads, pools, rules, MOST_AT_ONCE, asked)

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
        for lane, tasks in waiting.heads.items():
            self._say(rounds.stuck(lane, tasks[0], waiting.asked[lane], pools), waiting.names[tasks[0].task])
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
                found[row.pool] = view(row, settings, self._node, now)
        self._order.look(total)
        if (local := found.get(LOCAL)) is not None and local.capacity is None and local.type == "local-process":
            # Without a file the pool is that of this node, which has so many slots for steps and tasks alike.
            local.running = self._local_running() + sum(pool == LOCAL for pool in self._here.values())
            local.capacity = self._local_slots
        for name, pool in found.items():
            if name not in self._launchers and pool.type != "worker":
                pool.ill = "this node has nothing that launches there"
        if total is not None and total.capacity is not None and total.running >= total.capacity:
            for pool in found.values():
                pool.ill = f"all pools together run {total.running} of {total.capacity}"
        return found

    async def _heads(self, lanes: Sequence[str], pools: Mapping[str, PoolView]) -> dict[str, list[QueuedTask]]:
        """Give the first tasks of the lanes for which there is room."""
        heads: dict[str, list[QueuedTask]] = {}
        for lane in lanes:
            spec = await self._spec(lane)
            if spec is None:
                continue
            asked = choosing.preferred(
                choosing.asked(spec, self._scheduling.mapping), failover=self._scheduling.failover
            )
            room = rounds.room(spec, asked, pools, MOST_AT_ONCE)
            if room:
                heads[lane] = await self._store.pools.heads(lane, room)
                self._warned.pop(lane, None)
            if not room or asked.warning is not None:
                await self._warn(lane, asked, pools)
        return heads

    async def _spec(self, lane: str) -> TaskSpec | None:
        if lane not in self._specs:
            head = await self._store.pools.heads(lane, 1)
            if not head:
                return None
            self._specs[lane] = head[0].spec
            while len(self._specs) > _KNOWN_LANES:
                self._specs.popitem(last=False)
        return self._specs[lane]

    async def _warn(self, lane: str, asked: choosing.Asked, pools: Mapping[str, PoolView]) -> None:
        """Say once that the tasks of a lane can never run as things are, or run elsewhere than their skill says."""
        head = await self._store.pools.heads(lane, 1)
        if not head:
            return
        self._say(rounds.stuck(lane, head[0], asked, pools), head[0].task)

    def _say(self, why: Stuck, name: str) -> None:
        text = why.warning
        if text is None:
            self._warned.pop(why.lane, None)
        elif self._warned.get(why.lane) != text:
            self._warned[why.lane] = text
            telemetry.emit("task.stuck", task=name, warning=text)

    # -- performing ----------------------------------------------------------------------------------------------

    def _launcher_of(self, task: ClaimedTask) -> Launcher:
        return self._launchers[task.pool]

    def _may_adopt(self, orphan: Orphan) -> bool:
        if not self._is_mine(orphan.task) or orphan.pool not in self._launchers:
            return False
        settings = self._scheduling.pools.get(orphan.pool)
        return settings is None or settings.type not in _OF_A_HOST or orphan.host == self._host

    async def _held(self) -> list[ClaimedTask]:
        found: list[ClaimedTask] = []
        for pool in self._launchers:
            found += [task for task in await self._store.queue.held(self._node, pool) if self._is_mine(task)]
        return found

    def _is_mine(self, task: ClaimedTask) -> bool:
        """Say whether a task was placed in its pool; steps of the node's own pools are claimed, but for containers."""
        is_container = isinstance(task.target, ContainerTarget)
        return task.spec is not None or is_container or task.pool not in steps.NODE_POOLS

    async def _execute(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        spec = task.spec
        if spec is None:
            return await self._execute_step(task, adopted)
        self._here[task.task] = task.pool
        workspace: Workspace | None = None
        outcome: Outcome = Snoozed(0.0)
        try:
            if spec.workspace is not None:
                workspace = await self._workspaces.have(
                    self._called(task), task.folder, spec.workspace, adopting=adopted is not None
                )
                if workspace is None:  # RU-01: no runner without its place; the task goes back, free of charge
                    return Snoozed(_SNOOZE_SECONDS)
                self._leased[task.task] = workspace
            # The node of an adopted one may have died before it began the run.
            if adopted is None or isinstance(task.target, WorkflowTarget):
                told = None if workspace is None else workspace_of(workspace)
                self._briefs[task.task] = await briefing.briefing(self._store, task, self._terms(spec), told)
            folder = task.folder if workspace is None else str(workspace.path)
            before = await asyncio.to_thread(results.mark, spec, folder) if adopted is None else None
            outcome = await super()._execute(task, adopted)
            outcome = await asyncio.to_thread(results.with_result, outcome, spec, folder, before)
        except errors.Invalid as error:  # no such commit, no name for a branch
            outcome = _refused(str(error))
        except (
            errors.Environment,
            errors.Conflict,
            OSError,
        ) as error:  # of this node: it is made again, free of charge
            telemetry.emit("task.not_prepared", task=task.task, error=error)
            outcome = Snoozed(_SNOOZE_SECONDS)
        finally:
            self._here.pop(task.task, None)
            self._briefs.pop(task.task, None)
            self._leased.pop(task.task, None)
            if workspace is not None and not self._lost:  # whoever adopts it still works there
                outcome = await asyncio.shield(self._workspaces.give_back(workspace, outcome))
        return outcome

    async def _execute_step(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        """See an attempt of a step to its end: it works in the folder of its run, which counts the retries."""
        self._here[task.task] = task.pool
        try:
            telemetry.emit("runner.started", task=task.task, pool=task.pool, runner=briefing.runner_id(task))
            return await super()._execute(task, adopted)
        finally:
            self._here.pop(task.task, None)
            telemetry.emit("runner.finished", task=task.task, pool=task.pool, runner=briefing.runner_id(task))

    def _launch(self, task: ClaimedTask, target: Target, *, adopting: bool) -> Launch:
        launch = super()._launch(task, target, adopting=adopting)
        if task.spec is None:
            return msgspec.structs.replace(
                launch,
                environment=dict(self._scheduling.environment) | launch.environment | briefing.place(task),
                resources=task.resources,
                devices=task.devices,
                labels=briefing.labels(task),
            )
        spec = self._terms(task.spec)
        workspace = self._leased.get(task.task)
        brief = self._briefs.get(task.task)
        told = briefing.variables(task, spec, workspace)
        return msgspec.structs.replace(
            launch,
            folder=launch.folder if workspace is None else str(workspace.path),
            environment=dict(self._scheduling.environment) | launch.environment | told,
            timeout_seconds=spec.timeout_seconds,
            resources=spec.resources,
            devices=task.devices,
            labels=briefing.labels(task),
            files={} if brief is None else {briefing.VARIABLE: brief},
        )

    def _terms(self, spec: TaskSpec) -> TaskSpec:
        """Give a task with what the configuration says where its author says nothing."""
        return AttemptTerms(timeout_seconds=self._scheduling.timeout_seconds).applied(spec)


def _refused(detail: str) -> Failed:
    error = Fault(type=fault.CONFIGURATION, status=400, title="No workspace", detail=detail)
    return Failed(failure=FailureClass.INVALID, fault=error)
