"""Pools on SQL. Occupancy is a count of leases; a placement locks the rows of the pools before it counts.

A ready task of a graph stands in a lane: its row names the lane where that of another task names a pool. Its placement puts
the pool there, and the end of an attempt that is to be made again puts the lane back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec

from interlock.model.call import Requirements
from interlock.model.task import Target
from interlock.store.ports import (
    ALL,
    ClaimedTask,
    DeclaredPool,
    Ill,
    Placed,
    Placement,
    PoolRow,
    PoolState,
    QueuedStep,
    QueuedTask,
)
from interlock.store.sql import queue, queued, tries
from interlock.store.sql.transaction import Database, Transaction

WORKER: Final = "worker"
_WORKFLOWS: Final = "workflows"
"""The pool whose attempts only watch runs. They take no place of all pools together: what their runs load would wait for the
places that they have, for ever."""
_PLACED: Final = "placement"

_CHOSEN: Final = "chosen_policy"


class _Chosen(msgspec.Struct):
    chosen_policy: str | None = None


_encode = msgspec.json.Encoder().encode
_chosen = msgspec.json.Decoder(_Chosen)
_settings = msgspec.json.Decoder(dict[str, msgspec.Raw])
_devices = msgspec.json.Decoder(tuple[int, ...])
_target = msgspec.json.Decoder(Target)
_requirements = msgspec.json.Decoder(Requirements)


class SqlPools:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def declare(self, pools: Sequence[DeclaredPool], now: float | None) -> None:
        ordered = sorted(pools, key=lambda pool: pool.pool)

        async def work(transaction: Transaction) -> None:
            before = await _together(transaction)
            chosen = None if before is None else _policy(before)
            await transaction.many("pool_declare", [_declared(pool, chosen, now) for pool in ordered])

        await self._database.write(work)

    async def all(self) -> list[PoolRow]:
        return await self._database.read(_pools)

    async def set_state(self, pool: str, state: PoolState) -> bool:
        async def work(transaction: Transaction) -> bool:
            changed = await transaction.run("pool_state", {"pool": pool, "state": state})
            if changed and state is not PoolState.ENABLED:
                await transaction.run("tasks_unroute", {"pool": pool})
            return bool(changed)

        return await self._database.write(work)

    async def choose(self, policy: str | None) -> bool:
        async def work(transaction: Transaction) -> bool:
            before = await _together(transaction)
            if before is None or _policy(before) == policy:
                return False
            settings = _with_policy(before, policy)
            return bool(await transaction.run("pool_settings", {"pool": ALL, "settings": settings}))

        return await self._database.write(work)

    async def resize(self, pool: str, before: int | None, capacity: int) -> bool:
        row = {"pool": pool, "before": before, "capacity": capacity}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("pool_resize", row))

        return await self._database.write(work)

    async def forget(self, pool: str) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("tasks_unroute", {"pool": pool})
            await transaction.run("pool_forget", {"pool": pool})

        await self._database.write(work)

    async def ill(self, pool: str, node: str, reason: str, again_at: float, now: float | None) -> None:
        row = {"pool": pool, "node": node, "reason": reason, "again_at": again_at, "now": now}

        async def work(transaction: Transaction) -> None:
            await transaction.run("pool_ill", row)

        await self._database.write(work)

    async def well(self, pool: str, node: str) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("pool_well", {"pool": pool, "node": node})

        await self._database.write(work)

    async def lanes(self, after: str, limit: int) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            return [row[0] for row in await transaction.rows("lanes_ready", {"after": after, "limit": limit})]

        return await self._database.read(work, once=True)

    async def heads(self, lanes: Sequence[str], limit: int) -> dict[str, list[QueuedTask]]:
        async def work(transaction: Transaction) -> dict[str, list[QueuedTask]]:
            asked = {"lanes": _encode(list(lanes)).decode(), "limit": limit}
            ready = {
                lane: list(rows)
                for lane, rows in groupby(await transaction.rows("lane_heads", asked), key=lambda row: str(row[0]))
            }
            first = _encode([rows[0][1] for rows in ready.values()]).decode()
            specs: dict[str, bytes] = dict(await transaction.rows("task_specs", {"tasks": first})) if ready else {}  # type: ignore[arg-type]  # two columns
            return {
                lane: queued.heads(lane, rows, specs[rows[0][1]])
                for lane, rows in ready.items()
                if rows[0][1] in specs  # else its graph was removed meanwhile
            }

        return await self._database.read(work)

    async def step_lanes(self, names: Sequence[str]) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            asked = {"lanes": _encode(list(names)).decode()}
            found = {row[0] for row in await transaction.rows("step_lanes", asked)}
            return [name for name in names if name in found]

        return await self._database.read(work, once=True)

    async def steps(self, lane: str, limit: int) -> list[QueuedStep]:
        async def work(transaction: Transaction) -> list[QueuedStep]:
            return [queued.step(row) for row in await transaction.rows("step_heads", {"lane": lane, "limit": limit})]

        return await self._database.read(work, once=True)

    async def place(self, node: str, placements: Sequence[Placement], ttl_seconds: float, now: float | None) -> Placed:
        async def work(transaction: Transaction) -> Placed:
            rooms = {pool.pool: _Room(pool) for pool in await _pools(transaction, lock=True)}
            taken: dict[str, tuple[Placement, tuple[int, ...]]] = {}
            for placement in placements:
                devices = _take(rooms, placement)
                if devices is not None:
                    taken[placement.task] = (placement, devices)
            routed = await _route(transaction, [each for each, _ in taken.values() if each.workers])
            claimed = await _lease(
                transaction, node, {task: each for task, each in taken.items() if not each[0].workers}, ttl_seconds, now
            )
            done = routed | {task.task for task in claimed}
            await _record(transaction, [each for each in placements if each.task in done], now)
            refused = [each.task for each in placements if each.task not in done]
            return Placed(claimed=claimed, routed=len(routed), refused=refused)

        return await self._database.write(work)

    async def unroute(self, pool: str) -> int:
        async def work(transaction: Transaction) -> int:
            return await transaction.run("tasks_unroute", {"pool": pool})

        return await self._database.write(work)

    async def record(self, pool: str, limit: int) -> tuple[int, int]:
        async def work(transaction: Transaction) -> tuple[int, int]:
            rows = await transaction.rows("pool_record", {"pool": pool, "limit": limit})
            return rows[0][0], rows[0][1] or 0

        return await self._database.read(work, once=True)

    async def shares(self, names: Sequence[str]) -> Mapping[str, float]:
        async def work(transaction: Transaction) -> Mapping[str, float]:
            rows = await transaction.rows("share_get", {"names": _encode(list(names)).decode()})
            return {row[0]: row[1] for row in rows}

        return await self._database.read(work, once=True)

    async def reach(self, shares: Mapping[str, float]) -> None:
        rows = [{"name": name, "reached": reached} for name, reached in sorted(shares.items())]

        async def work(transaction: Transaction) -> None:
            await transaction.many("share_put", rows)

        await self._database.write(work)


class _Room:
    """What is left of a pool within one placement."""

    def __init__(self, pool: PoolRow) -> None:
        self.is_counted = pool.type != _WORKFLOWS
        self.is_open = pool.state is PoolState.ENABLED
        self.slots = None if pool.capacity is None else pool.capacity - pool.running - pool.routed
        self.cpu = None if pool.cpu is None else pool.cpu - pool.cpu_taken
        self.memory = None if pool.memory is None else pool.memory - pool.memory_taken
        self.devices = [index for index in range(pool.gpus or 0) if index not in pool.devices_taken]

    def fits(self, placement: Placement) -> bool:
        asked = placement.resources
        return (
            self.is_open
            and (self.slots is None or self.slots > 0)
            and (self.cpu is None or asked.cpu <= self.cpu + _ROUNDING)
            and (self.memory is None or asked.memory <= self.memory + _ROUNDING)
            and asked.gpus <= len(self.devices)
        )

    def take(self, placement: Placement) -> tuple[int, ...]:
        asked = placement.resources
        self.slots = None if self.slots is None else self.slots - 1
        self.cpu = None if self.cpu is None else self.cpu - asked.cpu
        self.memory = None if self.memory is None else self.memory - asked.memory
        given, self.devices = self.devices[: asked.gpus], self.devices[asked.gpus :]
        return tuple(given)


_ROUNDING: Final = 1e-9  # sums of cores such as 0.1 differ in their last digit


def _take(rooms: Mapping[str, _Room], placement: Placement) -> tuple[int, ...] | None:
    """Give the devices of a placement after its room was taken; None when there is no room for it."""
    room, total = rooms.get(placement.pool), rooms.get(ALL)
    if room is None or not room.fits(placement):
        return None
    if total is not None and total.slots is not None and room.is_counted:
        if total.slots <= 0:
            return None
        total.slots -= 1
    return room.take(placement)


async def _pools(transaction: Transaction, *, lock: bool = False) -> list[PoolRow]:
    rows = await transaction.rows("pools_lock" if lock else "pools_all", {})
    usage = {row[0]: row[1:] for row in await transaction.rows("pools_usage", {})}
    routed: dict[str, int] = {}
    if any(row[1] == WORKER for row in rows):
        routed = {row[0]: row[1] for row in await transaction.rows("pools_routed", {})}
    devices: defaultdict[str, list[int]] = defaultdict(list)
    if any(row[6] for row in rows):
        for pool, text in await transaction.rows("pools_devices", {}):
            devices[pool] += _devices.decode(text)
    ills: defaultdict[str, list[Ill]] = defaultdict(list)
    for pool, node, reason, since, again_at in await transaction.rows("pools_ills", {}):
        ills[pool].append(Ill(pool=pool, node=node, reason=reason, since=since, again_at=again_at))
    only_watched = {row[0] for row in rows if row[1] == _WORKFLOWS}
    total = sum(each[0] for name, each in usage.items() if name not in only_watched) + sum(routed.values())
    found = []
    for row in rows:
        running, cpu, memory = usage.get(row[0], (0, 0.0, 0.0))
        name = row[0]
        found.append(
            PoolRow(
                pool=name,
                type=row[1],
                state=PoolState(row[2]),
                capacity=row[3],
                cpu=row[4],
                memory=row[5],
                gpus=row[6],
                settings=row[7],
                declared_at=row[8],
                turn=row[9],
                running=total if name == ALL else running,
                cpu_taken=cpu,
                memory_taken=memory,
                devices_taken=tuple(devices.get(name, ())),
                routed=routed.get(name, 0),
                ills=ills.get(name, ()),
                policy=_policy(row[7]) if name == ALL else None,
            )
        )
    return found


async def _route(transaction: Transaction, placements: Sequence[Placement]) -> set[str]:
    """Leave tasks to the workers of their pools; gives those that were still ready."""
    if not placements:
        return set()
    rows = await transaction.rows("tasks_route", {"placements": _pairs(placements)})
    return {row[0] for row in rows}


async def _lease(
    transaction: Transaction,
    node: str,
    taken: Mapping[str, tuple[Placement, tuple[int, ...]]],
    ttl_seconds: float,
    now: float | None,
) -> list[ClaimedTask]:
    """Lease tasks that are still ready and that no limit of theirs refuses, in the order in which they were placed."""
    if not taken:
        return []
    rows = await transaction.rows("tasks_place", {"placements": _pairs([each for each, _ in taken.values()])})
    order = {task: number for number, task in enumerate(taken)}
    rows = sorted(rows, key=lambda row: order[row[0]])
    graphs = _encode(sorted({row[1] for row in rows})).decode()
    namespaces: dict[str, str] = dict(await transaction.rows("graphs_namespaces", {"graphs": graphs}))  # type: ignore[arg-type]  # two columns
    claimed = [
        msgspec.structs.replace(
            task,
            devices=taken[task.task][1],
            resources=taken[task.task][0].resources,
            namespace=namespaces.get(task.run, task.namespace),
        )
        for task in await queue.admitted(transaction, rows, now)
    ]
    leases = [
        {
            "name": task.task,
            "fence": task.fence,
            "place": task.pool,
            "cpu": taken[task.task][0].resources.cpu,
            "memory": taken[task.task][0].resources.memory,
            "devices": _encode(task.devices).decode() if task.devices else None,
        }
        for task in claimed
    ]
    await transaction.insert("leases_place", {"holder": node, "ttl": ttl_seconds, "now": now}, leases)
    await tries.begin(transaction, claimed, node, now)
    return claimed


async def _record(transaction: Transaction, placements: Sequence[Placement], now: float | None) -> None:
    """Keep why each task is where it is, and count the turns of the pools."""
    decisions = [{"subject": each.task, "chosen": each.pool, "body": each.decision} for each in placements]
    await transaction.insert("decisions_add", {"kind": _PLACED, "now": now}, decisions)
    counts: defaultdict[str, int] = defaultdict(int)
    for each in placements:
        counts[each.pool] += 1
    await transaction.many("pool_turn", [{"pool": pool, "count": count} for pool, count in sorted(counts.items())])


def _pairs(placements: Sequence[Placement]) -> str:
    return _encode([[each.task, each.pool] for each in placements]).decode()


async def _together(transaction: Transaction) -> bytes | None:
    """Give the settings of all pools together, and hold the rows of the pools; None before a node has declared any."""
    rows = await transaction.rows("pools_lock", {})
    return next((row[7] for row in rows if row[0] == ALL), None)


def _policy(settings: bytes) -> str | None:
    """Give the policy that people chose. It is in the settings of ALL, beside what nodes declare and never under a key of
    theirs."""
    return _chosen.decode(settings).chosen_policy


def _with_policy(settings: bytes, policy: str | None) -> bytes:
    kept = _settings.decode(settings)
    kept.pop(_CHOSEN, None)
    return _encode(kept if policy is None else kept | {_CHOSEN: policy})


def _declared(pool: DeclaredPool, chosen: str | None, now: float | None) -> dict[str, object]:
    """Give a pool as it is stored. `chosen`: the policy that people chose, which is kept with all pools together."""
    return {
        "pool": pool.pool,
        "type": pool.type,
        "state": PoolState.ENABLED if pool.enabled else PoolState.DISABLED,
        "capacity": pool.capacity,
        "cpu": pool.cpu,
        "memory": pool.memory,
        "gpus": pool.gpus,
        "settings": _with_policy(pool.settings, chosen) if pool.pool == ALL else pool.settings,
        "now": now,
    }
