"""The list of runs: what was asked for by the address, and the rows that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from interlock import errors
from interlock.app import telling
from interlock.app.session import Session
from interlock.app.stranded import SECONDS, Stranded
from interlock.model import json
from interlock.model.access import Principal, Right
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.server.dashboard import times, values
from interlock.server.dashboard.times import Moment
from interlock.store.ports import Attribute, RunRow

PAGE: Final = 50
STRANDED: Final = "stranded"
STATUSES: Final = (*(str(each) for each in RunStatus), STRANDED)
_MOST_STRANDED: Final = 1_000
_LONGEST: Final = 300
_MOST_ATTRIBUTES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks for. `where`: attributes as NAME=VALUE; `before`: the last run of the page before."""

    namespace: str | None = None
    status: tuple[str, ...] = ()
    workflow: str | None = None
    where: tuple[str, ...] = ()
    before: str | None = None

    @property
    def is_filtered(self) -> bool:
        return bool(self.namespace or self.status or self.workflow or self.where)

    @property
    def query(self) -> str:
        """What follows the `?` of an address that asks for the same."""
        pairs = [
            ("namespace", self.namespace),
            *(("status", each) for each in self.status),
            ("workflow", self.workflow),
        ]
        pairs += [*(("where", each) for each in self.where), ("before", self.before)]
        return urlencode([(name, value) for name, value in pairs if value])

    @property
    def href(self) -> str:
        return f"/ui/runs?{self.query}" if self.query else "/ui/runs"


def asked(pairs: Sequence[tuple[str, str]]) -> Asked:
    """Read an address. Raises Invalid for what makes no sense."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            given.setdefault(name, []).append(value.strip())
    for name, texts in given.items():
        if any(len(text) > _LONGEST or "\0" in text for text in texts):
            raise errors.Invalid(f"{name} has more than {_LONGEST} characters, or some that cannot be written")
    wanted = tuple(dict.fromkeys(given.get("status", [])))
    for each in wanted:
        if each not in STATUSES:
            raise errors.Invalid(f"{each!r} is no status of a run; they are {', '.join(STATUSES)}")
    where = tuple(dict.fromkeys(given.get("where", [])))
    if len(where) > _MOST_ATTRIBUTES:
        raise errors.Invalid(f"runs are searched by up to {_MOST_ATTRIBUTES} attributes at once")
    for each in where:
        attribute(each)
    if where and STRANDED in wanted:
        raise errors.Invalid("attributes and the status stranded cannot be combined; leave one of them out")
    one = {name: given[name][-1] for name in ("namespace", "workflow", "before") if name in given}
    return Asked(status=wanted, where=where, **one)


def attribute(text: str) -> tuple[str, Attribute]:
    """Read NAME=VALUE: a value that reads as a number, true or false is one. Raises Invalid."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise errors.Invalid(f"the attribute {text!r} is not NAME=VALUE, such as customer=ann")
    try:
        found = json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        found = value
    return name, found if isinstance(found, str | int | float | bool) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run. `state`: as it is shown, which may be stranded; `what`: what went wrong, or what the run shows of itself."""

    run: str
    id: str
    short: str
    namespace: str
    href: str
    workflow: str
    version: str
    state: str
    word: str
    began: Moment | None
    took: str
    open_since: float | None
    what: str
    progress: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A status to choose: what choosing it, or leaving it out again, leads to."""

    state: str
    href: str
    is_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """`older`, `newest`: addresses of other pages, empty where there is none. `stream`: where changes come from."""

    asked: Asked
    lines: tuple[Line, ...]
    filters: tuple[Filter, ...]
    older: str
    newest: str
    stream: str


def visible(principal: Principal, wanted: Asked) -> Asked:
    """Narrow what is asked for to what somebody may see; who is limited and names no namespace sees the first of theirs.

    Raises NotFound for a namespace that is not theirs: whether there is one is not theirs to know either.
    """
    if wanted.namespace is None and principal.namespaces:
        wanted = replace(wanted, namespace=principal.namespaces[0])
    if not principal.may(Right.READ, wanted.namespace):
        raise errors.NotFound(f"there is no namespace {wanted.namespace!r} that {principal.name} may see")
    return wanted


async def rows(session: Session, wanted: Asked) -> tuple[list[RunRow], dict[str, Stranded]]:
    """Give a page of runs, newest first, and which of them nobody executes."""
    if wanted.status == (STRANDED,):
        stranded = {each.row.run: each for each in await session.stranded(_MOST_STRANDED)}
        fitting = (each.row for each in stranded.values())
        return [row for row in fitting if _fits(row, wanted)][:PAGE], stranded
    found = await session.store.views.runs(
        wanted.namespace,
        [each for each in wanted.status if each != STRANDED],
        wanted.workflow,
        wanted.before,
        PAGE,
        attributes=dict(attribute(each) for each in wanted.where),
    )
    since = session.clock.now() - SECONDS
    if not any(row.status not in ENDED_RUN and row.created_at < since for row in found):
        return found, {}
    return found, {each.row.run: each for each in await session.stranded(_MOST_STRANDED)}


def _fits(row: RunRow, wanted: Asked) -> bool:
    return (
        wanted.namespace in (None, row.namespace)
        and wanted.workflow in (None, row.workflow)
        and (wanted.before is None or row.run < wanted.before)
    )


async def page(session: Session, wanted: Asked) -> RunsPage:
    """Give the page that an address asks for."""
    found, stranded = await rows(session, wanted)
    now = session.clock.now()
    query = wanted.query
    return RunsPage(
        asked=wanted,
        lines=tuple(line(row, now, stranded.get(row.run)) for row in found),
        filters=tuple(_filter(wanted, state) for state in STATUSES),
        older=replace(wanted, before=found[-1].run).href if len(found) == PAGE else "",
        newest=replace(wanted, before=None).href if wanted.before else "",
        stream=f"/ui/stream/runs?{query}" if query else "/ui/stream/runs",
    )


def _filter(wanted: Asked, state: str) -> Filter:
    is_on = state in wanted.status
    kept = tuple(each for each in wanted.status if each != state)
    status = kept if is_on else (*kept, state)
    return Filter(state=state, href=replace(wanted, status=status, before=None).href, is_on=is_on)


def line(row: RunRow, now: float, stranded: Stranded | None) -> Line:
    """Give one run as a row of the table."""
    progress, message = shows(row)
    fault = telling.fault_of(row)
    what = (
        stranded.reason if stranded is not None else message if fault is None else f"{fault.instance or '/'}: {fault}"
    )
    is_open = row.status not in ENDED_RUN and row.started_at is not None
    return Line(
        run=row.run,
        id=row.id,
        short=short(row.id),
        namespace=row.namespace,
        href=href(row.namespace, row.id),
        workflow=row.workflow,
        version=row.version,
        state=STRANDED if stranded is not None else str(row.status),
        word=f"{row.status}, stranded" if stranded is not None else f"{row.status}{', partial' if row.partial else ''}",
        began=times.moment(row.started_at or row.created_at, now),
        took="" if row.started_at is None else times.took((row.ended_at or now) - row.started_at),
        open_since=row.started_at if is_open else None,
        what=values.summary(what),
        progress=progress,
    )


def shows(row: RunRow) -> tuple[float | None, str]:
    """Give what a run shows of itself: how far it is, from 0 to 1, and a few words."""
    told = telling.of_itself(row)
    progress = told.get("progress")
    words = [str(told[name]) for name in ("status", "message") if name in told]
    return (float(progress) if isinstance(progress, int | float) else None), ": ".join(words)


def href(namespace: str, id: str) -> str:
    """Give the address of the page of a run."""
    return f"/ui/runs/{quote(namespace, safe='')}/{quote(id, safe='')}"


_UUID_CHARACTERS: Final = 36
_SHORT: Final = 13


def short(id: str) -> str:
    """Give an id as short as it stays telling: the time part of a UUID, anything else as it is."""
    return id[:_SHORT] if len(id) == _UUID_CHARACTERS and id.count("-") == 4 else id
