"""Runs one attempt and never leaves a process behind.

The node writes one job to our standard input, then perhaps `cancel`; we write what the work prints, and how it ended, to
standard output. Both ways are frames: four bytes of length, big-endian, then JSON.

    waiting --job--> running --exit--> ending --(all output read, descendants dead, outcome in the spool)--> done
    running --cancel, timeout--> SIGTERM to the group, after 0.5 s SIGKILL to all descendants --> ending
    running --input closed (the node is gone)--> after the orphan grace as for a cancel, with nobody to tell
    waiting --input closed--> done

We are started as a session of our own, and are the subreaper of what we start: a grandchild whose parent ended becomes
our child, even one that made a session of its own, so that it can be found and ended. Should we be killed, the kernel
kills our child.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

Job = dict[str, Any]
"""A frame as JSON gives it. `Any`: the boundary to the node, which checks nothing here but sends what pool.local builds."""

TERM_SECONDS = 0.5  # between asking and killing
DRAIN_SECONDS = 0.25  # for output of a process that has ended while something it left behind holds the pipe
PIECE_BYTES = 64 * 1024
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> None:
    """Call prctl(2) where there is one; elsewhere process groups alone must do."""
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return


def die_with_parent() -> None:
    """In the child: be killed when the supervisor is."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def read_exactly(count: int) -> bytes | None:
    """Give `count` bytes of standard input, None at its end."""
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            return None
        data += piece
    return data


def read_frame() -> Job | None:
    head = read_exactly(4)
    if head is None:
        return None
    body = read_exactly(struct.unpack(">I", head)[0])
    return None if body is None else json.loads(body)


def write_frame(message: Job) -> bool:
    """Tell the node; False when it is gone."""
    body = json.dumps(message).encode()
    data = struct.pack(">I", len(body)) + body
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True


def descendants() -> list[int]:
    """Give the pids of all processes below us, corpses left out."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(name)] = int(fields[1])
    found: list[int] = []
    level = {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found.extend(level)
    return found


class Process(Protocol):
    """What was started: a command, or a function in a fork."""

    pid: int
    stdin: Any
    stdout: Any
    stderr: Any
    returncode: int | Any

    def poll(self) -> int | None: ...


Spawn = Callable[[Job], Process]


class Output:
    """One stream of the work: kept up to a limit for the result, passed on in pieces."""

    def __init__(self, name: str, descriptor: int, limit: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.kept = bytearray()
        self.limit = limit
        self.size = 0
        self.rest = b""

    def read(self) -> bool:
        """Read a piece and pass it on; False at the end of the stream."""
        try:
            data = os.read(self.descriptor, PIECE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            return False
        self.size += len(data)
        if len(self.kept) < self.limit:
            self.kept += data[: self.limit - len(self.kept)]
        text, self.rest = split(self.rest + data)
        if text:
            write_frame({"kind": "output", "stream": self.name, "text": text.decode("utf-8", "replace")})
        return True

    def finish(self) -> None:
        if self.rest:
            write_frame({"kind": "output", "stream": self.name, "text": self.rest.decode("utf-8", "replace")})
            self.rest = b""


def split(data: bytes) -> tuple[bytes, bytes]:
    """Cut bytes so that no UTF-8 character is cut: what to pass on now, and up to three bytes for later."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        need = 2 if byte & 0xE0 == 0xC0 else 3 if byte & 0xF0 == 0xE0 else 4 if byte & 0xF8 == 0xF0 else 1
        return (data[:-back], data[-back:]) if need > back else (data, b"")
    return data, b""


class _Nothing:
    """Stands for the process until there is one."""

    pid = 0
    stdin = stdout = stderr = None
    returncode = 0

    def poll(self) -> int | None:
        return 0


_NOTHING = _Nothing()


class Attempt:
    """One job from start to end."""

    def __init__(self, job: Job, spawn: Spawn) -> None:
        self.job = job
        self.spawn = spawn
        self.reason: str | None = None
        self.selector = selectors.DefaultSelector()
        self.outputs: list[Output] = []
        self.process: Process = _NOTHING
        self.feeding = memoryview(b"")
        self.kill_at: float | None = None
        self.orphan_at: float | None = None
        self.timeout_at: float | None = None

    def run(self) -> Job:
        """Give how the work ended."""
        os.makedirs(self.job["spool"], mode=0o700, exist_ok=True)
        try:
            self.process = self.spawn(self.job)
        except (OSError, ValueError) as error:
            return {"kind": "end", "reason": "launch", "detail": str(error)}
        write_frame({"kind": "started", "pid": self.process.pid})
        wakeup = self._watch()
        self._feed()
        if self.job["timeout"] is not None:
            self.timeout_at = time.monotonic() + self.job["timeout"]
        while self.process.poll() is None:
            self._turn()
        self._drain()
        self._sweep()
        signal.set_wakeup_fd(-1)
        os.close(wakeup)
        return self._end()

    def _watch(self) -> int:
        for name, pipe in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
            os.set_blocking(pipe.fileno(), False)
            output = Output(name, pipe.fileno(), self.job["max_bytes"])
            self.outputs.append(output)
            self.selector.register(pipe.fileno(), selectors.EVENT_READ, output)
        self.selector.register(0, selectors.EVENT_READ, "control")
        ours, theirs = os.pipe()
        for end in (ours, theirs):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        self.selector.register(ours, selectors.EVENT_READ, "child")
        return theirs

    def _feed(self) -> None:
        """Give the work its input, as fast as it takes it."""
        text = self.job["stdin"]
        if text is None:
            return
        data = text.encode()
        pipe = self.process.stdin
        os.set_blocking(pipe.fileno(), False)
        self.feeding = memoryview(data)
        self.selector.register(pipe.fileno(), selectors.EVENT_WRITE, "feed")

    def _turn(self) -> None:
        moments = [moment for moment in (self.kill_at, self.orphan_at, self.timeout_at) if moment is not None]
        wait = max(0.0, min(moments) - time.monotonic()) if moments else None
        for key, _ in self.selector.select(wait):
            if key.data == "control":
                self._obey()
            elif key.data == "child":
                os.read(key.fd, 512)
            elif key.data == "feed":
                self._write_some(key.fd)
            elif not key.data.read():
                self.selector.unregister(key.fd)
        now = time.monotonic()
        if self.timeout_at is not None and now >= self.timeout_at:
            self._stop("timeout")
        if self.orphan_at is not None and now >= self.orphan_at:
            self._stop("orphaned")
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + TERM_SECONDS
            self._sweep()

    def _write_some(self, descriptor: int) -> None:
        try:
            self.feeding = self.feeding[os.write(descriptor, self.feeding[:PIECE_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:  # the work does not want its input
            self.feeding = self.feeding[:0]
        if not self.feeding:
            self.selector.unregister(descriptor)
            self.process.stdin.close()

    def _obey(self) -> None:
        if read_frame() is not None:
            self._stop("cancelled")
            return
        self.selector.unregister(0)
        self.orphan_at = time.monotonic() + self.job["grace"]

    def _stop(self, reason: str) -> None:
        self.timeout_at = self.orphan_at = None
        if self.reason is None:
            self.reason = reason
            self.kill_at = time.monotonic() + TERM_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def _drain(self) -> None:
        """Read what is left in the pipes; not for ever, since something left behind may hold them."""
        end = time.monotonic() + DRAIN_SECONDS
        open_ = [output for output in self.outputs if output.descriptor in self.selector.get_map()]
        while open_ and time.monotonic() < end:
            open_ = [output for output in open_ if output.read()]
            if open_:
                ready = selectors.DefaultSelector()
                for output in open_:
                    ready.register(output.descriptor, selectors.EVENT_READ)
                ready.select(end - time.monotonic())
                ready.close()
        for output in self.outputs:
            output.finish()

    def _sweep(self) -> None:
        """Kill everything below us until nothing is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the group has ended
            os.killpg(self.process.pid, signal.SIGKILL)
        for _ in range(200):
            found = descendants()
            if not found:
                return
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def _end(self) -> Job:
        stdout, stderr = (bytes(output.kept).decode("utf-8", "replace") for output in self.outputs)
        over = [output.name for output in self.outputs if output.size > output.limit]
        return {
            "kind": "end",
            "reason": self.reason,
            "code": self.process.returncode,
            "stdout": stdout,
            "stderr": stderr,
            "over": over,
            "result": self._result(),
        }

    def _result(self) -> Any:
        try:
            with open(os.path.join(self.job["spool"], "result.json")) as file:
                return json.load(file)
        except (OSError, ValueError):
            return None


def spawn_command(job: Job) -> Process:
    """Start the command of a job in a process group of its own."""
    for name, text in job["files"].items():
        with open(os.path.join(job["spool"], name), "w") as file:
            file.write(text)
    return subprocess.Popen(
        [part.replace("{spool}", job["spool"]) for part in job["argv"]],
        cwd=job["folder"],
        env=job["environment"],
        stdin=subprocess.DEVNULL if job["stdin"] is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        preexec_fn=die_with_parent,
        bufsize=0,
    )


def keep(job: Job, end: Job) -> None:
    """Put the outcome into the spool, whole or not at all, before the node is told."""
    path = os.path.join(job["spool"], "outcome.json")
    with open(path + ".new", "w") as file:
        json.dump(end, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def main(spawn: Spawn) -> None:
    """Wait for a job, run it, tell how it ended."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the node to understand
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    job = read_frame()
    if job is None:
        return
    end = Attempt(job, spawn).run()
    try:
        keep(job, end)
    except OSError as error:  # a full disk must not hide the outcome from a node that is still there
        sys.stderr.write(f"cannot keep the outcome in the spool: {error}\n")
    write_frame(end)


if __name__ == "__main__":
    main(spawn_command)
