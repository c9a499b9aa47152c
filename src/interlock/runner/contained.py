"""A Python function in a container: called once, by the process that the container is for.

    python3 -m interlock.runner.contained CALL RESULT FOLDER

CALL is a file with the target as JSON; the outcome goes to RESULT. FOLDER: where its module is looked for first, "" for
where the process started. What it prints is its output.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from interlock.model.task import PythonTarget
from interlock.runner.call import keep, perform


def main(call_file: str, result_file: str, folder: str) -> None:
    """Call the function and write down what came of it."""
    target = msgspec.json.decode(Path(call_file).read_bytes(), type=PythonTarget)
    keep(Path(result_file), perform(target, folder or os.getcwd()))


if __name__ == "__main__":
    main(*sys.argv[1:])
