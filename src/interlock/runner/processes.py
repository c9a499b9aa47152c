"""Processes and their descendants: start one that dies with us, find all, signal all.

On Linux nothing escapes: the supervisor is the reaper of its orphans, so a descendant that left its group or session is
still found below it, and the command dies when the supervisor is killed. Elsewhere only the command's group is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_IS_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CANNOT_EXECUTE = 127
_TO_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)

_libc = ctypes.CDLL(None) if _IS_LINUX else None


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def stand_apart(told: int) -> None:
    """Go on as a grandchild of whoever started this process: that one sees its child end, and is told the pid that goes on,
    a line of digits on the descriptor `told`."""
    child = os.fork()
    if child:
        os.write(told, b"%d\n" % child)
        os._exit(0)


def spawn(become: Callable[[], None], folder: str, streams: tuple[int, int, int]) -> int:
    """Start a process in a group of its own and give its pid; `streams` become its 0, 1 and 2.

    It starts in `folder` and calls `become`, which executes a program or ends the process itself. Raises OSError when one
    of both fails.
    """
    parent = os.getpid()
    failed_here, failed_there = os.pipe()
    pid = os.fork()
    if pid == 0:
        _begin(become, folder, streams, parent, failed_there)
    os.close(failed_there)
    with open(failed_here, "rb") as pipe:
        error = pipe.read()
    if error:
        os.waitpid(pid, 0)
        raise OSError(int(error), os.strerror(int(error)))
    return pid


def program(argv: list[str], environment: dict[str, str]) -> Callable[[], None]:
    """Give what executes a program. Raises ValueError for a text that no process can be given (NUL, half surrogates)."""
    arguments = [_encoded(argument) for argument in argv]
    variables = {_encoded(name): _encoded(value) for name, value in environment.items()}
    if unusable := [name for name in environment if not name or "=" in name]:
        raise ValueError(f"{unusable[0]!r} is no name for a variable")
    return lambda: os.execve(arguments[0], arguments, variables)  # noqa: S606 (an argument list, and no shell)


def descendants() -> list[int]:
    """Give the pids of every living process below this one, parents first. Empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if _IS_LINUX else ():
        if name.isdigit():
            parent = _parent(name)
            children.setdefault(parent, []).append(int(name))
    found = [os.getpid()]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def signal_all(group: int | None, number: int) -> None:
    """Send a signal to a process group, if one is given, and to every descendant outside it."""
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for pid in descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group is None or os.getpgid(pid) != group:
                os.kill(pid, number)


def reap() -> tuple[dict[int, int], bool]:
    """Collect the children that have ended: their wait statuses by pid, and whether any child is left."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        ended[pid] = status


def _begin(become: Callable[[], None], folder: str, streams: tuple[int, int, int], parent: int, failed: int) -> None:
    """Turn the forked child into what was asked for. Never returns."""
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:  # else it died before the line above could take note of it
            os.chdir(folder)
            for target, source in enumerate(streams):
                os.dup2(source, target)
            signal.set_wakeup_fd(-1)
            for number in _TO_RESET:
                signal.signal(number, signal.SIG_DFL)
            become()
    except OSError as error:
        os.write(failed, str(error.errno).encode())
    finally:
        os._exit(_CANNOT_EXECUTE)


def _prctl(option: int, value: int) -> None:
    if _libc is not None:
        _libc.prctl(option, value, 0, 0, 0)


def _encoded(text: str) -> bytes:
    encoded = text.encode("utf-8")
    if b"\0" in encoded:
        raise ValueError(f"{text!r} holds a NUL byte, which no process can be given")
    return encoded


def _parent(pid: str) -> int:
    """Give the parent of a living process; 0 when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state, parent = stat.read().rpartition(b") ")[2].split()[:2]
    except (OSError, ValueError):
        return 0
    return 0 if state == b"Z" else int(parent)
