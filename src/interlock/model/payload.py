"""Payloads: JSON values that are decoded at most once and encoded at most once.

A payload stands in rows either inline, as `[value]`, or, when its text is longer than the inline limit, by reference,
as `[digest, size]`; the text itself is then stored once per run under its SHA-256 digest, before the commit that refers
to it. A `Codec` writes and reads rows that contain payloads and says which texts have to be stored, or loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from interlock.model import json
from interlock.model.json import Json

INLINE_BYTES: Final = 64 * 1024
"""Longer texts are stored by reference: a page of a history row must stay cheap to read and to rewrite."""

_UNSET: Final = object()
T = TypeVar("T")


class Payload:
    """One JSON value. Immutable: whoever holds `value` must not change it."""

    __slots__ = ("_digest", "_size", "_text", "_value")

    def __init__(
        self, value: Json = _UNSET, text: bytes | None = None, digest: str | None = None, size: int = 0
    ) -> None:
        self._value = value
        self._text = text
        self._digest = digest
        self._size = size

    @property
    def is_loaded(self) -> bool:
        """Whether the value is here; False for a reference whose text was not loaded."""
        return self._text is not None or self._value is not _UNSET

    @property
    def value(self) -> Json:
        """The decoded value. Raises LookupError for a reference whose text was not loaded."""
        if self._value is _UNSET:
            self._value = json.decode(self.text)
        return self._value

    @property
    def text(self) -> bytes:
        """The JSON text. Raises LookupError for a reference whose text was not loaded."""
        if self._text is None:
            if not self.is_loaded:
                raise LookupError(f"the value {self._digest} was not loaded")
            self._text = json.encode(self._value)
        return self._text

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.text).hexdigest()
        return self._digest

    @property
    def size(self) -> int:
        """Length of the text in bytes."""
        return len(self.text) if self.is_loaded else self._size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Payload({self.value!r})" if self.is_loaded else f"Payload(digest={self._digest!r})"


NULL: Final = Payload(None)


def prepared(value: Json) -> Payload:
    """Give the payload of a value with its text and its digest made: the slow part of a large one, for a thread."""
    payload = Payload(value)
    hash(payload)
    return payload


def exceeds(value: Json, limit_bytes: int) -> bool:
    """Say, roughly and at no more cost than the limit, whether the text of a value is longer than `limit_bytes`."""
    seen = 0
    rest = [value]
    while rest:
        item = rest.pop()
        seen += len(item) if isinstance(item, str) else 8
        if seen > limit_bytes:
            return True
        if isinstance(item, dict):
            rest += item.values()
            rest += item
        elif isinstance(item, list):
            rest += item[: limit_bytes // 8 + 1]
    return False


class Codec(Generic[T]):
    """Encodes and decodes rows of one type that contain payloads."""

    def __init__(self, type_: Any, inline_bytes: int = INLINE_BYTES) -> None:
        self._inline_bytes = inline_bytes
        self._large: dict[str, bytes] = {}
        self._references: dict[str, list[Payload]] = {}
        self._encoder = msgspec.json.Encoder(enc_hook=self._encode_payload)
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_, dec_hook=self._decode_payload)

    def encode(self, row: T) -> tuple[bytes, dict[str, bytes]]:
        """Give the text of `row` and the large texts that it refers to, by digest."""
        self._large = {}
        return self._encoder.encode(row), self._large

    def decode(self, text: bytes) -> tuple[T, dict[str, list[Payload]]]:
        """Give the row and the payloads in it that still need their text, by digest; hand them to `resolve`."""
        self._references = {}
        return self._decoder.decode(text), self._references

    def _encode_payload(self, value: object) -> object:
        if not isinstance(value, Payload):
            raise TypeError(f"cannot encode {type(value).__name__}")
        if not value.is_loaded:
            return [value.digest, value.size]
        text = value.text
        if len(text) <= self._inline_bytes:
            return msgspec.Raw(b"[" + text + b"]")
        self._large[value.digest] = text
        return [value.digest, len(text)]

    def _decode_payload(self, type_: type, value: object) -> object:
        match value:
            case [inline]:
                return Payload(inline)
            case [str(digest), int(size)]:
                payload = Payload(digest=digest, size=size)
                self._references.setdefault(digest, []).append(payload)
                return payload
            case _:
                raise TypeError(f"{value!r} is no {type_.__name__}")


def resolve(references: Mapping[str, list[Payload]], texts: Mapping[str, bytes]) -> None:
    """Fill in the texts of referenced payloads. Raises LookupError naming a digest that is missing."""
    for digest, payloads in references.items():
        if digest not in texts:
            raise LookupError(f"the stored value {digest} is missing")
        for payload in payloads:
            payload._text = texts[digest]
