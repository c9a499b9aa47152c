"""API keys: made, checked and revoked.

    row, text = await keys.create("ci", Role.OPERATOR, namespaces=["shop"], expires_seconds=90 * 86400)
    principal = await keys.verify(text)

The text of a key is `ilk_<id>_<secret>`. Whoever lost it makes another one: only a digest is stored.
"""

from __future__ import annotations

import builtins
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from interlock import errors
from interlock.app.actor import actor
from interlock.flow.grammar import patterns
from interlock.model.access import Principal, Role
from interlock.service import Clock
from interlock.store.ports import KeyRow, Store

CACHED_SECONDS: Final = 5.0
"""For how long a key that was looked up is taken as it was: a key that another process revoked opens nothing after that."""
_REMEMBERED: Final = 1024
_PAGE: Final = 200
_SECRET_BYTES: Final = 32
_LONGEST_NAME: Final = 64
_LONGEST_SECONDS: Final = 100 * 365 * 86400.0
_TEXT: Final = re.compile(r"ilk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class Keys:
    """The keys of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store: Final = store
        self._clock = clock
        # Apart, so that a flood of keys that do not exist pushes out none that do.
        self._found: OrderedDict[str, tuple[KeyRow | None, float]] = OrderedDict()
        self._missing: OrderedDict[str, tuple[KeyRow | None, float]] = OrderedDict()

    async def create(
        self,
        name: str,
        role: Role,
        *,
        namespaces: Sequence[str] | None = None,
        expires_seconds: float | None = None,
        by: str | None = None,
    ) -> tuple[KeyRow, str]:
        """Make a key; give its row and its text, which nobody can give again.

        `namespaces` None: all of them. `by`: who makes it, None for the user of this process. Raises Invalid.
        """
        _check(name, namespaces, expires_seconds)
        now, maker = self._clock.now(), by or actor()
        # From the machine's own source and not from the clock, of which a test knows what comes next.
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        row = KeyRow(
            id=self._clock.uuid().replace("-", ""),
            name=name,
            digest=_digest(secret),
            role=Role(role),
            namespaces=None if namespaces is None else tuple(dict.fromkeys(namespaces)),
            created_at=now,
            created_by=maker,
            expires_at=None if expires_seconds is None else now + expires_seconds,
        )
        await self.store.keys.create(row, maker, now)
        return row, f"ilk_{row.id}_{secret}"

    async def verify(self, text: str) -> Principal | None:
        """Give whom a key stands for; None for one that is unknown, revoked, expired or no key at all.

        A key that was revoked elsewhere may be taken for `CACHED_SECONDS` more.
        """
        parts = _TEXT.fullmatch(text)
        if parts is None:
            return None
        row = await self._row(parts[1])
        # In constant time, and before anything else is said of the key: the id is no secret, the rest is.
        if row is None or not hmac.compare_digest(row.digest, _digest(parts[2])):
            return None
        return self._principal(row)

    async def id_of(self, text: str) -> str | None:
        """Give the id of a key by its text; None where `verify` gives nobody."""
        return None if await self.verify(text) is None else text.split("_", 2)[1]

    async def holder(self, id: str) -> Principal | None:
        """Give whom the key of an id stands for, for who has proved before to have it; None when it is over by now."""
        row = await self._row(id)
        return None if row is None else self._principal(row)

    async def any(self) -> bool:
        """Say whether there is a key that opens anything now."""
        return await self.store.keys.any_live(self._clock.now())

    async def list(self, after: str | None = None, limit: int = _PAGE) -> builtins.list[KeyRow]:
        """Give the keys, also those that are over, the oldest first; `after`: the last id of the page before."""
        return await self.store.keys.list(after, limit)

    async def revoke(self, key: str, *, by: str | None = None) -> KeyRow:
        """End a key, named by its id or by a name that only one live key has. One that is revoked stays as it is.

        Raises NotFound, Conflict when several have the name.
        """
        id = await self._named(key)
        row = await self.store.keys.revoke(id, by or actor(), self._clock.now())
        self._found.pop(id, None)
        if row is None:
            raise errors.NotFound(f"there is no key {id}; `interlock keys list` shows those there are")
        return row

    def _principal(self, row: KeyRow) -> Principal | None:
        if not row.is_live(self._clock.now()):
            return None
        return Principal(row.name, row.role, None if row.namespaces is None else tuple(row.namespaces))

    async def _named(self, key: str) -> str:
        if await self.store.keys.find(key) is not None:
            return key
        fitting = [row for row in await self._all() if row.name == key]
        now = self._clock.now()
        live = [row for row in fitting if row.is_live(now)] or fitting[-1:]
        if not live:
            raise errors.NotFound(f"there is no key {key!r}; `interlock keys list` shows those there are")
        if len(live) > 1:
            ids = ", ".join(row.id for row in live)
            raise errors.Conflict(f"{len(live)} live keys have the name {key!r}; write one of their ids: {ids}")
        return live[0].id

    async def _all(self) -> builtins.list[KeyRow]:
        rows = await self.list()
        while rows and (page := await self.list(rows[-1].id)):
            rows += page
        return rows

    async def _row(self, id: str) -> KeyRow | None:
        now = self._clock.monotonic()
        for known in (self._found, self._missing):
            row, until = known.get(id, (None, 0.0))
            if now < until:
                known.move_to_end(id)
                return row
        row = await self.store.keys.find(id)
        known = self._missing if row is None else self._found
        known[id] = (row, now + CACHED_SECONDS)  # counted from before it was read
        known.move_to_end(id)
        if len(known) > _REMEMBERED:
            known.popitem(last=False)
        return row


def _digest(secret: str) -> str:
    # A fast hash is right here: it slows down guessing what people choose, and 256 random bits cannot be guessed anyway.
    return hashlib.sha256(secret.encode()).hexdigest()


def _check(name: str, namespaces: Sequence[str] | None, expires_seconds: float | None) -> None:
    if not (name and len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()):
        raise errors.Invalid(
            f"the name of a key has 1 to {_LONGEST_NAME} characters that can be seen; {name[:80]!r} does not fit"
        )
    if namespaces is not None and not namespaces:
        raise errors.Invalid("a key that is limited to no namespace opens nothing; name one, or leave the limit out")
    for namespace in namespaces or ():
        if not patterns.is_name(namespace):
            raise errors.Invalid(f"{namespace[:80]!r} is no namespace: letters, digits and hyphens, up to 63 of them")
    if expires_seconds is not None and not 0 < expires_seconds <= _LONGEST_SECONDS:
        raise errors.Invalid(
            f"a key expires after more than nothing and at most 100 years, not after {expires_seconds:g} seconds"
        )
