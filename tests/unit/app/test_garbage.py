import gc
from collections.abc import Iterator

import pytest

from interlock.app import garbage


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_python_looks_less_often_while_a_node_runs() -> None:
    put_back = garbage.relaxed(50_000)
    assert gc.get_threshold() == (50_000, 10, 10)
    put_back()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [0, 60_000])
def test_program_that_looks_less_often_or_never_keeps_to_that(own: int) -> None:
    gc.set_threshold(own, 10, 10)
    put_back = garbage.relaxed(50_000)
    assert gc.get_threshold() == (own, 10, 10)
    put_back()
    assert gc.get_threshold() == (own, 10, 10)


def test_zero_changes_nothing() -> None:
    garbage.relaxed(0)
    assert gc.get_threshold() == (700, 10, 10)


def test_what_the_program_set_meanwhile_stays() -> None:
    put_back = garbage.relaxed(50_000)
    gc.set_threshold(1_000, 10, 10)
    put_back()
    assert gc.get_threshold() == (1_000, 10, 10)
