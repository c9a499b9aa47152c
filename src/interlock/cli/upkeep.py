"""Commands that take care of the store: prune, backup, restore, reseal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from interlock import errors
from interlock.app import backup as copies
from interlock.app import resealing, retention
from interlock.app.actor import actor
from interlock.app.retention import Rules, Wanted
from interlock.app.session import Session
from interlock.cli import context, glyphs
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import duration
from interlock.model.states import ENDED_RUN
from interlock.service import Clock, SystemClock
from interlock.store.open import is_there

_SHOWN: Final = 20
_PROGRESS_SECONDS: Final = 2.0


async def prune(older_than: str | None, workflow: str | None, statuses: list[str], *, dry_run: bool) -> int:
    """Remove ended runs: those older than told or, without, those that the settings no longer keep."""
    ended = sorted(status.value for status in ENDED_RUN)
    for status in statuses:
        if status not in ended:
            raise errors.Invalid(f"{status!r} is no status of an ended run; they are {', '.join(ended)}")
    rules = Rules.of(context.settings().retention) if older_than is None else Rules(keep=_seconds(older_than))
    if rules.shortest is None:
        raise errors.Invalid("the settings keep every run for ever; write --older-than, or set retention.keep")
    wanted = Wanted(namespace=options.namespace, workflow=workflow, statuses=tuple(statuses))
    async with context.existing(Session) as app:
        if dry_run:
            return await _shown(app, rules, wanted)
        removed = await retention.prune(app.store, rules, app.clock, wanted, app.artifacts)
        if removed:
            what = f"{glyphs.counted(removed, 'run')}: older than {older_than or 'the settings say'}"
            await app.store.upkeep.record(actor(), "prune", what, app.clock.now())
    answer(f"removed {glyphs.counted(removed, 'run')}")
    return 0


def _seconds(text: str) -> float:
    try:
        return duration.parse(text)
    except ValueError as error:
        raise errors.Invalid(f"--older-than {text!r}: {error}") from None


async def _shown(app: Session, rules: Rules, wanted: Wanted) -> int:
    found = 0
    now = app.clock.now()
    async for page in retention.due(app.store, rules, now, wanted):
        for run in page:
            found += 1
            if found <= _SHOWN:
                age = duration.text(now - run.ended_at)
                answer(f"{run.id}  {run.namespace}/{run.workflow}  {run.status}  ended {age} ago")
    if found > _SHOWN:
        answer(f"… {found - _SHOWN} more")
    note(f"{glyphs.counted(found, 'run')} would be removed")
    return 0


async def backup(file: Path) -> int:
    """Copy the store to a file while it is in use."""
    url = context.settings().store.url
    if not is_there(url):
        raise errors.NotFound(f"there is no store {url} here; `interlock run FILE` makes it")
    await copies.backup(url, file)
    answer(f"{file} is a whole copy of {url} ({file.stat().st_size} bytes)")
    return 0


async def restore(file: Path | None, *, raise_fences: bool, force: bool) -> int:
    """Make the store from a backup, or make one safe that other tools restored."""
    if (file is None) is not raise_fences:
        raise errors.Invalid("name the backup, or write --raise-fences for a database that its own tools restored")
    settings, clock = context.settings(), SystemClock()
    url = settings.store.url
    kept: Path | None = None
    if file is None:
        live = await copies.raise_fences(url, clock, actor(), secrets=settings.secrets)
    else:
        live, kept = await copies.restore(file, url, clock, actor(), force=force, secrets=settings.secrets)
    if kept is not None:
        note(f"what was there is now {kept}")
    answer(
        f"the store is ready; {glyphs.counted(live, 'run')} can go on: `interlock node`, or `interlock resume --all`"
    )
    return 0


async def reseal() -> int:
    """Seal everything that is stored under the newest store key, and say which keys are not needed any more."""
    async with context.existing(Session) as app:
        ring = await app.secrets.ring()
        outcome = await resealing.reseal(app.store, ring, app.clock, actor(), _Progress(app.clock).told)
    answer(f"sealed {glyphs.counted(outcome.sealed, 'row')} under the store key {outcome.key}")
    if not outcome.is_encrypted:
        note("payloads are not encrypted here: only where callers are told was sealed; see secrets.encrypt_payloads")
    elif not outcome.is_scrubbed:
        note("what was there before may be left in free space: docs/howto/encryption.md says how to remove it")
    for key in outcome.retired:
        note(f"nothing is sealed under the store key {key} any more{_still_signs(outcome.live_runs)}")
    return 0


def _still_signs(live_runs: int) -> str:
    if not live_runs:
        return "; remove it from what holds the store key"
    return f"; it may have signed tokens of {glyphs.counted(live_runs, 'run')} not ended yet: remove it when they have"


class _Progress:
    """Says from time to time how far it is: a large store takes minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = clock.monotonic() + _PROGRESS_SECONDS

    def told(self, table: str, seen: int, sealed: int) -> None:
        if self._clock.monotonic() >= self._due:
            self._due = self._clock.monotonic() + _PROGRESS_SECONDS
            note(f"{table}: {seen} looked at, {sealed} sealed")
