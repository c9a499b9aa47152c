"""What a worker tells of itself over HTTP: how it is, whether it is ready, what it has done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from interlock import telemetry
from interlock.app.health import Metric, Report
from interlock.app.readiness import Readiness
from interlock.app.worker import Terms, WorkerNode, Working
from interlock.service import Clock, Service

NOT_REGISTERED: Final = "not registered"
NOT_HEARD: Final = "no heartbeat"


class Reporter(Service):
    """Counts what the worker of this process does, from start to stop, and tells of it."""

    def __init__(self, working: Working, readiness: Readiness, clock: Clock) -> None:
        self._working = working
        self._readiness = readiness
        self._clock = clock
        self._since = clock.monotonic()
        self._took = 0
        self._ended: Counter[str] = Counter()
        self._seconds = 0.0
        self._failures = 0
        self._recovered = 0
        self._detach: Callable[[], None] | None = None

    async def start(self) -> None:
        self._detach = telemetry.attach(self._hear)

    async def stop(self) -> None:
        if self._detach is not None:
            self._detach()
            self._detach = None

    def report(self) -> Report:
        """Give how the worker is now."""
        node, terms = self._present(), self._working.terms
        active = 0 if node is None else node.dispatcher.active
        silent = None if node is None else node.heartbeats.silent_seconds
        uptime = self._clock.monotonic() - self._since
        reasons = [*self._readiness.reasons]
        if node is None:
            reasons.append(NOT_REGISTERED)
        elif silent is None or silent > terms.timing.stale_seconds:
            reasons.append(NOT_HEARD)
        health = {
            "status": "ok" if not reasons else "not ready",
            "worker_id": terms.post.worker,
            "pool": terms.post.pool,
            "uptime_seconds": round(uptime, 3),
            "active_tasks": active,
            "capacity": {"max": terms.post.slots, "available": max(0, terms.post.slots - active)},
            "last_heartbeat": None if silent is None else round(self._clock.now() - silent, 3),
        }
        return Report(health=health, reasons=reasons, metrics=self._metrics(terms, active, silent, uptime, not reasons))

    def _present(self) -> WorkerNode | None:
        node = self._working.node
        return None if node is None or node.worker is None or node.failure is not None else node

    def _metrics(self, terms: Terms, active: int, silent: float | None, uptime: float, is_ready: bool) -> list[Metric]:
        about = {"worker": terms.post.worker, "pool": terms.post.pool}

        def one(name: str, kind: str, help: str, value: float) -> Metric:
            return Metric(name=f"interlock_worker_{name}", kind=kind, help=help, samples=[(about, value)])

        ended = Metric(
            name="interlock_worker_tasks_ended_total",
            kind="counter",
            help="Tasks whose attempt ended here, by outcome.",
            samples=[
                (about | {"outcome": outcome}, self._ended[outcome])
                for outcome in ("done", "failed", "cancelled", "snoozed")
            ],
        )
        return [
            one("up_seconds", "gauge", "Seconds since the worker started.", uptime),
            one("ready", "gauge", "1 while the worker takes tasks.", float(is_ready)),
            one("slots", "gauge", "Tasks that the worker performs at once.", terms.post.slots),
            one("active_tasks", "gauge", "Tasks that it performs now.", active),
            one("tasks_taken_total", "counter", "Tasks that the worker claimed.", self._took),
            ended,
            one("task_seconds_total", "counter", "Seconds that its tasks took, in sum.", self._seconds),
            one(
                "heartbeat_age_seconds",
                "gauge",
                "Seconds since its last heartbeat; -1 for none.",
                -1 if silent is None else silent,
            ),
            one(
                "heartbeat_alerts_total",
                "counter",
                "Times that heartbeats failed three times in a row.",
                self._failures,
            ),
            one("recovered_total", "counter", "Workers that it found stale and recovered.", self._recovered),
        ]

    def _hear(self, name: str, fields: Mapping[str, Any]) -> None:
        if name == "worker.took":
            self._took += 1
        elif name == "worker.ended":
            self._ended[fields["outcome"]] += 1
            self._seconds += fields["seconds"]
        elif name == "worker.heartbeat_failed":
            self._failures += 1
        elif name == "worker.recovered":
            self._recovered += 1
