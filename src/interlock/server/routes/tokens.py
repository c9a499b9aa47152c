"""Completion tokens over HTTP: by the token in the path, which is right enough, or by an operator who names run and step."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from interlock.handshake.answers import Alive, Reported, TokenView
from interlock.handshake.tokens import Tokens
from interlock.model.access import Right
from interlock.server.access import Access, Sender, actor
from interlock.server.bodies import answer, read
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.routes.asking import NamespaceQuery, RunPath, Server, run_of
from interlock.wire import tokens as wire

holders = APIRouter(tags=["tokens"])
"""What who holds a token may ask: served to the programs of this machine on a Unix socket, too."""
router = APIRouter(tags=["tokens"])

_ONE: Final = "/api/v1/tokens/{token}"
_OF_RUN: Final = "/api/v1/runs/{run}/tokens"
_HOLDER: Final = "token"  # who completes by the token alone, as the audit log names him
_EXAMPLE: Final = {"result": {"pr": 812}}

TokenPath = Annotated[str, Path(min_length=1, max_length=600, description="The token, whole.")]
StepQuery = Annotated[
    str, Query(min_length=1, max_length=1000, description="The step that waits: its path or its name.")
]


def tokens_of(server: Gateway) -> Tokens:
    """Give the tokens of a server's store."""
    session = server.session
    return Tokens(session.store, session.secrets, session.clock, None, session.settings.logs.max_bytes)


async def holder(request: Request) -> str:
    """Give who reports by a token. A key is not needed; one that is sent has to be good, and is who did it."""
    address = request.client.host if request.client else "socket"
    request.app.state.rates.take(f"tokens of {address}")
    if "authorization" not in request.headers:
        return _HOLDER
    access: Access = request.app.state.access
    return actor(await access.principal(request))


# -- by the token ----------------------------------------------------------------------------------------------------


@holders.get(_ONE, **documented(wire.TokenTold, problems=(404, 409, 410)))
async def show_token(request: Request, server: Server, token: TokenPath) -> Response:
    """Say how a token stands, and what is asked of its holder."""
    await holder(request)
    return answer(_view(await tokens_of(server).show(token)))


@holders.post(
    _ONE + "/complete",
    **documented(wire.Reported, takes=wire.Complete, example=_EXAMPLE, optional=True, problems=(404, 409, 410, 415)),
)
async def complete_token(request: Request, server: Server, token: TokenPath) -> Response:
    """Report the result; the run goes on with it. The same result again is as good; 409 says who was first."""
    by = await holder(request)
    asked = await read(request, wire.Complete, default=wire.Complete())
    return answer(_reported(await tokens_of(server).complete(token, asked.result, by=by)))


@holders.post(_ONE + "/fail", **documented(wire.Reported, takes=wire.Fail, problems=(404, 409, 410, 415)))
async def fail_token(request: Request, server: Server, token: TokenPath) -> Response:
    """Report that the work failed. `retryable`: the step may be tried again, if its author allows it."""
    by = await holder(request)
    asked = await read(request, wire.Fail)
    reported = await tokens_of(server).fail(
        token, asked.type, asked.message, retryable=asked.retryable, details=asked.details, by=by
    )
    return answer(_reported(reported))


@holders.post(
    _ONE + "/heartbeat",
    **documented(wire.Heard, takes=wire.Heartbeat, optional=True, problems=(404, 409, 410, 415)),
)
async def heartbeat_token(request: Request, server: Server, token: TokenPath) -> Response:
    """Say that the work goes on; the answer says whether it is still wanted."""
    await holder(request)
    asked = await read(request, wire.Heartbeat, default=wire.Heartbeat())
    return answer(_heard(await tokens_of(server).heartbeat(token, asked.details)))


@holders.post(_ONE + "/progress", **documented(wire.Heard, takes=wire.Progress, problems=(404, 409, 410, 415)))
async def progress_token(request: Request, server: Server, token: TokenPath) -> Response:
    """Say how far the work is; a sign of life too."""
    await holder(request)
    asked = await read(request, wire.Progress)
    return answer(_heard(await tokens_of(server).progress(token, asked.fraction, asked.message)))


@holders.post(_ONE + "/log", **documented(wire.Logged, takes=wire.Log, problems=(404, 409, 410, 415)))
async def log_token(request: Request, server: Server, token: TokenPath) -> Response:
    """Add to the log of an attempt: what a program in a pool prints elsewhere than on its standard output."""
    await holder(request)
    asked = await read(request, wire.Log)
    await tokens_of(server).log(token, asked.text)
    return answer(wire.Logged(characters=len(asked.text)))


# -- by an operator --------------------------------------------------------------------------------------------------


@router.get(_OF_RUN, **documented(wire.TokenList, problems=(404, 409)))
async def run_tokens(sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None) -> Response:
    """List what a run waits for by token. The tokens themselves are never told."""
    row = await run_of(server.session, sender, Right.READ, namespace, run)
    views = await tokens_of(server).of_run(row.run)
    items = [_view(each, run=row.id, namespace=row.namespace) for each in views]
    return answer(wire.TokenList(items=items))


@router.post(
    _OF_RUN + "/complete",
    **documented(
        wire.Reported, takes=wire.Complete, example={"result": True}, optional=True, problems=(404, 409, 410, 415)
    ),
)
async def complete_step(
    request: Request, sender: Sender, server: Server, run: RunPath, step: StepQuery, namespace: NamespaceQuery = None
) -> Response:
    """Report the result of a step in place of who holds its token. The audit log has who did it."""
    row = await run_of(server.session, sender, Right.OPERATE, namespace, run)
    asked = await read(request, wire.Complete, default=wire.Complete())
    tokens = tokens_of(server)
    held = await tokens.of_step(row.run, step)
    return answer(_reported(await tokens.complete(held, asked.result, by=actor(sender))))


@router.post(_OF_RUN + "/fail", **documented(wire.Reported, takes=wire.Fail, problems=(404, 409, 410, 415)))
async def fail_step(
    request: Request, sender: Sender, server: Server, run: RunPath, step: StepQuery, namespace: NamespaceQuery = None
) -> Response:
    """Report that a step failed in place of who holds its token."""
    row = await run_of(server.session, sender, Right.OPERATE, namespace, run)
    asked = await read(request, wire.Fail)
    tokens = tokens_of(server)
    held = await tokens.of_step(row.run, step)
    reported = await tokens.fail(
        held, asked.type, asked.message, retryable=asked.retryable, details=asked.details, by=actor(sender)
    )
    return answer(_reported(reported))


@router.post(
    _OF_RUN + "/heartbeat",
    **documented(wire.Heard, takes=wire.Heartbeat, optional=True, problems=(404, 409, 410, 415)),
)
async def heartbeat_step(
    request: Request, sender: Sender, server: Server, run: RunPath, step: StepQuery, namespace: NamespaceQuery = None
) -> Response:
    """Say that the work for a step goes on, in place of who holds its token."""
    row = await run_of(server.session, sender, Right.OPERATE, namespace, run)
    asked = await read(request, wire.Heartbeat, default=wire.Heartbeat())
    tokens = tokens_of(server)
    return answer(_heard(await tokens.heartbeat(await tokens.of_step(row.run, step), asked.details)))


@router.post(_OF_RUN + "/progress", **documented(wire.Heard, takes=wire.Progress, problems=(404, 409, 410, 415)))
async def progress_step(
    request: Request, sender: Sender, server: Server, run: RunPath, step: StepQuery, namespace: NamespaceQuery = None
) -> Response:
    """Say how far the work for a step is, in place of who holds its token."""
    row = await run_of(server.session, sender, Right.OPERATE, namespace, run)
    asked = await read(request, wire.Progress)
    tokens = tokens_of(server)
    held = await tokens.of_step(row.run, step)
    return answer(_heard(await tokens.progress(held, asked.fraction, asked.message)))


@router.get(_OF_RUN + "/standing", **documented(wire.TokenTold, problems=(404, 409, 410)))
async def step_token(
    sender: Sender, server: Server, run: RunPath, step: StepQuery, namespace: NamespaceQuery = None
) -> Response:
    """Say how the token stands that a step waits for, or last waited for."""
    row = await run_of(server.session, sender, Right.READ, namespace, run)
    tokens = tokens_of(server)
    return answer(_view(await tokens.show(await tokens.of_step(row.run, step)), run=row.id, namespace=row.namespace))


def _reported(reported: Reported) -> wire.Reported:
    return wire.Reported(
        key=reported.run,
        state=reported.state,
        run=reported.run_id,
        namespace=reported.namespace,
        step=reported.step,
        applied=reported.applied,
    )


def _heard(alive: Alive) -> wire.Heard:
    return wire.Heard(
        key=alive.run,
        run=alive.run_id,
        namespace=alive.namespace,
        step=alive.step,
        cancel_requested=alive.cancel_requested,
        reason=alive.reason,
        expires_at=alive.expires_at,
        silent_at=alive.silent_at,
    )


def _view(view: TokenView, *, run: str = "", namespace: str = "") -> wire.TokenTold:
    told = asdict(view) | {"run": run or view.run_id, "namespace": namespace or view.namespace, "key": view.run}
    return msgspec.convert({name: told[name] for name in wire.TokenTold.__struct_fields__}, wire.TokenTold)
