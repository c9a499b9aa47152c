"""What is sealed under the store key is read with it, in its place, unchanged."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.secrets.key import KeyRing

OLD, NEW = "old key of the store", "new key of the store"


def test_sealed_text_is_read_with_the_same_parts() -> None:
    """TK-14."""
    ring = KeyRing([OLD])
    sealed = ring.seal(b"hush hush", "callback", "shop", "r1")
    assert b"hush" not in sealed
    assert ring.unseal(sealed, "callback", "shop", "r1") == b"hush hush"
    assert ring.seal(b"hush hush", "callback", "shop", "r1") != sealed


@pytest.mark.parametrize(
    "parts",
    [("callback", "shop", "r2"), ("callback", "other", "r1"), ("callback", "shopr1"), ("callback", "sho", "pr1"), ()],
)
def test_sealed_text_is_of_one_namespace_and_run(parts: tuple[str, ...]) -> None:
    sealed = KeyRing([OLD]).seal(b"hush", "callback", "shop", "r1")
    with pytest.raises(errors.StoreCorrupt, match="changed, or moved"):
        KeyRing([OLD]).unseal(sealed, *parts)


def test_every_changed_byte_is_noticed() -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(b"hush", "r1")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(errors.InterlockError):
            ring.unseal(changed, "r1")
    for length in range(len(sealed)):
        with pytest.raises(errors.InterlockError):
            ring.unseal(sealed[:length], "r1")


def test_key_that_was_replaced_still_reads_until_it_is_removed() -> None:
    sealed = KeyRing([OLD]).seal(b"hush", "r1")
    assert KeyRing([NEW, OLD]).unseal(sealed, "r1") == b"hush"
    assert KeyRing([NEW, OLD]).seal(b"hush", "r1").startswith(KeyRing([NEW]).current.encode())
    with pytest.raises(errors.Environment, match="not configured any more"):
        KeyRing([NEW]).unseal(sealed, "r1")
