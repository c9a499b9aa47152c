"""Processes that a measurement starts besides its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def module(name: str, *arguments: object) -> list[str]:
    """Give the command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def started(command: Sequence[str], folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a process in a folder, its output in a file there, so that no pipe fills."""
    with (folder / f"process-{time.monotonic_ns()}.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def environment(**variables: str) -> dict[str, str]:
    """Give the environment of a process that imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
