"""A supervisor process as the node sees it: give it a job, take its frames, make an end.

The process belongs to the package `runner`, which is known here by names only. A supervisor of commands is started
without site-packages, since that takes half of the time; one of Python functions has what the node has on sys.path. A
supervisor does one job; a warm one is a process that still waits for it.

One socket leads to it, whether this node started it or found it when its own node was gone. It is no asyncio subprocess,
since those are killed when they are let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from interlock import errors
from interlock.model import supervision

_FOR_COMMANDS: Final = "import sys; sys.path.append({!r}); from interlock.runner.supervisor import main; main()"
_FOR_FUNCTIONS: Final = "interlock.runner.call"
_PACKAGE_FOLDER: Final = str(Path(errors.__file__).parents[1])
_LEAVE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = (0.001, 0.05)  # between looks at a process that is about to end, the first and the longest
_ADOPT: Final = b'{"adopt": true}\n'
_PEER_BYTES: Final = 12  # of `struct ucred`: pid, uid, gid
_NOT_PASSED_ON: Final = ("INTERLOCK_SECRET_", "INTERLOCK_KEY")
"""What only the node needs: a function gets the secrets that its step names, not those of every workflow."""


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    limits: dict[str, int] = {}
    nice: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended; the fields are explained in `interlock.model.supervision`."""

    ended_by: str
    code: int | None = None
    signal: int | None = None
    reason: str | None = None
    detail: str | None = None
    out_of_memory: bool = False


class TakenOver(errors.LeaseLost):
    """Another node has adopted the attempt, since it gave this one up for dead."""


_reports: Final = msgspec.json.Decoder(Report)


_unreaped: Final[list[subprocess.Popen[bytes]]] = []
"""Children of this process that were let go; looked after whenever another one is."""


class Supervisor:
    """One supervisor process; `start` makes it, `attach` finds one that was left alone."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        process: subprocess.Popen[bytes] | None,
        pid: int,
    ) -> None:
        """`process`: None when it is no child of this process."""
        self._reader = reader
        self._writer = writer
        self._process = process
        self._pid = pid
        self._command = 0

    @classmethod
    async def start(cls, *, for_functions: bool, apart: bool = False) -> Supervisor:
        """Start a process that waits for its job. `apart`: as no child of this process, so that whoever kills the children
        of this process does not kill the one that sees to the end of the work."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        if for_functions:
            arguments = ["-X", "utf8", "-m", _FOR_FUNCTIONS]
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        else:
            arguments = ["-I", "-S", "-c", _FOR_COMMANDS.format(_PACKAGE_FOLDER)]
        if apart:
            arguments.append(supervision.APART)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 (as asyncio itself does: it returns once the program runs)
                    [sys.executable, *arguments],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    env=environment,
                    start_new_session=True,  # Ctrl-C at the terminal is the node's to handle
                )
            except BaseException:
                ours.close()
                raise
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            _reap_later(process)
            raise
        if not apart:
            return cls(reader, writer, process, process.pid)
        try:
            pid = int(await reader.readline() or 0)
            if not pid:
                raise ChildProcessError("the supervisor of the attempt ended before it began")
        except BaseException:
            writer.close()  # which ends it
            raise
        finally:
            _reap_later(process)
        return cls(reader, writer, None, pid)

    @classmethod
    async def attach(cls, spool: Path) -> Supervisor | None:
        """Become the node of a supervisor by its spool folder; None when there is none any more."""
        connection = call(spool)
        if connection is None:
            return None
        pid = _peer(connection)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        writer.write(_ADOPT)
        return cls(reader, writer, None, pid)

    @property
    def is_alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._pid > 0 and _lives(self._pid)

    async def run(self, job: bytes, on_output: Callable[[bytes, bytes], None]) -> Report | None:
        """Run a job (the JSON of a `Job`) to its end and give the report; None when the supervisor died over it.

        `on_output` gets the kind of stream (`supervision.STDOUT`, `STDERR`) and bytes, in order. Raises TakenOver.
        """
        self._tell(job)
        return await self.listen(on_output)

    async def listen(self, on_output: Callable[[bytes, bytes], None]) -> Report | None:
        """Hear an attempt to its end, as `run` does after it gave the job."""
        try:
            return await self._listen(on_output)
        except (asyncio.IncompleteReadError, ConnectionError):
            if await self._has_exited(_LEAVE_SECONDS):
                return None
            self._command = 0
            raise TakenOver("another node has adopted this attempt") from None

    def cancel(self) -> None:
        """Ask it to end the job."""
        self._tell(b'{"cancel": true}')

    async def leave(self) -> None:
        """Let the process go: it ends when its input does, and is killed when it does not."""
        self._writer.close()
        try:
            if not await self._has_exited(_LEAVE_SECONDS):
                self.kill()
                await self._has_exited(_LEAVE_SECONDS)
        finally:
            _reap_later(self._process)

    def detach(self) -> None:
        """Leave the attempt to whichever node adopts it."""
        self._writer.close()
        _reap_later(self._process)

    def kill(self) -> None:
        """Kill a process that does not answer, and the process group of its command."""
        with contextlib.suppress(ProcessLookupError):
            if self._process is not None:
                self._process.kill()
            elif self._pid:
                os.kill(self._pid, signal.SIGKILL)
        if self._command:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._command, signal.SIGKILL)

    async def _has_exited(self, seconds: float) -> bool:
        """Wait for the end of a process that was told to end."""
        pause, longest = _LOOK_SECONDS
        try:
            async with asyncio.timeout(seconds):
                while self.is_alive:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, longest)
        except TimeoutError:
            return False
        return True

    async def _listen(self, on_output: Callable[[bytes, bytes], None]) -> Report:
        while True:
            kind, length = supervision.header(await self._reader.readexactly(supervision.HEADER_BYTES))
            payload = await self._reader.readexactly(length)
            if kind == supervision.REPORT:
                self._command = 0
                return _reports.decode(payload)
            if kind == supervision.STARTED:
                self._command = int(payload)
            else:
                on_output(kind, payload)

    def _tell(self, message: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(message + b"\n")


def _reap_later(process: subprocess.Popen[bytes] | None) -> None:
    """Take note of a child that may not have ended yet, and reap those that have."""
    if process is not None:
        _unreaped.append(process)
    _unreaped[:] = [each for each in _unreaped if each.poll() is None]


def call(spool: Path) -> socket.socket | None:
    """Connect to the supervisor of a spool folder; None when there is none any more, or the folder is not ours."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(folder).st_uid != os.geteuid():
                raise PermissionError(spool)
            near = f"/proc/self/fd/{folder}" if os.path.isdir("/proc/self/fd") else str(spool)
            connection.connect(os.path.join(near, supervision.SOCKET_FILE))
        finally:
            os.close(folder)
    except OSError:
        connection.close()
        return None
    connection.setblocking(False)
    return connection


def report_of(text: bytes) -> Report | None:
    """Give the report that a supervisor left in its spool; None when it is not whole."""
    try:
        return _reports.decode(text)
    except msgspec.MsgspecError:
        return None


def _lives(pid: int) -> bool:
    """Say whether a process that is no child of ours is there, and no corpse."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except ProcessLookupError:
        return False
    except OSError:  # no /proc: it is there, as far as one can see
        return True
    return state not in ("Z", "X")


def _peer(connection: socket.socket) -> int:
    """Give the pid of the process at the other end; 0 where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_BYTES)
    return int.from_bytes(found[:4], sys.byteorder)
