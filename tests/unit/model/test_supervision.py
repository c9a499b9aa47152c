"""Frames between a supervisor and its node."""

from __future__ import annotations

from interlock.model import supervision


def test_frame_says_its_kind_and_length() -> None:
    frame = supervision.frame(supervision.STDERR, b"x" * 300)
    head, payload = frame[: supervision.HEADER_BYTES], frame[supervision.HEADER_BYTES :]
    assert supervision.header(head) == (supervision.STDERR, len(payload))
