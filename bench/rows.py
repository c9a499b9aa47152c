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
        case="W6", figure="enqueue_per_second", title="10,000 runs of a step stored in bulk, without a node", unit="/s",
        is_rate=True, targets=_target(50_000),
    ),
    Row(
        case="W6", figure="enqueue_singly_per_second", title="the same stored by a call each, all at once", unit="/s",
        is_rate=True,
    ),
    Row(
        case="W6", figure="drain_per_second", title="the same done by one worker process", unit="/s", is_rate=True,
        targets=_target(10_000),
    ),
    Row(case="W6", figure="drain_two_per_second", title="the same done by two", unit="/s", is_rate=True),
    Row(
        case="W6", figure="queued_steps_per_second", title="10,000 queued steps of one run, in and out", unit="/s",
        is_rate=True,
    ),
    Row(
        case="W7", figure="mb_per_second", title="10 MB through one step, in and out", unit="MB/s", is_rate=True,
        targets=_target(120),
    ),
    Row(case="W7", figure="chunk_step_ms", title="a step of 10 KB, of 1,000", unit="ms", targets=_target(0.5)),
    Row(
        case="W8", figure="resume_seconds", title="kill -9, then started again: until its next step begins", unit="s",
        targets=_target(0.5),
    ),
    Row(
        case="W8", figure="repeated_steps", title="the same: steps performed twice, of 20", unit="", targets=_target(1)
    ),
    Row(case="W9", figure="import_ms", title="import of Interlock, step, workflow", unit="ms", targets=_target(120)),
    Row(case="W9", figure="import_package_ms", title="`import interlock` alone", unit="ms", targets=_target(120)),
    Row(case="W9", figure="help_ms", title="`interlock --help`, with the interpreter", unit="ms", targets=_target(150)),
    Row(case="W9", figure="rss_mb", title="a node at rest: resident size", unit="MB", targets=_target(50)),
    Row(case="W9", figure="cpu_percent", title="the same: share of a core", unit="%", targets=_target(1)),
    Row(case="W9", figure="queries_per_second", title="the same: statements", unit="/s", targets=_target(2)),
    Row(case="W9", figure="full_rss_mb", title="at rest with 1,000 keys and 10,000 waiting runs", unit="MB"),
    Row(case="W9", figure="full_cpu_percent", title="the same: share of a core", unit="%", targets=_target(1)),
    Row(case="W9", figure="full_queries_per_second", title="the same: statements", unit="/s", targets=_target(2)),
    Row(case="W10", figure="small_us", title="a condition on 1 KB, compiled before", unit="us", targets=_target(10)),
    Row(case="W10", figure="large_us", title="a condition on 100 KB, compiled before", unit="us", targets=_target(10)),
    Row(case="W10", figure="small_uncached_us", title="a condition on 1 KB, compiled each time", unit="us"),
    Row(case="W10", figure="large_uncached_us", title="a condition on 100 KB, compiled each time", unit="us"),
    Row(case="W11", figure="cost_percent", title="W2 with observers, by the clock: cost", unit="%", targets=_target(2)),
    Row(case="W11", figure="cost_cpu_percent", title="the same, by the processor's time", unit="%", targets=_target(2)),
    Row(case="W12", figure="empty_runs_per_second", title="W2 in an empty store", unit="/s", is_rate=True),
    Row(case="W12", figure="grown_1_runs_per_second", title="W2 with 100,000 ended runs", unit="/s", is_rate=True),
    Row(case="W12", figure="grown_2_runs_per_second", title="W2 with 1,000,000 ended runs", unit="/s", is_rate=True),
    Row(case="W12", figure="slowdown_percent", title="the last against the first: slower by", unit="%", targets=_target(10)),
    Row(case="W12", figure="empty_list_p99_ms", title="lists of a dashboard, p99, empty store", unit="ms"),
    Row(case="W12", figure="grown_1_list_p99_ms", title="the same with 100,000 ended runs", unit="ms"),
    Row(
        case="W12", figure="grown_2_list_p99_ms", title="the same with 1,000,000 ended runs", unit="ms", targets=_target(50)
    ),
    Row(case="W12", figure="fan_out_1_us", title="fan-out of 10,000 steps: each", unit="us"),
    Row(case="W12", figure="fan_out_2_us", title="fan-out of 100,000 steps: each", unit="us"),
    Row(case="W12", figure="sleepers_mb", title="100,000 sleeping runs: resident size", unit="MB", targets=_target(300)),
    Row(case="W13", figure="warm_ms", title="start to first line in a process, warm", unit="ms", targets=_target(5)),
    Row(case="W13", figure="cold_ms", title="the same, the first in a node", unit="ms", targets=_target(60)),
    Row(
        case="W13", figure="command_warm_ms", title="a command in the local pool: launch to first line, a supervisor waits",
        unit="ms", targets=_target(5),
    ),
    Row(
        case="W13", figure="command_cold_ms", title="the same, nothing waits", unit="ms", targets=_target(60),
    ),
    Row(case="W13", figure="function_warm_ms", title="a function there, a supervisor waits", unit="ms"),
    Row(case="W13", figure="task_ms", title="a task of a graph: load to first line, in a node at rest", unit="ms"),
    Row(case="W14", figure="nodes_1_per_second", title="W2 stored by a client, one node", unit="/s", is_rate=True),
    Row(case="W14", figure="nodes_2_per_second", title="the same, two nodes", unit="/s", is_rate=True),
    Row(case="W14", figure="nodes_4_per_second", title="the same, four nodes", unit="/s", is_rate=True),
    Row(
        case="W14", figure="nodes_2_times_one", title="two nodes: times as fast as one (1.6 with a core each)", unit="x",
        is_rate=True, targets=_target(1.0),
    ),
    Row(case="W14", figure="nodes_4_times_one", title="four nodes: times as fast as one", unit="x", is_rate=True),
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
    Row(case="W11", figure="cost_percent", name="WF-29", title="cost of monitoring", unit="%", targets=_target(5)),
    Row(
        case="W7", figure="mb_per_second", name="WF-29", title="throughput of data", unit="MB/s", is_rate=True,
        targets=_target(10),
    ),
    Row(
        case="PF-01", figure="enqueue_seconds", title="1,000 tasks enqueued one by one, at once", unit="s", targets=_target(1)
    ),
    Row(case="PF-01", figure="dequeue_seconds", title="1,000 tasks claimed and settled", unit="s", targets=_target(1)),
    Row(
        case="PF-01", figure="schedule_seconds", title="1,000 tasks with dependencies scheduled", unit="s",
        targets=_target(0.5),
    ),
    Row(
        case="PF-01", figure="assignments_per_second", title="assignments", unit="/s", is_rate=True, targets=_target(5)
    ),
    Row(case="PF-01", figure="queued_per_second", title="10,000 tasks queued, in loads of 1,000", unit="/s", is_rate=True),
    Row(
        case="PF-01", figure="growth_exponent", title="growth from 1,000 to 10,000 tasks: exponent (2 is quadratic)",
        unit="", targets=_target(2),
    ),
    Row(
        case="P1", figure="round_ms", title="1,000 of 10,000 queued tasks placed: the round of the dispatcher", unit="ms",
        targets=_target(100),
    ),
    Row(case="P1", figure="cpu_ms", title="the same, by the processor's time of the process", unit="ms"),
    Row(case="P1", figure="read_ms", title="of that: reading pools, lanes and their heads, and planning", unit="ms"),
    Row(case="P1", figure="plan_ms", title="of that: planning, by the processor's time", unit="ms"),
    Row(case="P1", figure="transaction_ms", title="the transaction that places them", unit="ms"),
    *(
        Row(case="P2", figure=f"beside_{number}_us", title=f"a decision, of 100, beside {count} tasks that wait", unit="us")
        for number, count in enumerate(("10", "100", "1,000", "10,000", "100,000"), 1)
    ),
    Row(case="P2", figure="times_first", title="the last against the first (1: flat)", unit="x", targets=_target(1.5)),
    Row(case="P3", figure="pool_ms", title="a container that does nothing, in the Docker pool", unit="ms"),
    Row(case="P3", figure="plain_ms", title="the same by `docker run --rm`", unit="ms"),
    Row(case="P3", figure="overhead_ms", title="the difference", unit="ms", targets=_target(50)),
    Row(
        case="C1", figure="p50_ms", title="a lock that is free, acquired and released, p50", unit="ms",
        targets=_target(None, 1.0, 2.0),
    ),
    Row(case="C1", figure="p99_ms", title="the same, p99", unit="ms"),
    Row(
        case="C2", figure="cpu_percent", title="1,000 workers heard every 30 s: share of a core", unit="%",
        targets=_target(5),
    ),
    Row(case="C2", figure="queries_per_second", title="the same: statements", unit="/s", targets=_target(50)),
    Row(case="C3", figure="p50_ms", title="a value set in one process, seen by a watch in another, p50", unit="ms"),
    Row(case="C3", figure="p99_ms", title="the same, p99", unit="ms"),
    Row(
        case="T1", figure="p50_ms", title="a token completed, until the next step runs, p50", unit="ms",
        targets=_target(None, 3.0, 5.0),
    ),
    Row(case="T1", figure="p99_ms", title="the same, p99", unit="ms"),
    Row(case="T2", figure="p50_ms", title="the same at 500 reports a second, p50", unit="ms"),
    Row(case="T2", figure="p99_ms", title="the same, p99", unit="ms", targets=_target(50)),
    Row(case="T3", figure="start_p50_ms", title="a run started over HTTP, until it is accepted, p50", unit="ms"),
    Row(case="T3", figure="start_p99_ms", title="the same, p99", unit="ms"),
    Row(case="T4", figure="rss_mb", title="100,000 pending tokens: resident size", unit="MB", targets=_target(300)),
    Row(case="T4", figure="cpu_percent", title="the same: share of a core", unit="%"),
    Row(case="T4", figure="queries_per_second", title="the same: statements", unit="/s"),
    Row(case="T4", figure="threads", title="the same: threads", unit=""),
    Row(case="TK-20", figure="p50_ms", title="a run that ends, until its caller has the outcome, p50", unit="ms"),
    Row(case="TK-20", figure="p99_ms", title="the same, p99", unit="ms", targets=_target(100)),
    Row(case="T3", figure="result_p50_ms", title="a run started over HTTP, until its result is there, p50", unit="ms"),
)  # fmt: skip
