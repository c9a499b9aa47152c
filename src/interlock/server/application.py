"""The composition of the server: routes, who may use them, bounds, and how errors leave."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp

from interlock.server import dashboard, documented, problems, signing
from interlock.server.access import Access
from interlock.server.counted import Counted
from interlock.server.gateway import Gateway
from interlock.server.limits import Bounds, Rates
from interlock.server.routes import (
    artifacts,
    definitions,
    deliveries,
    events,
    fleet,
    graphs,
    health,
    history,
    keys,
    locks,
    memory,
    pools,
    recorded,
    runs,
    tokens,
)
from interlock.server.sessions import Sessions

ROUTERS: Final = (
    runs.router,
    history.router,
    recorded.router,
    artifacts.holders,
    artifacts.router,
    definitions.router,
    events.router,
    tokens.holders,
    tokens.router,
    locks.router,
    memory.router,
    fleet.router,
    graphs.router,
    pools.router,
    keys.router,
    deliveries.router,
    health.router,
)

HOLDERS: Final = (tokens.holders, artifacts.holders)
"""Routes for which a token is right enough."""


def build(gateway: Gateway, sessions: Sessions, *, may_be_open: bool, hosts: frozenset[str]) -> FastAPI:
    """Give the application of one server, without its bounds: see `bounded`."""
    app = FastAPI(
        title="Interlock", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    settings = gateway.settings.server
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    app.state.gateway = gateway
    app.state.access = Access(
        gateway, sessions, may_be_open=may_be_open, hosts=hosts | ({public.lower()} if public else frozenset())
    )
    app.state.rates = Rates(gateway.clock, settings.requests_per_second)
    app.state.counted = Counted(gateway.clock)
    app.state.since = gateway.clock.monotonic()
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(signing.router)
    app.include_router(dashboard.router(gateway), dependencies=[Depends(signing.visitor)])
    app.add_api_route("/", lambda: RedirectResponse("/ui/runs", 303), include_in_schema=False)
    problems.install(app)
    signing.install(app)
    documented.install(app)
    return app


def build_attempts(app: FastAPI) -> FastAPI:
    """Give what programs of this machine reach on a Unix socket: the reports by token of `app`, and nothing else of it."""
    attempts = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for name in ("gateway", "access", "rates", "counted", "since"):
        setattr(attempts.state, name, getattr(app.state, name))
    for router in HOLDERS:
        attempts.include_router(router)
    problems.install(attempts)
    return attempts


def bounded(app: FastAPI) -> ASGIApp:
    """Give the application as it is served: bounded and counted."""
    gateway: Gateway = app.state.gateway
    counted: Counted = app.state.counted
    settings = gateway.settings
    inner: Any = Bounds(app, gateway.clock, settings.server.max_body_bytes, settings.artifacts.max_size_bytes)
    return counted.around(inner)
