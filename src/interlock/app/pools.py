"""The pools of a node: their launchers, what the store is told of them, and what places tasks in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from interlock import config, errors, telemetry
from interlock.app import pool_names
from interlock.app.autoscaling import Autoscaler
from interlock.app.declared_pools import declared
from interlock.app.declarers import declaring
from interlock.app.ordering import InForce, Ordering
from interlock.app.pool_bounds import Bounds
from interlock.app.pool_care import Health, Sweeps
from interlock.app.pool_starts import Launching, Sized, Starts
from interlock.decisions.pools import WORKFLOWS
from interlock.dispatch import machines, policies
from interlock.dispatch.configuration import LOCAL, PoolSettings, Scheduling, reading
from interlock.dispatch.deadlocks import Deadlocks
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.holder import Holder
from interlock.dispatch.machines import OF_NODES, Machine
from interlock.dispatch.placed_attempts import PlacedAttempts
from interlock.dispatch.placer import Placer
from interlock.dispatch.workspaces import Workspaces
from interlock.pool import local_settings
from interlock.pool.in_process import THREADS, InProcessPool
from interlock.pool.launcher import Launcher
from interlock.pool.local import LocalPool
from interlock.service import Service

NONE: Final = "none"


def find(settings: config.Dispatcher, folder: Path) -> Scheduling:
    """Read the dispatcher's files. Raises InvalidDefinition, or Invalid for one that is named and not there."""
    return reading.load(
        _file(settings.file, "dispatcher.yaml", folder), _file(settings.pools, "agent-pools.yaml", folder)
    )


def files(settings: config.Dispatcher, folder: Path) -> list[Path]:
    """Give the dispatcher's files that there are."""
    found = [_file(settings.file, "dispatcher.yaml", folder), _file(settings.pools, "agent-pools.yaml", folder)]
    return [file for file in found if file is not None]


def _file(given: str, name: str, folder: Path) -> Path | None:
    if given == NONE:
        return None
    if given:
        return folder / given
    file = folder / name
    return file if file.is_file() else None


class Pools(Service):
    """Serves the pools of a configuration. `local`: the pool of this node's own steps, which is `local` where no file says
    more of that; `workflows`: that of tasks that are workflows."""

    def __init__(
        self,
        holder: Holder,
        scheduling: Scheduling,
        local: Launcher,
        delayed: Delayed,
        *,
        workflows: Launching,
        workspaces: str,
        workspace_slots: int,
        local_slots: int,
        local_running: Callable[[], int],
        host: str,
        may_claim: Callable[[], bool],
    ) -> None:
        self._store = holder.store
        self._clock = holder.clock
        self._scheduling = scheduling
        self._node = holder.node
        self._may_act = holder.may_act
        self._machines: dict[str, Machine] = {}
        """By pool, where its attempts run on one that is known."""
        self._own: dict[str, Launching] = {}
        self._launchers: dict[str, Launcher] = {}
        """Those that have started; the placer and the care see each as soon as it has."""
        self._make(local, workflows)
        policy = policies.policy(
            scheduling.policy, ageing_seconds=scheduling.ageing_seconds, weights=dict(scheduling.weights)
        )
        attempts = PlacedAttempts(
            holder,
            self._launchers,
            scheduling,
            Workspaces(
                _workspaces(workspaces, scheduling),
                size=workspace_slots,
                lease_seconds=scheduling.workspaces.lease_seconds,
                release_seconds=scheduling.workspaces.release_seconds,
                orphan_grace_seconds=holder.orphan_grace_seconds,
            ),
        )
        self.placer = Placer(
            holder.node,
            holder.store,
            holder.clock,
            scheduling,
            policy,
            attempts,
            delayed,
            self._launchers,
            local_slots=local_slots,
            local_running=local_running,
            host=host,
            machines=self._machines,
            may_claim=may_claim,
        )
        self._stack = AsyncExitStack()

    def _make(self, local: Launcher, workflows: Launching) -> None:
        """Make who launches in each pool; workers launch by themselves, and what is disabled need not be there."""
        for name, pool in self._scheduling.pools.items():
            if name == LOCAL and _is_of_node(pool):
                self._launchers[name] = local
            elif pool.type == WORKFLOWS:
                self._own[name] = workflows
            elif pool.type != "worker":
                try:
                    self._own[name] = launcher(pool, self._store.url, may_begin=self._may_act)
                except errors.InvalidSettings:  # such as an extra that is not installed
                    if pool.enabled:
                        raise

    async def start(self) -> None:
        """Declare the pools, and serve them. Raises Conflict for one that workers serve under the same name.

        What is wrong with an engine is no reason not to start: its pool is ill.
        """
        await pool_names.refuse_of_workers(self._scheduling, self._store, self._clock)
        await self._measure()
        nodes = await declaring(self._node, self._machines, self._store, self._clock, self._scheduling.pools)
        ordering = Ordering(self._store, self._clock)
        before = await ordering.in_force()
        await self._store.pools.declare(declared(self._scheduling, nodes), self._clock.stamp())
        await self._order(ordering, before)
        care = self._scheduling.health
        health = Health(
            self._node,
            self._store,
            self._clock,
            self._launchers,
            interval_seconds=care.interval_seconds,
            timeout_seconds=care.timeout_seconds,
            again_seconds=care.again_seconds,
            changed=self.placer.wake,
        )
        starts = Starts(
            self._node,
            self._store,
            self._clock,
            self._own,
            self._launchers,
            again_seconds=care.again_seconds,
            changed=self.placer.wake,
        )
        looks = [health] if care.enabled else []
        services: list[Service] = [starts, *looks, Sweeps(self._store, self._launchers), *self._watches(), self.placer]
        try:
            for service in services:
                await service.start()
                self._stack.push_async_callback(service.stop)
        except BaseException:
            await self._stack.aclose()
            raise

    async def _order(self, ordering: Ordering, before: InForce) -> None:
        """Order what waits already by what this node declared. A policy that fails for a task leaves all as it was."""
        try:
            await ordering.renew_configured(before)
        except errors.Invalid as error:
            policy = self._scheduling.policy
            telemetry.emit("policy.not_loaded", node=self._node, policy=policy, stays=before.name, error=error)

    async def _measure(self) -> None:
        """Learn how large the machines are that attempts run on; of an engine that does not answer nobody knows."""
        here = machines.here()
        self._machines |= {name: here for name, pool in self._scheduling.pools.items() if pool.type in OF_NODES}
        sized = {name: launcher for name, launcher in self._own.items() if isinstance(launcher, Sized)}
        for name, size in zip(sized, await asyncio.gather(*(each.size() for each in sized.values())), strict=True):
            if size is not None:
                self._machines[name] = Machine(cpu=size.cpu, memory=size.memory)

    def _watches(self) -> list[Service]:
        """Give what looks after tasks and pools as a whole."""
        found: list[Service] = []
        if self._scheduling.deadlocks.enabled:
            found.append(Deadlocks(self._store, self._clock, self._scheduling.deadlocks))
        if (autoscaling := self._scheduling.autoscaling) is not None:
            of_workers = [name for name, pool in self._scheduling.pools.items() if pool.type == "worker"]
            of_clusters = {
                name: pool.capacity for name, pool in self._scheduling.pools.items() if pool.type == "kubernetes"
            }
            bounds = Bounds(self._store, self._clock, autoscaling.terms, of_clusters, self._scheduling.mapping)
            found.append(
                Autoscaler(
                    self._node, self._store, self._clock, autoscaling, of_workers, may_act=self._may_act, bounds=bounds
                )
            )
        return found

    async def stop(self) -> None:
        await self._stack.aclose()


def _is_of_node(pool: PoolSettings) -> bool:
    """Say whether a pool is nothing but the slots of this node, which its steps have too."""
    return pool.type == "local-process" and pool.capacity is None and not pool.config and not pool.gpus


def launcher(pool: PoolSettings, store: str, *, may_begin: Callable[[], bool] = lambda: True) -> Launching:
    """Make who launches in a pool. `store`: what tells its attempts from those of others; `may_begin`: whether this node may
    act. Raises Invalid, InvalidSettings.
    """
    # Imports at start-up: their clients are extras, and nobody without such a pool should wait for them.
    match pool.type:
        case "local-process":
            settings = local_settings.read(pool.config)
            return LocalPool(slots=pool.capacity, settings=settings, has_gpus=pool.gpus > 0)
        case "in-process":
            return InProcessPool(pool.capacity or THREADS, may_begin)
        case "docker":
            from interlock.pool.docker.pool import DockerPool  # noqa: PLC0415 (start-up, as above)
            from interlock.pool.docker.settings import read  # noqa: PLC0415 (start-up, as above)

            return DockerPool(read(pool.config, pool.name), store=store)
        case "kubernetes":
            from interlock.pool.kubernetes.pool import KubernetesPool  # noqa: PLC0415 (start-up, as above)
            from interlock.pool.kubernetes.settings import read as of_kubernetes  # noqa: PLC0415 (start-up, as above)

            return KubernetesPool(pool.name, of_kubernetes(pool.name, pool.config))
        case "ray":
            from interlock.pool import ray  # noqa: PLC0415 (start-up, as above)

            return ray.RayPool(ray.read(pool.config))
    raise AssertionError(pool.type)  # the configuration knows no other


def _workspaces(settings: str, scheduling: Scheduling) -> Path:
    """Give the folder of the worktrees: as the dispatcher's file says, else as the settings do."""
    given = scheduling.workspaces.folder or settings
    return Path(given).expanduser() if given else Path.home() / ".cache" / "interlock" / "workspaces"
