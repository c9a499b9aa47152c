"""Performs the commands about deliveries. What is secret of them never leaves the store, so nothing here can show it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

from interlock.app.deliveries import Deliveries, Delivery, state_of
from interlock.app.records import Records
from interlock.cli import context, far, shapes
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import json
from interlock.model.json import Json
from interlock.store.ports import DeliveryAttempt, DeliveryState
from interlock.wire import events as wire

_PENDING: Final = DeliveryState.PENDING


async def listed(run: str | None, state: str | None, before: str | None, limit: int, *, as_json: bool) -> int:
    """List deliveries, newest first."""
    if options.server is not None:
        query: dict[str, Json] = {"run": run, "state": _state(state), "before": before, "limit": limit}
        async with far.opened() as server:
            told = await server.ask(wire.Deliveries, "GET", "/deliveries", query=query)
        found = [shapes.delivery(each) for each in told.items]
    else:
        async with context.existing(Records) as app:
            found = await Deliveries(app, options.namespace).list(state=state, run=run, before=before, limit=limit)
    if as_json:
        answer(json.encode([asdict(each) for each in found]).decode())
        return 0
    for each in found:
        answer(f"{each.id}  {_standing(each)}  {each.attempts}×  {each.target}  run {each.run}")
    if not found:
        note("no deliveries; a run has one when it is started with a callback")
    elif len(found) == limit:
        note(f"older ones: interlock deliveries list --before {found[-1].id}")
    return 0


async def shown(delivery: str, *, as_json: bool) -> int:
    """Show a delivery with its sendings. Raises NotFound."""
    if options.server is not None:
        async with far.opened() as server:
            told = await server.ask(wire.DeliveryWhole, "GET", f"/deliveries/{quote(delivery, safe='')}")
        found = shapes.delivery(told)
        attempts = [DeliveryAttempt(**msgspec.structs.asdict(each)) for each in told.attempts_made]
    else:
        async with context.existing(Records) as app:
            deliveries = Deliveries(app, options.namespace)
            found, attempts = await deliveries.get(delivery), await deliveries.attempts(delivery)
    if as_json:
        sendings = [msgspec.structs.asdict(each) for each in attempts]
        answer(json.encode(asdict(found) | {"attempts_made": sendings}).decode())
        return 0
    answer(f"delivery   {found.id}")
    answer(f"run        {found.run}")
    answer(f"to         {found.target} ({found.kind})")
    answer(f"state      {_standing(found)}")
    if found.due_at is not None and not found.waiting:
        answer(f"next try   {_at(found.due_at)}")
    answer(f"deadline   {_at(found.deadline)}")
    if found.problem is not None:
        answer(f"problem    {found.problem}")
    for each in attempts:
        answer(_sending(each))
    return 0


async def retried(delivery: str, *, as_json: bool) -> int:
    """Send a delivery once more. Raises NotFound, Conflict for one that needs it not."""
    if options.server is not None:
        async with far.opened() as server:
            path = f"/deliveries/{quote(delivery, safe='')}/retry"
            found = shapes.delivery(await server.ask(wire.DeliveryTold, "POST", path))
        has_engine = True  # whoever runs the server sees to that
    else:
        async with context.existing(Records) as app:
            found = await Deliveries(app, options.namespace).retry(delivery)
            has_engine = await app.has_engine()
    if as_json:
        answer(json.encode(asdict(found)).decode())
        return 0
    answer(f"{found.id}  {_standing(found)}")
    if not has_engine:
        note("no node executes runs of others now; `interlock node` sends it")
    return 0


def _state(text: str | None) -> str | None:
    """Give a state as it was typed. Raises Invalid for one that deliveries do not have."""
    return None if text is None else str(state_of(text))


def _standing(each: Delivery) -> str:
    return "pending (the run lives)" if each.state is _PENDING and each.waiting else each.state


def _sending(each: DeliveryAttempt) -> str:
    took = "" if each.seconds is None else f"  {each.seconds:.3f} s"
    went = each.status or "nobody heard how it went; it may have arrived"
    return f"sent {each.number:<5} {_at(each.at)}{took}  {went}" + (f": {each.detail}" if each.detail else "")


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
