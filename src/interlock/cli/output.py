"""What is said and where: results on standard output, everything for the person on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from interlock.secrets.form import hidden

_reserved: TextIO | None = None


def results() -> TextIO:
    """Give the stream that results go to."""
    return _reserved or sys.stdout


@contextlib.contextmanager
def reserved() -> Iterator[None]:
    """Keep standard output for results until the end of the block; what steps print goes to standard error."""
    global _reserved  # what steps run in this process see as sys.stdout is global too
    _reserved = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _reserved = None


def answer(text: str, end: str = "\n") -> None:
    """Print a result, with `***` for secrets.

    Raises BrokenPipeError when its reader went away, OSError when there is no room for it.
    """
    print(hidden(text), end=end, file=results(), flush=True)


def note(text: str, end: str = "\n") -> None:
    """Print a line for the person, with `***` for secrets.

    One that nobody can read any more is dropped: the work goes on without it.
    """
    try:
        print(hidden(text), end=end, file=sys.stderr, flush=True)  # noqa: T201 (the one door)
    except OSError:
        discard(sys.stderr)


def complain(text: str) -> None:
    """Print what is wrong, as one line."""
    note(f"interlock: {text}")


def discard(stream: TextIO) -> None:
    """Send what is still to be written to a stream nowhere, so that it is not tried again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
