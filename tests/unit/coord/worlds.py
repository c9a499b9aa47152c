"""Small worlds in virtual time in which coordination is used as hard as it can be. Each gives what it found wrong.

What is done is judged by what was answered, not by what the code means to do: histories of locks and cells need an order that
explains them, and slots, recoveries and changes are counted beside the store.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import histories
from interlock import errors
from interlock.coord.balancer import LoadBalancer
from interlock.coord.heartbeats import HeartbeatMonitor
from interlock.coord.lock import Lock
from interlock.coord.locks import LockManager
from interlock.coord.memory import MemorySyncManager
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.task import Task
from interlock.model.worker import Device
from interlock.service import Clock
from interlock.store.ports import Released, Store
from linearizable import Call
from unit.coord.scripted import ScriptedStore

World = Callable[[Store, Clock], Awaitable[list[str]]]

TTL_SECONDS = 2.0
_TICK = 1e-7  # between two moments of a clock that stands still while the store works


class Notes:
    """Calls as they were made and answered, each moment later than the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ticks = 0
        self.calls: dict[str, list[Call[list[Any], Any]]] = defaultdict(list)

    def _moment(self) -> float:
        self._ticks += 1
        return self._clock.monotonic() + self._ticks * _TICK

    async def call(self, process: str, key: str, what: list[Any], answer: Awaitable[Any]) -> Any:
        begin = self._moment()
        found = await answer
        self.calls[key].append(Call(process, what, begin, self._moment(), (found,)))
        return found


async def locks(store: Store, clock: Clock) -> list[str]:
    """Two tasks of each of two workers want two locks; now and then one is away for longer than its lock lasts."""
    notes, chance, end = Notes(clock), random.Random(1), clock.monotonic() + 120

    async def acquired(manager: LockManager, name: str) -> int | None:
        lock = await manager.acquire(name, strategy="fail_fast", ttl=TTL_SECONDS)
        if lock is None:
            return None
        manager._renewal.forget(lock.row)  # this world says itself how long a holder lives
        return lock.fence

    async def written(memory: MemorySyncManager, name: str, fence: int) -> bool:
        try:
            await memory.set(name, fence, under=(name, fence))
        except errors.LockError:
            return False
        return True

    async def released(manager: LockManager, name: str, fence: int) -> bool:
        found = await store.locks.release("default", name, manager.worker, fence, clock.stamp())
        return found is Released.RELEASED

    async def actor(manager: LockManager, memory: MemorySyncManager) -> None:
        while clock.monotonic() < end:
            name, who = f"l{chance.randrange(2)}", manager.worker
            fence = await notes.call(who, name, ["acquire"], acquired(manager, name))
            if fence is not None:
                late = chance.random() < 0.3
                await asyncio.sleep(chance.uniform(2.1, 4.0) if late else chance.uniform(0.0, 1.0))
                await notes.call(who, name, ["write", fence], written(memory, name, fence))
                await notes.call(who, name, ["release", fence], released(manager, name, fence))
            await asyncio.sleep(chance.uniform(0.01, 0.5))

    actors = []
    for worker in ("w1", "w2"):
        manager = LockManager(store, clock, worker)
        await manager.start()
        memory = MemorySyncManager(store, clock, "default", worker)
        actors += [actor(manager, memory) for _ in range(2)]
    await asyncio.gather(*actors)
    assert sum(map(len, notes.calls.values())) > 200
    return histories.wrong_locks(notes.calls, TTL_SECONDS)


async def cells(store: Store, clock: Clock) -> list[str]:
    """Four writers read, set, swap and delete the same few keys."""
    notes, chance, end = Notes(clock), random.Random(2), clock.monotonic() + 6

    async def actor(writer: str) -> None:
        memory = MemorySyncManager(store, clock, "default", writer)
        seen: dict[str, tuple[int, Any]] = {}

        async def read(key: str) -> Any:
            cell = await memory.cell(key)
            seen[key] = (0, 0) if cell is None or cell.is_deleted else (cell.version, cell.value)
            return seen[key][1]

        async def put(key: str, value: int, base: int | None) -> list[Any]:
            outcome = await memory.set(key, value, base=base)
            cell = outcome.cell
            return [outcome.is_applied, 0 if cell is None or cell.is_deleted else cell.value]

        async def deleted(key: str) -> list[Any]:
            return [await memory.delete(key), 0]

        while clock.monotonic() < end:
            key, value = f"k{int(clock.monotonic())}", chance.getrandbits(52) + 1
            version, found = seen.get(key, (0, 0))
            match chance.choice(["read", "read", "set", "swap", "swap", "delete"]):
                case "read":
                    await notes.call(writer, key, ["read"], read(key))
                case "set":
                    await notes.call(writer, key, ["set", value], put(key, value, None))
                case "swap":
                    await notes.call(writer, key, ["swap", value, found], put(key, value, version))
                case _:
                    await notes.call(writer, key, ["delete"], deleted(key))
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.02]))

    await asyncio.gather(*(actor(f"w{number}") for number in range(4)))
    assert sum(map(len, notes.calls.values())) > 200
    return histories.wrong_cells(notes.calls)


async def slots(store: Store, clock: Clock) -> list[str]:
    """Six choose a worker that has two slots, and six a worker for one task, at the same moment, again and again."""
    wrong: list[str] = []
    registry = WorkerRegistry(store, clock)
    await registry.register("small", capacity=2, silent_seconds=1e6)
    await registry.register("large", capacity=9, silent_seconds=1e6)
    balancers = [LoadBalancer(store, clock) for _ in range(6)]

    async def choose(among: str, most: int, names: list[str]) -> None:
        choosing = [each.select_worker(Task(id=name), [among]) for each, name in zip(balancers, names, strict=True)]
        given = [each for each in await asyncio.gather(*choosing) if each is not None]
        if len(given) != most:
            wrong.append(f"{len(given)} of {names} were given to the worker {among!r} at once")
        for each in given:
            await balancers[0].finish(each.slot, succeeded=True)

    for turn in range(10):
        await choose("small", 2, [f"t{turn}-{number}" for number in range(6)])
        await choose("large", 1, [f"t{turn}"] * 6)
    return wrong


async def recoveries(store: Store, clock: Clock) -> list[str]:
    """A worker that was silent for too long is heard just before it is given up."""
    wrong: list[str] = []
    scripted: Any = ScriptedStore(store, clock.monotonic)
    worker = await WorkerRegistry(scripted, clock).register("w1")
    monitor = HeartbeatMonitor(scripted, clock)

    async def beat() -> None:
        await monitor.send_heartbeat(worker, Device())

    for method in ("list", "get", "list", "get"):
        await asyncio.sleep(150)
        scripted.workers.after[method] = beat
        wrong += [f"{recovered} was given up, and lived" for recovered in await monitor.scan()]
    return wrong


async def changes(store: Store, clock: Clock) -> list[str]:
    """Everything that three writers set is told to who watches, once and in its order."""
    told: list[int] = []
    memory = MemorySyncManager(store, clock, "default", "reader")
    watch = memory.watch("k1")
    await watch.begin()

    async def writer(name: str) -> None:
        own = MemorySyncManager(store, clock, "default", name)
        for number in range(30):
            await own.set("k1", number)
            await asyncio.sleep(0)

    async def follow() -> None:
        async for change in watch:
            told.append(change.version)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(writer(f"w{number}") for number in range(3)))
    await asyncio.sleep(60)
    await watch.aclose()
    await following
    if len(told) != 90 or told != sorted(set(told)):
        return [f"{len(told)} changes of 90 were told, {len(set(told))} of them different"]
    return []


async def kept(store: Store, clock: Clock) -> list[str]:
    """A lock whose holder lives and renews it is nobody else's for an hour."""
    wrong: list[str] = []
    one, two = LockManager(store, clock, "w1"), LockManager(store, clock, "w2")
    await one.start()
    await two.start()
    lock = await one.acquire("deploy", ttl=30)
    assert isinstance(lock, Lock)
    for _ in range(60):
        await asyncio.sleep(60)
        for strategy in ("fail_fast", "steal_stale"):
            if await two.acquire("deploy", strategy=strategy) is not None:
                wrong.append(f"{strategy} took a lock from who holds it")
    if not await lock.check():
        wrong.append("a lock that was renewed is over")
    await one.stop()
    await two.stop()
    return wrong
