"""A supervisor process as the node sees it: give it a job, take its frames, make an end.

The process belongs to the package `runner`, which is known here by names only. A supervisor of commands is started
without site-packages, since that takes half of the time; one of Python functions has what the node has on sys.path. A
supervisor does one job; a warm one is a process that still waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

import interlock
from interlock.model import supervision

_FOR_COMMANDS: Final = "import sys; sys.path.append({!r}); from interlock.runner.supervisor import main; main()"
_FOR_FUNCTIONS: Final = "interlock.runner.call"
_PACKAGE_FOLDER: Final = str(Path(interlock.__file__).parents[1])
_LEAVE_SECONDS: Final = 2.0
_NOT_PASSED_ON: Final = ("INTERLOCK_SECRET_", "INTERLOCK_KEY")
"""What only the node needs: a function gets the secrets that its step names, not those of every workflow."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor is to run; the fields are explained in `interlock.model.supervision`."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    spool: str
    files: dict[str, str]
    stdin: str | None
    timeout_seconds: float | None
    orphan_grace_seconds: float
    spool_bytes: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended; the fields are explained in `interlock.model.supervision`."""

    ended_by: str
    code: int | None = None
    signal: int | None = None
    reason: str | None = None
    detail: str | None = None
    out_of_memory: bool = False


_reports: Final = msgspec.json.Decoder(Report)


class Supervisor:
    """One supervisor process; `start` makes it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._command = 0

    @classmethod
    async def start(cls, *, for_functions: bool) -> Supervisor:
        """Start a process that waits for its job."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        if for_functions:
            arguments = ["-X", "utf8", "-m", _FOR_FUNCTIONS]
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        else:
            arguments = ["-I", "-S", "-c", _FOR_COMMANDS.format(_PACKAGE_FOLDER)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C at the terminal is the node's to handle
        )
        return cls(process)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def run(self, job: bytes, on_output: Callable[[bytes, bytes], None]) -> Report | None:
        """Run a job (the JSON of a `Job`) to its end and give the report; None when the supervisor died over it.

        `on_output` gets the kind of stream (`supervision.STDOUT`, `STDERR`) and bytes, in order.
        """
        self._tell(job)
        try:
            return await self._listen(on_output)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def cancel(self) -> None:
        """Ask it to end the job."""
        self._tell(b'{"cancel": true}')

    async def leave(self) -> None:
        """Let the process go: it ends when its input does, and is killed when it does not."""
        self._input.close()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """Kill a process that does not answer, and the process group of its command."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._command:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._command, signal.SIGKILL)

    async def _listen(self, on_output: Callable[[bytes, bytes], None]) -> Report:
        assert self._process.stdout is not None
        while True:
            kind, length = supervision.header(await self._process.stdout.readexactly(supervision.HEADER_BYTES))
            payload = await self._process.stdout.readexactly(length)
            if kind == supervision.REPORT:
                self._command = 0
                return _reports.decode(payload)
            if kind == supervision.STARTED:
                self._command = int(payload)
            else:
                on_output(kind, payload)

    def _tell(self, message: bytes) -> None:
        self._input.write(message + b"\n")

    @property
    def _input(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin
