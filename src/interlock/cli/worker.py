"""The command `worker`: what may be said to it, by options or by the variables that other systems use."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock import errors, telemetry
from interlock.app.health import HealthServer
from interlock.app.serving import Serving
from interlock.app.worker import Terms, Working
from interlock.app.worker_report import Reporter
from interlock.cli import context
from interlock.cli.node import hearing, log, seconds
from interlock.cli.output import reserved
from interlock.coord import vitals
from interlock.coord.timing import BALANCED, Timing
from interlock.decisions import strategies
from interlock.dispatch.post import Post
from interlock.flow import requirements
from interlock.flow.python.options import IN_PROCESS, LOCAL
from interlock.model.json import Json
from interlock.service import SystemClock

_MOST_SLOTS: Final = 10_000
_SCAN_SHARE: Final = 4  # looks for the stale in the time that a worker may be silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The options of the command as they were typed; None: not given."""

    pool: str = "workers"
    id: str | None = None
    skills: str | None = None
    types: str | None = None
    region: str | None = None
    slots: int | None = None
    cores: float | None = None
    memory: float | None = None
    for_: str | None = None
    port: int | None = None
    listen: str | None = None
    folder: Path | None = None
    strategy: str | None = None


async def worker(given: Given) -> int:
    """Take tasks until SIGTERM, SIGINT, a drain from elsewhere, or the end of `--for`. Raises Invalid, WorkerError."""
    variables = os.environ
    host, port = _place(given)
    duration = _seconds(given, variables)
    settings = context.settings()
    async with AsyncExitStack() as stack:
        working = Working(terms(given, variables, default_slots=settings.node.slots))
        serving = Serving(settings, working.bring)
        reporter = Reporter(working, serving.readiness, SystemClock())
        server = HealthServer(host, port, reporter.report)
        stack.callback(telemetry.attach(log))
        for service in (reporter, server):
            await service.start()
            stack.push_async_callback(service.stop)
        working.terms = _with_address(working.terms, server.address)
        telemetry.emit("worker.listens", url=f"http://{server.address}/health")
        with reserved(), hearing(serving):
            await serving.run(duration)
    return 0


def terms(given: Given, variables: Mapping[str, str], *, default_slots: int) -> Terms:
    """Give how the worker is to work. An option wins over a variable. Raises Invalid, which names the one that is wrong."""
    pool = _pool(given.pool)
    slots = given.slots if given.slots is not None else _whole(variables, "WORKER_MAX_TASKS", 1, _MOST_SLOTS)
    types = given.types if given.types is not None else variables.get("SUPPORTED_TASK_TYPES")
    strategy = given.strategy or variables.get("LOAD_BALANCE_STRATEGY") or strategies.Strategy.LEAST_LOADED
    hostname = variables.get("WORKER_HOSTNAME") or None
    capabilities = vitals.capabilities(
        task_types=_names("--types", types),
        skills=_names("--skills", given.skills),
        region=given.region or variables.get("WORKER_REGION") or None,
    )
    if given.cores is not None:
        capabilities = dataclasses.replace(capabilities, cpu_cores=given.cores)
    if given.memory is not None:
        capabilities = dataclasses.replace(capabilities, memory_mb=given.memory)
    folder = given.folder or context.folder()
    if not folder.is_dir():
        raise errors.Invalid(f"--folder {str(folder)!r} is no folder of this machine")
    return Terms(
        post=Post(
            worker=given.id or variables.get("WORKER_ID") or f"{hostname or socket.gethostname()}-{os.getpid()}",
            pool=pool,
            slots=slots or default_slots,
            capabilities=capabilities,
            folder=str(folder.absolute()),
            strategy=strategies.strategy(strategy),
        ),
        timing=_timing(variables),
        host=hostname,
    )


def _with_address(terms: Terms, address: str) -> Terms:
    metadata: dict[str, Json] = {**terms.metadata, "health": f"http://{address}/health"}
    return Terms(post=terms.post, timing=terms.timing, host=terms.host, metadata=metadata)


def _pool(name: str) -> str:
    if name in (LOCAL, IN_PROCESS):
        raise errors.Invalid(
            f"the pool {name!r} is every node's own; a worker serves another one, such as `--pool workers`"
        )
    if not requirements.POOL.fullmatch(name):
        raise errors.Invalid(f"--pool {name!r}: a pool's name has letters, digits, `.`, `_` and `-`, at most 100")
    return name


def _names(what: str, text: str | None) -> frozenset[str]:
    found = [name.strip() for name in (text or "").split(",")]
    if text is not None and text.strip() and not all(found):
        raise errors.Invalid(f"{what} {text!r}: an empty name between commas")
    return frozenset(name for name in found if name)


def _timing(variables: Mapping[str, str]) -> Timing:
    beat = _whole(variables, "HEARTBEAT_INTERVAL_MS", 100, 3_600_000)
    stale = _whole(variables, "STALE_WORKER_THRESHOLD_MS", 200, 86_400_000)
    if beat is None and stale is None:
        return BALANCED
    beat_seconds = BALANCED.beat_seconds if beat is None else beat / 1000
    stale_seconds = BALANCED.stale_seconds if stale is None else stale / 1000
    if stale_seconds < 2 * beat_seconds:
        raise errors.Invalid(
            f"STALE_WORKER_THRESHOLD_MS ({stale_seconds:g} s) must be at least twice HEARTBEAT_INTERVAL_MS "
            f"({beat_seconds:g} s)"
        )
    pause = (stale_seconds - beat_seconds) / (BALANCED.retries + 1)
    return Timing(
        beat_seconds=beat_seconds,
        stale_seconds=stale_seconds,
        scan_seconds=min(BALANCED.scan_seconds, stale_seconds / _SCAN_SHARE),
        retry_seconds=min(BALANCED.retry_seconds, pause),
    )


def _whole(variables: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = variables.get(name)
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise errors.Invalid(f"{name}={text!r} is no whole number from {low} to {high}")
    return value


def _seconds(given: Given, variables: Mapping[str, str]) -> float | None:
    if given.for_ is not None:
        return seconds(given.for_)
    minutes = _whole(variables, "WORKER_DURATION_MINUTES", 1, 525_600)
    return None if minutes is None else minutes * 60.0


def _place(given: Given) -> tuple[str, int]:
    """Give where to listen. Raises Invalid."""
    if given.listen is None:
        return "127.0.0.1", given.port or 0
    if given.port is not None:
        raise errors.Invalid("--listen names a port itself; leave out --port")
    host, colon, port = given.listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise errors.Invalid(f"--listen {given.listen!r}: write HOST:PORT, such as 0.0.0.0:8080")
    return host.strip("[]"), int(port)
