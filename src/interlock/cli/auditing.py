"""Performs the command `audit`."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from interlock.cli import context
from interlock.cli.output import answer, note
from interlock.model import json


async def listed(before: int | None, limit: int, *, as_json: bool) -> int:
    """List what was changed by whom, newest first."""
    async with context.existing() as app:
        rows = await app.store.views.audit(before, limit)
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
