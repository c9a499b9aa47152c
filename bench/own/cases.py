"""Which function measures which case."""

from __future__ import annotations

from typing import Final

from bench.case import Case
from bench.own import crash, payloads, queues, runs

CASES: Final[dict[str, Case]] = {
    "W1": runs.latency,
    "W2": runs.throughput,
    "W3": runs.sequential,
    "W4": runs.sleepers,
    "W5": runs.branches,
    "W6": queues.queue,
    "W7": payloads.payloads,
    "W8": crash.resumption,
    "W14": queues.scaling,
}
