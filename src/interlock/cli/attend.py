"""Stays with a run while it happens: shows it, executes it where nobody else does, and hears Ctrl-C.

The run is never in danger here: whatever ends this process, the store has what was finished, and `resume` goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from interlock import errors, telemetry
from interlock.app.roles import DISPATCHER
from interlock.app.session import Session
from interlock.cli import glyphs, live, result
from interlock.cli.output import note
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow

INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TAKE_SECONDS: Final = 1.0  # how soon a run whose process died is noticed
_PATIENCE_SECONDS: Final = 10.0
_EXPLAIN_SECONDS: Final = 3.0  # between looks at what keeps a run waiting
_MOST_UNATTENDED: Final = 200
_LEAVE: Final = "l"
_CANCEL: Final = "c"
_ROLL_BACK: Final = "r"
_QUESTION: Final = "\nleave the run in the store, to resume it later (Enter), or cancel it (c)? "
_QUESTION_OF_UNDOS: Final = (
    "\nleave the run in the store, to resume it later (Enter), cancel it (c), or roll back what it did (r)? "
)


class Attention:
    """What this process hears while it executes: signals, and what its loops complain of.

    `heard` is set by the first signal, of which a second one ends the process at once, and by trouble. `interrupted`: it
    was a signal; `by_person`: it was Ctrl-C, which may be asked what it meant. `trouble`: what makes going on pointless,
    such as a full disk, with which a loop would only try again until the lease has run out.
    """

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.interrupted = False
        self.by_person = False
        self.trouble: errors.Environment | None = None
        self._loop = asyncio.get_running_loop()

    @contextlib.contextmanager
    def paid(self) -> Iterator[Attention]:
        """Hear until the end of the block, signals even while a step keeps the loop busy."""
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        end = telemetry.attach(self._observe)
        try:
            yield self
        finally:
            end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, _frame: object) -> None:
        if self.interrupted:
            os._exit(INTERRUPTED)
        self.interrupted, self.by_person = True, number == signal.SIGINT
        self._loop.call_soon_threadsafe(self.heard.set)

    def _observe(self, _name: str, fields: Mapping[str, object]) -> None:
        error = fields.get("error")
        if isinstance(error, errors.StoreFull | errors.StoreCorrupt):
            self.trouble = error
            self._loop.call_soon_threadsafe(self.heard.set)  # loops have threads too


async def attend(app: Session, row: RunRow, attention: Attention, *, as_json: bool, resuming: bool = False) -> int:
    """Follow a run to its end, show it, and give the exit code. Raises what keeps this process from executing it.

    `resuming`: it is suspended now, and a request to resume it is on its way.
    """
    title = f"{row.workflow} · {glyphs.short(row.id)} · {app.store.url}"
    graph = await app.graphs.graph(row.definition)
    await _warn_of_waiting(app, row)
    display = live.display(title, graph, app.clock.now, quiet=as_json)
    staying = asyncio.create_task(_stay(app, row, display, resuming))
    try:
        with display:
            await either(staying, attention.heard)
        if attention.trouble is not None and not staying.done():
            raise attention.trouble
        if not staying.done():
            has_undos = any(node.undo is not None for node in graph.nodes.values())
            choice = await _asked(staying, has_undos=has_undos) if _can_ask(attention) else _LEAVE
            if choice in (_CANCEL, _ROLL_BACK):
                await app.cancel(row, "interrupted at the terminal", rollback=choice == _ROLL_BACK)
                # A rollback is stayed with; a second Ctrl-C leaves it to whoever resumes it.
                await asyncio.wait({staying}, timeout=_PATIENCE_SECONDS if choice == _CANCEL else None)
        if not staying.done():
            await end(staying)
            return await _left(app, row)
        staying.result()
        return await result.told(app, row, as_json=as_json)
    finally:
        await end(staying)


async def _warn_of_waiting(app: Session, row: RunRow) -> None:
    """Say that a run which others execute waits for somebody who performs its commands."""
    if app.node is None and row.status not in ENDED_RUN and not await app.has_dispatcher():
        note(
            f"no live node has the role {DISPATCHER}: commands and scripts of this run wait until one has; "
            f"`interlock node --roles {DISPATCHER}` is one"
        )


# -- staying ---------------------------------------------------------------------------------------------------------


async def _stay(app: Session, row: RunRow, display: live.Display, resuming: bool) -> None:
    """Show and execute a run until all of it was shown: it has ended, or it is suspended and rests in this node."""
    executing = asyncio.create_task(_execute(app, row, resuming))
    showing = asyncio.create_task(_show(app, row, display, resuming))
    explaining = asyncio.create_task(_explain(app, row))
    try:
        await asyncio.wait({executing, showing}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            executing.result()  # raises what keeps this process from executing the run
        await showing
    finally:
        await end(executing)
        await end(showing)
        await end(explaining)


async def _show(app: Session, row: RunRow, display: live.Display, resuming: bool) -> None:
    async for _, news in app.follow(row, resuming=resuming):
        display.tell(news)


async def _explain(app: Session, row: RunRow) -> None:
    """Say why nobody performs what the run waits for, once for each reason that two looks in a row have found."""
    told: set[str] = set()
    before = ""
    while True:
        await asyncio.sleep(_EXPLAIN_SECONDS)
        try:
            found = next((each for each in await app.unattended(_MOST_UNATTENDED) if each.row.run == row.run), None)
        except errors.Environment:
            continue  # the others tell of a store that is away
        reason = "" if found is None else found.reason
        if found is not None and reason == before and reason not in told:
            told.add(reason)
            note(f"the run {row.id} waits: {reason}; {found.command}")
        before = reason


async def _execute(app: Session, row: RunRow, resuming: bool) -> None:
    """See the run through in this process's node whenever no other living process owns it."""
    while True:
        await app.finish(row.run)
        now = await app.find(row.namespace, row.id)
        resting = now.status is RunStatus.SUSPENDED and not (resuming and now.seq == row.seq)
        if now.status in ENDED_RUN or resting:
            return
        if await app.is_served(now) or not await app.take(now):
            await asyncio.sleep(_TAKE_SECONDS)


async def either(task: asyncio.Task[None], event: asyncio.Event) -> None:
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    await end(waiting)


async def end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})


# -- leaving ---------------------------------------------------------------------------------------------------------


def _can_ask(attention: Attention) -> bool:
    return attention.by_person and sys.stdin.isatty() and sys.stderr.isatty()


async def _asked(staying: asyncio.Task[None], *, has_undos: bool) -> str:
    """Ask what is to become of the run; it goes on meanwhile, and the question is void when it ends."""
    loop = asyncio.get_running_loop()
    while True:
        said = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), said.set)
        note(_QUESTION_OF_UNDOS if has_undos else _QUESTION, end="")
        try:
            await either(staying, said)
        finally:
            loop.remove_reader(sys.stdin.fileno())
        if not said.is_set():
            note("")
            return _LEAVE
        line = sys.stdin.readline()
        if not line.endswith("\n"):
            note("")  # Ctrl-D
        word = line.strip().lower()
        if word[:1] in (_LEAVE, _CANCEL) or (has_undos and word[:1] == _ROLL_BACK):
            return word[:1]
        if not word:
            return _LEAVE


async def _left(app: Session, row: RunRow) -> int:
    now = await app.find(row.namespace, row.id)
    if now.owner is not None and (app.node is None or now.owner != app.node.row.node):
        note(f"the run {row.id} goes on in another process")
    else:
        note(f"the run stays in the store; `interlock resume {row.id}` goes on with it")
    return INTERRUPTED
