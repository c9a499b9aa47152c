"""Runs worlds: one plan, or the plans of many seeds, and makes the plan of a world that went wrong small."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Final

from interlock.secrets.key import VARIABLE
from simulation import invariants, ledger, patches
from simulation.client import Client
from simulation.ledger import Ledger
from simulation.loop import SimulatedLoop, Stuck
from simulation.plan import Plan, draw
from simulation.trace import Trace
from simulation.world import KEY, World

_SECONDS: Final = 700.0  # of the world, in which every plan comes to its end
_TURNS: Final = 300_000
_REST_SECONDS: Final = 150.0  # for leases of the dead to run out, when all runs have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one plan. `violations`: empty when all was well."""

    plan: Plan
    violations: tuple[str, ...]
    digest: str
    last: tuple[str, ...]
    seconds: float
    turns: int
    figures: dict[str, int]
    """What there was of what: runs, effects, faults by their kind."""


def run(plan: Plan, *, kept: int | None = 60) -> Report:
    """Simulate a plan from its beginning to its end. `kept`: lines of the trace, None for all.

    Meanwhile no garbage is collected: what belongs to crashed processes would be closed, and thereby go on, whenever it came
    to that. It is collected at the end, when nothing that it does counts; it complains that there is no loop any more.
    """
    was_enabled, threshold, hook = gc.isenabled(), gc.get_threshold(), sys.unraisablehook
    key = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = KEY  # for as long as the world lasts: other tests make keys of their own
    gc.disable()
    sys.unraisablehook = _unheard
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = _run(plan, kept)
            gc.collect()
    finally:
        del os.environ[VARIABLE]
        if key is not None:
            os.environ[VARIABLE] = key
        sys.unraisablehook = hook
        gc.set_threshold(*threshold)  # which every node changes while it lives
        if was_enabled:
            gc.enable()
    return report


def _unheard(unraisable: object) -> None:
    """What the remains of a world complain about."""


def _run(plan: Plan, kept: int | None) -> Report:
    loop = SimulatedLoop(f"loop {plan.seed}")
    trace = Trace(loop.time, kept)
    book = ledger.CURRENT = Ledger(loop.time)
    world = World(plan, loop, trace, book)
    found: list[str] = []
    with patches.applied(world):
        try:
            found += loop.run(_happen(world), seconds=_SECONDS, turns=_TURNS)
        except Stuck as stuck:
            found += [str(stuck), *world.open()]
        except Exception as error:  # noqa: BLE001 (whatever breaks a world is told with its seed)
            found.append(f"the world broke: {error!r}")
        figures = dict(_figures(world))
        loop.end()
        world.end()
    ledger.CURRENT = None
    return Report(
        plan=plan,
        violations=tuple(found),
        digest=trace.digest,
        last=tuple(trace.last),
        seconds=loop.time(),
        turns=loop.turns,
        figures=figures,
    )


def _figures(world: World) -> Counter[str]:
    figures = Counter(f"faults: {fault.kind}" for slot in world.slots for fault in slot.line.struck)
    figures["worlds"] = 1
    figures["lives of nodes"] = sum(slot.lives for slot in world.slots)
    figures["effects"] = len(world.ledger.entries)
    figures["runs"] = len(world.runs)
    return figures


async def _happen(world: World) -> list[str]:
    await world.begin()
    client = Client(world)
    working = client.actor.context.copy().run(world.loop.create_task, client.run())
    await asyncio.wait([working])
    working.result()
    end = world.loop.time() + _REST_SECONDS
    while world.leaked() and world.loop.time() < end:
        await asyncio.sleep(0.5)
    await world.close()
    return list(invariants.violations(world, client))


def seed(number: int, *, kept: int | None = 60) -> Report:
    return run(draw(number), kept=kept)


def checked(number: int) -> tuple[int, tuple[str, ...], dict[str, int]]:
    """Give a seed, its violations and its figures, from whatever process."""
    report = seed(number)
    return number, report.violations, report.figures | {"seconds simulated": round(report.seconds)}


def settle() -> None:
    """Let what was imported be no garbage: it is looked for after each seed."""
    gc.collect()
    gc.freeze()
