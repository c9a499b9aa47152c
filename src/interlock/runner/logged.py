"""The process of a Python function in a container: `python -m interlock.runner.logged FILE`.

The file holds the call and a mark. What the function prints is its output; its outcome is one line more, after the mark,
since the log is all that surely comes back from a container.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from interlock.model import supervision
from interlock.model.task import PythonTarget
from interlock.runner import call


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    target: PythonTarget
    mark: str


def main() -> None:
    """Make the call that the first argument's file tells, and print its outcome."""
    given = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Call)
    outcome = call.perform(given.target, os.getcwd())
    sys.stdout.flush()
    sys.stderr.flush()
    line = supervision.OUTCOME_MARK + given.mark.encode() + b":" + msgspec.json.encode(outcome) + b"\n"
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]
    os._exit(0)  # threads that a function left behind keep no container


if __name__ == "__main__":
    main()
