"""Claims runs for a node that executes those of others.

Level-triggered: each round looks at what the store says and makes it so. It gives back what the node cannot execute,
goes on with runs that the node owns without knowing (the reply to a claim was lost), and claims what nobody owns. A round
that fails is made again; a wake-up that is lost costs a second, fifteen in a store at rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from interlock import telemetry
from interlock.engine.advance import Engine
from interlock.flow.graph import Graph
from interlock.model.task import Place
from interlock.service import RESTING_SECONDS, Clock, Loop
from interlock.store.ports import Claimed, Store, news

_POLL_SECONDS: Final = 1.0  # the net under the bell
_SPACING_SECONDS: Final = 0.02  # between looks: the bell rings with every commit of this node too
_AT_ONCE: Final = 50  # runs in one claim; the others of the cluster get their share, and commits wait for no long claim
_STOP_SECONDS: Final = 5.0
_OWNED_SECONDS: Final = 5.0  # how often the runs that the store calls ours are compared with those we know


class Capable(Protocol):
    """Knows what this node can execute."""

    async def unfit(self, graph: Graph, place: Place) -> str | None:
        """Say why it cannot execute a graph for a run that was started at `place`; None when it can."""
        ...


class Claims(Loop):
    """Takes up to `most` runs that nobody owns. `engine` is given when it is there, since it refuses runs to us."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        capable: Capable,
        *,
        most: int,
        refused: Callable[[], None],
        may_claim: Callable[[], bool] = lambda: True,
    ) -> None:
        """`refused` is called when `refusals` has grown. `may_claim`: whether this process has what more runs need."""
        super().__init__("claims", _POLL_SECONDS, RESTING_SECONDS)
        self.engine: Engine | None = None
        self.refusals: dict[str, str] = {}
        """Why this node cannot execute a definition, by digest. It is not asked again before it is restarted."""
        self._node = node
        self._store = store
        self._clock = clock
        self._capable = capable
        self._most = most
        self._refused = refused
        self._may_claim = may_claim
        self._to_release: dict[str, int] = {}
        self._suspects: dict[str, int] = {}
        self._given_up: set[tuple[str, int]] = set()
        self._compared = clock.monotonic()
        self._claiming: asyncio.Task[list[Claimed]] | None = None
        self._unlisten: Callable[[], None] | None = None

    async def start(self) -> None:
        self._unlisten = self._store.bell.listen(self.wake, news.RUNS)
        await super().start()

    async def stop(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        await super().stop()
        claiming, self._claiming = self._claiming, None
        if claiming is not None:  # what it claims is still to be given back
            await asyncio.wait([claiming], timeout=_STOP_SECONDS)

    # -- what this node cannot execute ---------------------------------------------------------------------------

    async def reason(self, graph: Graph, place: Place) -> str | None:
        return await self._capable.unfit(graph, place)

    def refuse(self, run: str, epoch: int, definition: str, reason: str) -> None:
        self.refusals[definition] = reason
        self._to_release[run] = epoch
        self._refused()
        self.wake()

    async def wanted(self) -> bool:
        """Say whether there is a run that this node would claim."""
        return await self._store.nodes.unowned(sorted(self.refusals))

    # -- rounds --------------------------------------------------------------------------------------------------

    async def round(self) -> bool:
        assert self.engine is not None
        await self._release()
        if self._clock.monotonic() - self._compared > _OWNED_SECONDS:
            self._compared = self._clock.monotonic()
            await self._compare(self.engine)
        claimed = await self._claim(self.engine)
        await asyncio.sleep(0 if claimed else _SPACING_SECONDS)
        return claimed

    async def _release(self) -> None:
        for run, epoch in list(self._to_release.items()):
            await self._store.nodes.release(self._node, run, epoch, self._clock.now())
            self._to_release.pop(run, None)
            telemetry.emit("run.released", node=self._node, run=run)

    async def _compare(self, engine: Engine) -> None:
        """Go on with runs that are ours and that we do not know; seen twice, since a run may just begin or end."""
        owned = {claimed.run: claimed for claimed in await self._store.nodes.owned(self._node)}
        unknown = {
            run: claimed.epoch
            for run, claimed in owned.items()
            if not engine.knows(run) and run not in self._to_release and (run, claimed.epoch) not in self._given_up
        }
        for run, epoch in unknown.items():
            if self._suspects.get(run) == epoch:
                telemetry.emit("run.found", node=self._node, run=run)
                self._given_up.add((run, epoch))  # once: one that is given up again needs a person, or another node
                await engine.adopt(owned[run])
        self._suspects = unknown

    async def _claim(self, engine: Engine) -> bool:
        room = min(self._most - engine.runs, _AT_ONCE)
        refused = sorted(self.refusals)
        if room <= 0 or not self._may_claim() or not await self._store.nodes.unowned(refused):
            return False
        self._claiming = asyncio.create_task(self._claimed(engine, room, refused), name="claim-runs")
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        return len(claimed) == room

    async def _claimed(self, engine: Engine, room: int, refused: list[str]) -> list[Claimed]:
        """Claim and adopt, both or none: a stop in between would leave runs to the next comparison."""
        claimed = await self._store.nodes.claim_runs(self._node, room, refused=refused)
        for run in claimed:
            telemetry.emit("run.claimed", node=self._node, run=run.run, epoch=run.epoch)
            await engine.adopt(run)
        return claimed
