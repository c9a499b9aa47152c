"""Copies of an SQLite store: taken while it is in use, checked, and put in the place of another one.

Every copy is made beside its destination, checked, made durable and then renamed, so that a destination is there as a whole
or not at all.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from interlock import errors
from interlock.store.address import masked
from interlock.store.sql import sqlite_file

_COMPANIONS: Final = ("", "-wal", "-shm")
_SCHEME: Final = "sqlite:///"


def path_of(url: str) -> Path:
    """Give the file of a store URL. Raises Invalid when it is none of SQLite, or in memory."""
    if not url.startswith(_SCHEME) or url == f"{_SCHEME}:memory:":
        raise errors.Invalid(
            f"the store {masked(url)} is no SQLite file; copy it with the tools of its database "
            "(docs/howto/backup.md), and run `interlock restore --raise-fences` after restoring it"
        )
    return Path(url.removeprefix(_SCHEME))


def copy(store: Path, file: Path) -> None:
    """Copy a store as it stands at one moment; others go on writing. Raises Conflict when the file is there."""
    if file.exists():
        raise errors.Conflict(f"{file} is there already; name another file, or remove it")
    with _partial(file) as partial:
        _copy(store, partial)
        os.link(partial, file)  # fails where a rename would overwrite what came meanwhile
    _sync(file.parent)


def prepare(file: Path, target: Path) -> Path:
    """Copy a backup beside the store that it is to become, checked, and give the path of the copy."""
    partial = target.with_name(f"{target.name}.restoring")
    if file.absolute() == target.absolute():
        raise errors.Invalid(f"{file} is the store itself; name a copy of it")
    if not file.is_file():
        raise errors.Invalid(f"there is no file {file}")
    target.parent.mkdir(parents=True, exist_ok=True)
    discard(partial)
    try:
        _copy(file, partial)
    except BaseException:
        discard(partial)
        raise
    return partial


def replace(partial: Path, target: Path, kept: Path) -> None:
    """Put a prepared copy in the place of a store; what was there stays as `kept`."""
    check(partial)
    _sync(partial)
    lock = sqlite_file.OsLock(f"{target}.lock")
    try:
        with lock.held():
            for end in _COMPANIONS:
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{target}{end}").rename(f"{kept}{end}")
            partial.rename(target)
            _sync(target.parent)
    finally:
        lock.close()
        discard(partial)


def discard(partial: Path) -> None:
    """Remove what is left of a copy."""
    for end in (*_COMPANIONS, ".lock"):
        Path(f"{partial}{end}").unlink(missing_ok=True)


def check(file: Path) -> None:
    """Raise StoreCorrupt when a file is no whole Interlock store."""
    with (
        sqlite_file.translated(str(file)),
        contextlib.closing(sqlite_file.connect(str(file), read_only=True)) as connection,
    ):
        if not sqlite_file.is_ours(connection):
            raise errors.StoreCorrupt(f"{file} is no Interlock store")
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise errors.StoreCorrupt(f"{file} is damaged: {found}")


def _copy(source: Path, destination: Path) -> None:
    """Copy a store in one read transaction, and check and sync the copy."""
    with (
        sqlite_file.translated(str(source)),
        contextlib.closing(sqlite_file.connect(str(source), read_only=True)) as reading,
    ):
        if not sqlite_file.is_ours(reading):
            raise errors.StoreCorrupt(f"{source} is no Interlock store")
        descriptor = os.open(destination, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)  # it holds everything
        os.close(descriptor)
        with contextlib.closing(sqlite3.connect(destination, isolation_level=None)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode=DELETE")  # one file, which can be moved
    check(destination)
    _sync(destination)


@contextlib.contextmanager
def _partial(file: Path) -> Iterator[Path]:
    partial = file.with_name(f"{file.name}.partial")
    discard(partial)
    try:
        yield partial
    except OSError as error:
        raise errors.Environment(f"cannot write {file}: {error.strerror}") from error
    finally:
        discard(partial)


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
