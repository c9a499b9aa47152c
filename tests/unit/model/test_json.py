"""JSON values and their bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from interlock.model import json


@pytest.mark.parametrize("value", [None, True, 2**80, -(2**63) - 1, 0.1, "ü\u2028", [], {"a": [1, {"b": None}]}])
def test_value_comes_back_as_it_was(value: Any) -> None:
    assert json.decode(json.encode(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_null(value: float) -> None:
    assert json.encode([value]) == b"[null]"


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        json.encode(object())
    with pytest.raises(msgspec.DecodeError, match="byte"):
        json.decode("{x")


def test_copy_shares_nothing() -> None:
    value = {"a": [{"b": 1}, "x"]}
    copied = json.copy(value)
    copied["a"][0]["b"] = 2
    assert value == {"a": [{"b": 1}, "x"]}
