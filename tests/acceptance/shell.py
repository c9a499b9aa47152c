"""Runs the real command line in real processes, as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forks

SOURCE = Path(__file__).parents[2] / "src"
_SECONDS = 180


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Commands in one folder, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = ""
        """What is run instead of `interlock`, and adds something to it."""

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Ended:
        """Run `interlock` to its end."""
        with self.process(
            *arguments, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                out, err = process.communicate(stdin if stdin is not None else "", timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Ended(process.returncode, out, err)

    def process(self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[Any]:
        """Start `interlock`. `options`: of `subprocess.Popen`."""
        environment = self._environment(env)
        if self.module:
            return subprocess.Popen(self._command(arguments), cwd=self.folder, env=environment, **options)
        return forks.Process(arguments, cwd=self.folder, env=environment, **options)

    @contextlib.contextmanager
    def started(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """Start `interlock`; killed at the end of the block if it still runs."""
        process = self.process(
            *arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=_SECONDS)

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run("list", "--json").json
        return found

    def ledger(self, name: str = "ledger") -> list[str]:
        """The lines that effects wrote about themselves."""
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        if self.module:
            return [sys.executable, "-m", self.module, *arguments]
        return [sys.executable, "-c", "from interlock.cli.main import main; main()", *arguments]

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("INTERLOCK_")}
        return kept | {"PYTHONPATH": str(SOURCE), "INTERLOCK_TESTING": "1", "HOME": str(self.folder)} | dict(more or {})


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll, backing off, until a condition holds."""
    end = time.monotonic() + seconds
    pause = 0.005
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def alive(pid: int) -> bool:
    """Whether a process exists and is no corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
