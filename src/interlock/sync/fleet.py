"""Workers, their heartbeats and who gets what, for programs without an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from interlock.coord import balancer, heartbeats, workers
from interlock.coord.balancer import Assignment
from interlock.coord.loads import LoadDistribution, Rebalanced
from interlock.coord.timing import Timing
from interlock.coord.workers import KEPT_SECONDS, SILENT_SECONDS
from interlock.decisions.record import Decision
from interlock.decisions.strategies import Strategy
from interlock.decisions.task import Task
from interlock.model.json import Json
from interlock.model.worker import Capabilities, Device, Worker, WorkerStatus
from interlock.store.ports import Recovered, SlotRow, WorkerEvent
from interlock.sync.portal import Portal


class WorkerRegistry:
    """See `interlock.coord.workers.WorkerRegistry`, of which each method waits here."""

    def __init__(self, portal: Portal, registry: workers.WorkerRegistry) -> None:
        self._portal = portal
        self._registry = registry

    def register(
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
        return self._portal.call(
            self._registry.register(
                worker,
                capacity=capacity,
                capabilities=capabilities,
                metadata=metadata,
                device=device,
                silent_seconds=silent_seconds,
                session=session,
                host=host,
            )
        )

    def deregister(self, worker: str, *, session: str | None = None) -> bool:
        return self._portal.call(self._registry.deregister(worker, session=session))

    def update_status(
        self,
        worker: str,
        status: WorkerStatus | None = None,
        *,
        capacity: int | None = None,
        session: str | None = None,
    ) -> Worker:
        return self._portal.call(self._registry.update_status(worker, status, capacity=capacity, session=session))

    def get_worker(self, worker: str) -> Worker | None:
        return self._portal.call(self._registry.get_worker(worker))

    def list_workers(
        self,
        statuses: Iterable[WorkerStatus] | None = None,
        *,
        has_capacity: bool | None = None,
        task_type: str | None = None,
        capabilities: Set[str] = frozenset(),
        region: str | None = None,
    ) -> list[Worker]:
        return self._portal.call(
            self._registry.list_workers(
                statuses, has_capacity=has_capacity, task_type=task_type, capabilities=capabilities, region=region
            )
        )

    def events(self, after: int = 0, limit: int = 100) -> list[WorkerEvent]:
        return self._portal.call(self._registry.events(after, limit))

    def mark_stale(self, threshold_seconds: float | None = None) -> list[str]:
        return self._portal.call(self._registry.mark_stale(threshold_seconds))

    def recover(self, worker: str) -> Recovered | None:
        return self._portal.call(self._registry.recover(worker))

    def cleanup_stale_workers(self, kept_seconds: float = KEPT_SECONDS) -> int:
        return self._portal.call(self._registry.cleanup_stale_workers(kept_seconds))


class LoadBalancer:
    """See `interlock.coord.balancer.LoadBalancer`, of which each method waits here."""

    def __init__(self, portal: Portal, inner: balancer.LoadBalancer) -> None:
        self._portal = portal
        self._balancer = inner

    @property
    def strategy(self) -> Strategy:
        return self._balancer.strategy

    def set_strategy(self, name: Strategy | str) -> None:
        """Choose by another strategy from now on. Raises Invalid for one that does not exist."""
        self._balancer.set_strategy(name)

    def select_worker(self, task: Task, among: Iterable[str] | None = None) -> Assignment | None:
        return self._portal.call(self._balancer.select_worker(task, among))

    def get_next_task(self, worker: str, waiting: Sequence[Task]) -> Assignment | None:
        return self._portal.call(self._balancer.get_next_task(worker, waiting))

    def in_order(self, waiting: Sequence[Task], now: float) -> list[Task]:
        """Give tasks in the order in which they are to be done."""
        return self._balancer.in_order(waiting, now)

    def explain(self, task: Task, among: Iterable[str] | None = None) -> Decision:
        return self._portal.call(self._balancer.explain(task, among))

    def started(self, slot: SlotRow) -> bool:
        return self._portal.call(self._balancer.started(slot))

    def finish(self, slot: SlotRow, *, succeeded: bool | None, seconds: float = 0.0) -> bool:
        return self._portal.call(self._balancer.finish(slot, succeeded=succeeded, seconds=seconds))

    def weights(self) -> Mapping[Strategy, float]:
        return self._portal.call(self._balancer.weights())

    def decisions(self, task: str | None = None, limit: int = 100) -> list[Decision]:
        return self._portal.call(self._balancer.decisions(task, limit))

    def get_load_distribution(self) -> LoadDistribution:
        return self._portal.call(self._balancer.get_load_distribution())

    def rebalance(self) -> Rebalanced:
        return self._portal.call(self._balancer.rebalance())


class HeartbeatMonitor:
    """See `interlock.coord.heartbeats.HeartbeatMonitor`, of which each method waits here.

    The heartbeats themselves are sent from the loop's thread, whatever the program's own threads do.
    """

    def __init__(self, portal: Portal, monitor: heartbeats.HeartbeatMonitor) -> None:
        self._portal = portal
        self._monitor = monitor

    @property
    def timing(self) -> Timing:
        return self._monitor.timing

    @property
    def failures(self) -> int:
        """Heartbeats in a row that the store did not take."""
        return self._monitor.failures

    def start(self, worker: Worker | None = None) -> None:
        self._portal.call(self._monitor.start(worker))

    @property
    def silent_seconds(self) -> float | None:
        """How long ago the last heartbeat was taken that this process sent; None when it sends none."""

        async def asked() -> float | None:  # by the clock of the loop
            return self._monitor.silent_seconds

        return self._portal.call(asked())

    def stop(self, *, leave: bool = True) -> None:
        self._portal.call(self._monitor.stop(leave=leave))

    def send_heartbeat(self, worker: Worker, device: Device | None = None) -> bool:
        return self._portal.call(self._monitor.send_heartbeat(worker, device))

    def check_stale_workers(self) -> list[str]:
        return self._portal.call(self._monitor.check_stale_workers())

    def recover_stale_locks(self, worker: str) -> int:
        return self._portal.call(self._monitor.recover_stale_locks(worker))

    def recover(self, worker: str) -> Recovered | None:
        return self._portal.call(self._monitor.recover(worker))

    def scan(self) -> list[str]:
        return self._portal.call(self._monitor.scan())
