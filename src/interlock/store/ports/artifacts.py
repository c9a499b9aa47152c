"""Artifacts: files that attempts keep, such as a report or a diff. The store has what they are; the files are elsewhere.

    received --its row is written while the attempt is in flight--> kept
        kept --its run is removed--> abandoned --the file goes, then the row--> gone

A file is there before its row, and goes before it, so that no row is without its file for longer than it takes to remove a
run. A file without a row, after a crash between the two, goes with the files of its run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from interlock.store.ports.row import Row


class ReceivedFile(Row, frozen=True, kw_only=True):
    """A file that is there whole. `place`: where, for `Files`; `size`: bytes; `digest`: SHA-256, hexadecimal."""

    place: str
    size: int
    digest: str


class ArtifactRow(Row, frozen=True, kw_only=True):
    """A file that an attempt kept under a name. `path`: of its step; the rest as `ReceivedFile`."""

    run: str
    task: str
    attempt: int
    name: str
    path: str
    media_type: str
    size: int
    digest: str
    place: str
    created_at: float


class KeptArtifact(Row, frozen=True, kw_only=True):
    """What became of a file. `unused`: the place of one that nobody needs now: of an older one, or, when the same was there
    before, of this one."""

    row: ArtifactRow
    unused: str | None = None


class Artifacts(Protocol):
    async def keep(
        self, task: str, fence: int, name: str, media_type: str, file: ReceivedFile, most: int, now: float
    ) -> KeptArtifact | None:
        """Put a file of an attempt on record, instead of an older one of that name. None: the attempt has ended, or another
        one came after it. Raises Conflict when the attempt has `most` names already."""
        ...

    async def page(self, run: str, after: tuple[str, int, str] | None, limit: int) -> list[ArtifactRow]:
        """Give the artifacts of a run by task, attempt and name; `after`: those of the last one of the page before."""
        ...

    async def abandoned(self, after: str, limit: int) -> list[str]:
        """Give runs that were removed and whose artifacts are on record, in order; `after`: the last of the page before."""
        ...

    async def forget(self, run: str) -> None:
        """Remove the rows of a run that was removed."""
        ...


class Files(Protocol):
    """Where the files are: a folder, or a service that keeps objects."""

    async def receive(self, run: str, chunks: AsyncIterator[bytes], max_bytes: int) -> ReceivedFile:
        """Store a file, whole and durably or not at all. Raises Invalid for one that is larger, StoreFull, Environment."""
        ...

    def read(self, place: str) -> AsyncIterator[bytes]:
        """Give a file in pieces. Raises NotFound when it is gone, Environment."""
        ...

    async def remove(self, place: str) -> None:
        """Remove a file; one that is gone is as good."""
        ...

    async def remove_run(self, run: str) -> None:
        """Remove every file of a run. Raises Environment."""
        ...

    async def sweep(self, before: float) -> None:
        """Remove what is left of files whose receiving ended in the middle before a moment."""
        ...
