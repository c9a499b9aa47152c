"""Tokens on PostgreSQL: reports that come together are written together, in one transaction of two statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from interlock.store.ports import Completion, InboxRow, TokenRow, TokenState
from interlock.store.sql import tokens
from interlock.store.sql.inbox import Post, Told
from interlock.store.sql.postgresql.committer import Committer
from interlock.store.sql.tokens import SqlTokens
from interlock.store.sql.transaction import Database, Transaction

_COLUMNS: Final = (
    "token", "state", "outcome", "digest", "completed_at", "completed_by", "run", "cause_id", "cause", "action", "target",
)  # fmt: skip
_RUN, _CAUSE = _COLUMNS.index("run"), _COLUMNS.index("cause")  # and what the cause is called, between them


@dataclass(frozen=True, slots=True)
class _Report:
    token: str
    state: TokenState
    outcome: bytes
    digest: str
    actor: str
    now: float
    plain: bool
    effect: int | None


class PostgresTokens(SqlTokens):
    """Tokens whose completions share transactions. `close` waits for those that are under way."""

    def __init__(self, database: Database, post: Post | None = None) -> None:
        super().__init__(database, post)
        self._reports: Committer[_Report, Completion | None] = Committer(
            self._apply, key=lambda report: report.token, size=lambda report: 2 * len(report.outcome)
        )

    async def complete(
        self,
        token: str,
        state: TokenState,
        outcome: bytes,
        digest: str,
        actor: str,
        now: float,
        *,
        plain: bool = False,
        effect: int | None = None,
    ) -> Completion | None:
        return await self._reports.commit(_Report(token, state, outcome, digest, actor, now, plain, effect))

    async def close(self) -> None:
        await self._reports.close()

    async def _apply(self, reports: Sequence[_Report]) -> list[Completion | None]:
        """Complete a group of tokens, each named once; gives the answers in its order."""

        told = Told()

        async def work(transaction: Transaction) -> list[Completion | None]:
            told.clear()
            rows = await transaction.rows("tokens_lock", {"tokens": [report.token for report in reports]})
            found = {row[0]: _Found(tokens.token_row(row[:-2]), *row[-2:]) for row in rows}
            ends = [_end(report, found[report.token]) if report.token in found else None for report in reports]
            written = [end.columns for end in ends if end is not None and end.columns is not None]
            if written:
                columns = dict(zip(_COLUMNS, map(list, zip(*written, strict=True)), strict=True))
                causes = {columns_of[_RUN:_CAUSE]: columns_of[_CAUSE] for columns_of in written}
                is_alone = {each.row.run: each.inbox_is_empty for each in found.values()}
                for number, run, cause_id in await transaction.rows("tokens_end", columns):
                    row = InboxRow(number=number, run=run, cause=causes[run, cause_id])
                    told.add(row, is_alone=is_alone[run])
            return [None if end is None else end.answer for end in ends]

        return await self._database.write(work, tells=lambda: told.handed(self._post))


@dataclass(frozen=True, slots=True)
class _Found:
    """A token that is locked. `inbox_is_empty`: nothing has come for its run that was not applied yet."""

    row: TokenRow
    run_is_open: bool
    inbox_is_empty: bool


@dataclass(frozen=True, slots=True)
class _End:
    """What becomes of a report. `columns`: what is written, as `_COLUMNS` names it; None: nothing."""

    answer: Completion
    columns: tuple[Any, ...] | None


def _end(report: _Report, given: _Found) -> _End:
    """Decide about a report on a token that is locked; as SqlTokens.complete does for one."""
    found = given.row
    if not tokens.takes(found, plain=report.plain, effect=report.effect):
        return _End(Completion(row=found, applied=False), None)
    if tokens.is_over(found, report.now) or not given.run_is_open:
        state = TokenState.EXPIRED if tokens.is_over(found, report.now) else TokenState.REVOKED
        row = msgspec.structs.replace(found, state=state, reason=None)
        return _End(Completion(row=row, applied=False), (row.token, state, *[None] * (len(_COLUMNS) - 2)))
    ended = {
        "outcome": report.outcome,
        "digest": report.digest,
        "completed_at": report.now,
        "completed_by": report.actor,
    }
    row = msgspec.structs.replace(found, state=report.state, reason=None, **ended)
    told = (row.run, tokens.cause_id(row), tokens.cause(row, report.outcome))
    audited = (f"token-{report.state}", tokens.subject(row))
    return _End(Completion(row=row, applied=True), (row.token, row.state, *ended.values(), *told, *audited))
