"""What a decision may need of a run that is not in its state: read from the store when it is asked for."""

from __future__ import annotations

from typing import Final

from interlock.engine.patience import Patience
from interlock.engine.rows import Rows
from interlock.model.memo import Memo
from interlock.store.ports import Store

_TOKENS: Final = 100_000  # of one run that are open at once, at most: all of them are looked at
_UNDOS: Final = 50  # memos of steps to undo that are read at once


class Recollection:
    """Reads what runs have left in the store."""

    def __init__(self, store: Store, rows: Rows, patiently: Patience) -> None:
        self._store = store
        self._rows = rows
        self._patiently = patiently

    async def undos(self, run: str, before: int | None) -> list[Memo]:
        """Give the steps to undo next in a rollback: those below a memo's number, descending, at most a page."""
        journal = self._store.journal
        found = await self._patiently(lambda: journal.undos(run, before, _UNDOS))
        return await self._patiently(lambda: self._rows.memos(run, found, journal))

    async def heard(self, run: str) -> dict[int, float]:
        """Give when the holders of a run's tokens gave their last sign of life."""
        rows = await self._patiently(lambda: self._store.tokens.of_run(run, _TOKENS))
        return {row.effect: row.heartbeat_at or row.created_at for row in rows}
