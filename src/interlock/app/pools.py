"""The pools of a node: their launchers, what the store is told of them, and what places tasks in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

import msgspec

from interlock import config, errors
from interlock.app.pool_care import Health, Sweeps
from interlock.decisions import pools as choosing
from interlock.decisions.pools import PoolStrategy
from interlock.dispatch import configuration, policies
from interlock.dispatch.configuration import LOCAL, PoolSettings, Scheduling
from interlock.dispatch.logbook import Logbook
from interlock.dispatch.placer import Placer
from interlock.dispatch.workspaces import Workspaces
from interlock.model.task_graph import RetryTerms
from interlock.pool.launcher import Launcher
from interlock.pool.local import LocalPool
from interlock.secrets.keeper import Keeper
from interlock.service import Clock, Service
from interlock.store.ports import ALL, DeclaredPool, Store

NONE: Final = "none"
_FOLDERS: Final = ("", "config")


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of all pools keeps of the configuration: who loads or explains tasks elsewhere goes by that."""

    policy: str = "priority"
    ageing_seconds: float | None = None
    weights: dict[str, float] = {}
    retry: RetryTerms = RetryTerms()
    strategy: PoolStrategy = PoolStrategy.LEAST_LOADED
    failover: bool = True
    mapping: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: {choosing.DEFAULT: (LOCAL,)})


class DeclaredOfPool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of a pool keeps of its configuration, beside its room."""

    labels: dict[str, str] = {}
    cost: float = 0.0
    weight: float = 1.0


def find(settings: config.Dispatcher, folder: Path) -> Scheduling:
    """Read the dispatcher's files. Raises InvalidDefinition, or Invalid for one that is named and not there."""
    return configuration.load(
        _file(settings.file, "dispatcher.yaml", folder), _file(settings.pools, "agent-pools.yaml", folder)
    )


def _file(given: str, name: str, folder: Path) -> Path | None:
    if given == NONE:
        return None
    if given:
        return folder / given
    return next((file for place in _FOLDERS if (file := folder / place / name).is_file()), None)


class Pools(Service):
    """Serves the pools of a configuration. `local`: the pool of this node's own steps, which is `local` without a file."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        scheduling: Scheduling,
        local: Launcher,
        logbook: Logbook,
        secrets: Keeper,
        *,
        workspaces: str,
        workspace_slots: int,
        local_slots: int,
        local_running: Callable[[], int],
        orphan_grace_seconds: float,
        away: Callable[[errors.Environment], None],
        host: str,
        may_act: Callable[[], bool],
        may_claim: Callable[[], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._scheduling = scheduling
        self._own: list[Launching] = []
        self._node = node
        self._launchers = self._made(local)
        policy = policies.policy(
            scheduling.policy, ageing_seconds=scheduling.ageing_seconds, weights=dict(scheduling.weights)
        )
        self.placer = Placer(
            node,
            store,
            clock,
            scheduling,
            policy,
            self._launchers,
            logbook,
            secrets,
            workspaces=Workspaces(
                Path(workspaces) if workspaces else Path.home() / ".cache" / "interlock" / "workspaces",
                size=workspace_slots,
                orphan_grace_seconds=orphan_grace_seconds,
            ),
            local_slots=local_slots,
            local_running=local_running,
            orphan_grace_seconds=orphan_grace_seconds,
            away=away,
            host=host,
            may_act=may_act,
            may_claim=may_claim,
        )
        self._stack = AsyncExitStack()

    def _made(self, local: Launcher) -> Mapping[str, Launcher]:
        """Give who launches in each pool; those of workers launch by themselves."""
        found: dict[str, Launcher] = {}
        for name, pool in self._scheduling.pools.items():
            if pool.type == "local-process" and name == LOCAL:
                found[name] = local
            elif pool.type != "worker":
                made = launcher(pool, self._store.url)
                self._own.append(made)
                found[name] = made
        return found or {LOCAL: local}

    async def start(self) -> None:
        """Declare the pools, and serve them. What is wrong with an engine is no reason not to start: its pool is ill."""
        await self._store.pools.declare(declared(self._scheduling), self._clock.stamp())
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
        looks = [health] if care.enabled else []
        try:
            services: list[Service | Launching] = [*self._own, *looks, Sweeps(self._store, self._launchers)]
            for service in [*services, self.placer]:
                await service.start()
                self._stack.push_async_callback(service.stop)
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        await self._stack.aclose()


class Launching(Launcher, Protocol):
    """A launcher that is started and stopped with its node."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def launcher(pool: PoolSettings, store: str) -> Launching:
    """Make who launches in a pool. `store`: what tells its attempts from those of others. Raises Invalid, InvalidSettings."""
    match pool.type:
        case "local-process":
            if pool.config:
                raise errors.Invalid(f"the pool {pool.name}: `config` of local-process pools is not built yet")
            return LocalPool(slots=pool.capacity)
        case "docker":
            # Start-up: its client is an extra, and nobody without such a pool should wait for it.
            from interlock.pool.docker.pool import DockerPool  # noqa: PLC0415 (start-up, as above)
            from interlock.pool.docker.settings import read  # noqa: PLC0415 (start-up, as above)

            return DockerPool(read(pool.config, pool.name), store=store)
        case "kubernetes":
            from interlock.pool.kubernetes.pool import KubernetesPool  # noqa: PLC0415 (start-up, as above)
            from interlock.pool.kubernetes.settings import read as of_kubernetes  # noqa: PLC0415 (start-up, as above)

            return KubernetesPool(pool.name, of_kubernetes(pool.name, pool.config))
    raise errors.Invalid(f"the pool {pool.name} is of the type {pool.type}, which is not built yet")


def declared(scheduling: Scheduling) -> list[DeclaredPool]:
    """Give what the store keeps of a configuration."""
    whole = Declared(
        policy=scheduling.policy,
        ageing_seconds=scheduling.ageing_seconds,
        weights=dict(scheduling.weights),
        retry=scheduling.retry,
        strategy=scheduling.strategy,
        failover=scheduling.failover,
        mapping=dict(scheduling.mapping),
    )
    rows = [DeclaredPool(pool=ALL, type="", capacity=scheduling.capacity, settings=msgspec.json.encode(whole))]
    return rows + [_row(pool) for pool in scheduling.pools.values()]


def _row(pool: PoolSettings) -> DeclaredPool:
    kept = DeclaredOfPool(labels=dict(pool.labels), cost=pool.cost, weight=pool.weight)
    return DeclaredPool(
        pool=pool.name,
        type=pool.type,
        capacity=pool.capacity,
        cpu=pool.cpu,
        memory=pool.memory,
        gpus=pool.gpus or None,
        settings=msgspec.json.encode(kept),
        enabled=pool.enabled,
    )
