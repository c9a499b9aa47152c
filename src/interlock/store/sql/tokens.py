"""Tokens on SQL: a completion changes the token and tells its run in one transaction."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.store.ports import Beat, Completion, TokenRow, TokenState
from interlock.store.sql import commit
from interlock.store.sql.inbox import Post, Told
from interlock.store.sql.transaction import Database, Row, Transaction


class SqlTokens:
    def __init__(self, database: Database, post: Post | None = None) -> None:
        """`post`: who is handed at once what was told to a run; None: it looks."""
        self._database = database
        self._post = post

    async def get(self, token: str) -> TokenRow | None:
        async def work(transaction: Transaction) -> TokenRow | None:
            rows = await transaction.rows("token_get", {"token": token})
            return token_row(rows[0]) if rows else None

        return await self._database.read(work, once=True)

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
        given = {"outcome": outcome, "digest": digest, "completed_at": now, "completed_by": actor}
        told = Told()

        async def work(transaction: Transaction) -> Completion | None:
            told.clear()
            found = await _locked(transaction, token)
            if found is None:
                return None
            if not takes(found, plain=plain, effect=effect):
                return Completion(row=found, applied=False)
            if is_over(found, now):
                return Completion(row=await _end(transaction, found, TokenState.EXPIRED), applied=False)
            if not await told.tell(transaction, found.run, cause_id(found), cause(found, outcome)):
                return Completion(row=await _end(transaction, found, TokenState.REVOKED), applied=False)
            await commit.audit(transaction, now, actor, f"token-{state}", subject(found))
            return Completion(row=await _end(transaction, found, state, **given), applied=True)

        return await self._database.write(work, tells=lambda: told.handed(self._post))

    async def beat(self, token: str, detail: bytes | None, progress: bytes | None, now: float) -> Beat | None:
        async def work(transaction: Transaction) -> Beat | None:
            found = await _locked(transaction, token)
            if found is None:
                return None
            if not _hears(found, now):
                return Beat(row=found, counted=False)
            given = {"token": token, "now": now, "detail": detail, "progress": progress}
            rows = await transaction.rows("token_beat", given)
            asked = await transaction.rows("inbox_cancel", {"run": found.run})
            return Beat(row=token_row(rows[0]), counted=True, cancel=asked[0][0] if asked else None)

        return await self._database.write(work, tells=0)  # nobody waits for it: who wants to know looks

    async def of_run(self, run: str, limit: int, *, only_open: bool = True) -> list[TokenRow]:
        async def work(transaction: Transaction) -> list[TokenRow]:
            given = {"run": run, "open": int(only_open), "limit": limit}
            return [token_row(row) for row in await transaction.rows("tokens_of_run", given)]

        return await self._database.read(work, once=True)

    async def ages(self, now: float) -> dict[int, int]:
        async def work(transaction: Transaction) -> dict[int, int]:
            rows: Any = await transaction.rows("tokens_ages", {"now": now})
            return dict(rows)

        return await self._database.read(work, once=True)


_NOTHING: dict[str, object] = {
    "outcome": None,
    "digest": None,
    "completed_at": None,
    "completed_by": None,
    "reason": None,
}


async def _locked(transaction: Transaction, token: str) -> TokenRow | None:
    """Give a token, which nobody else changes until the end of the transaction."""
    rows = await transaction.rows("token_lock", {"token": token})
    return token_row(rows[0]) if rows else None


def _hears(row: TokenRow, now: float) -> bool:
    """Say whether a sign of life counts. The run decides by the same times whether it came too late, so that of the two only
    one is right, whichever is written first."""
    silent = row.silent_at is not None and row.silent_at <= now
    return row.state is TokenState.OPEN and not is_over(row, now) and not silent


def takes(row: TokenRow, *, plain: bool, effect: int | None) -> bool:
    """Say whether a token is open for a report, as `Tokens.complete` has it."""
    is_for_it = effect is None or row.effect == effect
    return row.state is TokenState.OPEN and is_for_it and not (plain and row.terms is not None)


def is_over(row: TokenRow, now: float) -> bool:
    """Say whether the time of a token is over."""
    return row.expires_at is not None and row.expires_at <= now


def cause(row: TokenRow, outcome: bytes) -> bytes:
    """Give the end of an effect as its run reads it, as the queue writes it for attempts."""
    return b'{"kind":"settled","effect":%d,"outcome":%s}' % (row.effect, outcome)


def cause_id(row: TokenRow) -> str:
    """Give what makes the end of an effect count once."""
    return f"effect:{row.effect}"


def subject(row: TokenRow) -> str:
    """Give how the audit log names a token: never by its text."""
    return f"{row.run}/{row.name}"


async def _end(transaction: Transaction, found: TokenRow, state: TokenState, **given: object) -> TokenRow:
    """Move a token that is locked and open to its terminal state."""
    rows = await transaction.rows("token_end", _NOTHING | given | {"token": found.token, "state": state})
    return msgspec.structs.replace(token_row(rows[0]), namespace=found.namespace, run_id=found.run_id)


def token_row(row: Row) -> TokenRow:
    (
        token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by,
        step, terms, heartbeat_seconds, heartbeat_at, detail, progress, reason, superseded, *run_names,
    ) = row  # fmt: skip
    namespace, run_id = run_names or ("", "")
    return TokenRow(
        token=token,
        run=run,
        effect=effect,
        name=name,
        state=TokenState(state),
        outcome=outcome,
        digest=digest,
        expires_at=expires_at,
        created_at=created_at,
        completed_at=completed_at,
        completed_by=completed_by,
        step=step,
        terms=terms,
        heartbeat_seconds=heartbeat_seconds,
        heartbeat_at=heartbeat_at,
        detail=detail,
        progress=progress,
        reason=reason,
        superseded=bool(superseded),
        namespace=namespace,
        run_id=run_id,
    )
