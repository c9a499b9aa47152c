"""Tokens: what a run waits for from outside, by an opaque id that is completed once.

    open --complete--> completed | failed     the cause reaches the run in the same transaction
    open --a completion after its time--> expired
    open --the run asks, or ends--> revoked

An open token with a reason is one whose holder is asked to stop, and whose report is still waited for.

Terminal states never change, with one exception: a faulted run that is retried asks again for what it asked for before. What
was refused then is open again under the same id; what was completed is told to the run again.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """A token of a run. `token`: an id that no other run had before; `effect`: what it ends; `expires_at`: None for never.

    `step`: the path of the step that waits. `terms`: what its holder is told and bound to, JSON. `heartbeat_seconds`: for how
    long the holder may be silent, None for ever.
    """

    token: str
    effect: int
    name: str
    expires_at: float | None = None
    step: str = ""
    terms: bytes | None = None
    heartbeat_seconds: float | None = None


class RevokedToken(Row, frozen=True, kw_only=True):
    """A token that nobody waits for any more, and why. `superseded`: its step was given to somebody else."""

    token: str
    reason: str | None = None
    superseded: bool = False


class TokenRow(Row, frozen=True, kw_only=True):
    """A token as it stands. `outcome`: what it was completed with, `digest`: of that; both None while nobody completed it.

    `detail` and `progress`: what its holder told last, JSON; `heartbeat_at`: when.
    """

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
    step: str = ""
    terms: bytes | None = None
    heartbeat_seconds: float | None = None
    heartbeat_at: float | None = None
    detail: bytes | None = None
    progress: bytes | None = None
    reason: str | None = None
    superseded: bool = False
    namespace: str = ""
    """Of its run, and `run_id` the id by which people know that."""
    run_id: str = ""

    @property
    def silent_at(self) -> float | None:
        """When its holder has been silent for too long; None for never."""
        if self.heartbeat_seconds is None:
            return None
        return (self.heartbeat_at or self.created_at) + self.heartbeat_seconds


class Completion(Row, frozen=True, kw_only=True):
    """A token as it is after a call, and whether that call completed it."""

    row: TokenRow
    applied: bool


class Beat(Row, frozen=True, kw_only=True):
    """A token as it is after a sign of life, and whether that counted. `cancel`: the cause that asks the run to end, which it
    has not applied yet."""

    row: TokenRow
    counted: bool
    cancel: bytes | None = None


class Tokens(Protocol):
    async def get(self, token: str) -> TokenRow | None: ...

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
        """Complete an open token (`state`: COMPLETED or FAILED; `outcome`: JSON), put the outcome into its run's inbox and
        record who did it. All or nothing; of several calls one is applied.

        A token that is over by then becomes EXPIRED, one whose run has ended REVOKED. None: there is no such token.
        `plain`: the caller has not looked whether the token's terms allow this, so one that has terms stays as it is.
        `effect`: only for this one; a token that waits for another by now, since its run was tried again, stays as it is.
        """
        ...

    async def beat(self, token: str, detail: bytes | None, progress: bytes | None, now: float) -> Beat | None:
        """Note that the holder of an open token is alive, and what it tells; None leaves what it told before.

        It does not count when the token is not open, is over, or was silent for too long. None: there is no such token.
        """
        ...

    async def of_run(self, run: str, limit: int, *, only_open: bool = True) -> list[TokenRow]:
        """Give the tokens of a run, the oldest first."""
        ...

    async def ages(self, now: float) -> Mapping[int, int]:
        """Count the open tokens by how much of their time they have used, in tenths; 10: all of it; -1: they have no end."""
        ...
