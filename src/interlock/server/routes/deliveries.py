"""Deliveries over HTTP: what callers were told of the ends of their runs. Nothing that is secret of them is in an answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from interlock.app.deliveries import Deliveries, Delivery
from interlock.model.access import Principal, Right
from interlock.server.access import Sender, listed, refuse_unless
from interlock.server.bodies import answer
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.routes.asking import NamespaceQuery, Server
from interlock.store.ports import DeliveryState
from interlock.wire import events as wire

router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])

IdPath = Annotated[str, Path(min_length=1, max_length=200)]


def _deliveries(server: Gateway, sender: Principal, right: Right, namespace: str | None) -> Deliveries:
    """Give the deliveries of the namespace in which the sender has a right. Raises Refused."""
    space = listed(sender, namespace)
    refuse_unless(sender, right, space)
    return Deliveries(server.session, space)


@router.get("", **documented(wire.Deliveries, problems=(404, 409)))
async def list_deliveries(
    sender: Sender,
    server: Server,
    namespace: NamespaceQuery = None,
    run: Annotated[str | None, Query(min_length=1, max_length=128, description="Only those of this run.")] = None,
    state: Annotated[DeliveryState | None, Query(description="Only those that stand so.")] = None,
    before: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List deliveries, newest first."""
    found = await _deliveries(server, sender, Right.READ, namespace).list(
        state=state, run=run, before=before, limit=limit
    )
    items = [_told(each) for each in found]
    return answer(wire.Deliveries(items=items, next=items[-1].id if len(items) == limit else None))


@router.get("/{delivery}", **documented(wire.DeliveryWhole, problems=(404,)))
async def get_delivery(sender: Sender, server: Server, delivery: IdPath, namespace: NamespaceQuery = None) -> Response:
    """Show a delivery with its sendings."""
    deliveries = _deliveries(server, sender, Right.READ, namespace)
    found, attempts = await deliveries.get(delivery), await deliveries.attempts(delivery)
    made = [msgspec.convert(msgspec.structs.asdict(each), wire.Sending) for each in attempts]
    return answer(wire.DeliveryWhole(**msgspec.structs.asdict(_told(found)), attempts_made=made))


@router.post("/{delivery}/retry", **documented(wire.DeliveryTold, problems=(404, 409)))
async def retry_delivery(
    sender: Sender, server: Server, delivery: IdPath, namespace: NamespaceQuery = None
) -> Response:
    """Send once more what failed or expired, and at once what waits for its next try. It is in the audit log."""
    return answer(_told(await _deliveries(server, sender, Right.OPERATE, namespace).retry(delivery)))


def _told(delivery: Delivery) -> wire.DeliveryTold:
    return msgspec.convert(asdict(delivery) | {"state": str(delivery.state)}, wire.DeliveryTold)
