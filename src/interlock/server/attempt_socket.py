"""The Unix socket on which programs of this machine report by their tokens.

Whoever can open it may send reports, and each of them needs a token: it serves nothing else. Its place is the same after a
restart with the same settings, so that a program that outlived its node goes on reporting to the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from interlock import errors
from interlock.server.listening import Place

OFF: Final = "none"
NAME: Final = "attempts.sock"
_PREFIX: Final = "interlock-up-"
_RUNTIME: Final = "XDG_RUNTIME_DIR"
_MOST: Final = 100
"""Bytes of a path that every system takes for a socket (Linux: 107, macOS: 103)."""


def place(setting: str, store: str, listens: str) -> Place | None:
    """Give the socket of a server; None where the setting is `none`, or where its own folder has too long a name.

    `setting`: its path, "" for the one that belongs to the store and the place where the server listens. Raises Invalid when
    it cannot be made.
    """
    if setting == OFF:
        return None
    if setting:
        return Place(f"unix:{setting}")
    path = _folder(store, listens) / NAME
    if len(os.fsencode(path)) > _MOST:
        return None  # nobody asked for it, and programs report over HTTP
    _make(path.parent)
    return Place(f"unix:{path}")


def leave(place: Place) -> None:
    """Give the socket up, and its folder if that was made for it alone."""
    place.close()
    folder = Path(place.path).parent
    if folder.name.startswith(_PREFIX):
        with contextlib.suppress(OSError):  # it is not empty, or gone: then it is not ours to remove
            folder.rmdir()


def _folder(store: str, listens: str) -> Path:
    """Give the folder of this user, store and server."""
    digest = hashlib.sha256(f"{store}\0{listens}".encode()).hexdigest()[:16]
    runtime = os.environ.get(_RUNTIME, "")
    base = Path(runtime if os.path.isdir(runtime) else tempfile.gettempdir())
    return base / f"{_PREFIX}{os.getuid()}-{digest}"


def _make(folder: Path) -> None:
    """Make a folder that only this user may enter; one of somebody else, who may have guessed its name, is not used."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise errors.Invalid(_cannot(folder, error.strerror or str(error))) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise errors.Invalid(_cannot(folder, "it is there, and is not a folder that this user alone may enter"))


def _cannot(folder: Path, why: str) -> str:
    return (
        f"cannot make the folder {folder} of the socket for programs: {why}; name another place in server.attempt_socket, or"
        f" `{OFF}`"
    )
