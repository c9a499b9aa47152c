"""A small server with the dashboard alone, on loopback: signs everybody in as one principal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import Depends, FastAPI, Request

from interlock.app.readiness import Readiness
from interlock.app.session import Session
from interlock.config import Settings
from interlock.config.settings import Store
from interlock.model.access import Principal, Role
from interlock.server import dashboard
from interlock.server.gateway import Gateway

CSRF = "proof"


@dataclass
class Board:
    """`url`: where pages are. Change `principal` to be somebody else, None for nobody."""

    session: Session
    app: FastAPI
    gateway: Gateway
    principal: Principal | None = field(default_factory=lambda: Principal("ann", Role.OPERATOR, None))
    url: str = ""


@dataclass
class _Access:
    """Says who sends a request, as that of a whole server does."""

    board: Board

    async def principal(self, _request: Request) -> Principal | None:
        return self.board.principal


@contextlib.asynccontextmanager
async def mounted(folder: Path, *, node: bool = True) -> AsyncIterator[Board]:
    """Give the dashboard over a store of its own. `node`: something executes the runs."""
    settings = Settings(store=Store(url=f"sqlite:///{folder}/board.db"))
    async with Session.open(settings) as session:
        if node:
            await session.bring_node(pinned=False)
        gateway = Gateway(settings, Readiness(lambda reasons: None), session.clock)
        gateway.open(session)
        board = Board(session, FastAPI(), gateway)

        board.app.state.access = _Access(board)

        async def sign_in(request: Request) -> None:
            if board.principal is not None:
                request.state.principal, request.state.csrf = board.principal, CSRF

        board.app.include_router(dashboard.router(gateway), dependencies=[Depends(sign_in)])
        yield board
        gateway.closing.set()


@contextlib.asynccontextmanager
async def served(folder: Path, *, node: bool = True) -> AsyncIterator[Board]:
    """Give the dashboard behind a real server on a port of its own."""
    async with mounted(folder, node=node) as board:
        server = uvicorn.Server(
            uvicorn.Config(board.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
        )
        task = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(60):
                while not server.started:
                    await asyncio.sleep(0.01)
            board.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            yield board
        finally:
            board.gateway.closing.set()
            server.should_exit = True
            async with asyncio.timeout(60):
                await task
