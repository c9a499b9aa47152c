"""Artifacts: files that a program keeps under its attempt's token, and that people find at the run, or the task of a graph.

In the store a graph stands where a run does, by its key NAMESPACE/GRAPH.

received whole --the attempt is still in flight--> kept      --it is over, or superseded--> refused, and the file removed
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from interlock import errors
from interlock.handshake.attempts import over
from interlock.handshake.tokens import Tokens
from interlock.store.ports import ArtifactRow, Files, ReceivedFile, Store

MOST: Final = 1_000
"""Names that one attempt may use."""
NAME: Final = r"[0-9A-Za-z][0-9A-Za-z._+@=-]{0,199}"
"""What an artifact may be called: a file of that name can be made anywhere, and nowhere else than meant."""
BINARY: Final = "application/octet-stream"
_NAME: Final = re.compile(NAME)
_MEDIA_TYPE: Final = re.compile(
    r"[0-9A-Za-z!#$&^_.+-]{1,100}/[0-9A-Za-z!#$&^_.+-]{1,100}( ?; ?charset=[0-9A-Za-z-]{1,40})?"
)
_PAGE: Final = 500
_HIGHEST: Final = 2**31  # no attempt has so high a number
_DRAFT_SECONDS: Final = 86_400.0  # nobody uploads for a day


class Artifacts:
    """The artifacts of a store. `files`: where they are; None: nowhere, since nobody has said."""

    def __init__(self, store: Store, files: Files | None, max_bytes: int) -> None:
        self._store = store
        self._files = files
        self._max_bytes = max_bytes

    async def keep(
        self,
        tokens: Tokens,
        token: str,
        name: str,
        media_type: str,
        chunks: AsyncIterator[bytes],
        now: float,
        *,
        digest: str | None = None,
    ) -> ArtifactRow:
        """Keep a file under a name of an attempt, instead of an older one; the same once more changes nothing.

        `digest`: the SHA-256 that it is to have, hexadecimal; None: whatever comes. `media_type`: "" for unknown.
        Raises TokenUnknown, TokenError for an attempt that is over, also when that happens while the file comes; Invalid for
        a name, a type, a size or a digest that does not fit; Conflict for too many; StoreFull.
        """
        key = await tokens.attempt(token, "artifacts")
        row = await self._store.queue.attempt(key.task, key.fence)
        if row is None:
            raise over(token)
        _check(name, media_type)
        files = self._folder()
        file = await files.receive(row.run, chunks, self._max_bytes)
        return await self._record(files, key.task, key.fence, token, name, media_type or BINARY, file, now, digest)

    async def page(
        self, run: str, after: str | None, limit: int, *, task: str | None = None
    ) -> tuple[list[ArtifactRow], str | None]:
        """Give artifacts of a run, by its key, and `after` for the page behind them, None for the last. Raises Invalid.

        `task`: only those of this one, by its key, without a look at those of others.
        """
        begin = None if task is None else (task, 0, "")
        rows = await self._store.artifacts.page(run, begin if after is None else _key(after), limit)
        found = [row for row in rows if task in (None, row.task)]
        return found, _cursor(found[-1]) if len(found) == limit else None

    async def list(self, run: str, *, task: str | None = None) -> list[ArtifactRow]:
        """Give all artifacts of a run, by its key; `task`: as for `page`."""
        found, after = await self.page(run, None, _PAGE, task=task)
        while after is not None:
            more, after = await self.page(run, after, _PAGE, task=task)
            found += more
        return found

    async def find(
        self, run: str, name: str, *, step: str | None = None, attempt: int | None = None, task: str | None = None
    ) -> ArtifactRow:
        """Give the newest artifact of a name. `step`: its path or its name. Raises NotFound, which lists those there are."""
        there = await self.list(run, task=task)
        found = [
            each
            for each in there
            if each.name == name
            and (step is None or step in (each.path, each.path.rpartition("/")[2]))
            and (attempt is None or each.attempt == attempt)
        ]
        if not found:
            names = ", ".join(
                dict.fromkeys(f"{each.name} ({each.path}, attempt {each.attempt})" for each in there[:20])
            )
            whose = "run" if task is None else "task"
            raise errors.NotFound(f"the {whose} has no such artifact {name!r}; those it has: {names or 'none'}")
        return max(found, key=lambda each: (each.created_at, each.attempt))

    def read(self, row: ArtifactRow) -> AsyncIterator[bytes]:
        """Give an artifact in pieces. Raises NotFound when its file is gone, Environment."""
        return self._folder().read(row.place)

    async def tidy(self, now: float) -> int:
        """Remove the artifacts of runs that were removed, and what is left of broken uploads; gives the number of runs."""
        if self._files is None:
            return 0
        removed, after = 0, ""
        while runs := await self._store.artifacts.abandoned(after, _PAGE):
            for run in runs:
                await self._files.remove_run(run)
                await self._store.artifacts.forget(run)
            removed, after = removed + len(runs), runs[-1]
        await self._files.sweep(now - _DRAFT_SECONDS)
        return removed

    # -- steps ---------------------------------------------------------------------------------------------------

    async def _record(
        self,
        files: Files,
        task: str,
        fence: int,
        token: str,
        name: str,
        media_type: str,
        file: ReceivedFile,
        now: float,
        digest: str | None,
    ) -> ArtifactRow:
        if digest is not None and digest != file.digest:
            await files.remove(file.place)
            raise errors.Invalid(f"the artifact came with the digest {file.digest}, not {digest}; send it again")
        try:  # whatever else is raised leaves the file: it may be on record, though the reply was lost
            kept = await self._store.artifacts.keep(task, fence, name, media_type, file, MOST, now)
        except errors.Conflict:
            await files.remove(file.place)
            raise
        if kept is None:
            await files.remove(file.place)
            raise over(token)
        if kept.unused is not None:
            await files.remove(kept.unused)
        return kept.row

    def _folder(self) -> Files:
        if self._files is None:
            raise errors.Invalid(
                "nobody has said where the artifacts of this store are; set artifacts.folder to a folder that all its servers"
                " share, or artifacts.url to a bucket"
            )
        return self._files


def _place(row: ArtifactRow) -> tuple[str, int, str]:
    return row.task, row.attempt, row.name


def _cursor(row: ArtifactRow) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(_place(row))).decode()


def _key(cursor: str) -> tuple[str, int, str]:
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[str, int, str])
    except (ValueError, msgspec.MsgspecError):
        raise errors.Invalid(f"{cursor[:100]!r} is no `next` of a page of artifacts") from None
    if "\0" in found[0] + found[2] or not 0 <= found[1] < _HIGHEST:
        raise errors.Invalid(f"{cursor[:100]!r} is no `next` of a page of artifacts")
    return found


def _check(name: str, media_type: str) -> None:
    if not _NAME.fullmatch(name):
        raise errors.Invalid(
            f"{name[:100]!r} is no name of an artifact: letters, digits and ._+@=- (not first), at most 200 characters"
        )
    if media_type and not _MEDIA_TYPE.fullmatch(media_type):
        raise errors.Invalid(f"{media_type[:100]!r} is no media type, such as text/html; charset=utf-8")
