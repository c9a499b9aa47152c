"""What comes for a run from outside: stored, and handed at once to the node of this process that is at work for the run.

transaction: run open? -> inbox row
commit
handed:      a node here takes the row          its commit removes it, nobody has to look
             nobody does, or others came before  the bell rings, and the run's node looks: rows keep their order
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from interlock.store.ports import InboxRow, news
from interlock.store.sql.transaction import Transaction

Post: TypeAlias = Callable[[InboxRow], bool]
"""Hands a row that is durable to a node of this process; False: none is at work for its run."""


class Told:
    """What one transaction tells runs, for `handed` once it is durable. `clear` it where the transaction begins: it may be
    repeated."""

    def __init__(self) -> None:
        self._rows: list[InboxRow] = []
        self._others = False

    def clear(self) -> None:
        self._rows.clear()
        self._others = False

    def add(self, row: InboxRow, *, is_alone: bool) -> None:
        """`is_alone`: no other row of its run was there before; else who looks has to find them in their order."""
        if is_alone:
            self._rows.append(row)
        else:
            self._others = True

    async def tell(self, transaction: Transaction, run: str, cause_id: str, cause: bytes) -> bool:
        """Put a cause into the inbox of a run, once. False: the run has ended."""
        found = await transaction.rows("run_is_open", {"run": run})
        if not found:
            return False
        for (number,) in await transaction.rows("inbox_add", {"run": run, "cause_id": cause_id, "cause": cause}):
            self.add(InboxRow(number=number, run=run, cause=cause), is_alone=bool(found[0][0]))
        return True

    def handed(self, post: Post | None, others: int = 0) -> int:
        """Hand over what was told; give the news that are left for the bell. `others`: those that it brings anyway."""
        rows: Sequence[InboxRow] = sorted(self._rows, key=lambda row: row.number)
        taken = [post is not None and post(row) for row in rows]
        return others if all(taken) and not self._others else others | news.INBOX
