"""The artifacts of one store, as the settings say where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from interlock import errors
from interlock.config import Settings
from interlock.handshake.artifacts import Artifacts
from interlock.store import objects
from interlock.store.folder import FolderFiles
from interlock.store.objects import ObjectFiles
from interlock.store.ports import ArtifactRow, Files, Store
from interlock.wire import artifacts as wire

_SQLITE: Final = "sqlite:///"
_IN_MEMORY: Final = "sqlite:///:memory:"


def artifacts(settings: Settings, store: Store) -> Artifacts:
    """Give the artifacts of a store. Raises InvalidSettings for two places, or a URL that names no bucket."""
    return Artifacts(store, _files(settings), settings.artifacts.max_size_bytes)


def told(row: ArtifactRow) -> wire.ArtifactTold:
    """Give an artifact as the command line and the API tell it."""
    return wire.ArtifactTold(
        name=row.name,
        step=row.path,
        attempt=row.attempt,
        media_type=row.media_type,
        size=row.size,
        digest=row.digest,
        created_at=row.created_at,
    )


def refuse_unusable(settings: Settings) -> None:
    """Refuse settings that nothing here can follow, before work begins. Raises InvalidSettings."""
    if settings.artifacts.url:
        objects.refuse_without_client()


def _files(settings: Settings) -> Files | None:
    given = settings.artifacts
    if not given.url:
        folder = _folder(settings)
        return None if folder is None else FolderFiles(folder)
    if given.folder:
        raise errors.InvalidSettings(
            f"artifacts.url ({given.url}) and artifacts.folder ({given.folder}) are both set; leave one of them out"
        )
    return ObjectFiles(given.url, given.endpoint)


def _folder(settings: Settings) -> Path | None:
    """Give the folder of artifacts; None where nobody has said one and none is beside the store."""
    if settings.artifacts.folder:
        return Path(settings.artifacts.folder).absolute()
    url = settings.store.url
    if not url.startswith(_SQLITE) or url == _IN_MEMORY:
        return None
    return Path(f"{url.removeprefix(_SQLITE)}.artifacts").absolute()
