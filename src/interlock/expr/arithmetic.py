"""Arithmetic that refuses large operands, for programs that run on the loop.

jq's operators are overloaded: `*` repeats texts and merges objects, `-` compares every pair of two arrays. What the
operands are is known only when the program runs, so the bounded form of an operator looks, and raises TooLarge instead
of working long. The bounded operators are further entries in purejq's table of operators; its own stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from purejq.compiler import _BINOPS

from interlock.model.json import Json

_PREFIX: Final = "bounded "
_LARGEST_TEXT: Final = 16_384
"""Characters of the texts that one operator joins or splits: a few microseconds."""
_LARGEST_CONTAINER: Final = 1000
"""Items that one operator copies, or pairs that it compares."""
_LARGEST_REPETITION: Final = 1000
"""Characters of a repeated text; small, since each element of a long array may bring one."""


class TooLarge(Exception):
    """The program cannot be shown to end soon with these operands."""


def bounded(part: Any) -> Any:
    """Give a program (or a part of its tree) with bounded operators in place of its own."""
    match part:
        case ("binop", operator, left, right) if operator in _BOUNDED:
            return ("binop", _PREFIX + operator, bounded(left), bounded(right))
        case ("assign", operator, path, value) if operator[:-1] in _BOUNDED:
            return ("assign", _PREFIX + operator, bounded(path), bounded(value))
        case tuple():
            return tuple(bounded(item) for item in part)
        case list():
            return [bounded(item) for item in part]
        case _:
            return part


def _sum_is_large(left: Json, right: Json) -> bool:
    largest = _LARGEST_TEXT if isinstance(left, str) else _LARGEST_CONTAINER
    return _length(left) + _length(right) > largest


def _difference_is_large(left: Json, right: Json) -> bool:
    return _length(left) * _length(right) > _LARGEST_CONTAINER


def _product_is_large(left: Json, right: Json) -> bool:
    if isinstance(left, dict):
        return _length(left) + _length(right) > _LARGEST_CONTAINER
    text, count = (left, right) if isinstance(left, str) else (right, left)
    return isinstance(count, int | float) and _length(text) * count > _LARGEST_REPETITION


def _quotient_is_large(left: Json, right: Json) -> bool:
    return _length(left) > _LARGEST_TEXT


def _length(value: Json) -> int:
    return len(value) if isinstance(value, _SIZED) else 0


def _bounding(operator: str, is_large: Callable[[Json, Json], bool]) -> Callable[[Json, Json], Json]:
    plain = _BINOPS[operator]

    def apply(left: Json, right: Json) -> Json:
        if (isinstance(left, _SIZED) or isinstance(right, _SIZED)) and is_large(left, right):
            raise TooLarge
        return plain(left, right)

    return apply


_SIZED: Final = (str, list, dict)
_BOUNDED: Final = {
    "+": _bounding("+", _sum_is_large),
    "-": _bounding("-", _difference_is_large),
    "*": _bounding("*", _product_is_large),
    "/": _bounding("/", _quotient_is_large),
}
_BINOPS.update({_PREFIX + operator: function for operator, function in _BOUNDED.items()})
