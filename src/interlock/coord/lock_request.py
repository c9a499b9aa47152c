"""Requests for locks: what a caller asks for, checked, and for which of its tasks."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Final, TypeAlias

from interlock import errors
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.service import Clock
from interlock.store.ports import LockMode, LockRequest, Taking

Duration: TypeAlias = float | int | str

_SHORTEST_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
_JITTER: Final = 0.1  # of a pause, more or less
_LONGEST_NAME: Final = 200


class Strategy(StrEnum):
    """What `acquire` does about a lock that somebody else holds."""

    RETRY = "retry"
    """Asks again after 1, 2, 4, 8, 16 seconds, as often as it may."""
    FAIL_FAST = "fail_fast"
    """Asks once."""
    STEAL_STALE = "steal_stale"
    """Asks once, and takes it from a holder that has missed two renewals or is a worker that was given up."""
    FORCE_ACQUIRE = "force_acquire"
    """Takes it. Its holder is told, and what it writes under its fence is refused."""


_TAKING: Final = {Strategy.STEAL_STALE: Taking.STALE, Strategy.FORCE_ACQUIRE: Taking.FORCE}

_sessions = itertools.count(1)
_session: ContextVar[tuple[object, int] | None] = ContextVar("interlock_lock_session", default=None)
thread: Final[ContextVar[int | None]] = ContextVar("interlock_lock_thread", default=None)
"""The number of a thread that waits for what it calls on the loop: each of its calls is a task, but it is one who waits."""


class Requests:
    """Makes the requests of one worker."""

    def __init__(
        self, clock: Clock, worker: str, namespace: str, ttl: Duration, metadata: Mapping[str, Json] | None
    ) -> None:
        """Raises Invalid. `ttl`: of those that name none."""
        self._clock = clock
        self._worker = worker
        self._namespace = namespace
        self._ttl = seconds_of("ttl", ttl)
        self._metadata = dict(metadata or {})
        self._process = f"{worker}/{clock.uuid()}"

    def made(
        self,
        name: str,
        ttl: Duration | None,
        mode: LockMode | str,
        limit: int,
        metadata: Mapping[str, Json] | None,
        strategy: Strategy,
    ) -> LockRequest:
        """Give a request of the present asyncio task. Raises Invalid."""
        mode = LockMode(mode)
        if limit < 1 or (limit > 1 and mode is not LockMode.COUNTED):
            raise errors.Invalid(f"limit={limit}: at least 1, and more only with mode='counted'")
        return LockRequest(
            namespace=self._namespace,
            name=checked(name),
            holder=self._worker,
            session=self._of_task(),
            ttl_seconds=self._ttl if ttl is None else seconds_of("ttl", ttl),
            mode=mode,
            limit=limit,
            metadata=json.encode(
                {"hostname": os.uname().nodename, "pid": os.getpid(), **self._metadata, **(metadata or {})}
            ),
            taking=_TAKING.get(strategy, Taking.RESPECT),
            nonce=self._clock.uuid(),
        )

    def _of_task(self) -> str:
        """Name the present asyncio task, or the thread it works for: what it holds and waits for makes a deadlock."""
        if (number := thread.get()) is not None:
            return f"{self._process}/thread-{number}"
        task = asyncio.current_task()
        known = _session.get()
        if known is None or known[0] is not task:
            known = (task, next(_sessions))
            _session.set(known)
        return f"{self._process}/{known[1]}"


def backoff(clock: Clock, attempt: int) -> float:
    """Give the seconds before an attempt (1 for the second one)."""
    seconds = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS)) - 1]
    return seconds * clock.uniform(1 - _JITTER, 1 + _JITTER)


def checked(name: str) -> str:
    """Give a name of a lock. Raises Invalid for what is none."""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise errors.Invalid(
            f"{name[:50]!r} is no name of a lock: 1 to {_LONGEST_NAME} printable characters, such as 'deploy/eu'"
        )
    return name


def seconds_of(what: str, value: Duration, shortest: float = _SHORTEST_SECONDS) -> float:
    """Give a time span in seconds. Raises Invalid, naming `what` it is."""
    try:
        seconds = duration.parse(value)
    except ValueError as error:
        raise errors.Invalid(f"{what}={value!r}: {error}") from None
    if seconds < shortest:
        raise errors.Invalid(f"{what}={value!r}: at least {shortest:g} s")
    return seconds
