"""What a node costs that has nothing to do, and one that has 1,000 queues and 10,000 runs that wait.

PYTHONPATH=src:tests python -m chaos.idle --minutes 20 --store sqlite --store postgresql
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg

import postgres
from chaos import counted, errands, results, storm, works
from chaos.cluster import Node, until
from chaos.vitals import most_per_hour, slope_per_hour, vitals
from chaos.watch import Eyes
from interlock.app.session import Session
from interlock.flow.python.workflow import Workflow
from interlock.store.open import open_store

QUEUES = 1_000
WAITERS = 10_000
MOST_CPU_PERCENT = 1.0
MOST_QUERIES = 2.0
_SETTLING_SECONDS = 40.0  # until those who look every fifteen seconds at rest do
_SAMPLE_SECONDS = 2.0
_AT_ONCE = 200


@dataclass(frozen=True)
class Cost:
    """Of one node over a time in which nothing happened."""

    store: str
    queues: int
    waiters: int
    minutes: float
    cpu_percent: float
    queries_per_second: float
    rss_mb: float
    slope_mb_per_hour: float
    descriptors: int
    threads: int

    @property
    def wrong(self) -> list[str]:
        found = []
        if self.cpu_percent >= MOST_CPU_PERCENT:
            found.append(f"{self.cpu_percent:.2f} % CPU, where less than {MOST_CPU_PERCENT:g} % is allowed")
        if self.queries_per_second >= MOST_QUERIES:
            found.append(f"{self.queries_per_second:.2f} queries/s, where less than {MOST_QUERIES:g} are allowed")
        if self.slope_mb_per_hour > most_per_hour(self.minutes / 60):
            found.append(f"memory grows by {self.slope_mb_per_hour:.1f} MB/h")
        return found

    def __str__(self) -> str:
        return (
            f"{self.store}, {self.queues} queues, {self.waiters} waiters, {self.minutes:g} minutes: {self.cpu_percent:.2f} %"
            f" CPU, {self.queries_per_second:.2f} queries/s, RSS {self.rss_mb:.1f} MB, slope {self.slope_mb_per_hour:+.1f}"
            f" MB/h, {self.descriptors} descriptors, {self.threads} threads"
        )


async def measure(store: str, minutes: float, *, queues: int, waiters: int) -> Cost:
    """Start a node on a new store, give it so much to wait for, and look at it for a while."""
    async with _node(store) as (node, url, folder, queries):
        async with Session.open(works.settings(url)) as app:
            await _fill(app, folder, queues, waiters)
        await until(lambda: _rests(url, queues, waiters), 600)
        await asyncio.sleep(_SETTLING_SECONDS)
        pid, begin = node.process.pid, time.monotonic()
        before, asked = vitals(pid), await queries()
        points = []
        while (left := begin + minutes * 60 - time.monotonic()) > 0:
            await asyncio.sleep(min(_SAMPLE_SECONDS, left))
            points.append((time.monotonic() - begin, vitals(pid).rss_mb))
        seconds, after = time.monotonic() - begin, vitals(pid)
        return Cost(
            store=store,
            queues=queues,
            waiters=waiters,
            minutes=minutes,
            cpu_percent=100 * (after.cpu_seconds - before.cpu_seconds) / seconds,
            queries_per_second=(await queries() - asked) / seconds,
            rss_mb=after.rss_mb,
            slope_mb_per_hour=slope_per_hour(points),
            descriptors=after.descriptors,
            threads=after.threads,
        )


@contextlib.asynccontextmanager
async def _node(store: str) -> AsyncIterator[tuple[Node, str, Path, Callable[[], Any]]]:
    """Give a node, its store, its folder and what tells how many statements it has given the store so far."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-idle-"))
    os.environ["INTERLOCK_KEY"] = storm.KEY
    with contextlib.ExitStack() as stack:
        if store == storm.SQLITE:
            url = f"sqlite:///{folder}/idle.db"
            server = None
        else:
            server = stack.enter_context(postgres.running(postgres.NEWEST, durable=True))
            url = server.url("postgres")
            await (await open_store(url)).close()
        fleet = storm.fleet(
            folder, url, {"STATEMENTS": str(folder / "statements"), "INTERLOCK_ENGINE_MAX_RUNS": "20000"}
        )
        stack.callback(fleet.end)
        fleet.shell.module = "chaos.counted"
        node = await fleet.start("--app", "chaos.errands")

        async def queries() -> int:
            if server is None:
                return counted.read(str(folder / "statements"))
            await _log_statements(url)
            return sum("LOG:  statement: " in line or "LOG:  execute " in line for line in server.log.splitlines())

        yield node, url, folder, queries


async def _log_statements(url: str) -> None:
    """Let the server write down every statement from now on."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def _fill(app: Session, folder: Path, queues: int, waiters: int) -> None:
    wanted: list[tuple[Workflow[Any, Any], int]] = [(errands.queueing, number) for number in range(queues)]
    for number in range(waiters):
        wanted.append((errands.sleeping if number % 2 else errands.waiting, number // 2))
    for at in range(0, len(wanted), _AT_ONCE):
        starts = [
            app.start_program(work, {"number": number}, id=f"{work.name}-{number}", folder=folder, detach=True)
            for work, number in wanted[at : at + _AT_ONCE]
        ]
        await asyncio.gather(*starts)


async def _rests(url: str, queues: int, waiters: int) -> bool:
    ((ended,), (waits,)) = await Eyes(url).ask(
        "SELECT count(*) FROM runs WHERE ended_at IS NOT NULL",
        "SELECT count(*) FROM runs WHERE status = 'waiting'",
    )
    return bool(ended[0] == queues and waits[0] == waiters)


async def _main(arguments: argparse.Namespace) -> int:
    """Measure side by side: each node is a process, and what it costs is counted for it alone."""
    failed = False
    costs = await asyncio.gather(
        *(
            measure(store, arguments.minutes, queues=queues, waiters=waiters)
            for store in arguments.store or [storm.SQLITE, storm.POSTGRESQL]
            for queues, waiters in ((0, 0), (QUEUES, WAITERS))
        )
    )
    for cost in costs:
        print(cost, flush=True)
        for line in cost.wrong:
            print(f"  wrong: {line}", flush=True)
        failed = failed or bool(cost.wrong)
        if arguments.record:
            results.record("idle", f"{cost.store}, {cost.waiters} waiters", asdict(cost))
    return int(failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="measure what a node costs that has nothing to do")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--store", action="append", choices=[storm.SQLITE, storm.POSTGRESQL], help="both by default")
    parser.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/reliability.md")
    sys.exit(asyncio.run(_main(parser.parse_args())))
