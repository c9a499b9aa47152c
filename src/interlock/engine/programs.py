"""Decides for the runs of Python workflows: between what happens to a run and what its function makes of it.

An outcome is applied, given to the function, and what the function does next joins the same commit: a chain of k effects
costs k + 1 commits. Nothing that the function asks for begins before that commit is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from interlock import errors
from interlock.engine.cause import Continue, Did, Drain
from interlock.engine.deciding import Deciding, add
from interlock.engine.live import LiveRun, Workflows
from interlock.engine.machine import Decision
from interlock.engine.patience import Patience
from interlock.engine.python import Program
from interlock.engine.rows import Rows
from interlock.engine.state import ROOT, RunState
from interlock.model import json
from interlock.model.json import Json
from interlock.model.memo import Memo
from interlock.service import Clock
from interlock.store.ports import Journal, Store

_PAGE: Final = 1_000  # memos that are read at once
_AT_ONCE: Final = 500  # causes in one commit


class Programs:
    """Begins, feeds and ends the functions of one node's runs. `wake`: called with a run whose function went on by itself."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rows: Rows,
        deciding: Deciding,
        workflows: Workflows,
        patiently: Patience,
        wake: Callable[[LiveRun], None],
        program: type[Program] = Program,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rows = rows
        self._deciding = deciding
        self._workflows = workflows
        self._patiently = patiently
        self._wake = wake
        self._program = program

    async def next(self, live: LiveRun) -> tuple[Decision, list[int]]:
        """Apply what waits for a run and let its function go on; give what follows and the rows of the inbox applied."""
        work = Decision()
        consumed: list[int] = []
        state = live.state
        assert state is not None
        had = len(state.memos)
        for _ in range(_AT_ONCE):
            if not live.mailbox or live.drained:
                break
            cause, number = live.mailbox.pop(0)
            if not isinstance(cause, Continue):
                add(work, await self._deciding.decide(live, cause))
            if number:
                consumed.append(number)
            live.drained = live.drained or isinstance(cause, Drain)
        await self._follow(live, state, work, had)
        return work, consumed

    async def _follow(self, live: LiveRun, state: RunState, work: Decision, had: int) -> None:
        """Let the function make of the new results what it will, until it waits."""
        if not _goes_on(state) and not state.ended:
            leave(live, "the run does not go on")  # and is begun again over what came meanwhile
        while _goes_on(state) and not live.drained:
            program = live.program
            if program is None:
                program = live.program = await self._begun(live, state)
            else:
                program.give(state.memos[had:])
            had = len(state.memos)
            actions = await program.advance()
            if not actions:
                return
            add(work, await self._deciding.decide(live, Did(actions)))
            if state.renewed and not state.ended:
                leave(live, "continued as new")
                had = 0
            elif len(state.memos) == had:
                return

    async def _begun(self, live: LiveRun, state: RunState) -> Program:
        """Call the function of a run, over what the run remembers. Raises CannotExecute."""
        assert live.graph is not None
        assert live.place is not None
        graph, place = live.graph, live.place
        workflow = await self._workflows.workflow(graph, place)
        remembered = [] if state.renewed else await self._memos(live, state)
        program = self._program(
            workflow,
            run=state.run,
            id=state.id,
            namespace=state.namespace,
            input=(state.head.input or state.input).value,
            memos=[*remembered, *state.memos],
            open=[scope for scope in state.scopes if scope != ROOT],
            wake=lambda: self._wake(live),
            cached=lambda name, key: self._cached(state.namespace, name, key),
            sign=lambda token: self._workflows.sign(state.namespace, token),
            clock=self._clock,
        )
        program.begin()
        return program

    async def _memos(self, live: LiveRun, state: RunState) -> list[Memo]:
        if not live.seq or state.head.memos == len(state.memos):
            return []  # nothing of it was committed yet
        return await self._patiently(lambda: remembered(self._store.journal, self._rows, state))

    async def _cached(self, namespace: str, name: str, key: str) -> Json | None:
        """Give a result that another run left, as `{"value": ...}`; a cache that is away has none."""
        try:
            body = await self._store.journal.cached(namespace, name, key, self._clock.now())
        except errors.Environment:
            return None
        return None if body is None else json.decode(body)


async def remembered(journal: Journal, rows: Rows, state: RunState) -> list[Memo]:
    """Give what a run has committed to memory, but for the failures that a retry by hand makes good."""
    found: list[Memo] = []
    after = 0
    while page := await journal.memos(state.run, after, _PAGE):
        found += await rows.memos(state.run, page, journal)
        after = page[-1].number
        if len(page) < _PAGE:
            break
    dropped = set(state.head.dropped)
    return [memo for memo in found if memo.number not in dropped]


def leave(live: LiveRun, why: str) -> None:
    """End the function of a run in this process, if it runs here."""
    program, live.program = live.program, None
    if program is not None:
        program.leave(why)


def _goes_on(state: RunState) -> bool:
    """Say whether the function has something to say: the run is neither over, nor suspended, nor being undone."""
    return not state.ended and not state.head.suspended and state.head.program and state.head.rollback is None
