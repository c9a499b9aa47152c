"""The runs of an open store: found, told, followed, and asked to stop or to go on. Nothing is started or executed here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from typing import TYPE_CHECKING, Final

from interlock.app import following, stranded
from interlock.app.actor import actor
from interlock.app.opened import Opened
from interlock.app.roles import DISPATCHER, ENGINE
from interlock.app.stranded import Stranded
from interlock.engine import cause as causes
from interlock.engine import recovery
from interlock.model.event import Event
from interlock.model.states import RunStatus
from interlock.model.story import Rollback, Story
from interlock.store.ports import NodeState, RunRow, Store

if TYPE_CHECKING:
    from interlock.app.graphs import Graphs
    from interlock.engine.rows import Rows

_PAGE: Final = 500


class Records(Opened):
    """What there is to read about runs, and what can be asked of those that live."""

    @cached_property
    def rows(self) -> Rows:
        """How runs are stored."""
        from interlock.engine.rows import Rows  # noqa: PLC0415 (start-up: to list runs, none is loaded)

        return Rows(self.settings.payload.inline_bytes)

    @cached_property
    def graphs(self) -> Graphs:
        """The compiled definitions."""
        from interlock.app.graphs import Graphs  # noqa: PLC0415 (start-up: most who read compile nothing)

        return Graphs(self.store)

    @property
    def own_node(self) -> str | None:
        """The id of the node of this process, None: it has none."""
        return None

    async def sweep(self) -> None:
        """Free what dead nodes owned."""
        await recovery.sweep(self.store, self.clock, but=self.own_node)

    async def unattended(self, limit: int = _PAGE) -> list[Stranded]:
        """Give the live runs that no node executes at this moment, newest first, and why."""
        await self.sweep()
        return await stranded.unattended(self.store, self.clock, limit)

    async def stranded(self, limit: int = _PAGE) -> list[Stranded]:
        """Give the runs that nobody has executed for a minute, newest first, and why."""
        return await stranded.find(self.store, self.clock, limit)

    async def servers(self, role: str = ENGINE) -> list[NodeState]:
        """Give the nodes that execute runs of others now, or what has another `role` in them."""
        await self.sweep()
        return await stranded.servers(self.store, self.clock, role)

    async def has_engine(self) -> bool:
        """Say whether a live node executes runs of others."""
        return bool(await self.servers())

    async def has_dispatcher(self) -> bool:
        """Say whether a live node performs the commands and scripts of others' runs."""
        return bool(await self.servers(DISPATCHER))

    async def is_served(self, row: RunRow) -> bool:
        """Say whether another process executes a run, or can be expected to begin with it."""
        now = await self.find(row.namespace, row.id)
        alive = {node.node for node in await self.store.nodes.live(self.clock.stamp())}
        if now.owner is not None and now.owner in alive - {self.own_node}:
            await self.sweep()  # a process of this host that died is seen at once
            return now.owner in {node.node for node in await self.store.nodes.live(self.clock.stamp())}
        nodes = await self.servers()
        return stranded.serves(nodes, await self.find(row.namespace, row.id))

    # -- following -----------------------------------------------------------------------------------

    async def history(self, run: str, after: int = 0) -> list[Event]:
        """Give the events of a run, from the commit `after` on."""
        return await following.history(self.store, self.rows, run, after)

    def follow(self, row: RunRow, after: int = 0, *, resuming: bool = False) -> AsyncIterator[tuple[int, list[Event]]]:
        """Give the commits of a run as they happen, with their seq, until it has ended or is suspended.

        `resuming`: it is suspended now, and a request to resume it is on its way.
        """
        return following.follow(self.store, self.rows, self.find, row, after, resuming=resuming)

    # -- changing ------------------------------------------------------------------------------------------------

    async def cancel(
        self, row: RunRow, reason: str | None, *, rollback: bool = False, within: Store | None = None
    ) -> bool:
        """Ask for a run to be cancelled; False when it has ended. A run that no live node owns is cancelled here.

        `rollback`: what it finished is undone first. A rollback that has begun goes on, whatever is asked for.
        """
        return await self._tell(row, "cancel", causes.Cancel(reason, rollback), within)

    async def suspend(self, row: RunRow, *, within: Store | None = None) -> bool:
        return await self._tell(row, "suspend", causes.Suspend(), within)

    async def resume(self, row: RunRow, *, within: Store | None = None) -> bool:
        """Lift a suspension; a run that is not suspended is left as it is."""
        return await self._tell(row, "resume", causes.Resume(), within)

    async def _tell(self, row: RunRow, name: str, cause: causes.Stored, within: Store | None) -> bool:
        cause_id = f"{name}:{self.clock.uuid()}"
        journal = (within or self.store).journal
        return await journal.post(row.run, cause_id, causes.encode(cause), actor(), self.clock.now())

    async def rollback(self, row: RunRow) -> Rollback | None:
        """Give how far the rollback of a run came, None when none has begun."""
        if row.status is RunStatus.COMPLETED or not await self.rolls_back(row):
            return None
        story = Story()
        story.tell(await self.history(row.run))
        return story.rollback

    async def rolls_back(self, row: RunRow) -> bool:
        """Say whether a rollback of a run has begun."""
        stored = await self.store.journal.load(row.run)
        return stored is not None and self.rows.rollback(stored) is not None
