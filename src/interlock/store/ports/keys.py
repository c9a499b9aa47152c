"""API keys: what programs sign in with. Only a digest of the secret is stored, so that a copy of the store opens nothing.

live --revoke--> revoked      for good; the row stays, to tell who had the key
live --its time is over--> expired
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from interlock.model.access import Role
from interlock.store.ports.row import Row


class KeyRow(Row, frozen=True, kw_only=True):
    """A key. `id`: the public part of its text; `digest`: SHA-256 of the secret part, hexadecimal. `namespaces`: to which it
    is limited, None for no limit. `expires_at`, `revoked_at`: UTC seconds, None for never."""

    id: str
    name: str
    digest: str
    role: Role
    namespaces: Sequence[str] | None
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None

    def is_live(self, now: float) -> bool:
        """Say whether the key opens anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys(Protocol):
    async def create(self, row: KeyRow, actor: str, now: float) -> None:
        """Store a new key and record in the audit log who made it, in one transaction."""
        ...

    async def find(self, id: str) -> KeyRow | None: ...

    async def list(self, after: str | None, limit: int) -> list[KeyRow]:
        """Give keys by their ids, which grow with time, those after `after`; None from the first on."""
        ...

    async def revoke(self, id: str, actor: str, now: float) -> KeyRow | None:
        """End a key for good and record who did it, in one transaction; give the key as it is then.

        One that was revoked before keeps its time, and nothing is recorded. None: there is no such key.
        """
        ...

    async def any_live(self, now: float) -> bool:
        """Say whether there is a key that opens anything at `now`."""
        ...
