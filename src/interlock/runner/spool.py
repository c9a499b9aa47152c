"""The spool folder of an attempt: its output and outcome, kept while no node takes them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil

from interlock.model.supervision import OUTCOME_FILE, SOCKET_FILE


class Spool:
    """`stdout` and `stderr` hold at most `limit_bytes` each, from their beginning.

    Output and outcome also go to the node, so a disk that takes no more does not stop the attempt: what did not fit is
    missing here.
    """

    def __init__(self, folder: str, limit_bytes: int) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._sizes: dict[str, int] = {}

    def make(self) -> None:
        """Make the folder. Raises OSError when it cannot be, or is there: an attempt's name is used once."""
        os.makedirs(self.folder, mode=0o700)

    def write_file(self, name: str, text: str) -> None:
        """Write a file that the command needs. Raises UnicodeEncodeError for half surrogates."""
        with open(self._path(name), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def open_stdin(self, text: str | None) -> int:
        """Give a descriptor for standard input that gives `text`, or nothing."""
        if text is None:
            return os.open(os.devnull, os.O_RDONLY)
        self.write_file("stdin", text)
        return os.open(self._path("stdin"), os.O_RDONLY)

    def listen(self) -> int:
        """Give a descriptor that hears who adopts this attempt; -1 where none can be made: nobody can."""
        import socket  # noqa: PLC0415 (start-up: only attempts that may be adopted need it)

        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                # the path of a socket may have 107 characters only; that of a descriptor is short
                near = f"/proc/self/fd/{folder}" if os.path.isdir("/proc/self/fd") else self.folder
                listener.bind(os.path.join(near, SOCKET_FILE))
            finally:
                os.close(folder)
            listener.listen()
            return listener.detach()
        return -1

    def kept(self, stream: str) -> bytes:
        """Give what was kept of a stream so far."""
        with contextlib.suppress(OSError), open(self._path(stream), "rb") as file:
            return file.read()
        return b""

    def append(self, stream: str, data: bytes) -> None:
        size = self._sizes.get(stream, 0)
        kept = data[: self._limit_bytes - size]
        self._sizes[stream] = size + len(kept)
        if kept:
            with contextlib.suppress(OSError), open(self._path(stream), "ab") as file:
                file.write(kept)

    def finish(self, report: dict[str, object]) -> None:
        """Write the outcome: there as a whole once this returns, or not at all."""
        partial = self._path(OUTCOME_FILE + ".partial")
        with contextlib.suppress(OSError):
            with open(partial, "w", encoding="utf-8") as file:
                json.dump(report, file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(partial, self._path(OUTCOME_FILE))

    def remove(self) -> None:
        """Remove the folder: nobody will come for it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)
