"""Encryption of payloads at rest, between the statements and the database: nothing above knows of it.

    plain --a process whose settings say so opens the store--> sealed

Whether a store is sealed is one row of its own, not a setting: so every process that opens it seals, or refuses to open it
without the key. What was stored before stays readable as it is, until `interlock reseal` has gone over it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from interlock import config, errors
from interlock.secrets import key, payloads
from interlock.secrets.key import KeyRing
from interlock.secrets.payloads import Payloads
from interlock.store.sql.sealed_columns import OPENED, SEALED, SEALED_ARRAYS, SEALED_CELLS
from interlock.store.sql.transaction import Database, Row, Transaction

NEEDS: Final = "0014_sealing"
"""The migration that a process must know to use a sealed store: older ones would take sealed values for damaged ones."""
_LABEL: Final = "meta.sealed"
_PROOF: Final = "interlock"
_SETTLED: Final = b'{"kind":"settled","effect":'
_OUTCOME: Final = "tokens.outcome"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[list[object]]).decode


class Sealing:
    """Seals the parameters of statements, and unseals their rows."""

    def __init__(self, keys: Payloads) -> None:
        self.keys: Final = keys

    def given(self, statement: str, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """Give the parameters of a statement as they are stored."""
        if statement == SEALED_CELLS:
            return {**parameters, "writes": self._cells(parameters["writes"])}
        columns = SEALED.get(statement)
        if columns is None:
            return parameters
        return {**parameters, **{name: self.sealed(parameters[name], column) for name, column in columns.items()}}

    def arrays(self, columns: Mapping[str, list[object]]) -> dict[str, list[object]]:
        """Give the arrays of a group's commit as they are stored."""
        return {
            name: [self.sealed(value, column) for value in values]
            if (column := SEALED_ARRAYS.get(name)) is not None
            else values
            for name, values in columns.items()
        }

    def found(self, statement: str, rows: Sequence[Row]) -> list[Row]:
        """Give rows as they were before they were sealed."""
        columns = OPENED.get(statement)
        if columns is None or not rows:
            return list(rows)
        opened: list[Row] = []
        for row in rows:
            values = list(row)
            for place, column in columns.items():
                values[place] = self.opened(values[place], column)
            opened.append(values)
        return opened

    def sealed(self, value: object, column: str) -> object:
        match value:
            case bytes() if value:
                return self.keys.seal(value, column)
            case str() if value:
                return self.keys.seal_text(value, column)
            case list():
                return [self.sealed(each, column) for each in value]
            case _:
                return value

    def opened(self, value: object, column: str) -> object:
        match value:
            case bytes() if value.startswith(_SETTLED):
                return self._settled(value)
            case bytes():
                return self.keys.unseal(value, column)
            case str():
                return self.keys.unseal_text(value, column)
            case _:
                return value

    def _settled(self, cause: bytes) -> bytes:
        """Unseal the outcome inside a cause: a token that was completed before is told to its run by the database itself."""
        start = cause.find(payloads.PREFIX)
        if start < 0:
            return cause
        return cause[:start] + self.keys.unseal(cause[start:-1], _OUTCOME) + cause[-1:]

    def _cells(self, writes: object) -> str:
        assert isinstance(writes, str)
        listed = _decode(writes)
        for write in listed:
            write[2] = self.sealed(write[2], "cells.value")
        return _encode(listed).decode()


class Keys:
    """Where the key of a store is, and whether its payloads are to be sealed."""

    def __init__(
        self, url: str, settings: config.Secrets | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """`settings`, `environ`: those of this process if not given. The key is read where it is needed only."""
        self._url = url
        self._settings = settings or config.Secrets()
        self._environ = os.environ if environ is None else environ
        self.encrypt: Final = self._settings.encrypt_payloads

    async def ring(self, place: str, *, is_sealed: bool) -> KeyRing:
        """Read the keys. Raises Environment where there is none; none is made for a store that is sealed already."""
        try:
            return await asyncio.to_thread(key.ring, self._url, self._settings, self._environ, may_make=not is_sealed)
        except errors.InterlockError as error:
            raise errors.Environment(
                f"the payloads of the store {place} are encrypted, and its key is not to be had: {error}. Set INTERLOCK_KEY, "
                "secrets.key_file or secrets.key_command to the key that its other processes have"
            ) from error


async def find(database: Database, keys: Keys, place: str) -> Sealing | None:
    """Give what seals a store, None for one that is not sealed; where the settings say so, it is from now on.

    Raises Environment where the key is not there, Conflict where nodes live that would go on without.
    """
    proof = await database.read(_proof, once=True)
    if proof is None and not keys.encrypt:
        return None
    sealing = Sealing(Payloads(await keys.ring(place, is_sealed=proof is not None)))
    if proof is None:
        sealed = made_proof(sealing)
        proof = await database.write(lambda transaction: _begin(transaction, sealed, place), counted=False)
    try:
        sealing.keys.unseal_text(proof, _LABEL)
    except errors.InterlockError as error:
        raise errors.Environment(
            f"the payloads of the store {place} are encrypted under the store key {payloads.key_of(proof.encode())!r}, which "
            f"this process does not have ({error}); give it that key by INTERLOCK_KEY, secrets.key_file or "
            "secrets.key_command, behind a newer one if there is one"
        ) from error
    return sealing


def made_proof(sealing: Sealing) -> str:
    """Give what proves later that a process has the key that this one seals under."""
    return sealing.keys.seal_text(_PROOF, _LABEL)


async def _proof(transaction: Transaction) -> str | None:
    rows = await transaction.rows("sealing_get", {})
    return rows[0][0] if rows else None


async def _begin(transaction: Transaction, sealed: str, place: str) -> str:
    """Seal a store from now on; gives the proof of its key, which may be that of a process that was quicker."""
    await transaction.rows("sealing_lock", {})
    present = await _proof(transaction)
    if present is not None:
        return present
    live = await transaction.rows("nodes_by_lease", {"now": None, "alive": 1})
    if live:
        shown = ", ".join(f"pid {row[3]} on {row[1]}" for row in live)
        raise errors.Conflict(
            f"the payloads of the store {place} are to be encrypted from now on (secrets.encrypt_payloads), and {shown} "
            "would go on without: stop them (`interlock nodes drain --all`), start one process with the setting, and then the"
            " others"
        )
    await transaction.run("sealing_put", {"proof": sealed})
    await transaction.run("sealing_needs", {"needs": NEEDS})
    return sealed


async def refuse_late(transaction: Transaction) -> None:
    """Raise Conflict where payloads are sealed since this process opened the store, so that it would go on without."""
    if transaction.sealing is not None:
        return
    await transaction.rows("sealing_hold", {})
    if await _proof(transaction) is not None:
        raise errors.Conflict(
            "another process began to encrypt the payloads of this store after this one had opened it; start it again"
        )
