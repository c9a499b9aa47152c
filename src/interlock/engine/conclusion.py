"""How a run ended, told to whoever started it in this process."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from interlock.engine.state import RunState
from interlock.model.payload import Payload
from interlock.model.states import RunStatus


class Conclusion:
    """Told when a node has nothing more to do with a run: after the commit that ended it, or when the node gave it up.

    It spares who waits for a run of their own a look at the store. `status` None: the run goes on elsewhere, or nobody knows
    yet. A fault is not told: such a run may be retried by hand, and then only the store knows how it stands.
    """

    __slots__ = ("__weakref__", "_told", "_waiting", "output", "status")

    def __init__(self) -> None:
        self.status: RunStatus | None = None
        self.output: Payload | None = None
        self._told = False
        self._waiting: asyncio.Event | None = None  # made by whoever waits: there may be 100,000 runs

    def tell(self, status: RunStatus | None, output: Payload | None) -> None:
        """Say how the run ended; the first word counts."""
        if self._told:
            return
        self._told = True
        if status in (RunStatus.COMPLETED, RunStatus.CANCELLED):
            self.status, self.output = status, output
        if self._waiting is not None:
            self._waiting.set()

    async def told(self) -> None:
        """Wait until it is told."""
        if not self._told:
            self._waiting = self._waiting or asyncio.Event()
            await self._waiting.wait()


class Conclusions:
    """Those of a node's runs that somebody waits for, or may: one that nobody has any more is forgotten."""

    def __init__(self) -> None:
        self._of: WeakValueDictionary[str, Conclusion] = WeakValueDictionary()

    def expect(self, run: str, conclusion: Conclusion | None) -> None:
        """Note whom to tell of a run, if anybody wants to know."""
        if conclusion is not None:
            self._of[run] = conclusion

    def tell(self, run: str, state: RunState | None) -> None:
        """Say how a run stands that this node has nothing to do with any more; None: as far as it knows."""
        conclusion = self._of.pop(run, None)
        if conclusion is None:
            return
        if state is None:
            conclusion.tell(None, None)
        else:
            conclusion.tell(state.status, state.output)
