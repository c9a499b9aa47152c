"""What a container prints, passed on once, however often its log is read again from the beginning.

A log holds both streams as one, so all of it counts as `stdout`. A function tells its outcome in a line of it, after a mark
that only its Secret names; that line is no output.
"""

from __future__ import annotations

import codecs

from interlock.model import supervision
from interlock.pool.launcher import OnOutput


class Output:
    """The output of one attempt. `mark`: what its outcome follows, "" where none is expected.

    `kept` is the beginning of the output, at most `limit_bytes`; `told` what followed the mark.
    """

    def __init__(self, on_output: OnOutput, limit_bytes: int, mark: str) -> None:
        self._on_output = on_output
        self._limit_bytes = limit_bytes
        self._mark = supervision.OUTCOME_MARK + mark.encode() + b":" if mark else b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._read = 0  # of the log so far, by all readings
        self._position = 0  # in the log, of the reading at hand
        self._held = b""
        self.kept = bytearray()
        self.is_over = False
        self.told: bytes | None = None

    def begin(self) -> None:
        """The log is read from its beginning."""
        self._position = 0

    def take(self, data: bytes) -> None:
        """Take the next piece of the log as it is read; what an earlier reading gave already is passed over."""
        start, self._position = self._position, self._position + len(data)
        new = data[max(0, self._read - start) :]
        self._read = max(self._read, self._position)
        if new:
            self._sift(new)

    def finish(self) -> str:
        """Pass on what was held back, and give what was kept, as text."""
        self._sift(b"", at_end=True)
        self._pass_on(self._decoder.decode(b"", final=True))
        return bytes(self.kept).decode("utf-8", "replace")

    def _sift(self, data: bytes, *, at_end: bool = False) -> None:
        """Take the line of the outcome out of the output."""
        if not self._mark:
            self._give(data)
            return
        self._held += data
        while True:
            at = self._held.find(self._mark)
            if at < 0:
                break
            end = self._held.find(b"\n", at)
            self._give(self._held[:at])
            if end < 0:
                self._held = self._held[at:]
                if at_end:
                    self._held = b""  # cut in the middle: no outcome
                return
            self.told = self._held[at + len(self._mark) : end]  # the last one counts: it is printed at the very end
            self._held = self._held[end + 1 :]
        keep = 0 if at_end else self._beginning()
        ready = len(self._held) - keep
        self._give(self._held[:ready])
        self._held = self._held[ready:]

    def _beginning(self) -> int:
        """Give how many bytes at the end of what is held may be the beginning of a mark."""
        for length in range(min(len(self._mark) - 1, len(self._held)), 0, -1):
            if self._held.endswith(self._mark[:length]):
                return length
        return 0

    def _give(self, data: bytes) -> None:
        room = self._limit_bytes - len(self.kept)
        self.kept += data[: max(0, room)]
        self.is_over = self.is_over or len(data) > room
        self._pass_on(self._decoder.decode(data))

    def _pass_on(self, text: str) -> None:
        if text:
            self._on_output("stdout", text)
