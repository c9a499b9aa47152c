"""A node at work for a long time: what it holds does not grow, and what it counts does not fall.

SOAK_MINUTES=20 PYTHONPATH=src:tests python -m chaos.soak       24 hours without SOAK_MINUTES, on both stores at once
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import postgres
from chaos import errands, results, storm, works
from chaos.cluster import Node
from chaos.vitals import Vitals, lost_share, most_per_hour, slope_per_hour, ticks, vitals
from chaos.watch import Eyes
from interlock import errors
from interlock.app import retention
from interlock.app.retention import Rules, Wanted
from interlock.app.session import Session
from interlock.store.open import open_store

DAY_MINUTES = 24 * 60.0
PER_SECOND = 20.0
KEPT_SECONDS = 60.0
_PRUNE_SECONDS = 20.0
_SAMPLE_SECONDS = 5.0
_WARM_UP = 0.3  # of the time: caches fill, and the allocator gets what it keeps
_MOST_DESCRIPTORS = 8  # that come and go
_GAP_SECONDS = 3 * _SAMPLE_SECONDS  # between samples: whoever loads the node was held up
_BACKLOG_SECONDS = 5.0  # of load that is not done yet: the node was
_STAY_SECONDS = 2.0 * (KEPT_SECONDS + _PRUNE_SECONDS)  # of a run that has ended: what is kept, and as long again
_LARGEST_WAL_BYTES = 64 * 2**20

_COUNTS = {
    storm.SQLITE: "SELECT name, seq FROM sqlite_sequence",
    storm.POSTGRESQL: "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences",
}
"""The numbers that a store hands out: of rows in inboxes, events, logs, the audit."""
_SIZES = (
    "SELECT count(*) FROM runs",
    "SELECT count(*) FROM runs WHERE ended_at IS NULL",
    "SELECT count(*) FROM history",
    "SELECT count(*) FROM tasks",
    "SELECT count(*) FROM leases",
    "SELECT min(ended_at) FROM runs WHERE ended_at IS NOT NULL",
)


@dataclass(frozen=True)
class Sample:
    at: float
    node: Vitals
    counts: Mapping[str, int]
    runs: int
    open: int
    history: int
    tasks: int
    leases: int
    bytes: int
    wal_bytes: int
    stayed_seconds: float
    """How long ago the run ended that has been there for the longest since its end; 0: none has ended."""

    @property
    def ended(self) -> int:
        return self.runs - self.open

    @property
    def is_behind(self) -> bool:
        """Say whether the node had more to do than it may leave undone."""
        return self.open > PER_SECOND * _BACKLOG_SECONDS


@dataclass(frozen=True)
class Removal:
    """One look for what is to be removed. `runs`: how many were; None: it failed, or had not come to its end."""

    seconds: float
    runs: int | None


@dataclass
class Soaked:
    store: str
    minutes: float
    samples: list[Sample] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    """How much later than it should the node's loop came back, in seconds."""
    removals: list[Removal] = field(default_factory=list)
    started: int = 0
    lost: float = 0.0
    """The share of the processors' time that the machine's host gave to others."""
    wrong: list[str] = field(default_factory=list)

    @property
    def warm(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= self.samples[-1].at * _WARM_UP]

    @property
    def steady(self) -> list[list[Sample]]:
        """Give the stretches of warm samples between which nothing was held up.

        What waits while client or node is held up comes at once afterwards, and leaves the memory at another level: measured,
        a client that stood still for 40 s left 9 MB, which then stayed for as long as was looked. What leaks grows between.
        """
        found: list[list[Sample]] = [[]]
        for sample in self.warm:
            if found[-1] and sample.at - found[-1][-1].at > _GAP_SECONDS:
                found.append([])
            if not sample.is_behind:
                found[-1].append(sample)
        return [stretch for stretch in found if len(stretch) > 1]

    @property
    def held_up(self) -> int:
        """How often client or node was held up while it was warm: also before anything was steady, and up to the end."""
        count, was_behind = 0, False
        for at, sample in zip([self.warm[0].at, *(sample.at for sample in self.warm)], self.warm, strict=False):
            is_late = sample.at - at > _GAP_SECONDS
            count += (sample.is_behind or is_late) and not was_behind
            was_behind = sample.is_behind
        return count

    @property
    def behind_seconds(self) -> float:
        """For how long the node was behind, warm or not."""
        pairs = zip(self.samples, self.samples[1:], strict=False)
        return sum(now.at - before.at for before, now in pairs if now.is_behind)

    @property
    def slope(self) -> float:
        return slope_per_hour(*([(sample.at, sample.node.rss_mb) for sample in stretch] for stretch in self.steady))

    @property
    def most(self) -> float:
        """The growth in MB/h that is allowed to what was steady, all together."""
        return most_per_hour(sum(stretch[-1].at - stretch[0].at for stretch in self.steady) / 3600)

    def judge(self) -> None:
        """Find what must not be: memory, descriptors, threads and histories that grow, counts that fall. OB-02"""
        if sum(map(len, self.steady)) < len(self.warm) / 2:
            self.wrong.append(
                f"in half of the time client or node was held up: {len(self.steady)} stretches were steady"
            )
        elif self.slope > self.most:
            self.wrong.append(f"memory grows by {self.slope:.1f} MB/h, where {self.most:.1f} are allowed")
        for name in ("descriptors", "threads"):
            before = statistics.median(getattr(sample.node, name) for sample in self.warm[: len(self.warm) // 3 or 1])
            after = statistics.median(getattr(sample.node, name) for sample in self.warm[-(len(self.warm) // 3 or 1) :])
            if after - before > _MOST_DESCRIPTORS:
                self.wrong.append(f"{name} grow from {before:g} to {after:g}")
        for one, other in zip(self.samples, self.samples[1:], strict=False):
            fallen = [name for name, count in one.counts.items() if other.counts.get(name, 0) < count]
            self.wrong += [f"the count {name} fell after {other.at:.0f} s" for name in fallen]
        usual = statistics.median([removal.seconds for removal in self.removals] or [0.0])
        if usual > _PRUNE_SECONDS:
            self.wrong.append(f"a removal takes {usual:.0f} s, and one is begun {_PRUNE_SECONDS:g} s after the other")
        if self.stayed_seconds > _STAY_SECONDS:
            self.wrong.append(
                f"a run was still there {self.stayed_seconds:.0f} s after its end: removal does not keep up"
            )
        bound, judged = PER_SECOND * _STAY_SECONDS, self._at_their_pace
        if judged and (most := max(judged, key=lambda sample: sample.runs)).runs > bound:
            self.wrong.append(f"{most.runs} runs are kept, where {bound:g} may be: {self._why_kept(most)}")
        if (wal := max(sample.wal_bytes for sample in self.samples)) > _LARGEST_WAL_BYTES:
            self.wrong.append(f"the log grew to {wal / 2**20:.0f} MB")

    @property
    def _at_their_pace(self) -> list[Sample]:
        """The samples at which runs have ended at the pace at which they began, for as long as they may stay. Those of a node
        that was behind end all at once: they are many for as long, and removal answers for how long alone."""
        found, behind_at = [], -math.inf
        for sample in self.samples:
            behind_at = sample.at if sample.is_behind else behind_at
            if sample.at - behind_at > _STAY_SECONDS:
                found.append(sample)
        return found

    def _why_kept(self, most: Sample) -> str:
        return (
            f"histories are not bounded; {most.open} of them had not ended; the node was behind for {self.behind_seconds:.0f} s, "
            f"by up to {self._most_open} runs; none stayed for longer than {self.stayed_seconds:.0f} s after its end; "
            f"{self._removed} were removed in {len(self.removals)} rounds, the slowest of which took {self._slowest:.0f} s, and "
            f"{self._unfinished} came to no end"
        )

    @property
    def stayed_seconds(self) -> float:
        """The longest that a run was there after its end."""
        return max(sample.stayed_seconds for sample in self.samples)

    @property
    def _unfinished(self) -> int:
        return sum(removal.runs is None for removal in self.removals)

    @property
    def _most_open(self) -> int:
        return max(sample.open for sample in self.samples)

    @property
    def _removed(self) -> int:
        return sum(removal.runs or 0 for removal in self.removals)

    @property
    def _slowest(self) -> float:
        return max((removal.seconds for removal in self.removals), default=0.0)

    @property
    def figures(self) -> dict[str, object]:
        last, lags = self.samples[-1], sorted(self.lags) or [0.0]
        return {
            "store": self.store,
            "minutes": round(self.minutes, 1),
            "runs": self.started,
            "rss_mb": round(last.node.rss_mb, 1),
            "slope_mb_per_hour": round(self.slope, 2),
            "allowed_mb_per_hour": round(self.most, 2) if self.steady else None,
            "held_up": self.held_up,
            "behind_seconds": round(self.behind_seconds),
            "open_most": self._most_open,
            "descriptors": last.node.descriptors,
            "threads": last.node.threads,
            "runs_kept": max(sample.runs for sample in self.samples),
            "ended_most": max(sample.ended for sample in self.samples),
            "stayed_seconds": round(self.stayed_seconds, 1),
            "runs_removed": self._removed,
            "removals": len(self.removals),
            "removals_unfinished": self._unfinished,
            "removal_seconds_most": round(self._slowest, 1),
            "store_mb": round(last.bytes / 2**20, 1),
            "wal_mb": round(max(sample.wal_bytes for sample in self.samples) / 2**20, 1),
            "lag_ms_median": round(1000 * statistics.median(lags), 1),
            "lag_ms_99": round(1000 * lags[int(len(lags) * 0.99)], 1),
            "cpu_percent": round(100 * last.node.cpu_seconds / last.at, 1),
            "lost_percent": round(100 * self.lost, 1),
            "wrong": len(self.wrong),
        }

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.figures.items())


class Soak:
    """One node on one store, and the client that keeps it busy."""

    def __init__(self, store: str, minutes: float, node: Node, url: str, folder: Path) -> None:
        self._node = node
        self._url = url
        self._folder = folder
        self._eyes = Eyes(url)
        self._seconds = minutes * 60
        self.soaked = Soaked(store, minutes)

    async def run(self) -> Soaked:
        before = ticks()
        async with Session.open(works.settings(self._url)) as app, asyncio.TaskGroup() as group:
            others = [group.create_task(each) for each in (self._prune(app), self._sample(), self._measure_lag(app))]
            await self._start(app)
            for task in others:
                task.cancel()
        self.soaked.lost = lost_share(before, ticks())
        self.soaked.judge()
        if self._node.process.poll() is not None:
            self.soaked.wrong.append(f"the node ended with {self._node.process.returncode}")
        return self.soaked

    async def _start(self, app: Session) -> None:
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < self._seconds:
            while self.soaked.started < passed * PER_SECOND:
                number = self.soaked.started
                try:
                    await app.start_program(
                        errands.pacing, {"number": number}, id=f"pace-{number}", folder=self._folder, detach=True
                    )  # fmt: skip
                except errors.StoreUnavailable as error:  # nothing disturbs it, so this must not be
                    self.soaked.wrong.append(str(error))
                self.soaked.started += 1
            await asyncio.sleep(1 / PER_SECOND)

    async def _prune(self, app: Session) -> None:
        """Let nothing that has ended stay for longer; a node would look every hour only."""
        while True:
            await asyncio.sleep(_PRUNE_SECONDS)
            began = time.monotonic()
            removed = None
            try:
                removed = await retention.prune(app.store, Rules(keep=KEPT_SECONDS), app.clock, Wanted())
            except errors.StoreUnavailable as error:  # nothing disturbs it, so this must not be
                self.soaked.wrong.append(f"a removal failed: {error}")
            finally:
                self.soaked.removals.append(Removal(time.monotonic() - began, removed))

    async def _measure_lag(self, app: Session) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            id = f"pace-{max(0, self.soaked.started - int(5 * PER_SECOND))}"  # begun five seconds ago, so it has ended
            with contextlib.suppress(errors.NotFound):
                lag = await works.output(app, id)
                if isinstance(lag, float):
                    self.soaked.lags.append(lag)

    async def _sample(self) -> None:
        begin = time.monotonic()
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            asked_at = time.time()
            counts, *sizes = await self._eyes.ask(_COUNTS[self.soaked.store], *_SIZES)
            runs, open_, history, tasks, leases, ended_at = (rows[0][0] for rows in sizes)
            bytes_, wal = await self._stored()
            self.soaked.samples.append(
                Sample(
                    at=time.monotonic() - begin,
                    node=vitals(self._node.process.pid),
                    counts=dict(counts),
                    runs=runs,
                    open=open_,
                    history=history,
                    tasks=tasks,
                    leases=leases,
                    bytes=bytes_,
                    wal_bytes=wal,
                    stayed_seconds=0.0 if ended_at is None else asked_at - ended_at,
                )
            )

    async def _stored(self) -> tuple[int, int]:
        """Give the size of the store, and of its log where it is a file of its own."""
        if self.soaked.store == storm.SQLITE:
            path = Path(self._url.removeprefix("sqlite:///"))
            wal = path.with_name(path.name + "-wal")
            return path.stat().st_size, wal.stat().st_size if wal.exists() else 0
        ((rows),) = await self._eyes.ask("SELECT pg_database_size(current_database())")
        return int(rows[0][0]), 0


async def soak(store: str, minutes: float) -> Soaked:
    os.environ["INTERLOCK_KEY"] = storm.KEY
    with tempfile.TemporaryDirectory(prefix="interlock-soak-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        if store == storm.SQLITE:
            url = f"sqlite:///{folder}/soak.db"
        else:
            url = stack.enter_context(postgres.running(postgres.NEWEST, durable=True)).url("postgres")
            await (await open_store(url)).close()
        fleet = storm.fleet(folder, url)
        stack.callback(fleet.end)
        node = await fleet.start("--app", "chaos.errands")
        soaked = await Soak(store, minutes, node, url, folder).run()
        soaked.wrong += fleet.troubles()[:20]
        return soaked


async def _main(arguments: argparse.Namespace) -> int:
    stores = arguments.store or [storm.SQLITE, storm.POSTGRESQL]
    found = await asyncio.gather(*[soak(store, arguments.minutes) for store in stores])
    for soaked in found:
        print(soaked, flush=True)
        for line in soaked.wrong:
            print(f"  wrong: {line}", flush=True)
        if arguments.record:
            results.record("soaks", f"{soaked.store}, {soaked.minutes:g} minutes", soaked.figures)
    return int(any(soaked.wrong for soaked in found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="keep a node at work for a long time and see what grows")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES") or DAY_MINUTES))
    parser.add_argument("--store", action="append", choices=[storm.SQLITE, storm.POSTGRESQL], help="both by default")
    parser.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/reliability.md")
    sys.exit(asyncio.run(_main(parser.parse_args())))
