"""Keeps a pool of a configuration and a pool of workers from having one name: each would take what is meant for the other.

Two that begin at the same moment may not see each other; `interlock pools list` and `interlock workers list` show both then.
"""

from __future__ import annotations

from typing import Final

from interlock import errors
from interlock.app.declarers import declarers, live_nodes
from interlock.coord.workers import WorkerRegistry
from interlock.dispatch.configuration import Scheduling
from interlock.dispatch.lanes import SERVES
from interlock.service import Clock
from interlock.store.ports import ALL, Store

_WORKER: Final = "worker"


async def refuse_of_workers(scheduling: Scheduling, store: Store, clock: Clock) -> None:
    """Refuse a configuration with a pool that live workers serve. Raises Conflict, which names both."""
    own = {name for name, pool in scheduling.pools.items() if pool.type != _WORKER}
    if not own:
        return
    live = await live_nodes(store, clock)
    for worker in await WorkerRegistry(store, clock).list_workers():
        pool = worker.metadata.get(SERVES)
        if pool in own and worker.session in live:
            raise errors.Conflict(
                f"the pool {pool!r} of this configuration is served by the worker {worker.id!r} already; call one of the two "
                f"otherwise, give the pool `type: worker`, or end the worker by `interlock workers drain {worker.id}`"
            )


async def refuse_of_configuration(pool: str, store: Store, clock: Clock) -> None:
    """Refuse a pool for a worker that a live node has in its configuration. Raises Conflict, which names both."""
    row = next((each for each in await store.pools.all() if each.pool == pool and pool != ALL), None)
    if row is None or row.type == _WORKER:
        return
    offering = sorted(declarers(row) & await live_nodes(store, clock))
    if offering:
        raise errors.Conflict(
            f"the pool {pool!r} is one of type {row.type} in the configuration of the node {offering[0]}; name another one "
            "by --pool, or give that pool `type: worker` and start the node again"
        )
