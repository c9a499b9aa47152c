"""The C implementation of jq, by its Python binding: what a condition costs there. It takes no part in the other cases."""

from __future__ import annotations

import time
from typing import Any

import jq

from bench.case import Figures, Given
from bench.own.conditions import CONDITION, data


async def conditions(given: Given) -> Figures:
    figures: Figures = {}
    for name, size in (("small", 1_000), ("large", 100_000)):
        value = data(size)
        program = jq.compile(CONDITION)
        assert program.input_value(value).first() is True
        repeats = max(1, given.sizes.evaluations // (1 if name == "small" else 50))
        figures[f"{name}_us"] = _microseconds(program, value, repeats)
    return figures


def _microseconds(program: Any, value: dict[str, Any], repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        program.input_value(value).first()
    return (time.perf_counter() - begin) / repeats * 1e6


CASES = {"W10": conditions}
