"""Every exception of Interlock, drawn once.

    InterlockError
    ├── Invalid            the input is wrong; nothing was done            exit 2
    │   ├── InvalidDefinition   a workflow document with problems          exit 2
    │   └── InvalidSettings     a setting that is unknown or out of range  exit 2
    ├── NotFound           the named thing does not exist                  exit 2
    ├── Conflict           another writer was first, or the state forbids it   exit 2
    │   └── StaleEpoch          the run moved on; stop at once
    ├── Environment        the machine or the store stands in the way      exit 4
    │   ├── StoreUnavailable    cannot be reached or locked in time; may be tried again
    │   ├── StoreCorrupt        the file is not a store or is damaged
    │   ├── StoreFull           no space left; nothing acknowledged is lost
    │   ├── LeaseLost           a lease ran out under its holder
    │   └── CannotExecute       this node cannot execute a run; another one may
    └── ExpressionError    an expression failed while it was evaluated
        ├── ExpressionSyntax    it does not parse, or uses what is shut off
        └── ExpressionDeadline  it ran out of time or memory

The class carries the policy: what the caller may do next. Messages say what happened, to which id, what was found and
what to do. Expected outcomes (a step that failed, a claim that found nothing) are values, not exceptions.
"""

from __future__ import annotations

from typing import ClassVar


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


class NotFound(InterlockError):
    """The named thing does not exist."""

    exit_code = 2


class Conflict(InterlockError):
    """Another writer was first, or the present state forbids the change."""

    exit_code = 2


class StaleEpoch(Conflict):
    """The run belongs to another node by now: drop it and write nothing more."""


class Environment(InterlockError):
    """The machine or the store stands in the way; the work itself is intact."""


class StoreUnavailable(Environment):
    """The store cannot be reached or locked in time. May be tried again after `delay_seconds`."""

    delay_seconds: ClassVar[float] = 1.0


class StoreCorrupt(Environment):
    """The file is not an Interlock store, is damaged, or was written by a newer version."""


class StoreFull(Environment):
    """No space is left for the store. What was acknowledged before is safe."""


class LeaseLost(Environment):
    """A lease ran out while its holder was still at work: it may not write any more."""


class CannotExecute(Environment):
    """This node cannot execute a run: it lacks a function, a right or a kind of step. Another node may."""


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
