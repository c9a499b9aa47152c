"""An exception of a Python step as a value: enough to raise it again in another process."""

from __future__ import annotations

import msgspec

from interlock.model.json import Json


class Raised(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` is `module:qualname`, `message` what `str` says of it.

    `arguments` are its `args`, None when they are not plain JSON and it cannot be raised again. `attributes` are those of
    the attributes that it was given besides which are plain JSON.
    """

    type: str
    message: str
    arguments: list[Json] | None = None
    attributes: dict[str, Json] = {}
