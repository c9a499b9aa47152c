"""The registry of workers: who is there, what they can do, and how much they have to do.

    registry = WorkerRegistry(store, clock)
    worker = await registry.register("w1", capacity=4, capabilities=Capabilities(task_types={"build"}))
    ... a heartbeat every 30 s (heartbeats.HeartbeatMonitor) ...
    await registry.deregister("w1")

An id belongs to one live process. What a process may do about its worker it does with its session, so one whose place was
given to another one changes nothing any more.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Set
from typing import Final

import msgspec

from interlock import errors
from interlock.coord.answers import answered
from interlock.decisions import scores
from interlock.model.json import Json
from interlock.model.worker import PRESENT, WORKER_TRANSITIONS, Capabilities, Device, Worker, WorkerStatus, status
from interlock.service import Clock
from interlock.store.ports import NewWorker, Recovered, Registered, Store, WorkerEvent, WorkerRow, WorkerState

MOST_WORKERS: Final = 100
SILENT_SECONDS: Final = 120.0
KEPT_SECONDS: Final = 86_400.0
"""How long one that is gone is shown, and events are kept."""
_STORED: Final[Mapping[WorkerStatus, WorkerState]] = {
    WorkerStatus.ACTIVE: WorkerState.REGISTERED,
    WorkerStatus.DRAINING: WorkerState.DRAINING,
}
"""What may be asked for; the other states follow from what happens."""
_encode: Final = msgspec.json.Encoder(enc_hook=sorted, order="deterministic").encode
_capabilities: Final = msgspec.json.Decoder(Capabilities)
_device: Final = msgspec.json.Decoder(Device)
_metadata: Final = msgspec.json.Decoder(dict[str, Json])


class WorkerRegistry:
    """Who takes tasks, what they can do and how much they have to do."""

    def __init__(self, store: Store, clock: Clock, *, most: int = MOST_WORKERS) -> None:
        """`most`: live workers that the store may have."""
        self._store = store
        self._clock = clock
        self._most = most

    # -- coming and going ----------------------------------------------------------------------------------------

    async def register(
        self,
        worker: str,
        *,
        capacity: int = 1,
        capabilities: Capabilities | None = None,
        metadata: Mapping[str, Json] | None = None,
        device: Device | None = None,
        silent_seconds: float = SILENT_SECONDS,
        session: str | None = None,
        host: str | None = None,
    ) -> Worker:
        """Register this process as a worker; gives it as it is seen now. `session`: of the process, a new one when None.

        A worker of that id that is stale is recovered first. Raises WorkerError when a live process has the id, or when there
        are as many workers as there may be; Invalid for what is no worker.
        """
        _check(worker, capacity, silent_seconds)
        new = NewWorker(
            worker=worker,
            session=session or self._clock.uuid(),
            host=host or socket.gethostname(),
            pid=os.getpid(),
            capacity=capacity,
            silent_seconds=silent_seconds,
            capabilities=_encode(capabilities or Capabilities()),
            metadata=_encode(metadata or {}),
            metrics=_encode(device or Device()),
        )
        register = self._store.workers.register  # by the session it is the same when it is asked again
        match await answered(lambda again: register(new, self._most, self._clock.stamp())):
            case Registered.TAKEN:
                text = f"the worker {worker!r} is registered by a process that is alive; stop that one, or choose another id"
                raise errors.WorkerError(text, worker, "worker-taken")
            case Registered.FULL:
                text = f"{self._most} workers are registered, which is as many as there may be; {worker!r} is refused"
                raise errors.WorkerError(text, worker, "too-many-workers")
            case Registered.REGISTERED:
                found = await self.get_worker(worker)
                if found is None or found.session != new.session:
                    raise _gone(worker)
                return found

    async def deregister(self, worker: str, *, session: str | None = None) -> bool:
        """Remove a worker; its locks and tasks are free. False: it was gone. `session`: only if it is still this process."""
        if session is None:
            row = await self._store.workers.get(worker, self._clock.stamp())
            if row is None:
                return False
            session = row.session
        return await self._store.workers.leave(worker, session, self._clock.stamp())

    async def update_status(
        self,
        worker: str,
        status: WorkerStatus | None = None,
        *,
        capacity: int | None = None,
        session: str | None = None,
    ) -> Worker:
        """Let a worker drain, or take tasks again, or change its capacity.

        Raises NotFound; WorkerError when that state cannot follow the present one, or is one that nobody sets: ACTIVE, BUSY
        and STALE follow from what a worker holds and from its heartbeats.
        """
        before = await self.get_worker(worker)
        if before is None:
            raise errors.NotFound(f"there is no worker {worker!r}; `interlock workers list` shows those there are")
        if capacity is not None:
            _check(worker, capacity, 1.0)
        stored = None if status is None else _asked(before, status)
        held = session or before.session
        now = self._clock.stamp()
        if not await self._store.workers.change(worker, held, state=stored, capacity=capacity, now=now):
            raise _gone(worker)
        after = await self.get_worker(worker)
        if after is None:
            raise _gone(worker)
        return after

    # -- looking -------------------------------------------------------------------------------------------------

    async def get_worker(self, worker: str) -> Worker | None:
        """Give a worker, also one that is gone; None: there is none of that id, or it was forgotten."""
        row = await self._store.workers.get(worker, self._clock.stamp())
        return None if row is None else seen(row, self._clock.now())

    async def list_workers(
        self,
        statuses: Iterable[WorkerStatus] | None = None,
        *,
        has_capacity: bool | None = None,
        task_type: str | None = None,
        capabilities: Set[str] = frozenset(),
        region: str | None = None,
    ) -> list[Worker]:
        """Give the workers that fit all that is asked, the best of the registry's ranking first.

        `statuses` None: all that were not given up. `capabilities`: skills, all of which it must have.
        """
        wanted = PRESENT if statuses is None else frozenset(statuses)
        rows = await self._store.workers.list(_stored(wanted), self._clock.stamp())
        now = self._clock.now()
        found = [
            worker
            for worker in (seen(row, now) for row in rows)
            if worker.status in wanted
            and (has_capacity is None or worker.has_capacity is has_capacity)
            and (task_type is None or worker.capabilities.supports(task_type))
            and capabilities <= worker.capabilities.skills
            and (region is None or worker.capabilities.region == region)
        ]
        return sorted(found, key=lambda worker: (-scores.priority_of(worker), worker.id))

    async def events(self, after: int = 0, limit: int = 100) -> list[WorkerEvent]:
        """Give what became of workers, in the order in which it was done."""
        return await self._store.workers.events(after, limit)

    # -- the stale -----------------------------------------------------------------------------------------------

    async def mark_stale(self, threshold_seconds: float | None = None) -> list[str]:
        """Give the ids of those of which nothing was heard for longer than a time, else than each of them may be silent.

        Nothing is stored: a heartbeat that comes makes a stale worker what it was.
        """
        rows = await self._store.workers.list(_stored(PRESENT), self._clock.stamp())
        if threshold_seconds is None:
            return [row.worker for row in rows if row.is_stale]
        silent = [(row.worker, row.silent_seconds) for row in rows]
        return [worker for worker, seconds in silent if seconds is None or seconds > threshold_seconds]

    async def recover(self, worker: str) -> Recovered | None:
        """Give a worker up if it is still stale: its locks and tasks are for others. None: it is not, or another one did."""
        row = await self._store.workers.get(worker, self._clock.stamp())
        if row is None or not row.is_stale:
            return None
        return await self._store.workers.recover(worker, row.session, self._clock.stamp())

    async def cleanup_stale_workers(self, kept_seconds: float = KEPT_SECONDS) -> int:
        """Recover all that are stale, and forget those that are gone for long; gives how many were recovered."""
        recovered = [await self.recover(worker) for worker in await self.mark_stale()]
        await self._store.workers.forget(self._clock.now() - kept_seconds)
        return len([each for each in recovered if each is not None])


def seen(row: WorkerRow, now: float) -> Worker:
    """Give a worker as people and strategies see it."""
    return Worker(
        id=row.worker,
        session=row.session,
        status=status(row.state, is_stale=row.is_stale, active=row.active, capacity=row.capacity),
        host=row.host,
        pid=row.pid,
        capacity=row.capacity,
        active=row.active,
        capabilities=_capabilities.decode(row.capabilities),
        metadata=_metadata.decode(row.metadata),
        device=_device.decode(row.metrics),
        fence=row.fence,
        registered_at=row.registered_at,
        ended_at=row.ended_at,
        heard_at=row.heard_at,
        silent_seconds=row.silent_seconds,
        may_be_silent_seconds=row.may_be_silent_seconds,
        assigned=row.assigned,
        assigned_at=row.assigned_at,
        succeeded=row.succeeded,
        failed=row.failed,
        busy_seconds=row.busy_seconds,
        since_failure_seconds=None if row.failed_at is None else max(0.0, now - row.failed_at),
    )


def device_body(device: Device) -> bytes:
    """Give the metrics of a heartbeat as they are stored."""
    return _encode(device)


def _asked(worker: Worker, wanted: WorkerStatus) -> WorkerState | None:
    """Give what is to be stored for a state, None when it has that state. Raises WorkerError."""
    if wanted is worker.status:
        return None
    stored = _STORED.get(wanted)
    if stored is None or wanted not in WORKER_TRANSITIONS[worker.status]:
        may = sorted(state for state in WORKER_TRANSITIONS[worker.status] if state in _STORED)
        why = f"it can be made {' or '.join(may)}" if may else "nothing can be made of it"
        text = f"the worker {worker.id!r} is {worker.status} and cannot be made {wanted}; {why}"
        raise errors.WorkerError(text, worker.id, "worker-state")
    return stored


def _stored(wanted: Set[WorkerStatus]) -> list[WorkerState]:
    """Give the stored states that workers of some seen states may have."""
    found = {WorkerState(state.value) for state in wanted if state in (WorkerStatus.OFFLINE, WorkerStatus.REMOVED)}
    if wanted & PRESENT:
        found |= {WorkerState.REGISTERED, WorkerState.DRAINING}
    return sorted(found)


def _check(worker: str, capacity: int, silent_seconds: float) -> None:
    if not worker or len(worker) > 200 or not worker.isprintable():
        raise errors.Invalid(f"{worker!r} is no id of a worker; it has 1 to 200 printable characters")
    if capacity < 0:
        raise errors.Invalid(f"the worker {worker!r} cannot have {capacity} slots; give 0 or more")
    if silent_seconds <= 0:
        raise errors.Invalid(
            f"the worker {worker!r} must be allowed to be silent for some time, not {silent_seconds:g} s"
        )


def _gone(worker: str) -> errors.WorkerError:
    text = f"the worker {worker!r} was given up, or its place was taken by another process; register it again"
    return errors.WorkerError(text, worker, "worker-gone")
