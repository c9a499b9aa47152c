"""What comes in from outside for the runs of a node, delivered once each.

What this process itself told a run is handed over as soon as it is durable; the rest is looked for when the bell rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from interlock import errors, telemetry
from interlock.service import RESTING_SECONDS
from interlock.store.ports import InboxRow, Store, news

_NET_SECONDS: Final = 1.0  # the net under the bell: a wake-up may be lost, a look may fail
_SLACKENING: Final = 1.5  # of the net, while no bell rings


class Inbox:
    """Looks for the rows of one node. `deliver` is called with each, and says whether it was new to a run of this node;
    `open`: whether anybody is there to take them."""

    def __init__(self, node: str, store: Store, deliver: Callable[[InboxRow], bool], open: Callable[[], bool]) -> None:
        self._node = node
        self._store = store
        self._deliver = deliver
        self._open = open
        self._seen: dict[str, set[int]] = {}
        """The rows that were delivered and may still be in the store, by run."""
        self._pulling: asyncio.Task[None] | None = None
        self._again = False
        self._pause = _NET_SECONDS
        self._net: asyncio.TimerHandle | None = None
        self._unlisten: list[Callable[[], None]] = []

    def start(self) -> None:
        self._unlisten = [self._store.bell.listen(self.ring, news.INBOX), self._store.bell.receive(self._take)]
        self._look()

    def stop(self) -> list[asyncio.Task[None]]:
        """Look no more; gives the look that is under way."""
        for end in self._unlisten:
            end()
        self._unlisten = []
        if self._net is not None:
            self._net.cancel()
        return [] if self._pulling is None else [self._pulling]

    def note(self, run: str, number: int) -> bool:
        """Note that a row is delivered. False: it was before."""
        seen = self._seen.setdefault(run, set())
        if number in seen:
            return False
        seen.add(number)
        return True

    def forget(self, run: str) -> None:
        """This node has nothing to do with a run any more."""
        self._seen.pop(run, None)

    @property
    def is_looking(self) -> bool:
        return self._pulling is not None and not self._pulling.done()

    def ring(self) -> None:
        """Look as soon as may be, and often again for a while."""
        if self._pause > _NET_SECONDS and self._net is not None:
            self._net.cancel()
            self._net = asyncio.get_running_loop().call_later(_NET_SECONDS, self._look)
        self._pause = _NET_SECONDS
        self._pull_soon()

    def _take(self, row: InboxRow) -> bool:
        """Take what this process told a run, if it is at work for that run."""
        return self._open() and self._deliver(row)

    def _pull_soon(self) -> None:
        if self._pulling is None or self._pulling.done():
            self._pulling = asyncio.create_task(self.pull(), name="engine-inbox")
        else:
            self._again = True

    async def pull(self) -> None:
        """Deliver what is there, until no bell rang meanwhile."""
        while self._open():
            self._again = False
            known = {run: set(numbers) for run, numbers in self._seen.items()}
            try:
                rows = await self._store.journal.inbox(self._node)
            except errors.Environment as error:
                telemetry.emit("engine.inbox_failed", node=self._node, error=error)
                return
            present: dict[str, set[int]] = {}
            for row in rows:
                present.setdefault(row.run, set()).add(row.number)
                self._deliver(row)
            # A row that is gone was applied, and no later look finds it. Forgetting it any sooner would deliver it twice:
            # this very look may have begun before the commit that applied it. Nor does this look know of a row that came
            # after it had begun, and that the load of its run saw.
            for run, numbers in known.items():
                self._forget(run, numbers - present.get(run, set()))
            if not self._again:
                return

    def _forget(self, run: str, numbers: set[int]) -> None:
        seen = self._seen.get(run)
        if seen is not None:
            seen -= numbers
            if not seen:
                del self._seen[run]

    def _look(self) -> None:
        self._net = asyncio.get_running_loop().call_later(self._pause, self._look)
        self._pause = min(self._pause * _SLACKENING, RESTING_SECONDS)
        if self._open():
            self._pull_soon()
