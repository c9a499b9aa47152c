"""Payloads: inline or by reference, decoded and encoded at most once."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from interlock.model.payload import NULL, Codec, Payload, exceeds, prepared, resolve

_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=10,
)


class Row(msgspec.Struct):
    first: Payload
    others: list[Payload] = []


def codec(inline_bytes: int = 10) -> Codec[Row]:
    return Codec(Row, inline_bytes)


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@given(_JSON, _JSON)
def test_rows_come_back_as_they_were(first: object, second: object) -> None:
    row = Row(Payload(first), [Payload(second), NULL, Payload(second)])
    text, large = codec().encode(row)
    read, references = codec().decode(text)
    resolve(references, large)
    assert read == row
    assert [payload.value for payload in (read.first, *read.others)] == [first, second, None, second]
    assert set(references) == set(large)


def test_short_texts_stand_inline_and_longer_ones_by_reference() -> None:
    short, long = Payload("x" * 8), Payload("x" * 9)
    text, large = codec(inline_bytes=10).encode(Row(short, [long, long]))
    name = digest(b'"' + b"x" * 9 + b'"')
    assert large == {name: b'"xxxxxxxxx"'}
    assert msgspec.json.decode(text) == {"first": ["xxxxxxxx"], "others": [[name, 11]] * 2}


def test_value_that_is_an_array_is_not_taken_for_a_reference() -> None:
    row = Row(Payload(["digest", 3]))
    text, _ = codec(inline_bytes=100).encode(row)
    read, references = codec().decode(text)
    assert (read, references) == (row, {})


def test_reference_that_was_not_loaded_is_written_again_as_it_was() -> None:
    text, _ = codec().encode(Row(Payload("x" * 100)))
    read, references = codec().decode(text)
    assert not read.first.is_loaded
    assert (read.first.digest, read.first.size) == (next(iter(references)), 102)
    assert codec().encode(read) == (text, {})
    assert repr(read.first) == f"Payload(digest={read.first.digest!r})"


def test_reference_that_was_not_loaded_has_no_value() -> None:
    payload = Payload(digest="d1", size=3)
    for read in (lambda: payload.value, lambda: payload.text):
        with pytest.raises(LookupError, match="d1 was not loaded"):
            read()


def test_missing_text_is_named() -> None:
    with pytest.raises(LookupError, match="d1 is missing"):
        resolve({"d1": [Payload(digest="d1")]}, {"d2": b"1"})


def test_each_row_names_its_own_large_texts_only() -> None:
    shared = codec()
    _, first = shared.encode(Row(Payload("a" * 20)))
    _, second = shared.encode(Row(NULL))
    assert (len(first), second) == (1, {})
    text, _ = shared.encode(Row(Payload("a" * 20)))
    assert len(shared.decode(text)[1]) == 1
    assert shared.decode(b'{"first":[1]}')[1] == {}


@pytest.mark.parametrize("value", ["1", "[]", "[1, 2]", '["d", "3"]', "[1, 2, 3]", "{}"])
def test_what_is_no_payload_is_a_damaged_row(value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="is no Payload"):
        codec().decode(f'{{"first": {value}}}'.encode())


def test_rows_hold_nothing_else_that_is_not_json() -> None:
    with pytest.raises(TypeError, match="cannot encode object"):
        codec().encode(Row(object()))  # type: ignore[arg-type]


def test_payload_is_known_by_its_text() -> None:
    assert Payload({"a": 1}) == Payload(text=b'{"a":1}')
    assert len({Payload([1]), Payload(text=b"[1]"), Payload([2])}) == 2
    assert Payload([1]) != [1]
    assert Payload("ü").size == 4
    assert repr(Payload([1])) == "Payload([1])"


def test_text_is_decoded_once() -> None:
    payload = Payload(text=b"[1]")
    assert payload.value is payload.value


def test_prepared_payload_has_its_text_and_digest() -> None:
    payload = prepared({"a": 1})
    assert (payload.text, payload.digest) == (b'{"a":1}', digest(b'{"a":1}'))


@pytest.mark.parametrize("value", ["x" * 101, ["x" * 60, {"a": "x" * 60}], {"x" * 101: 1}, [0] * 1000, [[]] * 1000])
def test_value_with_a_long_text_is_found_out(value: object) -> None:
    assert exceeds(value, 100)


@pytest.mark.parametrize("value", [None, 1, "x" * 100, ["x" * 40, {"a": "x" * 20}]])
def test_value_with_a_short_text_is_not(value: object) -> None:
    assert not exceeds(value, 100)
