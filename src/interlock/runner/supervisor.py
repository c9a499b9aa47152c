"""Supervise one attempt: start it, pass its output on, end it in time, leave nothing behind.

    waiting --(a job comes)--> running --(it exits; timeout, cancel, node gone: it is ended)--> ending --> reported

A node that is gone is waited for, as long as the job says: the work goes on, output and outcome stay in the spool, and the
node that adopts the attempt hears all of it.

Ending means SIGTERM to everything, SIGKILL to what is left half a second later, and again until nothing is left. When the
node is gone there is no SIGTERM. One thread and one `poll`: no wait is without a deadline, and output that the node does
not take makes the command wait, never the supervisor.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable

from interlock.model import supervision
from interlock.runner import memory, processes
from interlock.runner.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` is not imported when it runs: it takes longer than the rest
    from typing import Any

_KILL_AFTER_SECONDS = 0.5
_KILL_AGAIN_SECONDS = 0.05
_GIVE_UP_SECONDS = 5.0
"""A process that SIGKILL does not end for so long hangs in the kernel: report without it."""
_DRAIN_SECONDS = 0.5  # for output that stays open after the last process has ended: somebody else holds the pipe
_LONGEST_SECONDS = 86_400.0  # of one wait; the system counts milliseconds in 31 bits, which end after 24 days
_CHUNK_BYTES = 65536
_OUTBOX_BYTES = 1024 * 1024  # of output that waits for the node before the command has to
_NODE = 0
_OUT = 1
_STREAMS = {supervision.STDOUT: "stdout", supervision.STDERR: "stderr"}


def main(prepare: Prepare | None = None) -> None:
    """Wait for a job on standard input and do it. Without one, end when the input does.

    `prepare` gives what the process of a job does, for jobs that are no programs.
    """
    if supervision.APART in sys.argv[1:]:
        processes.stand_apart(_NODE)
    with contextlib.suppress(OSError):  # already leads its session
        os.setsid()
    line = bytearray()
    while not line.endswith(b"\n"):
        data = os.read(_NODE, _CHUNK_BYTES)
        if not data:
            return
        line += data
    job, _, commands = bytes(line).partition(b"\n")
    Supervisor(json.loads(job), prepare or _program, commands).run()


class Supervisor:
    """The attempt of one job; see `interlock.model.supervision` for its keys. `commands`: input that came with it."""

    def __init__(self, job: dict[str, Any], prepare: Prepare, commands: bytes = b"") -> None:
        self._job = Job(job)
        self._prepare = prepare
        self._spool = Spool(self._job.spool, self._job.spool_bytes)
        self._commands = commands
        self._outbox = bytearray()
        self._node_is_there = True
        self._in, self._out = _NODE, _OUT
        self._listener = -1
        self._callers: dict[int, bytes] = {}
        """Connections to the listener, and what they have said; the one that asks to adopt becomes the node."""
        self._streams: dict[int, bytes] = {}
        self._pid = 0
        self._status: int | None = None
        self._has_children = True
        self._ended_by = "exit"
        self._is_ending = False
        self._deadlines: dict[str, float] = {}
        self._woken = -1
        self._memory_kills = memory.kills()

    def run(self) -> None:
        self._listen_to_signals()
        processes.adopt_orphans()
        try:
            self._start()
        except (OSError, ValueError) as error:
            self._report(_not_launched(error))
            return
        if self._job.timeout_seconds is not None:
            self._deadlines["timeout"] = time.monotonic() + self._job.timeout_seconds
        if self._commands:  # they came with the job, and nothing else may ever happen
            self._obey()
        while not self._is_over():
            self._wait()
            self._collect()
            self._keep_deadlines()
        self._report(self._ending())

    def _listen_to_signals(self) -> None:
        self._woken, wake = os.pipe()
        for end in (self._woken, wake, self._out):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._ask_to_end)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(wake)

    def _ask_to_end(self, number: int, frame: object) -> None:
        self._commands += b'{"cancel": true}\n'

    def _start(self) -> None:
        if not os.path.isdir(self._job.folder):
            raise NoSuchFolder(self._job.folder)
        self._spool.make()
        if self._job.orphan_grace_seconds:
            self._listener = self._spool.listen()
        for name, text in self._job.files.items():
            self._spool.write_file(name, text)
        stdin = self._spool.open_stdin(self._job.stdin)
        pipes = {kind: os.pipe() for kind in _STREAMS}
        theirs = (stdin, pipes[supervision.STDOUT][1], pipes[supervision.STDERR][1])
        try:
            self._pid = processes.spawn(self._become(), self._job.folder, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._streams = {ours: kind for kind, (ours, _) in pipes.items()}
        self._send(supervision.STARTED, str(self._pid).encode())

    def _become(self) -> Callable[[], None]:
        become = self._prepare(self._job)
        if not self._job.limits and not self._job.nice:
            return become
        from interlock.runner import limits  # noqa: PLC0415 (start-up: only attempts with limits need it)

        return limits.held(become, self._job.limits, self._job.nice)

    def _is_over(self) -> bool:
        """Say whether nothing of the attempt is left to wait for."""
        return not self._has_children and not self._streams

    def _wait(self) -> None:
        """Wait until something happens or a deadline passes, and take what came."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._node_is_there and self._in == self._out:
            poll.register(self._in, select.POLLIN | (select.POLLOUT if self._outbox else 0))
        elif self._node_is_there:
            poll.register(self._in, select.POLLIN)
            if self._outbox:
                poll.register(self._out, select.POLLOUT)
        for descriptor in (self._listener, *self._callers):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        if len(self._outbox) < _OUTBOX_BYTES:
            for stream in self._streams:
                poll.register(stream, select.POLLIN)
        for descriptor, what in poll.poll(self._milliseconds_left()):
            if descriptor == self._woken:
                os.read(self._woken, _CHUNK_BYTES)
            elif descriptor == self._listener:
                self._answer()
            elif descriptor in self._callers:
                self._hear_caller(descriptor)
            elif descriptor in (self._in, self._out):
                if what & select.POLLOUT:
                    self._flush()
                if what & ~select.POLLOUT and descriptor == self._in:
                    self._hear()
            elif descriptor in self._streams:
                self._take(descriptor)
        if self._commands:
            self._obey()

    def _milliseconds_left(self) -> float | None:
        if not self._deadlines:
            return None
        return min(max(0.0, min(self._deadlines.values()) - time.monotonic()), _LONGEST_SECONDS) * 1000

    def _hear(self) -> None:
        data = _read(self._in)
        if data:
            self._commands += data
        elif data is not None:
            self._lose_node()

    def _answer(self) -> None:
        import socket  # noqa: PLC0415 (start-up: only an attempt that may be adopted needs it, and has it by now)

        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._listener)) as listener:
            caller, _ = listener.accept()
            caller.setblocking(False)
            self._callers[caller.detach()] = b""

    def _hear_caller(self, caller: int) -> None:
        data = _read(caller)
        if data is None:
            return
        said = self._callers[caller] + data
        if b"\n" in said:
            del self._callers[caller]
            self._change_node(caller, said.partition(b"\n")[2])
        elif data:
            self._callers[caller] = said
        else:
            del self._callers[caller]
            os.close(caller)

    def _change_node(self, connection: int, commands: bytes) -> None:
        """Serve the node that adopts this attempt; the one before, if it is still there, hears the end of its connection."""
        if self._in == _NODE:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (_NODE, _OUT):
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
        else:
            os.close(self._in)
        self._in = self._out = connection
        self._node_is_there = True
        self._deadlines.pop("orphan", None)
        self._commands = commands
        self._outbox.clear()
        self._send(supervision.STARTED, str(self._pid).encode())
        for kind, stream in _STREAMS.items():
            kept = self._spool.kept(stream)
            for start in range(0, len(kept), _CHUNK_BYTES):
                self._send(kind, kept[start : start + _CHUNK_BYTES])

    def _obey(self) -> None:
        *lines, self._commands = self._commands.split(b"\n")
        if any(json.loads(line).get("cancel") for line in lines if line):
            self._end("cancel")

    def _lose_node(self) -> None:
        self._node_is_there = False
        self._outbox.clear()
        if self._in != _NODE:
            os.close(self._in)
            self._in = self._out = _NODE  # whose other end is nowhere by now
        self._deadlines["orphan"] = time.monotonic() + self._job.orphan_grace_seconds

    def _take(self, descriptor: int) -> None:
        kind = self._streams[descriptor]
        data = _read(descriptor)
        if data is None:
            return
        if data:
            self._spool.append(_STREAMS[kind], data)
            self._send(kind, data)
        else:
            os.close(descriptor)
            del self._streams[descriptor]

    def _collect(self) -> None:
        """Take note of the processes that have ended."""
        if not self._has_children:
            return
        ended, self._has_children = processes.reap()
        if self._pid in ended:
            self._status = ended[self._pid]
            self._deadlines.pop("timeout", None)
            if self._has_children:
                self._end("exit")
        if not self._has_children:
            self._deadlines = {"drain": time.monotonic() + _DRAIN_SECONDS}

    def _end(self, reason: str) -> None:
        """Begin to end everything, for the first reason given."""
        if self._is_ending:
            return
        self._is_ending = True
        if self._status is None:
            self._ended_by = reason
        self._deadlines.pop("timeout", None)
        now = time.monotonic()
        self._deadlines["give up"] = now + _GIVE_UP_SECONDS
        if reason == "orphan":
            self._deadlines["kill"] = now
        else:
            self._signal(signal.SIGTERM)
            self._deadlines["kill"] = now + _KILL_AFTER_SECONDS

    def _signal(self, number: int) -> None:
        # once the command is reaped its pid, the name of its group, may be given to somebody else
        processes.signal_all(self._pid if self._status is None else None, number)

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        due = [name for name, deadline in self._deadlines.items() if deadline <= now]
        for name in due:
            del self._deadlines[name]
            if name in ("timeout", "orphan"):
                self._end(name)
            elif name == "kill":
                self._signal(signal.SIGKILL)
                self._deadlines["kill"] = now + _KILL_AGAIN_SECONDS
            else:
                self._abandon()

    def _abandon(self) -> None:
        """Wait no longer for processes that cannot be killed, or for output that others hold open."""
        self._has_children = False
        self._deadlines.clear()
        for descriptor in self._streams:
            os.close(descriptor)
        self._streams.clear()

    def _ending(self) -> dict[str, object]:
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        return {
            "ended_by": self._ended_by,
            "code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "reason": None,
            "detail": None,
            "out_of_memory": memory.kills() > self._memory_kills,
        }

    def _report(self, report: dict[str, object]) -> None:
        """Write the outcome, tell the node, and wait until it has heard or is gone."""
        if not self._node_is_there and self._job.orphan_grace_seconds == 0:
            self._spool.remove()  # no node adopts it
            return
        self._spool.finish(report)
        self._send(supervision.REPORT, json.dumps(report).encode())
        while self._outbox and self._node_is_there:
            self._wait()

    def _send(self, kind: bytes, payload: bytes) -> None:
        if self._node_is_there:
            self._outbox += supervision.frame(kind, payload)
            self._flush()

    def _flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: os.write(self._out, self._outbox)]
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more; the input tells the same
            self._outbox.clear()


class Job:
    """What to run. The keys are explained in `interlock.model.supervision`."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.argv: list[str] = fields["argv"]
        self.environment: dict[str, str] = fields["environment"]
        self.folder: str = fields["folder"]
        self.spool: str = fields["spool"]
        self.files: dict[str, str] = fields["files"]
        self.stdin: str | None = fields["stdin"]
        self.timeout_seconds: float | None = fields["timeout_seconds"]
        self.orphan_grace_seconds: float = fields["orphan_grace_seconds"]
        self.spool_bytes: int = fields["spool_bytes"]
        self.limits: dict[str, int] = fields.get("limits", {})
        self.nice: int = fields.get("nice", 0)


Prepare = Callable[[Job], Callable[[], None]]
"""Gives what the process of a job does. Raises ValueError when the job cannot be done."""


class NoSuchFolder(OSError):
    """The folder that the command is to start in is not there."""


def _program(job: Job) -> Callable[[], None]:
    return processes.program(job.argv, job.environment)


def _not_launched(error: OSError | ValueError) -> dict[str, object]:
    if isinstance(error, NoSuchFolder):
        reason = "no-such-folder"
    elif isinstance(error, OSError):
        reason = errno.errorcode.get(error.errno or 0, "unknown")
    else:
        reason = "invalid"
    ended: dict[str, object] = {"ended_by": "not-launched", "code": None, "signal": None, "out_of_memory": False}
    return ended | {"reason": reason, "detail": str(error)}


def _read(descriptor: int) -> bytes | None:
    """Give what there is to read; b"" at the end, and when the other side is gone for good; None: nothing yet."""
    try:
        return os.read(descriptor, _CHUNK_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
