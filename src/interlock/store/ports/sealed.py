"""What a store encrypts, and how all of it is brought under the newest key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from interlock.secrets.key import KeyRing
from interlock.store.ports.row import Row


class Resealed(Row, frozen=True, kw_only=True):
    """What was done with a page. `after`: where the next one begins, None: there is none. `missed`: rows that somebody else
    wrote meanwhile, and that are to be looked at again."""

    after: tuple[object, ...] | None
    seen: int = 0
    sealed: int = 0
    missed: int = 0


class Sealed(Protocol):
    @property
    def is_on(self) -> bool:
        """Whether the store encrypts payloads."""
        ...

    @property
    def tables(self) -> Sequence[str]:
        """What `reseal` is to be called with, one after the other."""
        ...

    async def reseal(self, table: str, after: tuple[object, ...] | None, ring: KeyRing) -> Resealed:
        """Seal a page of a table under the newest key of the ring, what is plain too; `after` None: the first one.

        Short transactions, safe beside others that write. Raises Environment where a key is missing, StoreCorrupt.
        """
        ...

    async def finish(self) -> None:
        """Write down that nothing is sealed under an older key: who has only the newest one may open the store now."""
        ...

    async def scrub(self, *, alone: bool) -> bool:
        """Overwrite what is left of what was replaced. `alone`: nobody else uses the store, so it may take its time.

        False: something may be left in free space of its files, which only their database can remove.
        """
        ...
