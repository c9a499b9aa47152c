"""Moves how many Jobs a pool of Kubernetes may have at once, as `decisions.autoscaling` decides (checklist OP-05).

    many wait, most places taken --> the bound goes up, at most to max_instances and to the pool's max_concurrency
    few wait, few places taken ----> the bound goes down, at least to min_instances

Nothing is started or stopped: the nodes of a cluster come and go with the Jobs that ask for them, by the cluster's own
autoscaler, and a pool with a lower bound asks for fewer. What runs goes on, above the bound too. A node that starts declares
its configuration, and with it the bound that stands there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from interlock import telemetry
from interlock.decisions import pools as choosing
from interlock.decisions.autoscaling import Scaling, Seen, Terms, decide
from interlock.dispatch.lanes import PREFIX
from interlock.service import Clock
from interlock.store.ports import PoolRow, Store

_LANES: Final = 500  # that are looked at for what waits


class Bounds:
    """`most`: by pool, its configured `max_concurrency`, None for no bound; `mapping`: pools by skill."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        terms: Terms,
        most: Mapping[str, int | None],
        mapping: Mapping[str, Sequence[str]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._terms = terms
        self._most = most
        self._mapping = mapping
        self._changed_at: dict[str, float] = {}

    async def look(self, pools: Sequence[PoolRow]) -> None:
        """Move the bounds of the pools as they are now. Raises StoreUnavailable."""
        rows = [row for row in pools if row.pool in self._most]
        if not rows:
            return
        waiting = await self._waiting()
        for row in rows:
            scaling = self._scaling(row, waiting.get(row.pool, 0))
            if scaling is not None:
                await self._move(row, scaling)

    async def _waiting(self) -> Mapping[str, int]:
        """Give how many ready tasks may have each pool: of every lane only as many as make a difference."""
        enough = max(self._terms.up.queue, self._terms.down.queue) + 1
        found: defaultdict[str, int] = defaultdict(int)
        lanes = [lane for lane in await self._store.pools.lanes(PREFIX, _LANES) if lane.startswith(PREFIX)]
        for heads in (await self._store.pools.heads(lanes, enough)).values():
            for pool in choosing.asked(heads[0].spec, self._mapping).pools:
                found[pool] += len(heads)
        return found

    def _scaling(self, row: PoolRow, queue: int) -> Scaling | None:
        most = self._most[row.pool]
        highest = self._terms.highest if most is None else min(self._terms.highest, most)
        if row.capacity is None:
            return Scaling(to=highest, reason="it has no bound")
        changed_at = self._changed_at.get(row.pool)
        seen = Seen(
            instances=row.capacity,
            queue=queue,
            utilisation=row.running / row.capacity if row.capacity else 0.0,
            since_change_seconds=None if changed_at is None else self._clock.monotonic() - changed_at,
        )
        terms = Terms(
            up=self._terms.up, down=self._terms.down, lowest=min(self._terms.lowest, highest), highest=highest
        )
        return decide(terms, seen)

    async def _move(self, row: PoolRow, scaling: Scaling) -> None:
        self._changed_at[row.pool] = self._clock.monotonic()
        if await self._store.pools.resize(row.pool, row.capacity, scaling.to):
            telemetry.emit(
                "pool.scaled",
                pool=row.pool,
                before=row.capacity,
                to=scaling.to,
                reason=f"{scaling.reason} (Jobs at once)",
            )
