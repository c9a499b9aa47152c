"""Performs the commands about API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from interlock import errors
from interlock.app.keys import Keys
from interlock.app.opened import Opened
from interlock.cli import context, far, shapes
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import duration, json
from interlock.model.access import Role
from interlock.model.json import Json
from interlock.store.ports import KeyRow
from interlock.wire import service as wire


async def created(name: str, role: Role, namespaces: Sequence[str], expires: str | None) -> int:
    """Make a key: its text alone goes to standard output, so that it can be piped to where it is kept."""
    seconds = None if expires is None else _seconds(expires)
    # Whoever limits the command to a namespace does not mean a key to all of them.
    limits = list(namespaces) or ([options.namespace] if options.namespace else None)
    if options.server is not None:
        asked = wire.NewKey(name=name, role=role.value, namespaces=limits, expires=seconds)
        async with far.opened() as server:
            made = await server.ask(wire.CreatedKey, "POST", "/keys", body=asked)
        row, text = shapes.key(made), made.key
    else:
        async with context.opened(Opened) as app:
            row, text = await Keys(app.store, app.clock).create(name, role, namespaces=limits, expires_seconds=seconds)
    answer(text)
    until = "never expires" if row.expires_at is None else f"expires {_moment(row.expires_at)}"
    note(f"key {row.id} of {row.name}: {row.role} of {_where(row)}, {until}; it is shown this once, keep it now")
    return 0


async def listed(*, as_json: bool) -> int:
    """List the keys; of their secrets nothing is known."""
    rows, now = await _rows_and_now()
    if as_json:
        answer(json.encode([_told(row, now) for row in rows]).decode())
        return 0
    for row in rows:
        answer(
            f"{row.id}  {row.name}  {row.role} of {_where(row)}  {_state(row, now)}  "
            f"made {_moment(row.created_at)} by {row.created_by}"
        )
    if not rows:
        note("there are no keys; `interlock keys create NAME --role ROLE` makes one")
    return 0


async def revoked(key: str) -> int:
    """End a key and say which it was."""
    row = await _ended(key)
    answer(row.id)
    assert row.revoked_at is not None
    note(f"key {row.id} of {row.name} is revoked since {_moment(row.revoked_at)}")
    return 0


async def _rows_and_now() -> tuple[list[KeyRow], float]:
    rows = list[KeyRow]()
    if options.server is not None:
        async with far.opened() as server:
            after: str | None = None
            while page := (await server.ask(wire.KeyList, "GET", "/keys", query={"after": after})).items:
                rows += [shapes.key(each) for each in page]
                after = rows[-1].id
            return rows, server.now()
    async with context.existing(Opened) as app:
        keys = Keys(app.store, app.clock)
        while found := await keys.list(rows[-1].id if rows else None):
            rows += found
        return rows, app.clock.now()


async def _ended(key: str) -> KeyRow:
    if options.server is not None:
        async with far.opened() as server:
            return shapes.key(await server.ask(wire.KeyTold, "POST", f"/keys/{quote(key, safe='')}/revoke"))
    async with context.existing(Opened) as app:
        return await Keys(app.store, app.clock).revoke(key)


def _seconds(expires: str) -> float:
    try:
        return duration.parse(expires)
    except ValueError as error:
        raise errors.Invalid(f"--expires: {error}") from None


def _told(row: KeyRow, now: float) -> dict[str, Json]:
    return {
        "id": row.id,
        "name": row.name,
        "role": str(row.role),
        "namespaces": None if row.namespaces is None else list(row.namespaces),
        "live": row.is_live(now),
        "created_at": row.created_at,
        "created_by": row.created_by,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
    }


def _where(row: KeyRow) -> str:
    return "all namespaces" if row.namespaces is None else ", ".join(row.namespaces)


def _state(row: KeyRow, now: float) -> str:
    if row.revoked_at is not None:
        return f"revoked {_moment(row.revoked_at)}"
    if row.expires_at is None:
        return "live"
    return f"{'live until' if now < row.expires_at else 'expired'} {_moment(row.expires_at)}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
