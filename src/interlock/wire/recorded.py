"""Runs as the engine recorded them, for programs that tell about them as this one does: the command line of a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.model.event import Event
from interlock.model.json import Json
from interlock.model.payload import Codec
from interlock.wire.definitions import Published
from interlock.wire.runs import RunTold

_EVERYTHING_INLINE: Final = 2**62
_CODEC: Final[Codec[Sequence[Event]]] = Codec(list[Event], _EVERYTHING_INLINE)


class Commit(msgspec.Struct, kw_only=True):
    """One commit of a run. `events`: what happened, in order, as the engine records it; their kinds grow with versions."""

    seq: int
    events: list[Json]


class Commits(msgspec.Struct, kw_only=True):
    """In order. `next`: what `after` is for what comes after it; null when nothing has yet."""

    items: list[Commit]
    next: int | None = None


class Source(Published, kw_only=True):
    """What a run executes. `resources`: what was fetched for it, by URI."""

    document: str
    resources: dict[str, str] = msgspec.field(default_factory=dict)


class StrandedRun(msgspec.Struct, kw_only=True):
    """A run that nobody executes: since when, why, and the command that helps."""

    run: RunTold
    since: float
    reason: str
    command: str


class StrandedRuns(msgspec.Struct, kw_only=True):
    """Newest first."""

    items: list[StrandedRun]


def written(seq: int, news: Sequence[Event]) -> Commit:
    """Give a commit as it is sent; its payloads must be loaded."""
    text, _ = _CODEC.encode(news)
    return Commit(seq=seq, events=msgspec.json.decode(text))


def read(events: Sequence[Json]) -> Sequence[Event]:
    """Give the events of a commit. Raises ValidationError for what another version recorded."""
    found, _ = _CODEC.decode(msgspec.json.encode(events))
    return found
