"""W10: what evaluating a condition costs, on data that is decoded already."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench.case import Figures, Given
from interlock.expr import jq

CONDITION: Final = '.order.total > 100 and .order.status == "open" and (.customer.tags | length) > 1'


def data(size: int) -> dict[str, Any]:
    """Give data of about `size` bytes of JSON for which the condition holds."""
    value: dict[str, Any] = {
        "order": {"total": 250, "status": "open"},
        "customer": {"name": "Eve", "tags": ["new", "loyal"]},
        "items": [],
    }
    while len(msgspec.json.encode(value)) < size:
        value["items"] += [{"number": len(value["items"]), "name": "tea", "price": 9.5} for _ in range(1 + size // 100)]
    return value


async def conditions(given: Given) -> Figures:
    """W10: microseconds of a condition, compiled already and not."""
    if not given.url.startswith("sqlite"):
        raise NotImplementedError("no store takes part; it is measured with SQLite")
    figures: Figures = {}
    for name, size in (("small", 1_000), ("large", 100_000)):
        value = data(size)
        repeats = given.sizes.evaluations
        assert jq.compile(CONDITION).evaluate_inline(value, {}) is True
        figures[f"{name}_us"] = _microseconds(jq.compile, value, repeats)
        figures[f"{name}_uncached_us"] = _microseconds(jq.compile.__wrapped__, value, max(1, repeats // 20))
    return figures


def _microseconds(compile: Callable[[str], jq.Expression], value: dict[str, Any], repeats: int) -> float:
    """Give what one compilation, or the look-up of one, and its evaluation take."""
    begin = time.perf_counter()
    for _ in range(repeats):
        compile(CONDITION).evaluate_inline(value, {})
    return (time.perf_counter() - begin) / repeats * 1e6
