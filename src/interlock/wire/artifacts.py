"""Artifacts as the API tells of them."""

from __future__ import annotations

import msgspec


class ArtifactTold(msgspec.Struct, kw_only=True):
    """A file that an attempt of a step kept. `size`: bytes; `digest`: its SHA-256, hexadecimal."""

    name: str
    step: str
    attempt: int
    media_type: str
    size: int
    digest: str
    created_at: float


class ArtifactPage(msgspec.Struct, kw_only=True):
    """`next`: `after` for the page that follows; null for none."""

    items: list[ArtifactTold]
    next: str | None = None
