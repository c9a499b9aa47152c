"""The store key: what proves that a text was made by a node of this store.

A key is any text of at least 16 characters. There may be several, the newest first: the first one signs, every one
verifies, so a key is replaced by writing a new one in front of it and removing the old one when nothing it signed is
left. A key is known by its id, the beginning of its digest.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from interlock import config, errors
from interlock.model import json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE: Final = "INTERLOCK_KEY"
_LEAST_CHARACTERS: Final = 16
ID_CHARACTERS: Final = 8
_MAC_CHARACTERS: Final = 32  # 128 bits: nobody guesses it, and a marker stays readable
_NONCE_BYTES: Final = 12  # random: at 2**32 values under one key the chance of a repeated one is 2**-33
_COMMAND_SECONDS: Final = 10.0


class KeyRing:
    """The keys of one store, the newest first."""

    def __init__(self, keys: list[str]) -> None:
        """Raises Invalid when there is no key, or one that is too short."""
        if not keys:
            raise errors.Invalid("there is no store key in what should hold it")
        short = [number for number, key in enumerate(keys, 1) if len(key) < _LEAST_CHARACTERS]
        if short:
            raise errors.Invalid(
                f"store key {short[0]} is shorter than {_LEAST_CHARACTERS} characters; make one with "
                "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
            )
        self._keys = {hashlib.sha256(key.encode()).hexdigest()[:ID_CHARACTERS]: key.encode() for key in keys}
        self.current: Final = next(iter(self._keys))
        """The id of the key that signs."""
        self.ids: Final = tuple(self._keys)
        """The ids of all keys, the newest first."""

    def sign(self, *parts: str) -> str:
        """Give the proof of `parts` under the current key: its id and the MAC, as `id.mac`."""
        return f"{self.current}.{self._mac(self._keys[self.current], parts)}"

    def proves(self, proof: str, *parts: str) -> bool:
        """Say whether one of the keys made `proof` for exactly these parts; in constant time."""
        id, _, mac = proof.partition(".")
        key = self._keys.get(id)
        return key is not None and hmac.compare_digest(self._mac(key, parts).encode(), mac.encode())

    def seal(self, text: bytes, *parts: str) -> bytes:
        """Give `text` as only this ring can read it, and only for exactly these parts: `id.` nonce and AES-256-GCM."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher(self._keys[self.current]).encrypt(nonce, text, json.encode(list(parts)))
        return self.current.encode() + b"." + nonce + sealed

    def unseal(self, sealed: bytes, *parts: str) -> bytes:
        """Give what was sealed for these parts, under whichever key of the ring.

        Raises Environment when its key is not in the ring any more, StoreCorrupt when it was changed, or is of other parts.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (start-up: most processes unseal nothing)

        id, _, rest = sealed.partition(b".")
        key = self._key(id.decode("ascii", "replace"))
        try:
            nonce, text = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
            return self._cipher(key).decrypt(nonce, text, json.encode(list(parts)))
        except (InvalidTag, ValueError) as error:
            raise errors.StoreCorrupt("a sealed value of the store was changed, or moved; it is not used") from error

    def derived(self, id: str, purpose: bytes) -> bytes:
        """Give 32 bytes of a key for one purpose. Raises Environment for a key that is not in the ring."""
        return hmac.new(self._key(id), purpose, hashlib.sha256).digest()

    def _key(self, id: str) -> bytes:
        key = self._keys.get(id)
        if key is None:
            raise errors.Environment(
                f"what was sealed under the store key {id[:ID_CHARACTERS]!r} cannot be read: that key is not configured any"
                " more; add it again, behind the newer ones"
            )
        return key

    @staticmethod
    def _cipher(key: bytes) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (start-up, as above)

        return AESGCM(hmac.new(key, b"interlock: seal", hashlib.sha256).digest())  # apart from the key that signs

    @staticmethod
    def _mac(key: bytes, parts: tuple[str, ...]) -> str:
        return hmac.new(key, json.encode(list(parts)), hashlib.sha256).hexdigest()[:_MAC_CHARACTERS]


def ring(store_url: str, settings: config.Secrets, environ: Mapping[str, str], *, may_make: bool = True) -> KeyRing:
    """Give the keys of a store: from INTERLOCK_KEY, `secrets.key_file`, `secrets.key_command`, or the file beside SQLite.

    The file `<store>.key` is made on first use, readable by its owner only. Reads files and may run a command: call it in
    a thread. Raises Invalid where no key is configured and none can be made, Environment where it cannot be read. `may_make`
    False: a file that is not there is an error, since there is something that only the lost key can read.
    """
    if VARIABLE in environ:
        return KeyRing(_keys(environ[VARIABLE]))
    if settings.key_file:
        return KeyRing(_keys(_text(Path(settings.key_file))))
    if settings.key_command:
        return KeyRing(_keys(_output(settings.key_command)))
    if store_url == "sqlite:///:memory:":
        return KeyRing([secrets.token_urlsafe(32)])
    if store_url.startswith("sqlite:///"):
        file = Path(store_url.removeprefix("sqlite:///") + ".key")
        return KeyRing(_keys(_own(file) if may_make else _text(file)))
    raise errors.Invalid(
        "this run needs the store key, and none is configured: its nodes share the store, so they must be given the same"
        f" key; set {VARIABLE}, secrets.key_file or secrets.key_command"
    )


def _keys(text: str) -> list[str]:
    return [key for key in re.split(r"[\s,]+", text) if key]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Environment(f"the store key cannot be read from {file}: {error}") from error


def _output(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_COMMAND_SECONDS, check=True)
        return done.stdout.decode()
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        text = f"the store key cannot be read: secrets.key_command {command[0]} failed ({type(error).__name__})"
        raise errors.Environment(text) from error


def _own(file: Path) -> str:
    """Give the key beside a SQLite store, made when there is none."""
    try:
        _make(file)
        if file.stat().st_mode & 0o077:
            raise errors.Environment(f"the store key {file} can be read by others; run `chmod 600 {file}`")
    except OSError as error:
        raise errors.Environment(f"the store key {file} cannot be made: {error.strerror or error}") from error
    return _text(file)


def _make(file: Path) -> None:
    """Make a key file whole or not at all; one that is there stays, whoever made it."""
    if file.exists():
        return
    draft = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as draft_file:
            draft_file.write(secrets.token_urlsafe(32) + "\n")
            draft_file.flush()
            os.fsync(handle)
        os.link(draft, file)
    except FileExistsError:
        return  # another process was first: its key counts
    finally:
        draft.unlink()
