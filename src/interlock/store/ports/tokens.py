"""Tokens: what a run waits for from outside, by an opaque id that is completed once.

    open --complete--> completed | failed     the cause reaches the run in the same transaction
    open --a completion after its time--> expired
    open --the run asks, or ends--> revoked

Terminal states never change.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from interlock.store.ports.row import Row


class TokenState(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    REVOKED = "revoked"


class NewToken(Row, frozen=True, kw_only=True):
    """A token of a run. `token`: an id that nobody had before; `effect`: what it ends; `expires_at`: None for never."""

    token: str
    effect: int
    name: str
    expires_at: float | None = None


class TokenRow(Row, frozen=True, kw_only=True):
    """A token as it stands. `outcome`: what it was completed with, `digest`: of that; both None while nobody completed it."""

    token: str
    run: str
    effect: int
    name: str
    state: TokenState
    outcome: bytes | None
    digest: str | None
    expires_at: float | None
    created_at: float
    completed_at: float | None
    completed_by: str | None


class Completion(Row, frozen=True, kw_only=True):
    """A token as it is after a call, and whether that call completed it."""

    row: TokenRow
    applied: bool


class Tokens(Protocol):
    async def get(self, token: str) -> TokenRow | None: ...

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
        """Complete an open token (`state`: COMPLETED or FAILED), put the cause into its run's inbox and record who did it.
        All or nothing; of several calls one is applied.

        A token that is over by then becomes EXPIRED, one whose run has ended REVOKED. None: there is no such token.
        """
        ...
