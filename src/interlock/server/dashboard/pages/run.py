"""One run: how it stands, what can be done about it, and what became of each step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from interlock.app import telling
from interlock.app.session import Session
from interlock.app.stranded import SECONDS, Stranded
from interlock.model.access import Principal, Right
from interlock.model.states import ENDED_RUN
from interlock.model.story import Step
from interlock.secrets.form import hidden
from interlock.server.dashboard import times, values
from interlock.server.dashboard.pages import actions, history, runs, timeline
from interlock.server.dashboard.pages import graph as graphs
from interlock.server.dashboard.pages import step as steps
from interlock.server.dashboard.pages.elements import Action, Fact, Place
from interlock.server.dashboard.pages.graph import Drawings, Graph
from interlock.server.dashboard.pages.history import Told
from interlock.server.dashboard.pages.step import Selected
from interlock.server.dashboard.pages.timeline import Timeline
from interlock.server.dashboard.times import Moment
from interlock.server.dashboard.values import Shown
from interlock.store.ports import LogLine, RunRow

LOG_PAGE: Final = 500
_MOST_PLACES: Final = 3
_MOST_FILES: Final = 20
_READ: Final = 500
_TOLD: Final = 500
_MOST_STRANDED: Final = 1_000

Href = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """`since`: when the run came to stand as it does. `hint`: a command that fits, empty for none. `places`: the steps that
    are open, and nothing within them; `more_places`: how many there are besides."""

    id: str
    short: str
    namespace: str
    workflow: str
    version: str
    state: str
    word: str
    since: Moment | None
    open_since: float | None
    took: str
    fault: str
    fault_at: str
    message: str
    progress: float | None
    hint: str
    places: tuple[Place, ...]
    more_places: int
    actions: tuple[Action, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    number: int
    clock: str
    step: str
    path: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    head: Head
    graph: Graph
    timeline: Timeline
    selected: Selected | None
    input: Shown | None
    output: Shown | None
    lines: tuple[history.Line, ...]
    earlier: int
    log: tuple[LogPiece, ...]
    log_more: str
    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks for. `step`: the path of the step that it selects, empty for none; `log`: the number of the piece
    of the log after which the page begins."""

    step: str = ""
    log: int = 0


class Watched:
    """A run as it was read so far: `read` goes on from there, so that a change costs what is new."""

    def __init__(self, session: Session, row: RunRow) -> None:
        self._session = session
        self.row = row
        self.told = Told()
        self.seq = 0

    async def read(self) -> bool:
        """Read what happened since; say whether anything did."""
        session, before = self._session, (self.row.status, self.row.seq, self.seq)
        self.row = await session.find(self.row.namespace, self.row.id)
        while rows := await session.store.journal.history(self.row.run, self.seq, _READ):
            found = await session.rows.events(self.row.run, rows, session.store.journal)
            for start in range(0, len(found), _TOLD):
                self.told.tell(found[start : start + _TOLD])
                await asyncio.sleep(0)  # a long history is read beside everything else that this process does
            self.seq = rows[-1].seq
        return (self.row.status, self.row.seq, self.seq) != before


async def page(session: Session, drawings: Drawings, watched: Watched, principal: Principal, asked: Asked) -> RunPage:
    """Give the page of a run as it was read last."""
    row, told, now = watched.row, watched.told, session.clock.now()
    where = runs.href(row.namespace, row.id)
    href = _selecting(where)
    has_ended = row.status in ENDED_RUN
    reached = timeline.settled(told.story, ended=has_ended)
    lines = told.lines()
    drawing = await drawings.drawing(session, row.definition)
    by_path = {step.path: step for step in reached}
    pieces = await session.store.views.logs(row.run, asked.log, LOG_PAGE, asked.step or None)
    log = tuple(log_piece(piece) for piece in pieces)
    last = pieces[-1].number if pieces else asked.log
    is_full = len(pieces) == LOG_PAGE
    output = None if row.output is None else await session.rows.value(row.run, row.output, session.store.journal)
    return RunPage(
        head=await _head(session, watched, principal, where, reached),
        graph=graphs.graph(drawing, by_path, asked.step, href, ended=has_ended),
        timeline=timeline.timeline(told.story, reached, row.ended_at or now, asked.step, href),
        selected=await steps.selected(
            session,
            row,
            by_path.get(asked.step),
            told.inputs.get(asked.step),
            asked.step,
            is_known=asked.step in drawing.paths,
            may_act=principal.may(Right.OPERATE, row.namespace),
        )
        if asked.step
        else None,
        input=values.payload(told.value),
        output=values.payload(output),
        lines=lines,
        earlier=told.count - len(lines),
        log=log,
        log_more=f"{where}?{urlencode({'step': asked.step, 'log': last})}#log" if is_full else "",
        stream=f"/ui/stream/runs{where.removeprefix('/ui/runs')}?"
        + urlencode({"step": asked.step, "seq": row.seq, "log": last, "grows": int(not is_full)}),
    )


def _selecting(where: str) -> Href:
    return lambda path: f"{where}?step={quote(path, safe='/')}#step"


# -- the head ----------------------------------------------------------------------------------------------------------


async def _head(session: Session, watched: Watched, principal: Principal, where: str, reached: Sequence[Step]) -> Head:
    row, story, now = watched.row, watched.told.story, session.clock.now()
    stranded = None
    if row.status not in ENDED_RUN and now - watched.told.at >= SECONDS:
        found = await session.stranded(_MOST_STRANDED)
        stranded = next((each for each in found if each.row.run == row.run), None)
    fault = telling.fault_of(row)
    places = [] if row.status in ENDED_RUN else _open(reached)
    progress, message = runs.shows(row)
    word = str(row.status)
    if story.is_compensating:
        word = f"{word}, compensating"
    elif row.partial:
        word = f"{word}, partial"
    state = "stranded" if stranded else "compensating" if story.is_compensating else str(row.status)
    return Head(
        id=row.id,
        short=runs.short(row.id),
        namespace=row.namespace,
        workflow=row.workflow,
        version=row.version,
        state=state,
        word=f"{word}, stranded" if stranded else word,
        since=times.moment(row.ended_at or row.started_at or row.created_at, now),
        open_since=row.started_at if row.status not in ENDED_RUN else None,
        took="" if row.started_at is None else times.took((row.ended_at or now) - row.started_at),
        fault="" if fault is None else hidden(str(fault)),
        fault_at="" if fault is None or not fault.instance else _selecting(where)(fault.instance),
        message=values.summary(message),
        progress=progress,
        hint=_hint(stranded),
        places=tuple(
            Place(
                name=step.name,
                href=_selecting(where)(step.path),
                took=times.took(now - step.began),
                open_since=step.began,
            )
            for step in places[:_MOST_PLACES]
        ),
        more_places=max(0, len(places) - _MOST_PLACES),
        actions=actions.of_run(row, rolls_back=story.rollback is not None)
        if principal.may(Right.OPERATE, row.namespace)
        else (),
        facts=await _facts(session, watched, now),
    )


def _open(reached: Sequence[Step]) -> list[Step]:
    """Give the open steps in which no other one is open. `reached`: each before what is within it."""
    found: list[Step] = []
    for step in reached:
        if step.ended is None:
            if found and step.path.startswith(f"{found[-1].path}/"):
                found.pop()
            found.append(step)
    return found


def _hint(stranded: Stranded | None) -> str:
    return "" if stranded is None else f"No process executes it: {stranded.reason}; {stranded.command}."


async def _facts(session: Session, watched: Watched, now: float) -> tuple[Fact, ...]:
    row, story = watched.row, watched.told.story
    facts = [
        Fact(name="run", text=row.id, copies=row.id),
        Fact(name="workflow", text=f"{row.namespace}/{row.workflow}:{row.version}"),
        Fact(name="accepted", moment=times.moment(row.created_at, now)),
    ]
    if row.ended_at is not None:
        facts.append(Fact(name="ended", moment=times.moment(row.ended_at, now)))
    if row.wake_at is not None and row.status not in ENDED_RUN:
        facts.append(Fact(name="goes on", moment=times.moment(row.wake_at, now)))
    facts.append(Fact(name="commits", text=f"{row.seq:,}, epoch {row.epoch}"))
    if row.owner is not None:
        facts.append(Fact(name="node", text=row.owner, copies=row.owner))
    if row.folder:
        facts.append(Fact(name="folder", text=row.folder))
    if row.origin is not None:
        facts.append(Fact(name="forked from", text=row.origin))
    if story.rollback is not None:
        failed = f", {len(story.rollback.failed)} failed" if story.rollback.failed else ""
        facts.append(Fact(name="rollback", text=f"{story.rollback.undone} undone{failed}"))
    own = await session.store.views.attributes(row.run)
    facts += [Fact(name=hidden(name), text=values.summary(value)) for name, value in own.items()]
    return (*facts, *await _files(session, row))


async def _files(session: Session, row: RunRow) -> list[Fact]:
    """Give the files that the steps of a run kept, each with where it is fetched."""
    found, following = await session.artifacts.page(row.run, None, _MOST_FILES)
    facts = [
        Fact(
            name="file",
            text=f"{each.name}, {each.size:,} bytes, {Step(path=each.path).name}",
            href=f"/api/v1/runs/{quote(row.id, safe='')}/artifacts/{quote(each.name, safe='')}?"
            + urlencode({"namespace": row.namespace, "step": each.path, "attempt": each.attempt}),
        )
        for each in found
    ]
    return [*facts, Fact(name="file", text="… `interlock artifacts list` shows all")] if following else facts


def log_piece(piece: LogLine) -> LogPiece:
    """Give a piece of the log as a line of the page."""
    return LogPiece(
        number=piece.number,
        clock=times.clock(piece.at),
        step=Step(path=piece.path).name,
        path=piece.path,
        stream=piece.stream,
        text=hidden(piece.text),
    )
