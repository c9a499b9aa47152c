"""One storm from a seed: nodes at work, and everything that can happen to them, at random moments.

    PYTHONPATH=src:tests python -m chaos.storm                     at full scale, on both stores

The seed fixes what is done in which order and how long is waited between; the moments themselves are those of real
processes, so that a storm is alike, and never the same, when it is repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import postgres
import proxy
from acceptance.shell import SOURCE
from chaos import invariants, results, works
from chaos.cluster import Cluster, Node, until
from chaos.invariants import Found, Stopped
from chaos.marks import Reader
from chaos.patron import Patron
from chaos.watch import Eyes, Watch
from chaos.works import Works
from interlock.store.open import open_store

POSTGRESQL, SQLITE = "postgresql", "sqlite"
KEY = "c3Rvcm0tc3Rvcm0tc3Rvcm0tc3Rvcm0tc3Rvcm0tISE="
_NODES = 3
_AWAY_SECONDS = (0.0, 1.5)
_BRIEF_SECONDS = (0.2, 3.0)
_LONG_SECONDS = (11.0, 13.0)
_END_SECONDS = 300.0
_FREED_SECONDS = 90.0  # an attempt's lease lasts 60 s, and is looked for every 2 s


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one storm does. `every_seconds`: the mean time between two blows."""

    store: str
    seed: int
    runs: int
    kills: int
    database_stops: int = 0
    pauses: int = 0
    cuts: int = 0
    runner_kills: int = 0
    every_seconds: float = 2.0

    @property
    def blows(self) -> list[str]:
        """Give everything that happens, in the order of the seed."""
        counts = {
            "kill": self.kills,
            "database": self.database_stops if self.store == POSTGRESQL else 0,
            "pause": self.pauses,
            "cut": self.cuts if self.store == POSTGRESQL else 0,
            "runner": self.runner_kills,
        }
        found = [blow for blow, count in counts.items() for _ in range(count)]
        random.Random(self.seed).shuffle(found)
        return found

    @property
    def seconds(self) -> float:
        return len(self.blows) * self.every_seconds


@dataclass
class Report:
    plan: Plan
    dealt: Counter[str] = field(default_factory=Counter)
    """How often each blow was dealt."""
    seconds: float = 0.0
    looks: int = 0
    fullest: dict[str, int] = field(default_factory=dict)
    claims: int = 0
    """Times that a run was taken over or claimed."""
    tokens: int = 0
    found: Found = field(default_factory=Found)
    told: list[str] = field(default_factory=list)
    """Lines of logs that tell of something that must not happen, whatever fails around a node."""

    @property
    def figures(self) -> dict[str, Any]:
        found = asdict(self.found) | {"wrong": len(self.found.wrong), "told": len(self.told)}
        about = {"seconds": round(self.seconds), "looks": self.looks, "claims": self.claims, "tokens": self.tokens}
        return asdict(self.plan) | found | about | {"dealt": dict(self.dealt), "fullest": self.fullest}

    def __str__(self) -> str:
        dealt = ", ".join(f"{count} x {blow}" for blow, count in sorted(self.dealt.items()))
        found = self.found
        return (
            f"{self.plan.store}, seed {self.plan.seed}: {found.runs} runs in {self.seconds:.0f} s; {dealt}; {found.commits}"
            f" commits, {found.steps} steps, {found.repeated} of them performed twice ({found.excused} by a node that had"
            f" been stopped), {self.claims} claims, {self.tokens} tokens, {self.looks} looks; {len(found.wrong)} wrong, {len(self.told)} told"
        )


class Storm:
    """A fleet of nodes on one store. `server` and `between`: what is stopped, and where connections are cut."""

    def __init__(
        self, plan: Plan, folder: Path, url: str, server: postgres.Server | None, between: proxy.Proxy | None
    ) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._folder = folder
        self._url = url
        self._server = server
        self._between = between
        self._fleet = fleet(folder, url)
        self._nodes: list[Node] = []
        self._stops: list[Stopped] = []
        self._wrong: list[str] = []
        self.report = Report(plan)

    async def rage(self) -> Report:
        """Have the work done while all of it happens, and check what came of it."""
        begin = time.monotonic()
        of = Works(self._folder)
        await of.prepare()
        patron = Patron(self._through(), self._folder, of, self._plan.seed)
        watch = Watch(self._url)
        try:
            for _ in range(_NODES):
                await self._start()
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(watch.look_for_ever()), group.create_task(patron.answer())]
                work = group.create_task(patron.start(self._plan.runs, self._plan.runs / max(1.0, self._plan.seconds)))
                await until(lambda: len(patron.accepted) > _NODES, 60)
                async with asyncio.TaskGroup() as pauses:
                    for blow in self._plan.blows:
                        await asyncio.sleep(self._random.expovariate(1 / self._plan.every_seconds))  # the experiment
                        await self._deal(blow, pauses)
                await work
                await self._calm()
                for task in background:
                    task.cancel()
            await self._leave()
        finally:
            self._fleet.end()
        report = self.report
        ledger = Reader(self._folder)
        ledger.more()
        report.found = await invariants.check(
            self._url, patron.accepted, of, patron.answers, ledger.marks, self._stops
        )  # fmt: skip
        report.found.wrong += self._wrong + watch.wrong + patron.wrong
        report.told = self._fleet.troubles()
        report.seconds, report.looks, report.fullest = time.monotonic() - begin, watch.looks, watch.fullest
        report.claims, report.tokens = len(self._fleet.claims()), len(patron.answers)
        return report

    # -- the fleet -----------------------------------------------------------------------------------------------

    def _through(self) -> str:
        """Give the URL of the store through what cuts connections."""
        if self._between is None or self._server is None:
            return self._url
        return self._url.replace(f":{self._server.port}/", f":{self._between.port}/")

    async def _start(self, *, wait: bool = True) -> None:
        """Start a node; every second one works through what cuts connections."""
        self._fleet.url = self._through() if len(self._fleet.nodes) % 2 else self._url
        self._nodes.append(await self._fleet.start("--app", "chaos.errands", wait=wait))

    async def _calm(self) -> None:
        """Wait until every run has ended, and no leases are left but those of the nodes."""
        live = "SELECT id, status, owner, epoch FROM runs WHERE ended_at IS NULL LIMIT 20"
        await self._until_none("runs that have not ended", live, _END_SECONDS)
        pids = ", ".join(str(node.process.pid) for node in self._nodes)
        foreign = (
            "SELECT leases.kind, leases.name, nodes.pid, nodes.left_at FROM leases LEFT JOIN nodes ON nodes.node = leases.name"
            f" WHERE leases.kind <> 'node' OR nodes.pid NOT IN ({pids})"
        )
        await self._until_none("leases of no live node", foreign, _FREED_SECONDS)

    async def _until_none(self, what: str, query: str, seconds: float) -> None:
        """Wait until a query gives nothing; what it gives after so long is wrong."""
        eyes = Eyes(self._url)
        found: list[object] = []

        async def is_none() -> bool:
            try:
                found[:] = (await eyes.ask(query))[0]
            except OSError:
                return False
            return not found

        try:
            await until(is_none, seconds)
        except TimeoutError:
            self._wrong.append(f"after {seconds:g} s there are {what}: {found}")

    async def _leave(self) -> None:
        """Let the nodes leave in good order, the youngest once they are there."""
        await until(lambda: all(node.is_ready for node in self._nodes), 60)
        for node in self._nodes:
            node.process.send_signal(signal.SIGTERM)
        await until(lambda: all(node.process.poll() is not None for node in self._nodes), 60)
        ended = [node.process.returncode for node in self._nodes]
        self._wrong += [f"a node that was to leave ended with {code}" for code in ended if code]

    # -- blows ---------------------------------------------------------------------------------------------------

    async def _deal(self, blow: str, pauses: asyncio.TaskGroup) -> None:
        match blow:
            case "kill":
                await self._kill()
            case "database":
                await self._stop_the_database()
            case "pause":
                pauses.create_task(self._pause())  # others happen meanwhile
            case "cut":
                await self._cut()
            case "runner":
                await self._kill_a_runner()

    async def _kill(self) -> None:
        """SIGKILL; once in a while the whole fleet at once."""
        victims = list(self._nodes) if self._random.random() < 0.05 else [self._random.choice(self._nodes)]
        for victim in victims:
            self._nodes.remove(victim)
            await asyncio.to_thread(victim.kill)
            self.report.dealt["nodes killed"] += 1
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        for _ in victims:
            await self._start(wait=False)

    async def _pause(self) -> None:
        """SIGSTOP and SIGCONT, for less or for longer than a lease. It may be killed meanwhile."""
        victim = self._random.choice(self._nodes)
        is_long = self._random.random() < 0.4
        begin = victim.stop()
        await asyncio.sleep(self._random.uniform(*(_LONG_SECONDS if is_long else _BRIEF_SECONDS)))
        self._stops.append(Stopped(victim.process.pid, begin, victim.go_on()))
        self.report.dealt["nodes stopped longer than a lease" if is_long else "nodes stopped briefly"] += 1

    async def _stop_the_database(self) -> None:
        """`pg_ctl stop -m immediate`: as if the power went."""
        assert self._server is not None
        await asyncio.to_thread(self._server.stop, "immediate")
        await asyncio.sleep(self._random.uniform(*_AWAY_SECONDS))
        await asyncio.to_thread(self._server.start)
        self.report.dealt["database stops"] += 1

    async def _cut(self) -> None:
        """Cut every connection, or the next one that asks for something, after the server has done it."""
        assert self._between is not None
        if self._random.random() < 0.3:
            self._between.cut_all()
            self.report.dealt["all connections cut"] += 1
        else:
            before = self._between.cuts
            self._between.marker = self._random.choice([b"", b"COMMIT", b"__asyncpg_stmt"])
            with contextlib.suppress(TimeoutError):
                await until(lambda: self._between is not None and self._between.cuts > before, 2)
            self._between.marker = None
            self.report.dealt["replies lost"] += self._between.cuts - before

    async def _kill_a_runner(self) -> None:
        """SIGKILL of a child of a node: a supervisor, what it runs, or an evaluator of expressions."""
        children = [pid for node in self._nodes for pid in _descendants(node.process.pid)]
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(children), signal.SIGKILL)
                self.report.dealt["runners killed"] += 1


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def fleet(folder: Path, url: str, more: Mapping[str, str] | None = None) -> Cluster:
    """Give a cluster whose nodes can execute all of the work; none is started yet. `more`: for their environment."""
    environment = {
        "INTERLOCK_PYTHON_ALLOW": ",".join(works.MODULES),
        "INTERLOCK_NODE_SLOTS": "4",
        "INTERLOCK_NODE_GRACE": "5s",
        "INTERLOCK_KEY": KEY,
        "PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parents[1])]),
    }
    return Cluster(folder, url, environment | dict(more or {}))


@contextlib.asynccontextmanager
async def prepared(plan: Plan, folder: Path) -> AsyncIterator[Storm]:
    """Give a storm on a new store of its plan's kind."""
    os.environ["INTERLOCK_KEY"] = KEY  # of the patron, who proves the tokens that the nodes issued
    if plan.store == SQLITE:
        yield Storm(plan, folder, f"sqlite:///{folder}/storm.db", None, None)
        return
    with postgres.running(postgres.NEWEST, durable=True) as server:
        url = server.url("postgres")
        store = await open_store(url)
        await store.close()
        async with proxy.before(server.port) as between:
            yield Storm(plan, folder, url, server, between)


FULL = (
    Plan(
        store=POSTGRESQL, seed=2026, runs=5_000, kills=250, database_stops=100, pauses=60, cuts=150, runner_kills=100,
        every_seconds=1.6,
    ),
    Plan(store=SQLITE, seed=2027, runs=5_000, kills=260, pauses=80, runner_kills=120, every_seconds=1.6),
)  # fmt: skip
"""Ten thousand runs, five hundred kills, a hundred stops of the database; takes about 40 minutes."""


async def _main(arguments: argparse.Namespace) -> int:
    plans = [plan for plan in FULL if plan.store in (arguments.store or (POSTGRESQL, SQLITE))]
    wrong = 0
    for plan in plans:
        chosen = replace(plan, seed=plan.seed if arguments.seed is None else arguments.seed)
        with tempfile.TemporaryDirectory(prefix="interlock-storm-") as folder:
            async with prepared(chosen, Path(folder)) as raging:
                report = await raging.rage()
            if report.found.wrong or report.told:
                kept = tempfile.mkdtemp(prefix="interlock-storm-wrong-")
                shutil.copytree(folder, kept, dirs_exist_ok=True, ignore_dangling_symlinks=True)
                print(f"logs and ledger are kept in {kept}", flush=True)
        print(report, flush=True)
        for line in [*report.found.wrong, *report.told][:100]:
            print(f"  wrong: {line}", flush=True)
        wrong += len(report.found.wrong) + len(report.told)
        if arguments.record:
            results.record("storms", plan.store, report.figures)
    return int(wrong > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="ten thousand runs in a storm")
    parser.add_argument("--store", action="append", choices=[POSTGRESQL, SQLITE], help="both by default")
    parser.add_argument("--seed", type=int, help="another one than that of the plan")
    parser.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/reliability.md")
    sys.exit(asyncio.run(_main(parser.parse_args())))
