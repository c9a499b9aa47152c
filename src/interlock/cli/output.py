"""What is said and where: results on standard output, everything for the person on standard error."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def answer(text: str, end: str = "\n") -> None:
    """Print a result. Raises BrokenPipeError when its reader went away, OSError when there is no room for it."""
    print(text, end=end, flush=True)  # noqa: T201


def note(text: str, end: str = "\n") -> None:
    """Print a line for the person. One that nobody can read any more is dropped: the work goes on without it."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201
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
