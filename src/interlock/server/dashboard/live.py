"""What open pages are told as it happens: whole parts of a page, rendered here, each only when it has changed.

The bell only wakes; now and then the store is asked without it, so a wake-up that is lost costs a moment. Changes that come
quickly after each other are told together.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

from interlock import errors
from interlock.app.session import Session
from interlock.model.access import Principal
from interlock.model.states import ENDED_RUN
from interlock.server.dashboard.pages import run, runs
from interlock.server.dashboard.pages.graph import Drawings
from interlock.server.dashboard.pages.run import Watched
from interlock.server.dashboard.rendering import render
from interlock.server.streams import Item
from interlock.store.ports import news

_APART_SECONDS: Final = 0.2
"""Between two changes of a page: more often than five times a second nobody reads."""
_SHARE: Final = 0.1
"""Of the time of this process, at most, that goes into one page: where a run is so large that its page takes long to make, it
is made less often. The loop that makes it executes runs too."""
_OPEN_SECONDS: Final = 2.0
"""Between two looks at a run that is at work, whose bars grow."""
_NET_SECONDS: Final = 10.0
_LISTED: Final = news.PROGRESS | news.INBOX | news.RUNS | news.ENDS
_MOST_KEPT: Final = 2 * runs.PAGE

PARTS: Final = ("head", "actions", "graph", "timeline", "side", "history")
"""The parts of the page of a run that are told anew, each the template `parts/NAME.html` and the element `part-NAME`."""

_PASSING: Final = re.compile(r"(<time\b[^>]*>)[^<]*")
"""How long ago something was: each page counts that on by itself."""


class Changes:
    """Remembers what was told, so that only what differs is told again."""

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}

    def changed(self, name: str, html: str) -> bool:
        """Note what a part is now; say whether it was something else before."""
        digest = hashlib.sha256(_PASSING.sub(r"\1", html).encode()).digest()
        before = self._digests.get(name)
        self._digests[name] = digest
        return digest != before

    def forget(self, name: str) -> None:
        self._digests.pop(name, None)


@contextlib.contextmanager
def rung(session: Session, mask: int) -> Iterator[asyncio.Event]:
    """Give what is set whenever the bell rings for a kind of news."""
    event = asyncio.Event()
    end = session.store.bell.listen(event.set, mask)
    try:
        yield event
    finally:
        end()


async def of_runs(session: Session, wanted: runs.Asked, seen: str) -> AsyncIterator[Item]:
    """Tell how a list of runs changes: `row` for one that is shown, `new` for one that came, or may have been shown before.

    `seen`: the mark of what the page showed when it was made; if that has changed since, all is told.
    """
    changes, shown = Changes(), dict[str, runs.Line]()
    with rung(session, _LISTED) as event:
        first = (await runs.page(session, wanted)).lines
        for line in reversed(first):
            html = _row(line)
            changes.changed(line.run, html)
            shown[line.run] = line
            if seen != runs.seen(first):
                yield Item("row" if wanted.before else "new", {"id": _row_id(line), "html": html})
        yield Item("ready", {})
        pause = _APART_SECONDS
        while True:
            await _wait(event, _NET_SECONDS, pause)
            began = session.clock.monotonic()
            page = await runs.page(session, wanted)
            lines = {line.run: line for line in page.lines}
            lines |= await _others(session, [line for key, line in shown.items() if key not in lines])
            for key, line in reversed(lines.items()):
                html = _row(line)
                if changes.changed(key, html) and not (key not in shown and wanted.before):
                    name = "row" if key in shown else "new"
                    yield Item(name, {"id": _row_id(line), "html": html})
            shown |= lines
            for key in sorted(shown)[:-_MOST_KEPT]:
                del shown[key]
                changes.forget(key)
            pause = _pause(session.clock.monotonic() - began)


async def _others(session: Session, gone: list[runs.Line]) -> dict[str, runs.Line]:
    """Give how runs stand that the filter of their page does not fit any more: they stay where they are."""
    found: dict[str, runs.Line] = {}
    now = session.clock.now()
    for line in gone:
        if line.open_since is None and line.state in ENDED_RUN:
            continue
        with contextlib.suppress(errors.NotFound):  # retention has removed it meanwhile
            found[line.run] = runs.line(await session.find(line.namespace, line.id), now, None)
    return found


def _row(line: runs.Line) -> str:
    return render("parts/row.html", line=line)


def _row_id(line: runs.Line) -> str:
    return f"run-{line.run}"


async def of_run(
    session: Session,
    drawings: Drawings,
    watched: Watched,
    principal: Principal,
    asked: run.Asked,
    *,
    csrf: str,
    seq: int,
    grows: bool,
) -> AsyncIterator[Item]:
    """Tell how the page of a run changes: `part` for a part, `log` for what its steps print, `state` for its state,
    `gone` when it was removed.

    `seq`: as far as the page knows the run; `asked.log`: the last piece of the log that it has. `grows`: the page has the
    log up to there, so that what is printed next belongs at its end.
    """
    changes, cursor = Changes(), asked.log
    with rung(session, news.ANYTHING) as event:
        await watched.read()
        is_known = watched.row.seq == seq
        yield Item("ready", {})
        while True:
            began = session.clock.monotonic()
            page = await run.page(session, drawings, watched, principal, asked)
            told = [(name, html) for name, html in parts(page, csrf).items() if changes.changed(name, html)]
            for name, html in () if is_known else told:
                yield Item("part", {"id": f"part-{name}", "html": html})
            is_known = False
            if changes.changed("state", page.head.state):
                title = f"{page.head.word}: {page.head.workflow} {page.head.short}"
                yield Item("state", {"state": page.head.state, "title": title})
            while grows:
                found = await session.store.views.logs(watched.row.run, cursor, run.LOG_PAGE, asked.step or None)
                if not found:
                    break
                cursor = found[-1].number
                html = render("parts/log.html", log=[run.log_piece(piece) for piece in found])
                yield Item("log", {"html": html}, str(cursor))
            pause = _pause(session.clock.monotonic() - began)
            await _wait(event, _NET_SECONDS if watched.told.is_over else _OPEN_SECONDS, pause)
            try:
                await watched.read()
            except errors.NotFound:
                yield Item("gone", {})
                return


def parts(page: run.RunPage, csrf: str) -> Mapping[str, str]:
    """Give the HTML of every part of the page of a run."""
    return {name: render(f"parts/{name}.html", page=page, csrf=csrf) for name in PARTS}


def _pause(spent_seconds: float) -> float:
    """Give for how long a page rests whose making took so long."""
    return max(_APART_SECONDS, spent_seconds / _SHARE)


async def _wait(event: asyncio.Event, seconds: float, pause: float) -> None:
    """Wait for the bell, but not for longer; then for a moment more, in which what comes is told together."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    await asyncio.sleep(pause)
    event.clear()
