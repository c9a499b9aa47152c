"""Artifacts as files of a folder: one folder per run, each file under a name of ours, so that no name of theirs is a path.

<folder>/.drafts/<random>  --all of it is on the disk--> <folder>/<run>/<random>
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from interlock import errors
from interlock.store.ports import ReceivedFile

_DRAFTS: Final = ".drafts"
_PIECE: Final = 1 << 20
"""Bytes that are written, or read, by one turn of a thread."""
_PLAIN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,99}")
PLACE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*/[0-9a-f]+")
"""Where a file of ours is: RUN/RANDOM."""
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


class FolderFiles:
    """See ports.Files. Every server of a store is to be given the same folder; it is made when the first file comes."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    async def receive(self, run: str, chunks: AsyncIterator[bytes], max_bytes: int) -> ReceivedFile:
        name = secrets.token_hex(16)
        draft, place = self.folder / _DRAFTS / name, f"{of_run(run)}/{name}"
        digest, size = hashlib.sha256(), 0
        try:
            file = await to_thread(_create, draft)
            try:
                async for piece in pieces(chunks):
                    size += len(piece)
                    if size > max_bytes:
                        raise errors.Invalid(f"the artifact is larger than {max_bytes} bytes (artifacts.max_size)")
                    digest.update(piece)
                    await to_thread(file.write, piece)
                await to_thread(_finish, file, draft, self.folder / place)
            finally:
                await asyncio.shield(to_thread(_discard, file, draft))
        except OSError as error:
            raise self._translated(error) from error
        return ReceivedFile(place=place, size=size, digest=digest.hexdigest())

    async def read(self, place: str) -> AsyncIterator[bytes]:
        if not PLACE.fullmatch(place):
            raise errors.StoreCorrupt(f"{place[:100]!r} is no place of an artifact")
        try:
            file = await to_thread((self.folder / place).open, "rb")
            with file:
                while piece := await to_thread(file.read, _PIECE):
                    yield piece
        except FileNotFoundError:
            raise errors.NotFound(f"the file of this artifact is not in {self.folder} (artifacts.folder)") from None
        except OSError as error:
            raise self._translated(error) from error

    async def remove(self, place: str) -> None:
        with contextlib.suppress(OSError):  # what is left goes with its run
            await to_thread((self.folder / place).unlink)

    async def remove_run(self, run: str) -> None:
        try:
            await to_thread(_remove_tree, self.folder / of_run(run))
        except OSError as error:
            raise self._translated(error) from error

    async def sweep(self, before: float) -> None:
        with contextlib.suppress(OSError):  # it is tried again in an hour
            await to_thread(_sweep, self.folder / _DRAFTS, before)

    def _translated(self, error: OSError) -> errors.Environment:
        why = error.strerror or type(error).__name__
        if error.errno in _FULL:
            return errors.StoreFull(f"there is no space for artifacts in {self.folder}: {why}")
        return errors.Environment(f"the folder of artifacts {self.folder} cannot be used: {why}")


def of_run(run: str) -> str:
    """Give the name of a run among folders and keys."""
    return run if _PLAIN.fullmatch(run) else hashlib.sha256(run.encode("utf-8", "surrogatepass")).hexdigest()


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put small chunks together, so that each turn of a thread is worth it."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _PIECE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _create(draft: Path) -> BinaryIO:
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _finish(file: BinaryIO, draft: Path, path: Path) -> None:
    """Let a draft be the file, in a way that the loss of power undoes as a whole or not at all."""
    file.flush()
    os.fsync(file.fileno())
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft.rename(path)
    for folder in (path.parent, path.parent.parent):
        _sync(folder)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _discard(file: BinaryIO, draft: Path) -> None:
    """Close a file, and remove what is left of its draft; nothing is when it was finished."""
    with contextlib.suppress(OSError):  # the disk may be full: what could not be written is thrown away
        file.close()
    draft.unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _sweep(drafts: Path, before: float) -> None:
    for draft in drafts.iterdir():
        if draft.stat().st_mtime < before:
            draft.unlink(missing_ok=True)
