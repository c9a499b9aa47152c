"""The rows of the table: what each figure means, which way is better, and the target it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.products import Kind

_BOTH: Final = (Kind.SQLITE, Kind.POSTGRESQL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    case: str
    figure: str
    """Its name among the figures of the case."""
    title: str
    unit: str
    is_rate: bool = False
    """More is better; of everything else less is."""
    targets: Mapping[Kind, float] = field(default_factory=dict)
    name: str = ""
    """What the table calls it, where that is not its case."""


def _target(
    both: float | None = None, sqlite: float | None = None, postgresql: float | None = None
) -> dict[Kind, float]:
    given = {Kind.SQLITE: sqlite if both is None else both, Kind.POSTGRESQL: postgresql if both is None else both}
    return {kind: value for kind, value in given.items() if value is not None}


ROWS: Final = (
    Row(case="W1", figure="p50_ms", title="latency of a 1-step workflow, p50", unit="ms", targets=_target(None, 1.0, 1.2)),
    Row(case="W1", figure="p95_ms", title="the same, p95", unit="ms"),
    Row(case="W1", figure="p99_ms", title="the same, p99", unit="ms", targets=_target(2.5)),
    Row(
        case="W2", figure="runs_per_second", title="1-step workflows, all submitted at once, results kept", unit="/s",
        is_rate=True, targets=_target(4_500),
    ),
    Row(
        case="W2", figure="bulk_runs_per_second", title="the same, started in bulk", unit="/s", is_rate=True,
        targets=_target(4_500),
    ),
    Row(case="W3", figure="short_step_ms", title="a step of a 10-step workflow", unit="ms"),
    Row(
        case="W3", figure="long_step_ms", title="a step of a 100-step workflow", unit="ms",
        targets=_target(None, 0.30, 0.50),
    ),
    Row(
        case="W4", figure="wall_seconds", title="1,000 runs of step, durable sleep 1 s, step: until all have ended",
        unit="s", targets=_target(1.30),
    ),
    Row(case="W4", figure="peak_mb", title="the same: peak resident size", unit="MB", targets=_target(80)),
    Row(case="W4", figure="failures", title="the same: failures", unit="", targets=_target(0)),
    Row(
        case="W5", figure="wall_seconds", title="20 branches of a step of 0.1 s, joined", unit="s", targets=_target(0.115)
    ),
    Row(
        case="W1", figure="mean_ms", name="WF-29", title="mean overhead of a workflow", unit="ms", targets=_target(50)
    ),
    Row(
        case="W4", figure="failures", name="WF-29", title="1,000 runs at once: failures", unit="", targets=_target(0)
    ),
    Row(
        case="W5", figure="times_sequential", name="WF-29", title="20 branches: times as fast as one after the other",
        unit="x", is_rate=True, targets=_target(10),
    ),
)  # fmt: skip
