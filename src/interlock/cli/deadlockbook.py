"""Performs `interlock tasks deadlocks`."""

from __future__ import annotations

from interlock.app.opened import Opened
from interlock.cli import context
from interlock.cli.output import answer, note
from interlock.dispatch import deadlocks
from interlock.model import json


async def listed(*, as_json: bool) -> int:
    """Print who waits for each other for ever, as it is now. Exit code 1 when there is any."""
    async with context.existing(Opened) as app:
        found = await deadlocks.find(app.store, app.clock.stamp())
    if as_json:
        told = [{"kind": str(each.kind), "where": each.where, "members": list(each.members)} for each in found]
        answer(json.encode(told).decode())
    else:
        for each in found:
            answer(str(each))
        if not found:
            note("nobody waits for ever")
    return 1 if found else 0
