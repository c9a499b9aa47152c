"""Starts `interlock` by forking a process that has loaded what its commands load: an interpreter that loads it anew costs ten
times as much, and tests start thousands.

The command has a process of its own, with the arguments, environment, folder, streams and end of one that was started by a
shell. What changes the interpreter itself (PYTHON*, LD_*, LANG, LC_*, TZ) still starts a new one. That a command loads no more
than it needs is measured elsewhere (acceptance/cli/test_start.py), with new interpreters.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src"
_OF_THE_INTERPRETER = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "COVERAGE_", "MALLOC_")
_EXTRAS = ("kubernetes", "ray", "docker", "temporal", "testing", "github", "__main__", "s3")
_SERVE = "import sys; sys.path.insert(0, {tests!r}); import forks; forks.serve({path!r}); forks.perform()"
_MAIN = "from interlock.cli.main import main; main()"
_LENGTH = struct.Struct("!I")
_STATUS = struct.Struct("!i")


class Process(subprocess.Popen[Any]):
    """`interlock` with these arguments; everything else as for `subprocess.Popen`."""

    _connection: socket.socket | None = None

    def __init__(self, arguments: Sequence[str], *, env: Mapping[str, str], **options: Any) -> None:
        super().__init__([sys.executable, "-c", _MAIN, *arguments], env=dict(env), **options)

    def _execute_child(self, args: list[str], *rest: Any) -> None:  # type: ignore[override]  # of CPython 3.11 to 3.14
        names = (
            "executable", "preexec_fn", "close_fds", "pass_fds", "cwd", "env", "startupinfo", "creationflags", "shell",
            "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite", "restore_signals", "gid", "gids", "uid",
            "umask", "start_new_session",
        )  # fmt: skip
        given = dict(zip(names, rest, strict=False))
        if given["preexec_fn"] or given["pass_fds"] or given["start_new_session"] or not _is_alike(given["env"]):
            return super()._execute_child(args, *rest)  # type: ignore[misc]  # not in the stubs
        ends = (given["p2cread"], given["c2pwrite"], given["errwrite"])
        streams = [number if end == -1 else end for number, end in enumerate(ends)]
        told = {"args": args[3:], "cwd": os.fspath(given["cwd"] or os.getcwd()), "env": dict(given["env"])}
        self._connection = _origin().connect()
        text = json.dumps(told).encode()
        socket.send_fds(self._connection, [_LENGTH.pack(len(text))], streams)
        self._connection.sendall(text)
        self.pid = _LENGTH.unpack(_received(self._connection, _LENGTH.size))[0]
        self._child_created = True
        self._close_pipe_fds(*rest[9:15])  # type: ignore[attr-defined]  # as above
        return None

    def _internal_poll(self, *rest: Any, **more: Any) -> int | None:
        if self._connection is None:
            return super()._internal_poll(*rest, **more)  # type: ignore[misc, no-any-return]  # not in the stubs
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._connection is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]  # not in the stubs
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._ended()
        return self.returncode

    def _ended(self) -> None:
        assert self._connection is not None
        status = _STATUS.unpack(_received(self._connection, _STATUS.size))[0]
        self.returncode = os.waitstatus_to_exitcode(status)
        self._connection.close()


def _is_alike(env: Mapping[str, str]) -> bool:
    """Say whether the interpreter that is forked would be the same with this environment."""
    own = _environment()
    names = {name for name in {*env, *own} if name.startswith(_OF_THE_INTERPRETER)}
    return all(env.get(name) == own.get(name) for name in names)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


class _Origin:
    """The process that is forked, and ends with this one."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="interlock-forks-")
        self._path = os.path.join(self._folder, "socket")
        code = _SERVE.format(tests=str(Path(__file__).parent), path=self._path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.read(1) == b"."  # it listens
        atexit.register(self.close)

    def close(self) -> None:
        self._process.communicate()  # it ends with its standard input
        shutil.rmtree(self._folder)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._path)
        return connection


@functools.cache
def _origin() -> _Origin:
    return _Origin()


def _received(connection: socket.socket, size: int) -> bytes:
    text = b""
    while len(text) < size:
        more = connection.recv(size - len(text))
        assert more, "the process that is forked has ended"
        text += more
    return text


# -- in the process that is forked -------------------------------------------------------------------------------------


def serve(path: str) -> None:
    """Fork for each request; returns in each child, once that is what the request asked for."""
    _load()
    del sys.path[0]  # the folder of the tests, which is none of the command's
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    os.write(1, b".")
    assert threading.active_count() == 1, threading.enumerate()  # a fork has the thread alone that forked
    running: dict[int, tuple[int, socket.socket]] = {}
    polling = select.poll()
    polling.register(0, select.POLLIN | select.POLLHUP)
    polling.register(listener, select.POLLIN)
    while True:
        for ready, _ in polling.poll():
            if ready == 0:
                os._exit(0)  # whoever started it is gone
            if ready in running:
                polling.unregister(ready)
                _tell_end(ready, *running.pop(ready))
                continue
            connection, _address = listener.accept()
            told, streams = _request(connection)
            pid = os.fork()
            if pid == 0:
                for each in (listener, connection, *(other for _, other in running.values())):
                    each.detach()  # their numbers are closed below, and will be those of others
                _become(told, streams)
                return
            for stream in streams:
                os.close(stream)
            connection.sendall(_LENGTH.pack(pid))
            ending = os.pidfd_open(pid)
            running[ending] = pid, connection
            polling.register(ending, select.POLLIN)


def perform() -> None:
    """Do what the command does, and end as the interpreter would, without taking every module apart first."""
    from interlock.cli.main import main

    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does first: threads that are no daemons
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code)


def _load() -> None:
    import interlock
    import new_stores

    for found in pkgutil.walk_packages(interlock.__path__, "interlock."):
        if not any(part in _EXTRAS for part in found.name.split(".")):
            with contextlib.suppress(ImportError):  # an extra that is not installed
                importlib.import_module(found.name)
    new_stores.install()
    gc.collect()
    gc.freeze()


def _request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    text = _received(connection, _LENGTH.unpack(head)[0])
    return json.loads(text), streams


def _tell_end(ending: int, pid: int, connection: socket.socket) -> None:
    os.close(ending)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # nobody waits for it any more
        connection.sendall(_STATUS.pack(status))
    connection.close()


def _become(told: dict[str, Any], streams: list[int]) -> None:
    """Make this process what was asked for."""
    high = [os.dup(stream) for stream in streams]  # none of them is 0, 1 or 2 now
    for number, stream in enumerate(high):
        os.dup2(stream, number)
    os.closerange(3, 4096)
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    sys.argv = ["-c", *told["args"]]
    sys.stdin = sys.__stdin__ = _stream(0, "r", sys.stdin)
    sys.stdout = sys.__stdout__ = _stream(1, "w", sys.stdout)
    sys.stderr = sys.__stderr__ = _stream(2, "w", sys.stderr)


def _stream(number: int, mode: str, like: Any) -> Any:
    """Open a standard stream as the interpreter does: by lines where people read it."""
    buffering = 1 if number == 2 or os.isatty(number) else -1
    return open(number, mode, buffering, like.encoding, like.errors, closefd=False)
