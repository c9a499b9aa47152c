"""Which ended runs may go, and removing them: every hour by nodes, at once by `interlock prune`.

The oldest go first. A run is removed in one short transaction, its rows in further ones, each of which holds the writer for
some 20 ms; between two of them everybody else has their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from interlock import errors, telemetry
from interlock.config import Retention
from interlock.handshake.artifacts import Artifacts
from interlock.model import duration
from interlock.service import Clock, Loop
from interlock.store.ports import EndedRun, Store

_ROUND_SECONDS: Final = 3600.0
_RETRY_SECONDS: Final = 60.0
_PAGE: Final = 500
_PAUSE_SECONDS: Final = 0.01  # between two pieces, for the commits of others
_DEFINITION_SECONDS: Final = 86400.0  # a definition is asked for at every start of its runs; a day is beyond doubt
FOREVER: Final = "forever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How many seconds ended runs are kept, None for ever; `workflows` by `namespace/name` before `keep`."""

    keep: float | None = None
    workflows: dict[str, float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Retention) -> Rules:
        return cls(
            keep=_seconds(settings.keep),
            workflows={name: _seconds(keep) for name, keep in settings.workflows.items()},
        )

    def seconds(self, namespace: str, workflow: str) -> float | None:
        return self.workflows.get(f"{namespace}/{workflow}", self.keep)

    @property
    def shortest(self) -> float | None:
        """The least that any run is kept; None when nothing is ever removed."""
        return min((keep for keep in (self.keep, *self.workflows.values()) if keep is not None), default=None)

    @property
    def longest(self) -> float | None:
        """The most that any run is kept; None when some are kept for ever."""
        kept = [self.keep, *self.workflows.values()]
        return None if None in kept else max(keep for keep in kept if keep is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of the runs that may go are meant: all, or those of a workflow (`name` or `namespace/name`) or statuses."""

    namespace: str | None = None
    workflow: str | None = None
    statuses: Sequence[str] = ()

    def fits(self, run: EndedRun) -> bool:
        return (
            (self.namespace is None or run.namespace == self.namespace)
            and self.workflow in (None, run.workflow, f"{run.namespace}/{run.workflow}")
            and (not self.statuses or run.status in self.statuses)
        )


async def due(store: Store, rules: Rules, now: float, wanted: Wanted | None = None) -> AsyncIterator[list[EndedRun]]:
    """Give the runs that have been kept long enough, in pages, the longest ended first."""
    shortest = rules.shortest
    after: EndedRun | None = None
    while shortest is not None:
        page = await store.upkeep.ended(now - shortest, after, _PAGE)
        if not page:
            return
        after = page[-1]
        yield [
            run
            for run in page
            if (keep := rules.seconds(run.namespace, run.workflow)) is not None
            and run.ended_at <= now - keep
            and (wanted is None or wanted.fits(run))
        ]


async def prune(
    store: Store, rules: Rules, clock: Clock, wanted: Wanted | None = None, artifacts: Artifacts | None = None
) -> int:
    """Remove the runs that have been kept long enough, with their `artifacts`; gives how many. What was left of others before
    goes too."""
    now, removed = clock.now(), 0
    if wanted is None and rules.longest is not None:
        removed += await store.upkeep.drop(now - rules.longest)
    async for page in due(store, rules, now, wanted):
        removed += await store.upkeep.remove([run.run for run in page], now)
        await _clear(store)
    await _clear(store)
    if artifacts is not None:
        await artifacts.tidy(now)
    definitions = await store.upkeep.unused_definitions(now - _DEFINITION_SECONDS)
    if removed or definitions:
        await store.upkeep.compact()
        telemetry.emit("retention.pruned", runs=removed, definitions=definitions)
    return removed


async def ratio(store: Store, rules: Rules, now: float) -> float | None:
    """Give the age of the oldest run that may go, as a multiple of how long it is to be kept; None: nothing is to go.

    About 1 is right; much more means that removal does not keep up, or that no node does it.
    """
    found = [
        (now - at) / keep
        for namespace, workflow, at in await store.upkeep.oldest()
        if (keep := rules.seconds(namespace, workflow))
    ]
    return max(found, default=None)


class Housekeeping(Loop):
    """Applies the rules of retention every hour."""

    def __init__(self, store: Store, clock: Clock, settings: Retention, artifacts: Artifacts | None = None) -> None:
        super().__init__("housekeeping", _RETRY_SECONDS)
        self._store = store
        self._clock = clock
        self._rules = Rules.of(settings)
        self._artifacts = artifacts
        self._next = clock.monotonic()

    async def round(self) -> bool:
        if self._clock.monotonic() < self._next:
            return False
        try:
            await prune(self._store, self._rules, self._clock, artifacts=self._artifacts)
        except errors.Environment as error:  # made again in a minute
            telemetry.emit("retention.failed", error=error)
            return False
        self._next = self._clock.monotonic() + _ROUND_SECONDS
        return False


async def _clear(store: Store) -> None:
    left = True
    while left:
        left = await store.upkeep.clear()
        await asyncio.sleep(_PAUSE_SECONDS)


def _seconds(keep: str) -> float | None:
    return None if keep == FOREVER else duration.parse(keep)
