"""The tokens of one store, as programs and people use them."""

from __future__ import annotations

from typing import Any

from interlock.app.actor import actor
from interlock.app.opened import Opened
from interlock.handshake import tokens
from interlock.handshake.answers import Alive, Reported, TokenView
from interlock.handshake.tokens import Held
from interlock.model.json import Json


class Tokens:
    """Reports for the tokens of one namespace. `token` is the text that was handed out, or what `of_step` gave."""

    def __init__(self, session: Opened, namespace: str) -> None:
        self._session = session
        self._tokens = tokens.Tokens(session.store, session.secrets, session.clock, namespace)

    async def complete(
        self, token: str | Held, result: Any = None, *, by: str | None = None, conn: Any = None
    ) -> Reported:
        """Report the result of what a token stands for; its run goes on with it. Durable when it returns.

        `token`: the text that was handed out, or what `of_step` gave. `result`: as the workflow takes it. `by`: who reports,
        as the audit log names him; the user of this process by default.

        Raises TokenUnknown for a text that is no token here, TokenError (`code`) for one that expired, was revoked or
        superseded, or was completed before with another outcome, Invalid for a result that is not what was asked for.
        """
        from interlock.flow.python.values import Coder  # noqa: PLC0415 (start-up: who looks at a token reports nothing)

        value = Coder(type(result) if result is not None else None).encode(result)
        within = None if conn is None else conn.store
        return await self._tokens.complete(token, value, by=by or actor(), within=within)

    async def fail(
        self,
        token: str | Held,
        message: str,
        *,
        type: str = "Failed",
        retryable: bool = False,
        details: Json = None,
        by: str | None = None,
        conn: Any = None,
    ) -> Reported:
        """Report that what a token stands for failed; `token().result()` raises it as StepFailed.

        `token`: as for `complete`. `message` and `type`: what went wrong. `retryable`: whether the retry policy of the step
        may try it again. `details`: any JSON, as `details` of the error. `by`: as for `complete`.
        """
        within = None if conn is None else conn.store
        return await self._tokens.fail(
            token, type, message, retryable=retryable, details=details, by=by or actor(), within=within
        )

    async def heartbeat(self, token: str | Held, details: Json = None) -> Alive:
        """Tell that the work goes on, and what people are to see of it; the answer says whether it is still wanted.

        Raises as `complete`: nobody wants the work any more.
        """
        return await self._tokens.heartbeat(token, details)

    async def progress(self, token: str | Held, fraction: float | None = None, message: str | None = None) -> Alive:
        """Tell how far the work is, from 0 to 1 or in words; a sign of life too."""
        return await self._tokens.progress(token, fraction, message)

    async def show(self, token: str | Held) -> TokenView:
        """Give how a token stands, never its text."""
        return await self._tokens.show(token)

    async def of_run(self, run: str, *, only_open: bool = True) -> list[TokenView]:
        """Give what a run waits for by token, by the run's key; the oldest first."""
        return await self._tokens.of_run(run, only_open=only_open)

    async def of_step(self, run: str, step: str) -> Held:
        """Give the right to report for a step without its token's text, for operators; by the run's key.

        Raises NotFound, which names the steps that wait.
        """
        return await self._tokens.of_step(run, step)

    async def ages(self) -> dict[int, int]:
        """Count the open tokens of the store by how much of their time they have used, in tenths; -1: they have no end."""
        return await self._tokens.ages()


__all__ = ["Alive", "Held", "Reported", "TokenView", "Tokens"]
