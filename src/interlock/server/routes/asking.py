"""What routes have in common: the server that a request came to, and the parameters that many take."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request

from interlock.app.session import Session
from interlock.model.access import Principal, Right
from interlock.server.access import listed, refuse_unless
from interlock.server.gateway import Gateway
from interlock.server.limits import QUOTED
from interlock.store.ports import RunRow

NAME = r"^[A-Za-z0-9._-]+$"

NamespaceQuery = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=63,
        pattern="^[A-Za-z0-9-]+$",
        description="The namespace; that of the key, or `default`.",
    ),
]


def _run_id(
    request: Request, run: Annotated[str, Path(min_length=1, max_length=400, description="The run's id.")]
) -> str:
    """Give the run's id of a path; one with a slash comes as it was sent."""
    return unquote(run) if getattr(request.state, QUOTED, False) else run


RunPath = Annotated[str, Depends(_run_id)]
NamePath = Annotated[str, Path(min_length=1, max_length=100, pattern=NAME)]
NumberQuery = Annotated[int, Query(ge=0, le=2**62)]


def gateway(request: Request) -> Gateway:
    found: Gateway = request.app.state.gateway
    return found


Server = Annotated[Gateway, Depends(gateway)]


async def run_of(session: Session, principal: Principal, right: Right, namespace: str | None, id: str) -> RunRow:
    """Give a run that somebody has a right to. Raises Refused, NotFound."""
    space = listed(principal, namespace)
    if space is not None:
        refuse_unless(principal, right, space)
    row = await session.find(space, id)
    refuse_unless(principal, right, row.namespace)
    return row
