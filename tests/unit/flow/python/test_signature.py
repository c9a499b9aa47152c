"""Calls of functions as data."""

from __future__ import annotations

import dataclasses
import functools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from interlock.errors import Invalid, Misfit
from interlock.flow.python.signature import Signature, digest

if TYPE_CHECKING:
    from fractions import Fraction


@dataclasses.dataclass
class Order:
    id: str
    total: Decimal = Decimal(1)


_UNSET: Any = object()
_TAGS = ["a"]


async def price(
    order: Order, rate: Decimal = Decimal("1.5"), *, tags: list[str] = _TAGS, note: Any = _UNSET
) -> Decimal: ...


def many(a: int, /, b: int = 2, *rest: Decimal, c: int = 3, **options: str) -> None: ...


def bare(a, *rest, b=1, **options): ...


def unresolved(a: Fraction) -> None: ...


class Shop:
    def sell(self) -> None: ...

    @classmethod
    def open(cls) -> None: ...

    @staticmethod
    def close(hour: int) -> int: ...


def listing() -> Any:
    yield 1


async def stream() -> Any:
    yield 1


_ORDER = Order("a")
_STORED = {"id": "a", "total": "1"}


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "stored"),
    [
        (price, (_ORDER,), {}, {"order": _STORED}),
        (price, (), {"order": _ORDER}, {"order": _STORED}),
        (price, (_ORDER, Decimal("1.5")), {"tags": ["a"], "note": _UNSET}, {"order": _STORED}),
        (
            price,
            (_ORDER, Decimal("1.50")),
            {"tags": ["b"], "note": 1},
            {"order": _STORED, "rate": "1.50", "tags": ["b"], "note": 1},
        ),
        (many, (1,), {}, {"a": 1}),
        (many, (1, 2, Decimal(3)), {"c": 3, "z": "q"}, {"a": 1, "rest": ["3"], "options": {"z": "q"}}),
        (many, (1, True), {}, {"a": 1, "b": True}),
        (many, (1,), {"a": "2"}, {"a": 1, "options": {"a": "2"}}),
        (bare, (1, [2]), {"b": True, "x": 1}, {"a": 1, "rest": [[2]], "b": True, "options": {"x": 1}}),
    ],
)
def test_call_is_stored_without_what_equals_its_default(function: Any, args: Any, kwargs: Any, stored: Any) -> None:
    signature = Signature(function)
    assert signature.encode(args, kwargs) == stored
    given, named = signature.call(stored)
    assert signature.bind(given, named) == signature.bind(args, kwargs)


def test_positional_arguments_are_filled_up_before_the_rest() -> None:
    assert Signature(many).call({"a": 1, "rest": ["3"]}) == ([1, 2, Decimal(3)], {})


def test_unknown_arguments_go_where_the_function_takes_any() -> None:
    assert Signature(many).call({"a": 1, "x": "y", "options": {"z": "q"}}) == ([1, 2], {"z": "q", "x": "y"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"oder": 1}, r"step `price` has no parameter `oder`; did you mean `order`\?"),
        ({"quite else": 1}, r"no parameter `quite else`; it takes `order`, `rate`, `tags`, `note`"),
        ({}, r"step `price` needs `order`; it was given nothing"),
        ({"rate": "1"}, r"needs `order`; it was given `rate`"),
        ({"order": 1}, r"the argument `order` of step `price` does not fit Order: it is int 1, not Order"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(Misfit, match=message):
        Signature(price, "step `price`").call(arguments)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"order": 2}), ((1,), {"unknown": 2})])
def test_wrong_call_is_refused_in_the_words_of_python(args: Any, kwargs: Any) -> None:
    def words(call: Any) -> str:
        with pytest.raises(TypeError) as caught:
            call()
        return str(caught.value)

    expected = words(lambda: price(*args, **kwargs))
    assert words(lambda: Signature(price).bind(args, kwargs)) == expected
    assert words(lambda: Signature(price).encode(args, kwargs)) == expected


def test_argument_that_cannot_be_stored_says_how_to_annotate_it() -> None:
    with pytest.raises(Misfit, match=r"the argument `a` of the function `bare` .*: annotate .* with `a: Order`"):
        Signature(bare).encode((_ORDER,), {})
    with pytest.raises(Misfit, match=r"the argument `\*rest` .*`\[0\]` is Order"):
        Signature(bare).encode((1, _ORDER), {})
    with pytest.raises(Misfit, match=r"the argument `\*\*options` .*`\.x` is Order"):
        Signature(bare).encode((1,), {"x": _ORDER})


def test_result_is_stored_as_it_is_annotated() -> None:
    signature = Signature(price, "step `price`")
    assert signature.decode_result(signature.encode_result(Decimal("1.50"))) == Decimal("1.50")
    with pytest.raises(Misfit, match="the result of step `price` cannot be stored: it is str 'a', not Decimal"):
        signature.encode_result("a")
    with pytest.raises(Misfit, match="-> Decimal"):
        Signature(bare).encode_result(Decimal(1))


def test_function_says_whether_it_is_async() -> None:
    assert Signature(price).is_async
    assert not Signature(many).is_async


def test_digest_tells_arguments_apart_and_nothing_else() -> None:
    signature = Signature(price)
    positional = digest(signature.encode((_ORDER, Decimal(2)), {}))
    assert positional == digest(signature.encode((), {"rate": Decimal(2), "order": _ORDER}))
    assert positional != digest(signature.encode((_ORDER, Decimal(3)), {}))
    assert len(positional) == 16
    assert digest({"a": {"x": 1, "y": 2}}) == digest({"a": {"y": 2, "x": 1}})
    assert digest({"a": 1}) == "1f8c00645b7df6ce", "finished steps of live runs are found by it: it must never change"


@pytest.mark.parametrize("function", [Shop.sell, Shop().sell, Shop.open, Shop.__dict__["open"]])
def test_methods_are_refused(function: Any) -> None:
    with pytest.raises(Invalid, match="make it a function of a module, or a staticmethod"):
        Signature(function)


@pytest.mark.parametrize("function", [print, functools.partial(many, 1), Shop, 5])
def test_what_is_no_function_is_refused(function: Any) -> None:
    with pytest.raises(Invalid, match="workflows and steps are functions"):
        Signature(function)


@pytest.mark.parametrize("function", [listing, stream])
def test_generators_are_refused(function: Any) -> None:
    with pytest.raises(Invalid, match="is a generator"):
        Signature(function)


def test_static_methods_and_local_functions_are_functions() -> None:
    def local(self: int) -> None: ...

    assert Signature(Shop.__dict__["close"]).encode((5,), {}) == {"hour": 5}
    assert Signature(Shop.close).encode((5,), {}) == {"hour": 5}
    assert Signature(local).encode((5,), {}) == {"self": 5}


def test_annotation_that_nobody_can_find_is_named_when_it_is_needed() -> None:
    signature = Signature(unresolved, "step `unresolved`")
    assert signature.bind((1,), {}) == {"a": 1}
    with pytest.raises(
        Invalid, match=r"an annotation of step `unresolved` names `Fraction`, .*outside of TYPE_CHECKING"
    ):
        signature.encode((1,), {})


def test_names_of_the_caller_are_known() -> None:
    @dataclasses.dataclass
    class Local:
        a: int

    def local(value: Local) -> None: ...

    assert Signature(local, names=locals()).encode((Local(1),), {}) == {"value": {"a": 1}}
