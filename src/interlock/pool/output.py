"""What an attempt prints: passed on as text while it comes, and its beginning kept for the result."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping
from typing import Final

from interlock.pool.launcher import OnOutput
from interlock.pool.reports import Streams

STREAMS: Final = ("stdout", "stderr")


class Output:
    """Passes the output of an attempt on as text, and keeps the beginning of each stream for the result."""

    def __init__(self, on_output: OnOutput, limit_bytes: int, heard: Mapping[str, int] | None = None) -> None:
        """`heard`: characters by stream that were passed on before, and are not again."""
        self.passed: Counter[str] = Counter()
        self._heard = heard or {}
        self._on_output = on_output
        self._limit_bytes = limit_bytes
        self._kept = {stream: bytearray() for stream in STREAMS}
        self._over: set[str] = set()
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in STREAMS}

    def take(self, stream: str, data: bytes) -> None:
        kept = self._kept[stream]
        room = self._limit_bytes - len(kept)
        kept += data[:room]
        if len(data) > room:
            self._over.add(stream)
        self._pass_on(stream, self._decoders[stream].decode(data))

    def again(self) -> Output:
        """Give one that hears everything from the beginning, and passes on what this one has not."""
        heard = {stream: max(self.passed[stream], self._heard.get(stream, 0)) for stream in STREAMS}
        return Output(self._on_output, self._limit_bytes, heard)

    def finish(self) -> Streams:
        """Pass on what was cut, and give what was kept."""
        for stream, decoder in self._decoders.items():
            self._pass_on(stream, decoder.decode(b"", final=True))
        stdout, stderr = (bytes(kept).decode("utf-8", "replace") for kept in self._kept.values())
        return Streams(stdout, stderr, tuple(sorted(self._over)), self._limit_bytes)

    def _pass_on(self, stream: str, text: str) -> None:
        new = text[max(0, self._heard.get(stream, 0) - self.passed[stream]) :]
        self.passed[stream] += len(text)
        if new:
            self._on_output(stream, new)
