"""Every exception of Interlock, drawn once.

    InterlockError
    ├── Invalid            the input is wrong; nothing was done            exit 2
    │   ├── InvalidDefinition   a workflow document with problems          exit 2
    │   ├── InvalidSettings     a setting that is unknown or out of range  exit 2
    │   └── Misfit              a Python value does not fit its annotation, or cannot be stored
    ├── NotFound           the named thing does not exist                  exit 2
    │   └── TokenUnknown        no such token here, whatever it looks like
    ├── Denied             a server knows the caller not, or gives it no right    exit 2
    ├── Conflict           another writer was first, or the state forbids it   exit 2
    │   ├── StaleEpoch          the run moved on; stop at once
    │   ├── LockError           a lock is not the caller's; `code` says why
    │   ├── TokenError          a token cannot be used any more; `code` says why
    │   ├── WorkerError         a worker's registration is refused, or its place was given to another one
    │   └── SyncError           changes of shared memory were removed before a watch had seen them
    ├── Environment        the machine or the store stands in the way      exit 4
    │   ├── StoreUnavailable    cannot be reached or locked in time; may be tried again
    │   ├── StoreCorrupt        the file is not a store or is damaged
    │   ├── StoreFull           no space left; nothing acknowledged is lost
    │   ├── Exhausted           this process is short of something that new work needs
    │   ├── LeaseLost           a lease ran out under its holder
    │   └── CannotExecute       this node cannot execute a run; another one may
    ├── StepFailed         a step of a Python workflow failed; `fault` says how    exit 1
    │   ├── StepTimeout         it did not end in time (a TimeoutError too)
    │   └── StepLost            whoever performed it died
    ├── RunFaulted         a run ended in a fault                          exit 1
    ├── RunCancelled       a run was cancelled                             exit 1
    └── ExpressionError    an expression failed while it was evaluated
        ├── ExpressionSyntax    it does not parse, or uses what is shut off
        └── ExpressionDeadline  it ran out of time or memory

The class carries the policy: what the caller may do next. Messages say what happened, to which id, what was found and
what to do. Expected outcomes (a step that failed, a claim that found nothing) are values, not exceptions; only in the code
of a user, where Python expects them, are they raised (`StepFailed`, `RunFaulted`, `RunCancelled`).
"""

from __future__ import annotations

import errno
from typing import ClassVar, Final, Protocol


class InterlockError(Exception):
    """The base of every error that Interlock raises on purpose."""

    exit_code: ClassVar[int] = 4


class Invalid(InterlockError):
    """The input is wrong; nothing was done."""

    exit_code = 2


class InvalidDefinition(Invalid):
    """A workflow document has problems; `problems` lists them all."""

    def __init__(self, message: str, problems: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class InvalidSettings(Invalid):
    """A setting is unknown, has the wrong type or is out of range."""


class Misfit(Invalid, TypeError):
    """A Python value does not fit its annotation, or is of a type that cannot be stored."""


class NotFound(InterlockError):
    """The named thing does not exist."""

    exit_code = 2


class Denied(InterlockError):
    """A server does not know who asks, or gives that one no right to what is asked."""

    exit_code = 2


class TokenUnknown(NotFound):
    """A text is no token of this store and namespace: never issued, tampered with, or of another namespace."""

    code: ClassVar[str] = "token-unknown"


class Conflict(InterlockError):
    """Another writer was first, or the present state forbids the change."""

    exit_code = 2


class StaleEpoch(Conflict):
    """The run belongs to another node by now: drop it and write nothing more."""


class LockError(Conflict):
    """A lock is not the caller's to release or to write under, or waiting for it would never end.

    `code`: "invalid-owner" (another one holds it), "not-found" (nobody does), "lock-expired" (the grant is over, or another
    one came after it), "deadlock" (whoever holds it waits, directly or not, for the caller).
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class TokenError(Conflict):
    """A token cannot be used, or not so. `state` is how it stands; for one that was used, `by` whom and `completed_at`.

    `code`: "token-expired", "token-revoked" (nobody waits for it any more), "token-superseded" (its step was given to
    somebody else), "token-already-completed" (with another outcome), "token-forbidden" (it is for other operations).
    """

    def __init__(
        self, message: str, code: str, *, state: str = "", completed_at: float | None = None, by: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.state = state
        self.completed_at = completed_at
        self.by = by


class WorkerError(Conflict):
    """A worker cannot be registered, or the present process is not it any more. `worker` is its id.

    `code`: "worker-taken" (a live process has the id), "too-many-workers", "worker-gone" (it was given up or replaced),
    "worker-state" (its state forbids the change).
    """

    def __init__(self, message: str, worker: str, code: str) -> None:
        super().__init__(message)
        self.worker = worker
        self.code = code


class SyncError(Conflict):
    """Changes of shared memory were removed, or undone by a restore, before a watch had seen them: read anew what matters.

    `space` is where, `cursor` where watching can go on: nothing that is written after this error is missed from there.
    """

    def __init__(self, message: str, space: str, cursor: str) -> None:
        super().__init__(message)
        self.space = space
        self.cursor = cursor


DESCRIPTORS: Final = "descriptors"
MEMORY: Final = "memory"
DISK: Final = "disk"
CONNECTIONS: Final = "connections"
"""What can run out. See `Environment.short_of`."""

_SHORT_OF: Final = {
    errno.EMFILE: DESCRIPTORS,
    errno.ENFILE: DESCRIPTORS,
    errno.ENOMEM: MEMORY,
    errno.ENOSPC: DISK,
    errno.EDQUOT: DISK,
    errno.EFBIG: DISK,
}


class Environment(InterlockError):
    """The machine or the store stands in the way; the work itself is intact. `short_of`: what ran out, "" for nothing."""

    def __init__(self, message: str = "", *, short_of: str = "") -> None:
        super().__init__(message)
        self.short_of = short_of


class StoreUnavailable(Environment):
    """The store cannot be reached or locked in time. May be tried again after `delay_seconds`."""

    delay_seconds: ClassVar[float] = 1.0


class StoreCorrupt(Environment):
    """The file is not an Interlock store, is damaged, or was written by a newer version."""


class StoreFull(Environment):
    """No space is left for the store. What was acknowledged before is safe."""


class Exhausted(Environment):
    """This process is short of something that new work needs. What it has goes on; may be tried again later."""


class LeaseLost(Environment):
    """A lease ran out while its holder was still at work: it may not write any more."""


class CannotExecute(Environment):
    """This node cannot execute a run: it lacks a function, a right or a kind of step. Another node may."""


class Fault(Protocol):
    """What `interlock.model.fault.Fault` tells, seen from below it."""

    @property
    def type(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def title(self) -> str | None: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def instance(self) -> str | None: ...
    @property
    def code(self) -> str | None: ...


class StepFailed(InterlockError):
    """A step failed, and its exception is of no class that this process could raise again. `fault` says what happened."""

    exit_code = 1

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class StepTimeout(StepFailed, TimeoutError):
    """A step did not end within its timeout."""


class StepLost(StepFailed):
    """Whoever performed a step died before it told how the step ended, more often than is retried."""


class RunFaulted(InterlockError):
    """A run ended in a fault. `run` is its id, "" when the caller knows it."""

    exit_code = 1

    def __init__(self, fault: Fault, run: str = "") -> None:
        super().__init__(fault, run)
        self.fault = fault
        self.run = run

    def __str__(self) -> str:
        return f"run {self.run!r} faulted: {self.fault}" if self.run else str(self.fault)


class RunCancelled(InterlockError):
    """A run was cancelled before it ended. `run` is its id, `reason` what the one who cancelled it said."""

    exit_code = 1

    def __init__(self, run: str, reason: str = "") -> None:
        super().__init__(run, reason)
        self.run = run
        self.reason = reason

    def __str__(self) -> str:
        return f"run {self.run!r} was cancelled" + (f": {self.reason}" if self.reason else "")


class ExpressionError(InterlockError):
    """An expression failed while it was evaluated; becomes the workflow error `expression`, status 400."""

    exit_code = 1
    code: ClassVar[str] = "expression"


class ExpressionSyntax(ExpressionError):
    """An expression does not parse or uses a function that is shut off.

    `column` is the 0-based offset in `source` of the first character that cannot stand there, None when unknown.
    """

    exit_code = 2
    code = "expression-syntax"

    def __init__(self, message: str, source: str, column: int | None = None) -> None:
        super().__init__(message)
        self.source = source
        self.column = column


class ExpressionDeadline(ExpressionError):
    """An expression ran longer, or took more memory, than it is allowed."""

    code = "expression-deadline"


def short_of(error: BaseException | None) -> str:
    """Give what ran out, by the operating system's word, where an error comes from; "" for nothing."""
    while error is not None:
        if isinstance(error, Environment) and error.short_of:
            return error.short_of
        if isinstance(error, MemoryError):
            return MEMORY
        if isinstance(error, OSError) and (found := _SHORT_OF.get(error.errno or 0)):
            return found
        error = error.__cause__ or error.__context__
    return ""
