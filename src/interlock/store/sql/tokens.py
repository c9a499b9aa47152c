"""Tokens on SQL: a completion changes the token and tells its run in one transaction."""

from __future__ import annotations

from interlock.store.ports import Completion, TokenRow, TokenState
from interlock.store.sql import commit
from interlock.store.sql.transaction import Database, Row, Transaction


class SqlTokens:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, token: str) -> TokenRow | None:
        async def work(transaction: Transaction) -> TokenRow | None:
            rows = await transaction.rows("token_get", {"token": token})
            return _token(rows[0]) if rows else None

        return await self._database.read(work, once=True)

    async def complete(
        self,
        token: str,
        state: TokenState,
        outcome: bytes,
        digest: str,
        cause_id: str,
        cause: bytes,
        actor: str,
        now: float,
    ) -> Completion | None:
        given = {"outcome": outcome, "digest": digest, "completed_at": now, "completed_by": actor}

        async def work(transaction: Transaction) -> Completion | None:
            rows = await transaction.rows("token_lock", {"token": token})
            if not rows:
                return None
            found = _token(rows[0])
            if found.state is not TokenState.OPEN:
                return Completion(row=found, applied=False)
            if found.expires_at is not None and found.expires_at <= now:
                return Completion(row=await _end(transaction, token, TokenState.EXPIRED), applied=False)
            if not await transaction.rows("run_is_open", {"run": found.run}):
                return Completion(row=await _end(transaction, token, TokenState.REVOKED), applied=False)
            await transaction.run("inbox_add", {"run": found.run, "cause_id": cause_id, "cause": cause})
            await commit.audit(transaction, now, actor, f"token-{state}", f"{found.run}/{found.name}")
            return Completion(row=await _end(transaction, token, state, **given), applied=True)

        return await self._database.write(work)


_NOTHING: dict[str, object] = {"outcome": None, "digest": None, "completed_at": None, "completed_by": None}


async def _end(transaction: Transaction, token: str, state: TokenState, **given: object) -> TokenRow:
    """Move a token that is locked and open to its terminal state."""
    rows = await transaction.rows("token_end", _NOTHING | given | {"token": token, "state": state})
    return _token(rows[0])


def _token(row: Row) -> TokenRow:
    (token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by) = row
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
    )
