"""Performs the command `audit`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from interlock.app.opened import Opened
from interlock.cli import context, far
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import json
from interlock.store.ports import AuditRow
from interlock.wire import service as wire


async def listed(before: int | None, limit: int, *, as_json: bool) -> int:
    """List what was changed by whom, newest first."""
    rows = await _rows(before, limit)
    if as_json:
        answer(json.encode([msgspec.structs.asdict(row) for row in rows]).decode())
        return 0
    for row in rows:
        at = datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        answer(f"{row.number}  {at}  {row.actor}  {row.action}  {row.target}")
    if not rows:
        note("nobody has changed anything by hand yet")
    elif len(rows) == limit:
        note(f"older ones: interlock audit --before {rows[-1].number}")
    return 0


async def _rows(before: int | None, limit: int) -> Sequence[AuditRow]:
    if options.server is None:
        async with context.existing(Opened) as app:
            return await app.store.views.audit(before, limit)
    async with far.opened() as server:
        told = await server.ask(wire.AuditPage, "GET", "/audit", query={"before": before, "limit": limit})
    return [AuditRow(**msgspec.structs.asdict(each)) for each in told.items]
