"""Seals what users wrote, so that a stolen disk, dump or backup of the store tells nothing of it.

A sealed value is `\\0il1.`, the id of its store key, a salt, a nonce, and the text under AES-256-GCM: no JSON begins like it,
so what was stored before is known for what it is. Where only text fits, it is `\\1il1.` and the rest in base64. The name of
the column is authenticated with it, so that no value can be moved to a place where it means something else.

A store key is not used itself, but with a salt that each process draws anew: nonces are drawn at random, which is sound for
2**32 values under one key, and a store that is busy for a day writes more.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Final

from interlock import errors
from interlock.secrets.key import ID_CHARACTERS, KeyRing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX: Final = b"\0il1."
TEXT_PREFIX: Final = "\1il1."
_TEXT_PREFIX: Final = TEXT_PREFIX.encode()
_SALT_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_SALT: Final = len(PREFIX) + ID_CHARACTERS
_NONCE: Final = _SALT + _SALT_BYTES
_TEXT: Final = _NONCE + _NONCE_BYTES
_VALUES_PER_SALT: Final = 2**30  # a quarter of what random nonces allow
_CIPHERS: Final = 1024  # of salts that others drew, kept to read what they wrote


class Payloads:
    """Seals under the newest key of a ring, and reads what any of its keys sealed. Safe to use from several threads."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.key: Final = ring.current
        """The id of the key that seals."""
        self._ciphers: dict[bytes, AESGCM] = {}
        self._left = _VALUES_PER_SALT
        self._cipher = self._salted()

    def seal(self, value: bytes, label: str) -> bytes:
        """Give a value as only this ring can read it, and only under the same label."""
        self._left -= 1
        if self._left < 0:
            self._cipher = self._salted()
        # Read once: another thread may draw a new salt meanwhile, and the two belong together.
        head, cipher = self._cipher
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + cipher.encrypt(nonce, value, label.encode())

    def unseal(self, value: bytes, label: str) -> bytes:
        """Give what was sealed under a label; a value that never was sealed is given as it is.

        Raises Environment when its key is not in the ring, StoreCorrupt when it was changed, or belongs elsewhere.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (start-up: most processes unseal nothing)

        if value[:1] not in _FIRST or not is_sealed(value):
            return value
        try:
            sealed = _binary(value)
            cipher = self._known(sealed[len(PREFIX) : _NONCE])
            return cipher.decrypt(sealed[_NONCE:_TEXT], sealed[_TEXT:], label.encode())
        except (InvalidTag, ValueError) as error:
            raise errors.StoreCorrupt(
                f"a sealed value of {label} was changed, or moved there from another place; it is not used. Restore it from"
                " a backup"
            ) from error

    def seal_text(self, text: str, label: str) -> str:
        """As `seal`, where only text fits."""
        return TEXT_PREFIX + base64.b64encode(self.seal(text.encode(), label)[len(PREFIX) :]).decode("ascii")

    def unseal_text(self, text: str, label: str) -> str:
        return self.unseal(text.encode(), label).decode() if text.startswith(TEXT_PREFIX) else text

    def _salted(self) -> tuple[bytes, AESGCM]:
        """Begin with a new salt."""
        self._left = _VALUES_PER_SALT
        place = self.key.encode() + secrets.token_bytes(_SALT_BYTES)
        return PREFIX + place, self._known(place)

    def _known(self, place: bytes) -> AESGCM:
        """Give the cipher of a key and a salt. Raises Environment for a key that is not in the ring."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (start-up, as above)

        cipher = self._ciphers.get(place)
        if cipher is None:
            name, salt = place[:ID_CHARACTERS].decode("ascii", "replace"), place[ID_CHARACTERS:]
            cipher = AESGCM(self._ring.derived(name, b"interlock: payloads " + salt))
            if len(self._ciphers) >= _CIPHERS:
                self._ciphers.clear()
            self._ciphers[place] = cipher
        return cipher


def is_sealed(value: bytes) -> bool:
    """Say whether a value is a sealed one, in either form."""
    return value.startswith((PREFIX, _TEXT_PREFIX))


def key_of(value: bytes) -> str:
    """Give the id of the key that a sealed value needs. Raises StoreCorrupt for one that was cut off."""
    try:
        return _binary(value)[len(PREFIX) : _SALT].decode("ascii", "replace")
    except ValueError as error:
        raise errors.StoreCorrupt("a sealed value of the store was changed; restore it from a backup") from error


def _binary(value: bytes) -> bytes:
    if not value.startswith(_TEXT_PREFIX):
        return value
    try:
        return PREFIX + base64.b64decode(value[len(_TEXT_PREFIX) :], validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is no base64: {error}") from error


_FIRST: Final = (PREFIX[:1], _TEXT_PREFIX[:1])
