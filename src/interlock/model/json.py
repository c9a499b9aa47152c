"""JSON values and their bytes.

One door to the JSON codec: exact integers of any size both ways, NaN and infinities written as null (as jq does).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any
"""None, bool, int, float, str, list of Json or dict of str to Json. `Any`, since a recursive type helps nobody here."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(value: Json) -> bytes:
    """Give the compact JSON text of `value`. Raises TypeError for what JSON cannot hold."""
    return _encoder.encode(value)


def decode(text: bytes | str) -> Json:
    """Give the value of a JSON text. Raises msgspec.DecodeError, which names the byte, for anything else."""
    return _decoder.decode(text)


def copy(value: Json) -> Json:
    """Give an independent copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy(item) for item in value]
    return value
