"""Names and labels of what a pool makes in a cluster.

A name follows from the attempt alone: who creates it again after a reply was lost finds the first one, and who comes after a
dispatcher that died finds what it left.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
POOL: Final = "interlock.pool"
ATTEMPT: Final = "interlock.attempt"
_PREFIX: Final = "interlock-"
_POOL_CHARACTERS: Final = 20
_DIGEST_CHARACTERS: Final = (
    32  # 128 bits; with the prefix and the pool at most 63, which is all that a Job's pods allow
)
_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_KEY: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def job(pool: str, attempt: str) -> str:
    """Give the name of the Job of an attempt, and of its Secret: at most 63 characters, whatever the attempt is called."""
    plain = re.sub(r"[^a-z0-9]+", "-", pool.lower()).strip("-")[:_POOL_CHARACTERS].strip("-")
    return f"{_PREFIX}{plain}-{_digest(attempt)}" if plain else f"{_PREFIX}{_digest(attempt)}"


def labels(pool: str, attempt: str, given: Mapping[str, str]) -> dict[str, str]:
    """Give the labels of what belongs to an attempt; what no label can be is told by a digest of it."""
    marks = {MANAGED_BY: "interlock", POOL: pool, ATTEMPT: attempt}
    return {name: value(text) for name, text in {**given, **marks}.items() if _KEY.fullmatch(name)}


def value(text: str) -> str:
    """Give a text as the value of a label: as it is where that is allowed, else a digest of it."""
    return text if not text or _VALUE.fullmatch(text) else _digest(text)


def selector(pool: str) -> str:
    """Give the label selector of everything that a pool has made."""
    return f"{MANAGED_BY}=interlock,{POOL}={value(pool)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
