"""Whether the server lives, is ready, and how the cluster stands; figures for Prometheus."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from interlock.app.health import Metric, prometheus
from interlock.app.roles import DISPATCHER, ENGINE
from interlock.app.session import Session
from interlock.app.standing import standing
from interlock.coord.workers import WorkerRegistry
from interlock.model.access import Right
from interlock.model.worker import WorkerStatus
from interlock.server.access import Sender, refuse_unless
from interlock.server.bodies import answer
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.routes.asking import Server
from interlock.version import VERSION
from interlock.wire import service as wire

router = APIRouter(tags=["health"])

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_STRANDED: Final = 1_000


@router.get("/health", **documented(wire.Health))
async def health(request: Request, server: Server) -> Response:
    """Say that this process lives. It needs no key, and no store."""
    uptime = server.clock.monotonic() - request.app.state.since
    return answer(wire.Health(status="ok", version=VERSION, uptime_seconds=round(uptime, 3)))


@router.get("/ready", **documented(wire.Ready))
async def ready(server: Server) -> Response:
    """Say whether this process can take work; 503 with the reasons when it cannot. It needs no key."""
    reasons = list(server.readiness.reasons)
    return answer(wire.Ready(ready=not reasons, reasons=reasons), 503 if reasons else 200)


@router.get("/cluster/health", **documented(wire.ClusterHealth))
async def cluster_health(sender: Sender, server: Server) -> Response:
    """Say how all processes of the store stand; 503 when nobody executes runs."""
    refuse_unless(sender, Right.READ, None)
    told = await _cluster(server.session)
    return answer(told, 503 if told.status == "down" else 200)


async def _cluster(session: Session) -> wire.ClusterHealth:
    states = [each for each in await session.store.nodes.states(session.clock.stamp()) if standing(each) == "live"]
    serving = [each.node.roles.split(",") for each in states if not each.node.pinned]
    engines = sum(ENGINE in roles for roles in serving)
    dispatchers = sum(DISPATCHER in roles for roles in serving)
    registry = WorkerRegistry(session.store, session.clock)
    workers = await registry.list_workers([WorkerStatus.ACTIVE, WorkerStatus.BUSY])
    stranded = len(await session.stranded(_STRANDED))
    oldest = await session.store.views.oldest_inbox()
    return wire.ClusterHealth(
        status="down" if not engines else "degraded" if stranded or not dispatchers else "healthy",
        nodes=len(states),
        engines=engines,
        dispatchers=dispatchers,
        workers=len(workers),
        stranded=stranded,
        oldest_inbox_seconds=None if oldest is None else max(0.0, session.clock.now() - oldest),
    )


@router.get("/metrics", **documented(media_type="text/plain"))
async def metrics(request: Request, sender: Sender, server: Server) -> Response:
    """Give figures in the text format of Prometheus."""
    refuse_unless(sender, Right.READ, None)
    told = [*_of_server(server), *request.app.state.counted.metrics()]
    if server.is_open:
        told += _of_cluster(await _cluster(server.session))
    return PlainTextResponse(prometheus(told), media_type=_PROMETHEUS)


def _of_server(server: Gateway) -> list[Metric]:
    ready = float(not server.readiness.reasons)
    return [_gauge("server_ready", "1 while this process can take work.", ready)]


def _of_cluster(cluster: wire.ClusterHealth) -> list[Metric]:
    return [
        _gauge("nodes", "Processes that share the store and live.", cluster.nodes),
        _gauge("engines", "Nodes that execute runs.", cluster.engines),
        _gauge("dispatchers", "Nodes that perform tasks.", cluster.dispatchers),
        _gauge("workers", "Workers that live.", cluster.workers),
        _gauge("stranded_runs", "Runs that nobody has executed for a minute.", cluster.stranded),
        _gauge(
            "inbox_age_seconds", "How long the oldest news for a run has waited.", cluster.oldest_inbox_seconds or 0.0
        ),
    ]


def _gauge(name: str, help: str, value: float) -> Metric:
    return Metric(name=f"interlock_{name}", kind="gauge", help=help, samples=[({}, value)])
