"""The service of tokens: whoever holds one completes it, fails it, or tells that the work goes on.

Every answer takes one round trip: what became of the report, or which of these is the matter.

    token-unknown             no such token here: never issued, tampered with, of another namespace
    token-expired             its time is over, or its holder was silent for too long
    token-revoked             nobody waits for it any more, and why
    token-superseded          the step was given to somebody else
    token-already-completed   with another outcome; who was first, and when
    token-forbidden           it is limited to other operations

The same outcome once more is answered as the first time. A completion that comes before the run waits for it is kept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from interlock import errors, telemetry
from interlock.handshake import answers
from interlock.handshake.answers import Alive, Reported, TokenView
from interlock.handshake.attempts import Attempts
from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Done, Failed, FailureClass, Outcome
from interlock.secrets.attempt import AttemptKey
from interlock.secrets.callback import shortened
from interlock.secrets.keeper import Keeper
from interlock.service import Clock
from interlock.store import ports
from interlock.store.ports import Store, TokenRow, TokenState

_LONGEST: Final = 512  # characters of a text that can be a token; ours have less than a hundred
_ID: Final = re.compile(r"[0-9a-z-]{1,64}")
_LISTED: Final = 1_000
LOG_BYTES: Final = 10 * 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """A token that somebody may use without its text, such as an operator. `id`: see `Tokens.of_step`."""

    id: str


class Tokens:
    """The tokens of one namespace of a store."""

    def __init__(
        self, store: Store, secrets: Keeper, clock: Clock, namespace: str | None, max_log_bytes: int = LOG_BYTES
    ) -> None:
        """`namespace` None: a token says by itself where it belongs, as in a URL that was handed out. `max_log_bytes`: that
        are kept of what one attempt prints."""
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._namespace = namespace
        self._attempts = Attempts(store, clock, max_log_bytes)

    # -- reports -------------------------------------------------------------------------------------------------

    async def complete(self, token: str | Held, result: Json, *, by: str, within: Store | None = None) -> Reported:
        """Report the result of what a token stands for; its run goes on with it. Durable when it returns.

        `by`: who reports, for the audit log. `within`: the store of a transaction to join. Raises TokenUnknown, TokenError,
        Invalid for a result that is not what was asked for, with which nothing was applied.
        """
        if (key := await self._attempt(token)) is not None:
            return await self._attempts.complete(key, str(token), result)
        return await self._report(token, "complete", Done(result), TokenState.COMPLETED, by, within)

    async def fail(
        self,
        token: str | Held,
        type: str,
        message: str,
        *,
        retryable: bool = False,
        details: Json = None,
        by: str,
        within: Store | None = None,
    ) -> Reported:
        """Report that what a token stands for failed. `retryable`: whether the retry policy of the step may try it again.

        The rest as `complete`.
        """
        if (key := await self._attempt(token)) is not None:
            return await self._attempts.fail(key, str(token), type, message, retryable=retryable, details=details)
        error = Fault(type=fault.RUNTIME, status=500, title=type, detail=message, details=details)
        outcome = Failed(FailureClass.APPLICATION, error, final=not retryable)
        return await self._report(token, "fail", outcome, TokenState.FAILED, by, within)

    async def heartbeat(self, token: str | Held, details: Json = None) -> Alive:
        """Tell that the work goes on; `details`: what people are to see of it, None for what was told before.

        Raises TokenUnknown, TokenError: nobody wants the work any more.
        """
        if (key := await self._attempt(token)) is not None:
            return await self._attempts.heartbeat(key, str(token), details)
        return await self._alive(token, "heartbeat", None if details is None else json.encode(details), None)

    async def progress(self, token: str | Held, fraction: float | None = None, message: str | None = None) -> Alive:
        """Tell how far the work is, from 0 to 1 or in words; a sign of life too. Raises as `heartbeat`, and Invalid."""
        if fraction is None and message is None:
            raise errors.Invalid("progress tells a fraction from 0 to 1, a message, or both; neither was given")
        if fraction is not None and not 0.0 <= fraction <= 1.0:
            raise errors.Invalid(f"the progress {fraction} lies outside of 0 to 1")
        told = {"fraction": fraction, "message": message}
        given = {name: value for name, value in told.items() if value is not None}
        if (key := await self._attempt(token)) is not None:
            return await self._attempts.progress(key, str(token), given)
        return await self._alive(token, "progress", None, json.encode(given))

    async def log(self, token: str | Held, text: str) -> None:
        """Add to what an attempt printed. Raises TokenUnknown, TokenError, and Invalid for the token of a step, which has no
        output of its own."""
        await self._attempts.log(await self.attempt(token, "a log"), str(token), text)

    async def attempt(self, token: str | Held, what: str) -> AttemptKey:
        """Give the attempt whose token it is. Raises TokenUnknown, TokenError, and Invalid for the token of a step, which has
        no such thing as `what`."""
        key = await self._attempt(token)
        if key is None:
            await self._found(token, "show")
            raise errors.Invalid(f"this token is a step's: only attempts, the programs in pools, have {what}")
        return key

    async def show(self, token: str | Held) -> TokenView:
        """Give how a token stands. Raises TokenUnknown, TokenError for one that is not for looking."""
        if (key := await self._attempt(token)) is not None:
            return await self._attempts.show(key, str(token))
        return answers.view(await self._found(token, "show"))

    # -- for who has no text -------------------------------------------------------------------------------------

    async def of_run(self, run: str, *, only_open: bool = True) -> list[TokenView]:
        """Give the tokens of a run, by its key; the oldest first."""
        return [answers.view(row) for row in await self._store.tokens.of_run(run, _LISTED, only_open=only_open)]

    async def of_step(self, run: str, step: str) -> Held:
        """Give the right to use the token that a step of a run waits for, or last waited for.

        `run`: its key; `step`: its path, its name, or what the token is called. Raises NotFound, which lists those there are,
        Conflict for a name that fits several.
        """
        rows = await self._store.tokens.of_run(run, _LISTED)
        found = _of(rows, step)
        if not found:  # the same report once more is answered as the first time
            found = _of(await self._store.tokens.of_run(run, _LISTED, only_open=False), step)[-1:]
        if not found:
            waiting = ", ".join(row.step or row.name for row in rows) or "none"
            raise errors.NotFound(f"no step {step!r} of this run waits for a token; those that do: {waiting}")
        if len(found) > 1:
            paths = ", ".join(row.step or row.name for row in found)
            raise errors.Conflict(f"several steps called {step!r} wait for a token: {paths}; write the path")
        return Held(found[0].token)

    async def ages(self) -> dict[int, int]:
        """Count the open tokens of the store by how much of their time they have used, in tenths; see `ports.Tokens.ages`."""
        return dict(await self._store.tokens.ages(self._clock.now()))

    # -- steps ---------------------------------------------------------------------------------------------------

    async def _report(
        self, token: str | Held, operation: str, outcome: Outcome, state: TokenState, by: str, within: Store | None
    ) -> Reported:
        store = within or self._store
        body = json.encode(outcome)
        digest = hashlib.sha256(body).hexdigest()
        id = await self._genuine(token)
        # Most tokens bind their holder to nothing, so there is nothing to look up before.
        done = id and await store.tokens.complete(id, state, body, digest, by, self._clock.now(), plain=True)
        if not done or done.row.terms is not None:
            row = await self._found(token, operation, store)
            if row.state is TokenState.OPEN and isinstance(outcome, Done):
                _check(row, outcome.value)
            done = await store.tokens.complete(row.token, state, body, digest, by, self._clock.now())
        if done is None:
            raise self._counted(answers.unknown(), token)
        row = done.row
        if not done.applied and row.digest != digest:
            raise self._counted(answers.refused(row, _shown(token)), token)
        if done.applied:
            telemetry.emit("token.reported", run=row.run, step=row.step, state=str(state), by=by)
        return Reported(
            state=str(row.state),
            run=row.run,
            step=row.step,
            applied=done.applied,
            run_id=row.run_id,
            namespace=row.namespace,
        )

    async def _alive(self, token: str | Held, operation: str, detail: bytes | None, progress: bytes | None) -> Alive:
        row = await self._found(token, operation)
        beat = await self._store.tokens.beat(row.token, detail, progress, self._clock.now())
        if beat is None:
            raise self._counted(answers.unknown(), token)
        if not beat.counted:
            raise self._counted(answers.refused(beat.row, _shown(token)), token)
        return answers.alive(beat.row, beat.cancel, row)

    async def _found(self, token: str | Held, operation: str, store: Store | None = None) -> TokenRow:
        """Give the row of a token that may be used so. An operator may do everything."""
        tokens = (store or self._store).tokens
        if isinstance(token, Held):
            row = await tokens.get(token.id)
        else:
            row = await self._proven(token, tokens) if len(token) <= _LONGEST else None
        if row is None:
            raise self._counted(answers.unknown(), token)
        allowed = answers.terms_of(row).get("operations")
        if allowed and operation not in allowed and not isinstance(token, Held):
            raise self._counted(answers.out_of_scope(row, operation, _shown(token)), token)
        return row

    async def _attempt(self, token: str | Held) -> AttemptKey | None:
        """Give the attempt whose token it is; None for what is no token of an attempt."""
        return None if isinstance(token, Held) else await self._secrets.proven_attempt(token)

    async def _genuine(self, token: str | Held) -> str | None:
        """Give the id of a token that is genuine; None for another, and where its row has to be looked at anyway: it says of
        which namespace it is, or, of what operators report on, what is asked for."""
        if isinstance(token, Held) or self._namespace is None or len(token) > _LONGEST:
            return None
        if not _ID.fullmatch(token.partition(".")[0]):
            return None
        return await self._secrets.proven(self._namespace, token)

    async def _proven(self, text: str, tokens: ports.Tokens) -> TokenRow | None:
        """Give the row of a text that is genuine; one that is not costs as much as one that is."""
        id, _, _ = text.partition(".")
        row = await tokens.get(id if _ID.fullmatch(id) else "")  # no database takes every text
        namespace = self._namespace if self._namespace is not None else "" if row is None else row.namespace
        proven = await self._secrets.proven(namespace, text)
        return row if row is not None and proven == row.token else None

    def _counted(
        self, error: errors.TokenError | errors.TokenUnknown, token: str | Held
    ) -> errors.TokenError | errors.TokenUnknown:
        """Note a refusal for whoever counts them."""
        telemetry.emit("token.refused", code=error.code, token=_shown(token), namespace=self._namespace)
        return error


def _check(row: TokenRow, value: Json) -> None:
    """Raise Invalid for a result that is not what was asked for."""
    schema = answers.terms_of(row).get("schema")
    if schema is None:
        return
    from interlock.flow.graph import Checker  # noqa: PLC0415 (start-up: few tokens ask for a form)

    complaint = Checker(schema).complaint(value)
    if complaint is not None:
        raise errors.Invalid(f"the result does not fit what `{row.name}` asks for: {complaint}; nothing was applied")


def _of(rows: list[TokenRow], step: str) -> list[TokenRow]:
    """Give the tokens of a step that is named by its path or, where none has that, by a name."""
    return [row for row in rows if row.step == step] or [row for row in rows if step in _names(row)]


def _names(row: TokenRow) -> tuple[str, str]:
    return row.name, row.step.rsplit("/", 1)[-1]


def _shown(token: str | Held) -> str:
    """Give as much of a token as messages and logs may hold."""
    return shortened(token.id if isinstance(token, Held) else token)
