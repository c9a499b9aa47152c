"""Python values in JSON: each comes back as it was, and what would not is refused at once."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import operator
import pathlib
import socket
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import msgspec
import pydantic
import pytest
import typing_extensions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.errors import Misfit
from interlock.flow.python import values
from interlock.flow.python.values import MISSING, Coder
from interlock.model import json

T = TypeVar("T")
B = TypeVar("B", bound=int)
D = decimal.Decimal
UTC = datetime.UTC
OrderId = NewType("OrderId", int)
Ids = typing_extensions.TypeAliasType("Ids", list[OrderId])
Pair = typing_extensions.TypeAliasType("Pair", tuple[T, T], type_params=(T,))


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Odd(enum.Enum):
    HERE = (1, 2)
    THERE = "x"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Line:
    sku: str
    price: D


@dataclasses.dataclass(frozen=True)
class Tree:
    name: str
    kids: tuple[Tree, ...] = ()
    size: int = dataclasses.field(init=False, default=7)


@dataclasses.dataclass
class Refund:
    sku: str


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


@dataclasses.dataclass
class Labelled(Box[int], Generic[T]):
    label: T


@dataclasses.dataclass
class Bound(Generic[B]):
    item: B
    any: Any = None


@dataclasses.dataclass
class Strict:
    age: int

    def __post_init__(self) -> None:
        if self.age < 0:
            raise ValueError("an age is not negative")


@dataclasses.dataclass
class Initial:
    seed: dataclasses.InitVar[int]


@dataclasses.dataclass
class Hole:
    late: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Unknown:
    what: Nowhere  # noqa: F821 (it is what the test is about)


class Plain(msgspec.Struct):
    a: int
    b: list[D] = []


class Tagged(msgspec.Struct, tag="shipped", tag_field="kind", rename="camel", forbid_unknown_fields=True):
    sent_at: datetime.date


class Dense(msgspec.Struct, array_like=True, tag=True):
    a: int
    b: str = "x"


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    a: int


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Pairs(TypedDict, Generic[T]):
    left: T
    right: T


class Point(NamedTuple):
    x: int
    y: D = D(0)


class Loop(NamedTuple):
    rest: list[Loop]


class Model(pydantic.BaseModel):
    a: int
    when: datetime.datetime | None = None
    _cache: int = pydantic.PrivateAttr(default=0)


class Aliased(pydantic.BaseModel):
    total: D = pydantic.Field(alias="the-total")
    scratch: int = pydantic.Field(default=0, exclude=True)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Crate(pydantic.BaseModel, Generic[T]):
    item: T


class Secret(pydantic.BaseModel):
    inner: Model = Model(a=1)
    password: pydantic.SecretStr


class Blob(pydantic.BaseModel):
    data: bytes


class Handle:
    pass


class Handled(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    handle: Annotated[Handle, pydantic.PlainSerializer(lambda _: "h"), pydantic.PlainValidator(lambda _: Handle())]


class Holder(pydantic.BaseModel):
    crate: Model


class Wider(Model):
    more: int = 1


class Incomplete(pydantic.BaseModel):
    missing: Nowhere  # noqa: F821 (it is what the test is about)


@dataclasses.dataclass
class Mixed:
    models: list[Model]
    pet: Cat | Dog


_UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
_NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

_KEPT: list[tuple[Any, Any, Any]] = [
    (MISSING, {"a": [1, None, {"b": 0.5}], "c": {"d": True}}, {"a": [1, None, {"b": 0.5}], "c": {"d": True}}),
    (Any, [1.5], [1.5]),
    (object, "x", "x"),
    (None, None, None),
    (int, 2**80, 2**80),
    (int, True, True),
    (float, 1.5, 1.5),
    (float, 1, 1),
    (list[float], [1.5, 2, -0.5], [1.5, 2, -0.5]),
    (list[float], [1.5, 10**400], [1.5, 10**400]),
    (list[float], [0.5, 1.5], [0.5, 1.5]),
    (bytes, b"\xff\x00", "/wA="),
    (datetime.datetime, _NOW, "2026-01-02T03:04:05.000006+00:00"),
    (datetime.date, _NOW.date(), "2026-01-02"),
    (datetime.time, _NOW.time(), "03:04:05.000006"),
    (datetime.timedelta, datetime.timedelta(seconds=90), "PT90S"),
    (D, D("1.50"), "1.50"),
    (uuid.UUID, _UUID, str(_UUID)),
    (pathlib.Path, pathlib.Path("/a/b"), "/a/b"),
    (pathlib.PurePath, pathlib.PurePath("a"), "a"),
    (Colour, Colour.RED, "red"),
    (Level, Level.LOW, 1),
    (Odd, Odd.HERE, "HERE"),
    (Right, Right.READ | Right.WRITE, 3),
    (list, [1, "a"], [1, "a"]),
    (typing.List, [1], [1]),  # noqa: UP006 (an old program)
    (list[D], [D(1), D(2)], ["1", "2"]),
    (set[int], {10, 9, 1}, [1, 9, 10]),
    (set[int], {-(10**400), 10**400, 0}, [-(10**400), 0, 10**400]),
    (frozenset[str | int], frozenset({"b", "a", 2}), [2, "a", "b"]),
    (set[tuple[int, str]], {(2, "b"), (1, "a")}, [[1, "a"], [2, "b"]]),
    (tuple, (1, "a"), [1, "a"]),
    (typing.Tuple, (1,), [1]),  # noqa: UP006 (an old program)
    (tuple[()], (), []),
    (tuple[int, D], (1, D(2)), [1, "2"]),
    (tuple[int, D] | int, (1, D(2)), [1, "2"]),
    (tuple[D, ...], (D(1), D(2)), ["1", "2"]),
    (Sequence[int], [1, 2], [1, 2]),
    (Mapping[str, D], {"a": D(1)}, {"a": "1"}),
    (dict, {"a": 1}, {"a": 1}),
    (dict[int, str], {1: "a"}, {"1": "a"}),
    (dict[uuid.UUID, int], {_UUID: 1}, {str(_UUID): 1}),
    (dict[Colour, int], {Colour.RED: 1}, {"red": 1}),
    (dict[int | str, int], {1: 1, "1": 2}, {"1": 1, '"1"': 2}),
    (dict[tuple[int, int], int], {(1, 2): 3}, {"[1,2]": 3}),
    (Optional[D], None, None),  # noqa: UP045 (as people write it)
    (D | None, D(1), "1"),
    (int | str | None, "1", "1"),
    (str | pathlib.Path, "a", "a"),
    (str | pathlib.Path, pathlib.Path("a"), {"$type": "Path", "$value": "a"}),
    (dict[str, int] | pathlib.Path | str, {"$type": 1}, {"$type": "dict[str, int]", "$value": {"$type": 1}}),
    (list[int] | list[D], [D(1)], {"$type": "list[Decimal]", "$value": ["1"]}),
    (list[int] | list[D], [1], {"$type": "list[int]", "$value": [1]}),
    (Any | Line, 1, 1),
    (Line | Movie, {"title": "x"}, {"$type": "Movie", "title": "x"}),
    (Line | Refund, Refund("a"), {"$type": "Refund", "sku": "a"}),
    (Line | Refund | None, Line("a", D(1)), {"$type": "Line", "sku": "a", "price": "1"}),
    (Dense | Line | list[int], Dense(1), {"$type": "Dense", "$value": ["Dense", 1, "x"]}),
    (Literal["a", 1, True, None], True, True),
    (Literal["a", 1, True, None], 1, 1),
    (Literal[Colour.RED, b"x"], b"x", "eA=="),
    (Annotated[D, {"unhashable": 1}], D(1), "1"),
    (Annotated[Line, "x"], Line("a", D(1)), {"sku": "a", "price": "1"}),
    (OrderId, 5, 5),
    (Ids, [1], [1]),
    (Pair[D], (D(1), D(2)), ["1", "2"]),
    (Tree, Tree("a", (Tree("b"),)), {"name": "a", "kids": [{"name": "b", "kids": [], "size": 7}], "size": 7}),
    (Box[D], Box(D(1)), {"item": "1"}),
    (Box[Box[D]], Box(Box(D(1))), {"item": {"item": "1"}}),
    (Box, Box([1]), {"item": [1]}),
    (Labelled[D], Labelled(1, D(2)), {"item": 1, "label": "2"}),
    (Bound, Bound(1), {"item": 1, "any": None}),
    (Box[list[T]], Box([1]), {"item": [1]}),
    (Plain, Plain(1, [D(1)]), {"a": 1, "b": ["1"]}),
    (Tagged, Tagged(_NOW.date()), {"kind": "shipped", "sentAt": "2026-01-02"}),
    (Dense, Dense(1, "y"), ["Dense", 1, "y"]),
    (Movie, {"title": "x"}, {"title": "x"}),
    (Movie, {"year": 1, "title": "x"}, {"title": "x", "year": 1}),
    (Pairs[D], {"left": D(1), "right": D(2)}, {"left": "1", "right": "2"}),
    (Point, Point(1, D(2)), [1, "2"]),
    (Loop, Loop([Loop([])]), [[[[]]]]),
    (Model, Model(a=1, when=_NOW), {"a": 1, "when": "2026-01-02T03:04:05.000006Z"}),
    (list[Model | int], [Model(a=1), 2], [{"a": 1, "when": None}, 2]),
    (Aliased, Aliased(**{"the-total": 1}), {"total": "1"}),
    (Cat | Dog, Dog(), {"$type": "Dog", "$value": {"kind": "dog"}}),
    (Numbers, Numbers([1]), [1]),
    (Crate[D], Crate[D](item=D(1)), {"item": "1"}),
    (
        Mixed,
        Mixed([Model(a=1)], Cat()),
        {"models": [{"a": 1, "when": None}], "pet": {"$type": "Cat", "$value": {"kind": "cat"}}},
    ),
    (pydantic.AnyUrl, pydantic.AnyUrl("http://a/"), "http://a/"),
]


@pytest.mark.parametrize(
    ("annotation", "value", "stored"), _KEPT, ids=[f"{n}-{str(a)[:40]}" for n, (a, *_) in enumerate(_KEPT)]
)
def test_value_comes_back_as_it_was(annotation: Any, value: Any, stored: Any) -> None:
    coder = Coder(annotation)
    encoded = coder.encode(value)
    assert encoded == stored
    assert type(encoded) is type(stored)
    decoded = coder.decode(json.decode(json.encode(encoded)))
    assert decoded == value
    assert type(decoded) is type(value)


_REFUSED: list[tuple[Any, Any, str]] = [
    (MISSING, D(1), r"it is Decimal, which is not plain JSON: annotate the result of step `price` with `-> Decimal`"),
    (MISSING, {"items": [1, {"price": D(1)}]}, r"`\.items\[1\]\.price` is Decimal, .* with its type"),
    (MISSING, pathlib.Path("a"), r"with `-> Path`"),
    (
        MISSING,
        socket.socket.__new__(socket.socket),
        r"is socket, and no annotation could store socket: use a dataclass",
    ),
    (MISSING, (1,), r"is tuple"),
    (MISSING, Colour.RED, r"-> Colour"),
    (MISSING, {1: 2}, r"has the key 1; a key must be a str"),
    (MISSING, {"a b": float("nan")}, r"`\['a b'\]` is nan, which JSON cannot hold; use None, or Decimal"),
    (
        dict[str, Any],
        {"a": D(1)},
        r"`\.a` is Decimal, where dict\[str, Any\] only has room for plain JSON: say Decimal",
    ),
    (int, "a" * 50, r"it is str 'a{36}\.\.\., not int"),
    (int, None, r"is None, not int"),
    (int, 1.0, r"is float 1.0, not int"),
    (int, 10**5000, r"digits"),
    (bool, 1, r"is int 1, not bool"),
    (str, "\ud800", r"the text '\\ud800', half of a character"),
    (str, Colour.RED, r"is Colour, which would come back as str; give str\(\.\.\.\) of it"),
    (float, float("inf"), r"is inf"),
    (list[float], [1.0, float("inf")], r"`\[1\]` is inf"),
    (list[int], (1,), r"is tuple, not list\[int\]"),
    (list[int], [1, "a"], r"`\[1\]` is str 'a'"),
    (dict[str, int], collections.Counter("a"), r"is Counter, which would come back as dict; give dict"),
    (dict[str, int], [], r"is list, not dict\[str, int\]"),
    (dict[int, int], {"a": 1}, r"has the key 'a', which is str 'a', not int"),
    (datetime.date, _NOW, r"is datetime, not date"),
    (pathlib.Path, "a", r"is str 'a', not Path"),
    (Colour, "red", r"is str 'red', not Colour"),
    (Literal["a"], "b", r"is str 'b', not Literal\['a'\]"),
    (Literal["a"], [], r"is list, not Literal"),
    (tuple[int, str], (1,), r"has 1 items, but tuple\[int, str\] has 2"),
    (tuple[int, str], [1, "a"], r"is list, not tuple"),
    (tuple[int, str], (1, 2), r"`\[1\]` is int 2, not str"),
    (int | str, D(1), r"is Decimal, not int \| str"),
    (list[int] | list[str], [D(1)], r"`\[0\]` is Decimal, not str"),
    (Line, Line("a", 1), r"`\.price` is int 1, not Decimal"),
    (Line, {"sku": "a"}, r"is dict, not Line"),
    (
        Box[int],
        Labelled(1, 2),
        r"is Labelled, which would come back as Box\[int\]; annotate it with Labelled or a union of both",
    ),
    (Hole, Hole(), r"has no value for its field `late`"),
    (Movie, {"year": 1}, r"lacks 'title' of Movie"),
    (Movie, {"title": "x", "rating": 1}, r"has 'rating', which Movie does not have"),
    (Movie, {"title": 1}, r"`\.title` is int 1, not str"),
    (Movie, [], r"is list, not Movie"),
    (Model, {"a": 1}, r"is dict, not Model"),
    (Secret, Secret(password="x"), r"`\.password` comes back from pydantic as SecretStr"),
    (Blob, Blob(data=b"\xff"), r"cannot be written by pydantic: (?s:.*)utf-8"),
    (Holder, Holder(crate=Wider(a=1)), r"`\.crate` comes back from pydantic as Model"),
    (Crate[int], Crate(item="x"), r"it cannot be written by pydantic: "),
]


@pytest.mark.parametrize(
    ("annotation", "value", "message"), _REFUSED, ids=[f"{n}-{str(a)[:40]}" for n, (a, *_) in enumerate(_REFUSED)]
)
def test_value_that_would_not_come_back_is_refused(annotation: Any, value: Any, message: str) -> None:
    coder = Coder(annotation, "the result of step `price`", "-> {}")
    with pytest.raises(Misfit, match=message) as caught:
        coder.encode(value)
    assert str(caught.value).startswith("the result of step `price` cannot be stored: ")


_MISREAD: list[tuple[Any, Any, str]] = [
    (int, "a", r"^the value does not fit int: it is str 'a', not int"),
    (D, "x", r"is str 'x', which is no Decimal"),
    (D, 1, r"is int 1, not Decimal"),
    (bytes, "%", r"no bytes"),
    (datetime.timedelta, "soon", r"no timedelta"),
    (Colour, "green", r"is str 'green', which is no member of Colour"),
    (Odd, "x", r"no member of Odd"),
    (Colour, None, r"is None, not Colour"),
    (Literal["a"], "b", r"not Literal"),
    (list[int], {}, r"is dict, not list"),
    (list[D], ["1", "x"], r"`\[1\]` is str 'x', which is no Decimal"),
    (tuple[int, int], {}, r"is dict"),
    (Point, [], r"has 0 items, but Point has 2"),
    (dict[str, D], [], r"is list"),
    (dict[int, int], {"x": 1}, r"has the key 'x', which is no int"),
    (dict[int, int], {'"x"': 1}, r"has the key '\"x\"', which is no int"),
    (dict[str, D], {"a": "x"}, r"`\.a` is str 'x'"),
    (int | str, [], r"is list, not int \| str"),
    (list[int] | list[D], ["x"], r"`\[0\]` is str 'x', which is no Decimal"),
    (Line, {"sku": "a"}, r"lacks `price` of Line"),
    (Line, {"sku": "a", "price": 1}, r"`\.price` is int 1, not Decimal"),
    (Line, [], r"is list, not Line"),
    (Strict, {"age": -1}, r"is refused by Strict: an age is not negative"),
    (Tagged, {"kind": "lost", "sentAt": "2026-01-02"}, r"is tagged 'lost', not 'shipped'"),
    (Tagged, {"sentAt": "2026-01-02", "x": 1}, r"has `x`, which Tagged does not have"),
    (Closed, {"a": 1, "b": 2}, r"has `b`, which Closed does not have"),
    (Dense, {}, r"is dict"),
    (Model, {"a": "x"}, r"does not fit Model: it is refused by pydantic: (?s:.*)valid integer"),
]


@pytest.mark.parametrize(
    ("annotation", "stored", "message"), _MISREAD, ids=[f"{n}-{str(a)[:40]}" for n, (a, *_) in enumerate(_MISREAD)]
)
def test_json_that_does_not_fit_is_refused(annotation: Any, stored: Any, message: str) -> None:
    with pytest.raises(Misfit, match=message):
        Coder(annotation).decode(stored)


@pytest.mark.parametrize(
    ("annotation", "stored", "value"),
    [
        (Line, {"sku": "a", "price": "1", "removed": 2}, Line("a", D(1))),
        (Tree, {"name": "a"}, Tree("a")),
        (Tagged, {"sentAt": "2026-01-02"}, Tagged(_NOW.date())),
        (Dense, ["Dense", 1], Dense(1)),
        (Point, [1], Point(1)),
        (Movie, {"title": "x", "seen": 1}, {"title": "x"}),
        (Line | Refund, {"sku": "a"}, Refund("a")),
        (Line | Refund, {"sku": "a", "price": "1"}, Line("a", D(1))),
        (pathlib.Path | str, "a", "a"),
        (Cat | Dog, {"kind": "dog"}, Dog()),
        (Aliased, {"the-total": "1"}, Aliased(**{"the-total": 1})),
    ],
)
def test_json_of_other_code_or_of_a_person_is_read(annotation: Any, stored: Any, value: Any) -> None:
    assert Coder(annotation).decode(stored) == value


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (
            Callable[[int], int],
            r"the annotation of the argument `x` is Callable\[\[int\], int\], which cannot be stored; use a dataclass",
        ),
        (socket.socket, r"is socket, which"),
        (list[complex], r"is complex"),
        (type[int], r"is type"),
        (typing.ClassVar, r"ClassVar"),
        ("Line", r"names 'Line', which cannot be found"),
        (list["Nowhere"], r"names ForwardRef\('Nowhere'\)|names 'Nowhere'"),  # noqa: F821 (it is what the test is about)
        (Unknown, r"is Unknown, whose annotations name `Nowhere`, which the module .* does not have; import it there"),
        (Initial, r"whose `seed` is an InitVar"),
        (Incomplete, r"the pydantic class Incomplete, which is not complete"),
        (Box[int] | Annotated[Box[int], 1] | dict, r"two members that are called"),
    ],
)
def test_annotation_that_nothing_can_be_stored_by_is_refused(annotation: Any, message: str) -> None:
    with pytest.raises(Misfit, match=message):
        Coder(annotation, "the argument `x`")


def test_two_classes_of_one_name_are_no_union() -> None:
    other = dataclasses.make_dataclass("Line", [("x", int)])
    with pytest.raises(Misfit, match="two members that are called Line; rename one"):
        Coder(Line | other)


class Nested:
    """As Python 3.12 makes of `type Nested = Decimal | list[Nested]`."""

    __type_params__ = ()

    @property
    def __value__(self) -> Any:
        return D | list[self]


def test_alias_may_contain_itself() -> None:
    coder = Coder(Nested())
    value = [D(1), [D(2), []]]
    assert coder.decode(coder.encode(value)) == value
    with pytest.raises(Misfit):
        coder.encode([[1]])


class Tangled:
    """As Python 3.12 makes of `type Tangled = None | str | list[Tangled | int]`."""

    __type_params__ = ()

    @property
    def __value__(self) -> Any:
        return None | str | list[self | int]

    def __or__(self, other: Any) -> Any:
        return Union[Annotated[self, 1], other]  # noqa: UP007 (this is the `|` of the class)


def test_alias_may_be_a_member_of_a_union_within_itself() -> None:
    coder = Coder(Tangled())
    value = ["a", 1, None, ["b", [2]]]
    assert coder.decode(coder.encode(value)) == value
    with pytest.raises(Misfit):
        coder.encode([1.5])


def test_private_attributes_and_what_cannot_be_compared_do_not_count() -> None:
    model = Model(a=1)
    model._cache = 5
    assert Coder(Model).decode(Coder(Model).encode(model)).a == 1
    assert isinstance(Coder(Handled).decode(Coder(Handled).encode(Handled(handle=Handle()))).handle, Handle)


def test_generic_model_made_without_its_type_is_taken_for_it() -> None:
    assert Coder(Crate[int]).decode(Coder(Crate[int]).encode(Crate(item=1))) == Crate[int](item=1)


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Misfit, match="contains itself or is nested too deeply"):
        Coder().encode(loop)


@pytest.mark.parametrize("annotation", [MISSING, list[Any], list[dict[str, int]], dict[str, Any] | list[Any]])
def test_nothing_is_shared_with_what_is_stored(annotation: Any) -> None:
    value: list[Any] = [{"a": 1}]
    coder = Coder(annotation)
    encoded = coder.encode(value)
    value[0]["a"] = 2
    decoded = coder.decode(encoded)
    decoded[0]["a"] = 3
    assert coder.decode(encoded) == [{"a": 1}]


def test_annotation_is_planned_once() -> None:
    assert Coder(list[Line])._form is Coder(list[Line])._form


@pytest.mark.parametrize(
    ("value", "expected"),
    [([1, {"a": None}], True), (D(1), False), ("\udc80", False), (float("nan"), False), (10**5000, False)],
    ids=range(5),
)
def test_plain_json_is_known(value: Any, expected: bool) -> None:
    assert values.is_plain(value) is expected


def test_missing_is_what_inspect_says() -> None:
    assert MISSING is inspect.Parameter.empty


_LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (str, st.text()),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (type(None), st.none()),
    (bytes, st.binary()),
    (datetime.datetime, st.datetimes(timezones=st.sampled_from([None, UTC]))),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas()),
    (D, st.decimals(allow_nan=False)),
    (uuid.UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
    (Odd, st.sampled_from(Odd)),
    (Line, st.builds(Line, st.text(), st.decimals(allow_nan=False))),
    (Refund, st.builds(Refund, st.text())),
    (Model, st.builds(Model, a=st.integers(), when=st.none() | st.datetimes(timezones=st.just(UTC)))),
]
_HASHABLE = [leaf for leaf in _LEAVES if leaf[0] not in (Line, Refund, Model)]


def _optional(inner: tuple[Any, st.SearchStrategy[Any]]) -> tuple[Any, st.SearchStrategy[Any]]:
    return inner[0] | None, inner[1] | st.none()


def _either(inner: tuple[tuple[Any, st.SearchStrategy[Any]], ...]) -> tuple[Any, st.SearchStrategy[Any]]:
    return functools.reduce(operator.or_, [kind for kind, _ in inner]), st.one_of(*(values for _, values in inner))


def _wrapped(
    inner: st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]],
) -> st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]]:
    return st.one_of(
        inner.map(lambda leaf: (list[leaf[0]], st.lists(leaf[1], max_size=3))),
        inner.map(lambda leaf: (tuple[leaf[0], ...], st.lists(leaf[1], max_size=3).map(tuple))),
        inner.map(_optional),
        inner.map(lambda leaf: (Box[leaf[0]], leaf[1].map(Box))),
        st.tuples(inner, inner).map(lambda two: (tuple[two[0][0], two[1][0]], st.tuples(two[0][1], two[1][1]))),
        st.tuples(st.sampled_from(_HASHABLE), inner).map(
            lambda two: (dict[two[0][0], two[1][0]], st.dictionaries(two[0][1], two[1][1], max_size=3))
        ),
        st.sampled_from(_HASHABLE).map(lambda leaf: (set[leaf[0]], st.sets(leaf[1], max_size=3))),
        st.lists(st.sampled_from(_LEAVES), min_size=2, max_size=4, unique_by=lambda leaf: leaf[0]).map(
            lambda two: _either(tuple(two))
        ),
    )


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text loads the table of all characters
@given(
    st.recursive(st.sampled_from(_LEAVES), _wrapped, max_leaves=4).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), kind[1])
    )
)
def test_any_value_of_any_annotation_comes_back(case: tuple[Any, Any]) -> None:
    annotation, value = case
    coder = Coder(annotation)
    decoded = coder.decode(json.decode(json.encode(coder.encode(value))))
    assert decoded == value
    assert type(decoded) is type(value)
