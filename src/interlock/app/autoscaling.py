"""Has a command start and stop the machines of pools of workers, as `decisions.autoscaling` decides (checklist OP-05).

Pools of Kubernetes need no command: see `app.pool_bounds`.

    looked at --more are wanted--> command
              --fewer are wanted--> the least busy workers drain --they run nothing any more--> command

The command is told by INTERLOCK_POOL, INTERLOCK_FROM and INTERLOCK_TO how many workers a pool has and is to have, and by
INTERLOCK_WORKERS, when there are to be fewer, which ones have nothing to do any more. INTERLOCK_TO is a number of workers,
not a change, so that a command which is started again does no harm. One node decides: the dispatcher whose id comes first
among those that live. When that changes, two may decide for a moment, which the same property makes harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock import errors, telemetry
from interlock.app.pool_bounds import Bounds
from interlock.app.roles import DISPATCHER
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.autoscaling import Scaling, Seen, decide
from interlock.dispatch.configuration import AutoscalingSettings
from interlock.dispatch.lanes import SERVES
from interlock.engine import identity
from interlock.model.worker import PRESENT, Worker, WorkerStatus
from interlock.service import Clock, Loop
from interlock.store.ports import Store

_LOOK_SECONDS: Final = 15.0
_COMMAND_SECONDS: Final = 300.0
_TAIL: Final = 500  # characters of what a command that failed wrote
_SERVING: Final = frozenset({WorkerStatus.ACTIVE, WorkerStatus.BUSY})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shrinking:
    """Workers that drain, until the command may remove them."""

    before: int
    scaling: Scaling
    workers: tuple[str, ...]


class Autoscaler(Loop):
    """Looks every 15 s at the pools of the type worker that this node's configuration names."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        settings: AutoscalingSettings,
        pools: Sequence[str],
        *,
        may_act: Callable[[], bool],
        bounds: Bounds | None = None,
        command_seconds: float = _COMMAND_SECONDS,
    ) -> None:
        super().__init__("autoscaler", _LOOK_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock
        self._settings = settings
        self._pools = pools
        self._may_act = may_act
        self._bounds = bounds
        self._command_seconds = command_seconds
        self._registry = WorkerRegistry(store, clock)
        self._changed_at: dict[str, float] = {}
        self._shrinking: dict[str, _Shrinking] = {}

    async def round(self) -> bool:
        if not await self._leads():
            self._shrinking.clear()  # whoever leads now counts the workers that drain as gone
            return False
        rows = await self._store.pools.all()
        if self._bounds is not None and self._may_act():
            await self._bounds.look(rows)
        if not self._pools:
            return False
        queues = {row.pool: row.routed for row in rows}
        workers = await self._registry.list_workers(PRESENT)
        for pool in self._pools:
            mine = [worker for worker in workers if worker.metadata.get(SERVES) == pool]
            if pool in self._shrinking:
                await self._shrink(pool, mine)
            elif self._may_act():
                await self._look(pool, mine, queues.get(pool, 0))
        return False

    async def _leads(self) -> bool:
        """Say whether this node comes first, by its id, among the dispatchers that live and do not drain."""
        nodes = [
            state.node.node
            for state in await self._store.nodes.states(self._clock.stamp())
            if (state.lease_seconds or 0.0) > 0
            and state.drain_at is None
            and not state.node.pinned
            and DISPATCHER in state.node.roles.split(",")
            and not identity.is_dead(state.node)
        ]
        return min(nodes, default=None) == self._node

    async def _look(self, pool: str, workers: Sequence[Worker], queue: int) -> None:
        serving = [worker for worker in workers if worker.status in _SERVING]
        slots = sum(worker.capacity for worker in serving)
        taken = sum(min(worker.active, worker.capacity) for worker in serving)
        changed_at = self._changed_at.get(pool)
        seen = Seen(
            instances=len(serving),
            queue=queue,
            utilisation=taken / slots if slots else 0.0,
            since_change_seconds=None if changed_at is None else self._clock.monotonic() - changed_at,
        )
        scaling = decide(self._settings.terms, seen)
        if scaling is None:
            return
        if scaling.to > seen.instances:
            await self._scale(pool, seen.instances, scaling, ())
            return
        chosen = sorted(serving, key=lambda worker: (worker.active, worker.id))[: seen.instances - scaling.to]
        for worker in chosen:
            with contextlib.suppress(errors.WorkerError, errors.NotFound):  # it went by itself
                await self._registry.update_status(worker.id, WorkerStatus.DRAINING, session=worker.session)
        names = tuple(worker.id for worker in chosen)
        self._shrinking[pool] = _Shrinking(before=seen.instances, scaling=scaling, workers=names)
        telemetry.emit("pool.shrinks", pool=pool, to=scaling.to, workers=", ".join(names), reason=scaling.reason)

    async def _shrink(self, pool: str, workers: Sequence[Worker]) -> None:
        """Remove the workers that drain, once none of them runs anything."""
        shrinking = self._shrinking[pool]
        if not any(worker.active for worker in workers if worker.id in shrinking.workers):
            del self._shrinking[pool]
            await self._scale(pool, shrinking.before, shrinking.scaling, shrinking.workers)

    async def _scale(self, pool: str, before: int, scaling: Scaling, workers: Sequence[str]) -> None:
        """Have the command carry a change out. One that failed is tried again after the cool-down, as a change is."""
        self._changed_at[pool] = self._clock.monotonic()
        told = {
            "INTERLOCK_POOL": pool,
            "INTERLOCK_FROM": str(before),
            "INTERLOCK_TO": str(scaling.to),
            "INTERLOCK_WORKERS": ",".join(workers),
        }
        problem = await self._performed(told)
        if problem is None:
            telemetry.emit("pool.scaled", pool=pool, before=before, to=scaling.to, reason=scaling.reason)
        else:
            telemetry.emit("pool.not_scaled", pool=pool, before=before, to=scaling.to, error=problem)

    async def _performed(self, told: Mapping[str, str]) -> str | None:
        """Execute the command to its end; gives what went wrong."""
        program = self._settings.command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.command,
                env=os.environ | told,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except (OSError, ValueError) as error:
            return f"{program} cannot be started: {error}"
        try:
            async with asyncio.timeout(self._command_seconds):
                output, _ = await process.communicate()
        except TimeoutError:
            return f"{program} did not end within {self._command_seconds:g} s and was killed"
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())
        if process.returncode:
            tail = output.decode("utf-8", "replace").strip()[-_TAIL:]
            return f"{program} exited with {process.returncode}: {tail}"
        return None
