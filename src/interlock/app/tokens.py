"""Reporting the outcome of what a token stands for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from interlock import errors
from interlock.app.actor import actor
from interlock.app.session import Session
from interlock.engine import exchange
from interlock.flow.python.values import Coder
from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.task import Done, Failed, FailureClass, Outcome
from interlock.store.ports import TokenState


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What became of a report.

    `state`: how the token stands, such as "completed". `run`: the run that goes on. `applied`: False when the same
    outcome was reported before, which is as good.
    """

    state: str
    run: str
    applied: bool


class Tokens:
    """Completes the tokens of one store."""

    def __init__(self, session: Session, namespace: str) -> None:
        self._session = session
        self._namespace = namespace

    async def complete(self, token: str, result: Any = None, *, conn: Any = None) -> Reported:
        """Report the result of what a token stands for; its run goes on with it. Durable when it returns.

        Raises NotFound for a token that is none, Conflict for one that is expired or revoked, or was completed before
        with another outcome.
        """
        value = Coder(type(result) if result is not None else None).encode(result)
        return await self._report(token, Done(value), TokenState.COMPLETED, conn)

    async def fail(self, token: str, message: str, *, type: str = "Failed", conn: Any = None) -> Reported:
        """Report that what a token stands for failed; `token().result()` raises it as StepFailed. The rest as `complete`."""
        error = Fault(type=fault.RUNTIME, status=500, title=type, detail=message)
        return await self._report(token, Failed(FailureClass.APPLICATION, error), TokenState.FAILED, conn)

    async def _report(self, text: str, outcome: Outcome, state: TokenState, conn: Any) -> Reported:
        store = self._session.store if conn is None else conn.store
        token = await self._session.secrets.proven(self._namespace, text)
        row = None if token is None else await store.tokens.get(token)
        if token is None or row is None:
            raise errors.NotFound("this is no token of this store and namespace; check that all of it was passed on")
        body = json.encode(outcome)
        digest = hashlib.sha256(body).hexdigest()
        post = exchange.settled(row.run, row.effect, outcome)
        now = self._session.clock.now()
        done = await store.tokens.complete(token, state, body, digest, post.cause_id, post.cause, actor(), now)
        assert done is not None
        if done.applied or done.row.digest == digest:
            return Reported(state=str(done.row.state), run=done.row.run, applied=done.applied)
        match done.row.state:
            case TokenState.EXPIRED:
                raise errors.Conflict(f"the token {token[:8]}… expired before it was completed")
            case TokenState.REVOKED:
                raise errors.Conflict(f"the token {token[:8]}… was revoked: nobody waits for it any more")
            case won:
                raise errors.Conflict(
                    f"the token {token[:8]}… was {won} before, with another outcome, by {done.row.completed_by}"
                )
