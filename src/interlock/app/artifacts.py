"""The artifacts of one store, as the settings say where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from interlock.config import Settings
from interlock.handshake.artifacts import Artifacts
from interlock.store.folder import FolderFiles
from interlock.store.ports import Store

_SQLITE: Final = "sqlite:///"
_IN_MEMORY: Final = "sqlite:///:memory:"


def artifacts(settings: Settings, store: Store) -> Artifacts:
    """Give the artifacts of a store."""
    folder = _folder(settings)
    return Artifacts(store, None if folder is None else FolderFiles(folder), settings.artifacts.max_size_bytes)


def _folder(settings: Settings) -> Path | None:
    """Give the folder of artifacts; None where nobody has said one and none is beside the store."""
    if settings.artifacts.folder:
        return Path(settings.artifacts.folder).absolute()
    url = settings.store.url
    if not url.startswith(_SQLITE) or url == _IN_MEMORY:
        return None
    return Path(f"{url.removeprefix(_SQLITE)}.artifacts").absolute()
