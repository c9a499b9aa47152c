"""Which function measures which case."""

from __future__ import annotations

from typing import Final

from bench.case import Case
from bench.own import (
    conditions,
    containers,
    crash,
    fleet,
    floors,
    growth,
    handshake,
    local,
    monitoring,
    payloads,
    pending,
    placing,
    queues,
    rest,
    runs,
)

CASES: Final[dict[str, Case]] = {
    "W1": runs.latency,
    "W2": runs.throughput,
    "W3": runs.sequential,
    "W4": runs.sleepers,
    "W5": runs.branches,
    "W6": queues.queue,
    "W7": payloads.payloads,
    "W8": crash.resumption,
    "W9": rest.at_rest,
    "W10": conditions.conditions,
    "W11": monitoring.monitoring,
    "W12": growth.growth,
    "W13": local.local,
    "PF-01": floors.floors,
    "W14": queues.scaling,
    "P1": placing.placing,
    "P2": placing.beside,
    "P3": containers.containers,
    "C1": fleet.lock,
    "C2": fleet.heartbeats,
    "C3": fleet.watching,
    "T1": handshake.completion,
    "T2": handshake.completions,
    "T3": handshake.over_http,
    "T4": pending.pending,
    "TK-20": handshake.told,
}
