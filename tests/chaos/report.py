"""Writes `docs/explanation/reliability.md` from what the runs of chaos, soak and rest have left in the JSON file beside it.

PYTHONPATH=src:tests python -m chaos.report
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaos import results

PAGE = results.FILE.with_suffix(".md")
SIMULATION = results.FILE.with_name("simulation.json")

_INTRODUCTION = """# Reliability: what was done to it, and what came of it

<!-- Made by `make reliability` from reliability.json, which the runs below write. -->

Every figure here is of a run that anybody can repeat; the commands stand below the tables. The effects of the runs keep a
ledger of their own, a file that is only appended to and flushed at every line, which no store, node or test writes for them.
After a storm the store and the ledger are compared:

- nothing that was accepted is lost, and every run has ended as it must, with the one output that is right for it;
- no step is recorded twice, and none that was finished was begun again;
- no commit of a run was made under an older epoch than the one before, and every history folds to what is stored;
- two who report to one token at once: one is accepted, and its answer is what the run goes on with;
- what is undone is what was done, the last first, by the ledger;
- no limit ever has more leases than it allows (looked at in the store several times a second, and in the ledger), and no run
  is left without a node;
- in the end there is no lease, no inbox row, no open task, token, subscription or scope left.

Two things may happen and are counted. A step that is in flight when its process dies is *performed again*: effects are at
least once, results exactly once. And a node that was stopped for longer than its lease may begin, in the moment in which it
wakes, a step that others have finished meanwhile; its result is refused.
"""

_STORMS = """## Storms

Three nodes, and at random moments: SIGKILL of a node (once in twenty of all of them), SIGSTOP and SIGCONT for less and for
longer than a lease, SIGKILL of runners and their supervisors, `pg_ctl stop -m immediate`, connections that are cut, also
after the server has done what was asked and before its reply. The work: YAML with every kind of step, child runs, events,
commands; Python workflows with steps in the node, in other processes and under limits, tokens, sleeps and undos.
"""

_FOUND = """## What storms, soaks and jumping clocks have found

- One step of 21,665 was begun by a node after another one had finished it, though its lease was beyond doubt when the step was
  asked for: it had waited, for its module or for a thread, for longer than the two seconds by which a node stops early. The node
  asks again now, as the last thing before the function is called.
- A node that was given up for dead claimed the runs that were taken from it before its next beat told it. What it had of them in
  memory was forgotten half done, and later it forgot the run itself.
- A node on PostgreSQL grew by 26 to 35 MB an hour with the same objects in it: what glibc keeps between those. It is asked once a
  minute to give that back.
- Memory of a node that gets 800 runs at once, since its client had stood still for 40 s, stays 9 MB higher for as long as was
  looked, and does not grow from there: the soak judges what is between such moments.
- Removal of ended runs on PostgreSQL went run by run, and fell behind 20 runs a second: 6,106 were kept where 3,200 may be.
- A soak on PostgreSQL beside other work kept 5,117 runs where 3,200 may be, and laid it to removal. Its own figures say that the
  node was behind for 6.6 of the 14 minutes that were judged, at one end of them, which nothing told. Runs that have not ended are
  not removed. Repeated beside sixteen processes that only count: behind for six minutes, 5,736 kept, while removal left none for
  longer than 95 s. A step through a queue is 21 statements after each other on PostgreSQL, each of which waits for the processor
  twice; without those processes a node with 3,500 runs too many is done with them within 50 s. The soak tells the two
  apart now: it judges removal by how long the run stayed that stayed longest, always, and how many are kept while they end at the
  pace at which they begin.
- Two of 10,000 simulated worlds did not come to rest: a run that faulted while it was suspended, and was then retried, stayed
  suspended for good, since nobody resumes what has faulted. A retry lets it go on now.
- Runs were open 90 s after the clock of a node had jumped an hour ahead and back: their waits had begun meanwhile, and a wait is
  kept as the moment at which it is over. They end when a clock comes to that moment; [Stores](stores.md#time) says so now, and the
  test puts the clock forward again.
- Not explained: a storm on SQLite that shared two cores with three test suites (load 15 to 20) left thirty runs without a live node
  for 45 to 60 s, where 15 are promised. Nothing was lost. Repeated at a load of 10, it did not.
"""

_EXHAUSTION = """## What runs out

`tests/chaos/test_exhaustion.py` takes from a node at work, on both stores: every file descriptor, its memory (`RLIMIT_AS`), the
disk (a small file system that is filled up), and on PostgreSQL every connection. The node says so, is not ready, claims
nothing, keeps what it has in flight, neither spins nor floods its log, and goes on when there is enough again; a start that is
refused has exit code 4 and leaves nothing behind. [Keep nodes running](../howto/nodes.md#when-something-runs-out) tells what
it says. `tests/chaos/test_clock.py` lets the clock of a node jump an hour forwards and back.
"""

_SOAK = """## Soak

One node under a steady load (20 runs a second, each with a wait and a queue), with everything that ended removed after a
minute. Memory counts as flat when its slope, by least squares after the first 30 % of the time, is at most 1 MB/h and 6 MB
over the time measured. Descriptors, threads and what is kept may not grow, and the numbers that the store hands out may not
fall.
"""

_COORDINATION = """## Locks and shared memory

Fifty processes fight for one lock until it was had a thousand times; what each does under it goes into a file that no store
knows of, where the numbers of the grants have to grow and nobody may be beside another one. And four processes call as fast as
they can while one is killed, one is stopped for longer than a lock lasts, connections are cut, replies are lost and the server
is out of reach: every history of calls about a lock or a cell must have an order that explains each answer (linearizability; the
search is that of Wing and Gong with the memory of Lowe). A call without an answer may have been done or not.
"""

_REST = """## At rest

One node with nothing to do, and one with 1,000 queues and 10,000 runs that wait for a time, an event or a token. Queries are
statements that the store is given, without `BEGIN`, `COMMIT` and `PRAGMA data_version` on SQLite, and all of them on PostgreSQL.
Behind a pooler in transaction mode changes are looked for four times a second, and cost what that costs.
"""

_REPEAT = """## Repeat it

```text
make storm                 two short storms, and what runs out: minutes
make storm FULL=1          the storms above: about an hour
make chaos                 all of tests/chaos: also takeover, crashes of the server, clocks, schema changes under load
make soak SOAK_MINUTES=20  24 hours without SOAK_MINUTES; 20 minutes are part of continuous integration
make idle                  20 minutes: both stores, with and without waiters, side by side
python -m chaos.coordination  what is said of locks and shared memory, with PYTHONPATH=src:tests: ten minutes
make reliability           this page, from what the full ones have left in reliability.json (`--record`)
```

Not tested: several machines, a network that loses packets, a disk that lies about what it has written.
"""


def page() -> str:
    """Give the page as the results are now."""
    kept = results.read()
    parts = [
        _INTRODUCTION,
        _STORMS,
        _table("storms", kept, _STORM_ROWS),
        _FOUND,
        _simulation(),
        _EXHAUSTION,
        _SOAK,
        _table("soaks", kept, _SOAK_ROWS),
        _COORDINATION,
        _table("coordination", kept, _COORDINATION_ROWS),
        _REST,
        _table("idle", kept, _REST_ROWS),
        _REPEAT,
    ]
    return "\n".join(part for part in parts if part)


Row = tuple[str, Callable[[Mapping[str, Any]], object]]


def _of(name: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda figures: figures.get(name, "")


def _dealt(name: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda figures: figures["dealt"].get(name, 0)


_STORM_ROWS: Sequence[Row] = (
    ("seed", _of("seed")),
    ("runs, with children", _of("runs")),
    ("nodes killed", _dealt("nodes killed")),
    ("database stopped", _dealt("database stops")),
    ("nodes stopped longer than a lease", _dealt("nodes stopped longer than a lease")),
    ("nodes stopped briefly", _dealt("nodes stopped briefly")),
    ("runners killed", _dealt("runners killed")),
    ("replies lost after the server had done its work", _dealt("replies lost")),
    ("all connections cut", _dealt("all connections cut")),
    ("seconds", _of("seconds")),
    ("commits", _of("commits")),
    ("claims of runs", _of("claims")),
    ("tokens, each reported to by two at once", _of("tokens")),
    ("steps performed", _of("steps")),
    ("of them more than once, in flight when something broke", _of("repeated")),
    ("of them begun by a node that had just been stopped", _of("excused")),
    ("looks at the store meanwhile", _of("looks")),
    ("lines in logs that must not be", _of("told")),
    ("**violations**", lambda figures: f"**{figures['wrong']}**"),
)
_SOAK_ROWS: Sequence[Row] = (
    ("minutes", _of("minutes")),
    ("runs", _of("runs")),
    ("RSS, MB", _of("rss_mb")),
    ("slope, MB/h", _of("slope_mb_per_hour")),
    ("allowed, MB/h", _of("allowed_mb_per_hour")),
    ("descriptors, threads", lambda figures: f"{figures['descriptors']}, {figures['threads']}"),
    ("most runs kept at once", _of("runs_kept")),
    ("store, log, MB", lambda figures: f"{figures['store_mb']}, {figures['wal_mb']}"),
    ("lag of the loop, ms: median, 99 %", lambda figures: f"{figures['lag_ms_median']}, {figures['lag_ms_99']}"),
    ("CPU of the node, %", _of("cpu_percent")),
    ("**violations**", lambda figures: f"**{figures['wrong']}**"),
)
_REST_ROWS: Sequence[Row] = (
    ("minutes", _of("minutes")),
    ("queues, waiters", lambda figures: f"{figures['queues']:,}, {figures['waiters']:,}"),
    ("CPU, % (less than 1)", lambda figures: f"{figures['cpu_percent']:.2f}"),
    ("queries a second (less than 2)", lambda figures: f"{figures['queries_per_second']:.2f}"),
    ("RSS, MB", lambda figures: f"{figures['rss_mb']:.1f}"),
    ("slope, MB/h", lambda figures: f"{figures['slope_mb_per_hour']:+.1f}"),
)


def _within(part: str, name: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda figures: figures[part][name]


def _broken(part: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda figures: ", ".join(f"{count} {kind}" for kind, count in figures[part]["troubles"].items() if count)


_COORDINATION_ROWS: Sequence[Row] = (
    (
        "grants to 50 processes, in seconds",
        lambda figures: f"{figures['fight']['grants']:,} in {figures['fight']['seconds']}",
    ),
    ("each process had it", lambda figures: f"{figures['fight']['fewest']} to {figures['fight']['most']} times"),
    ("longest wait of one process, seconds", _within("fight", "longest_wait_seconds")),
    *(
        row
        for part in ("locks", "cells")
        for row in (
            (f"histories of {part}", _within(part, "histories")),
            ("their calls", _within(part, "calls")),
            ("calls without an answer", _within(part, "unanswered")),
            ("what went wrong meanwhile", _broken(part)),
            ("**histories without an explanation**", lambda figures, part=part: f"**{figures[part]['wrong']}**"),
        )
    ),
)


def _table(section: str, kept: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Give a table with one column per run, and where and when these were made."""
    runs: Mapping[str, Mapping[str, Any]] = kept.get(section, {})
    if not runs:
        return "No run is recorded yet.\n"
    lines = [["", *runs], ["---", *["---:"] * len(runs)]]
    lines += [[title, *(_text(value(figures)) for figures in runs.values())] for title, value in rows]
    made = sorted({f"{figures['at']}, {figures['machine']}" for figures in runs.values()})
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    remarks = "".join(f" {name}: {figures['remark']}" for name, figures in runs.items() if figures.get("remark"))
    return f"{table}\n\nMade on {'; '.join(made)}.{remarks}\n"


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _simulation() -> str:
    """Give what the simulation came to, where it has left its figures."""
    if not SIMULATION.exists():
        return ""
    figures: dict[str, Any] = json.loads(SIMULATION.read_text("utf-8"))
    lines = ["| | |", "| --- | ---: |"]
    lines += [
        f"| {name.replace('_', ' ')} | {_text(value)} |"
        for name, value in figures.items()
        if isinstance(value, int | str)
    ]
    return (
        "## Simulation\n\nWhole clusters in one process on a virtual clock, from a seed;"
        " [Simulation](simulation.md) tells how.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
