"""Output that is read again from the beginning is passed on once; a function's outcome is taken out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.pool.kubernetes.output import Output

LINE = b'\x1einterlock:m4rk:{"type":"done"}\n'
TEXT = "é1\n\x1einterlock:other:x\nlast".encode()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


@given(st.lists(st.lists(st.integers(1, 9), max_size=12), min_size=1, max_size=4))
def test_log_is_heard_once_however_it_is_cut_and_read_again(readings: list[list[int]]) -> None:
    heard: list[str] = []
    output = Output(lambda _, text: heard.append(text), 1000, "m4rk")
    log = TEXT[:4] + LINE + TEXT[4:]
    for number, sizes in enumerate(readings):
        output.begin()
        pieces = cut(log, sizes)
        for piece in pieces if number == len(readings) - 1 else pieces[:-1]:  # all but the last break off
            output.take(piece)
    assert output.finish() == "".join(heard) == TEXT.decode()
    assert output.told == b'{"type":"done"}'


def test_the_last_outcome_counts() -> None:
    output = Output(lambda *_: None, 1000, "m4rk")
    output.take(LINE.replace(b"done", b"forged") + LINE)
    assert output.finish() == ""
    assert output.told == b'{"type":"done"}'


def test_outcome_that_is_cut_off_is_none() -> None:
    output = Output(lambda *_: None, 1000, "m4rk")
    output.take(b"a" + LINE[:-1])
    assert output.finish() == "a"
    assert output.told is None


@pytest.mark.parametrize(("size", "is_over"), [(10, False), (11, True)])
def test_result_keeps_the_beginning_and_the_listener_hears_all(size: int, is_over: bool) -> None:
    heard: list[str] = []
    output = Output(lambda _, text: heard.append(text), 10, "")
    output.take(b"x" * size)
    assert output.finish() == "x" * 10
    assert (output.is_over, "".join(heard)) == (is_over, "x" * size)
