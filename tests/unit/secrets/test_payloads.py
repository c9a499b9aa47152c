"""What a sealed value keeps to itself, and who can read it."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.secrets import payloads
from interlock.secrets.key import KeyRing
from interlock.secrets.payloads import Payloads

OLD, NEW = "the-older-key-of-the-store", "the-newer-key-of-the-store"


def sealer(*keys: str) -> Payloads:
    return Payloads(KeyRing(list(keys)))


@pytest.mark.parametrize("text", [b"{}", b"\0\0\0\0", b"x" * 100_000, "ü€".encode()])
def test_a_sealed_value_is_read_as_it_was(text: bytes) -> None:
    one = sealer(OLD)
    sealed = one.seal(text, "runs.input")
    assert payloads.is_sealed(sealed)
    assert text not in sealed
    assert sealer(NEW, OLD).unseal(sealed, "runs.input") == text
    assert payloads.key_of(sealed) == one.key


def test_a_text_is_sealed_as_text() -> None:
    sealed = sealer(OLD).seal_text("gr\u00fc\u00dfe\n", "logs.text")
    assert sealed.isascii()
    assert "gr" not in sealed.partition(".")[2][:2]
    assert sealer(OLD).unseal_text(sealed, "logs.text") == "gr\u00fc\u00dfe\n"
    assert sealer(OLD).unseal(sealed.encode(), "logs.text") == "gr\u00fc\u00dfe\n".encode()
    assert payloads.key_of(sealed.encode()) == sealer(OLD).key


@pytest.mark.parametrize("plain", [b"", b"{}", b"\0other", b"\1il", b'"\\u0000il1."'])
def test_what_never_was_sealed_is_given_as_it_is(plain: bytes) -> None:
    assert sealer(OLD).unseal(plain, "runs.input") == plain
    assert sealer(OLD).unseal_text("\1 a line", "logs.text") == "\1 a line"


def test_equal_values_are_sealed_differently() -> None:
    one = sealer(OLD)
    assert len({one.seal(b"same", "a") for _ in range(100)}) == 100
    assert one.seal(b"same", "a")[:21] == one.seal(b"same", "a")[:21]
    assert one.seal(b"same", "a")[:21] != sealer(OLD).seal(b"same", "a")[:21], "each process draws a salt of its own"


def test_a_salt_is_replaced_before_its_nonces_may_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_VALUES_PER_SALT", 3)
    one = sealer(OLD)
    sealed = [one.seal(b"x", "a") for _ in range(10)]
    assert len({value[:21] for value in sealed}) >= 3
    assert {one.unseal(value, "a") for value in sealed} == {b"x"}


def test_ciphers_of_other_processes_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_CIPHERS", 4)
    reader = sealer(OLD)
    for number in range(20):
        assert reader.unseal(sealer(OLD).seal(b"%d" % number, "a"), "a") == b"%d" % number
        assert len(reader._ciphers) <= 5


def test_a_key_that_is_gone_is_named() -> None:
    old = sealer(OLD)
    sealed = old.seal(b"x", "a")
    with pytest.raises(errors.Environment, match=f"sealed under the store key '{old.key}' cannot be read"):
        sealer(NEW).unseal(sealed, "a")


@pytest.mark.parametrize("place", [-1, 14, 22, 40])
def test_a_changed_value_is_refused(place: int) -> None:
    one = sealer(OLD)
    sealed = bytearray(one.seal(b"a text of some length", "runs.input"))
    sealed[place] ^= 1
    with pytest.raises(errors.StoreCorrupt, match=r"a sealed value of runs\.input was changed, or moved"):
        one.unseal(bytes(sealed), "runs.input")


@pytest.mark.parametrize("cut", [6, 20, 30, 50])
def test_a_value_that_was_cut_off_is_refused(cut: int) -> None:
    one = sealer(OLD)
    with pytest.raises((errors.StoreCorrupt, errors.Environment)):
        one.unseal(one.seal(b"a text of some length", "a")[:cut], "a")
    with pytest.raises((errors.StoreCorrupt, errors.Environment)):
        one.unseal_text("\1il1.no base64", "a")
    with pytest.raises(errors.StoreCorrupt):
        payloads.key_of(b"\1il1.no base64")


def test_a_value_that_was_moved_is_refused() -> None:
    one = sealer(OLD)
    with pytest.raises(errors.StoreCorrupt, match=r"of runs\.output was changed, or moved there from another place"):
        one.unseal(one.seal(b"x", "runs.input"), "runs.output")
