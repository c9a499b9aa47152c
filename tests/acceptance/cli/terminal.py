"""A terminal for tests: starts the command line in a pseudo terminal and knows what its screen shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping

from acceptance.shell import Shell

_SECONDS = 180.0
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Terminal:
    """One process in a terminal. `lines` is what a person sees, the scrolled-off ones included."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.raw = ""
        self._descriptor = descriptor

    @property
    def lines(self) -> list[str]:
        return _screen(self.raw)

    def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Read until the screen fulfils a condition; gives the screen."""
        end = time.monotonic() + _SECONDS
        while not condition(self.lines):
            if time.monotonic() > end:
                raise AssertionError("\n".join(self.lines))
            self._read(0.1)
        return self.lines

    def until_shows(self, text: str) -> list[str]:
        return self.until(lambda lines: any(text in line for line in lines))

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def insist(self, text: str) -> None:
        """Type again and again until the process has ended."""
        end = time.monotonic() + _SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            self.type(text)
            self._read(0.3)

    def ended(self) -> int:
        """Read to the end and give the exit code."""
        end = time.monotonic() + _SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end, "\n".join(self.lines)
            self._read(0.1)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the other end is closed
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)


@contextlib.contextmanager
def opened(
    shell: Shell, *arguments: str, columns: int = 80, rows: int = 24, env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Start `interlock` in a terminal of this size; killed at the end of the block if it still runs."""
    main, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        shell._command(arguments),
        cwd=shell.folder,
        env=shell._environment(
            {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)} | dict(env or {})
        ),
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(child)
    try:
        yield Terminal(process, main)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(main)


def _screen(raw: str) -> list[str]:
    """Apply what was written to an endless screen: text, new lines, cursor up, erase line; colours are ignored."""
    lines, row, column, position = [""], 0, 0, 0
    while position < len(raw):
        sequence = _SEQUENCE.match(raw, position)
        if sequence is not None:
            position = sequence.end()
            if sequence[2] == "A":
                row -= int(sequence[1] or 1)
            elif sequence[2] == "K":
                lines[row] = "" if sequence[1] == "2" else lines[row][:column]
            continue
        character, position = raw[position], position + 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
