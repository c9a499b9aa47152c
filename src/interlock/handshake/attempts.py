"""Attempt tokens: what a program in a pool reports with while it runs, from wherever it runs.

They are computed from the attempt and its fence and stand in no row, so that there is nothing to revoke: when the attempt
ends, or another one comes after it, nothing answers to the token any more. Reports are the same as for step tokens; what
is reported ends the attempt at once, and the program with it.

    in flight --complete--> done      --fail--> failed, which the step's policy may try again
    in flight --its lease is lost, it ended, a later attempt began--> superseded: every report is refused
"""

from __future__ import annotations

from typing import Final

import msgspec

from interlock import errors
from interlock.handshake.answers import Alive, Reported, TokenView
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Done, Failed, FailureClass, Outcome
from interlock.secrets.attempt import AttemptKey
from interlock.secrets.callback import shortened
from interlock.service import Clock
from interlock.store.ports import AttemptRow, LogLine, Store

LONGEST_LOG: Final = 64 * 1024
"""Characters that one call adds to the log of an attempt."""
_STREAM: Final = "stdout"


class Told(msgspec.Struct, omit_defaults=True):
    """What an attempt told of itself last, as its lease keeps it."""

    at: float = 0.0
    progress: Json = None
    detail: Json = None


class Attempts:
    """The attempts in flight of one store, for who holds their tokens."""

    def __init__(self, store: Store, clock: Clock, max_log_bytes: int) -> None:
        self._store = store
        self._clock = clock
        self._max_log_bytes = max_log_bytes

    async def complete(self, key: AttemptKey, text: str, result: Json) -> Reported:
        """End an attempt with its result, which is the output of its step. Raises TokenError: it is over."""
        return await self._end(key, text, Done(result, reported=True), "completed")

    async def fail(
        self, key: AttemptKey, text: str, type: str, message: str, *, retryable: bool, details: Json
    ) -> Reported:
        """End an attempt as failed. Raises TokenError: it is over."""
        error = Fault(type=fault.RUNTIME, status=500, title=type, detail=message, details=details)
        return await self._end(key, text, Failed(FailureClass.APPLICATION, error, final=not retryable), "failed")

    async def heartbeat(self, key: AttemptKey, text: str, details: Json) -> Alive:
        """Keep what an attempt tells of itself. Raises TokenError: it is over."""
        return await self._tell(key, text, progress=None, detail=details)

    async def progress(self, key: AttemptKey, text: str, told: Json) -> Alive:
        """Keep how far an attempt is. Raises TokenError: it is over."""
        return await self._tell(key, text, progress=told, detail=None)

    async def log(self, key: AttemptKey, text: str, output: str) -> None:
        """Add to what an attempt printed. Raises TokenError: it is over; Invalid for too much at once."""
        row = await self._found(key, text)
        if len(output) > LONGEST_LOG:
            raise errors.Invalid(f"{len(output)} characters at once are more than the log takes ({LONGEST_LOG})")
        line = LogLine(number=0, path=row.path, attempt=row.attempt, at=self._clock.now(), stream=_STREAM, text=output)
        await self._store.queue.log(row.run, [line], self._max_log_bytes)

    async def show(self, key: AttemptKey, text: str) -> TokenView:
        """Give how an attempt stands. Raises TokenError: it is over."""
        row = await self._found(key, text)
        told = _told(row)
        return TokenView(
            id=row.task,
            state="open",
            run=row.run,
            step=row.path,
            name=f"attempt {row.attempt} in {row.pool}",
            created_at=0.0,
            expires_at=None,
            heartbeat_at=told.at or None,
            heartbeat_seconds=None,
            progress=told.progress,
            detail=told.detail,
            completed_at=None,
            completed_by=None,
            reason=None,
            run_id=row.run_id,
            namespace=row.namespace,
        )

    # -- steps ---------------------------------------------------------------------------------------------------

    async def _end(self, key: AttemptKey, text: str, outcome: Outcome, state: str) -> Reported:
        row = await self._found(key, text)
        if not await self._store.queue.settle(key.task, key.fence, outcome, self._clock.stamp()):
            raise over(text)
        return Reported(
            state=state, run=row.run, applied=True, step=row.path, run_id=row.run_id, namespace=row.namespace
        )

    async def _tell(self, key: AttemptKey, text: str, *, progress: Json, detail: Json) -> Alive:
        row = await self._found(key, text)
        before = _told(row)
        told = Told(
            at=self._clock.now(),
            progress=before.progress if progress is None else progress,
            detail=before.detail if detail is None else detail,
        )
        if not await self._store.queue.report(key.task, key.fence, msgspec.json.encode(told)):
            raise over(text)
        return Alive(
            run=row.run,
            step=row.path,
            cancel_requested=row.cancel,
            reason="nobody waits for this attempt any more" if row.cancel else None,
            run_id=row.run_id,
            namespace=row.namespace,
        )

    async def _found(self, key: AttemptKey, text: str) -> AttemptRow:
        row = await self._store.queue.attempt(key.task, key.fence)
        if row is None:
            raise over(text)
        return row


def _told(row: AttemptRow) -> Told:
    return Told() if row.report is None else msgspec.json.decode(row.report, type=Told)


def over(text: str) -> errors.TokenError:
    """Give the refusal of a report for an attempt that is over."""
    shown = shortened(text)
    return errors.TokenError(
        f"the attempt of the token {shown} is over: it ended, or another one was made after it; stop the work for it",
        "token-superseded",
        state="superseded",
    )
