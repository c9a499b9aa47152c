"""Compile and evaluate jq programs.

`compile` checks a program once; an `Expression` is a pure function of data and arguments. Source of the choices that
jq leaves open (reference 1.7): no output is null, several are an error, integers are exact. One thread of a process
compiles and evaluates: purejq keeps compile-time state of its own.

Every program exists twice: as written, and with arithmetic that refuses large operands (`arithmetic`), which is the one
that may run on the loop.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from purejq.compiler import Env, collect_defined_names, compile_v
from purejq.compiler import _names_ctx as _names_context
from purejq.errors import JqError
from purejq.prelude import prelude_env

from interlock.errors import ExpressionError, ExpressionSyntax
from interlock.expr import arithmetic, builtins, cost, reads, screen, syntax
from interlock.model.json import Json

_CACHED_EXPRESSIONS: Final = 4096
"""Programs kept compiled: a definition has tens, a node some hundred definitions; each takes a few kilobytes."""

_LARGEST: Final = 1.7976931348623157e308
_EXACT_FLOAT: Final = 1e17
"""Whole floats below this print without a fraction, as in jq."""
_SHOWN_CHARACTERS: Final = 80
_HALF_PAIR: Final = re.compile(r"[\ud800-\udfff]")


class Expression:
    """A checked program.

    `arguments` are the `$names` that it reads and does not bind itself, without `$`: the caller builds only these.
    """

    __slots__ = ("__dict__", "_makes_scalars", "_tree", "arguments", "place", "source")

    def __init__(self, source: str, tree: syntax.Node) -> None:
        self.source: Final = source
        self.arguments: Final = screen.screen(tree, source)
        self.place: Final = cost.place(tree)
        self._tree = tree
        self._makes_scalars: Final = _makes_scalars(tree)

    def evaluate(self, data: Json, arguments: Mapping[str, Json]) -> Json:
        """Give the one result for `data` as `.`; None when there is none. May take any time and memory.

        The result may share parts with `data` and `arguments`, none of which is changed. Raises ExpressionError when
        the program fails, gives several results or reads a name that `arguments` lacks.
        """
        return self._result(self._program, data, arguments)

    def evaluate_inline(self, data: Json, arguments: Mapping[str, Json]) -> Json:
        """Give what `evaluate` gives, when that cannot take long. Raises arithmetic.TooLarge when it might."""
        if not self._is_light(data, arguments):
            raise arithmetic.TooLarge
        return self._result(self._bounded_program, data, arguments)

    def _is_light(self, data: Json, arguments: Mapping[str, Json]) -> bool:
        if self.place is cost.Place.INLINE_WHEN_SMALL:
            return cost.is_small(data, *(arguments[name] for name in self.arguments if name in arguments))
        return self.place is cost.Place.INLINE

    @functools.cached_property
    def secrets(self) -> frozenset[str] | None:
        """The names of the secrets that it reads; None when it may read any."""
        return reads.fields(self._tree, "secrets") if "secrets" in self.arguments else frozenset()

    @functools.cached_property
    def _program(self) -> Any:
        return _compiled(self._tree)

    @functools.cached_property
    def _bounded_program(self) -> Any:
        return _compiled(arithmetic.bounded(self._tree))

    def _result(self, program: Any, data: Json, arguments: Mapping[str, Json]) -> Json:
        outputs = self._outputs(program, data, arguments)
        if not outputs:
            return None
        if len(outputs) > 1:
            raise self._failed("it gives several results; wrap it in [...] to get an array")
        return _plain(outputs[0]) if self._makes_scalars else outputs[0]

    def _outputs(self, program: Any, data: Json, arguments: Mapping[str, Json]) -> list[Json]:
        """Give the first two outputs at most."""
        try:
            return list(itertools.islice(program(data, Env(parent=prelude_env(), vars=arguments)), 2))
        except (arithmetic.TooLarge, MemoryError):
            raise
        except JqError as error:
            raise self._failed(str(error)) from error
        except RecursionError as error:
            raise self._failed("it recurses too deeply") from error
        except Exception as error:  # purejq lets errors of Python's own arithmetic and codecs through
            raise self._failed(str(error) or type(error).__name__) from error

    def _failed(self, reason: str) -> ExpressionError:
        return ExpressionError(f"{reason}, in the expression `{_shortened(self.source)}`")

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


@functools.lru_cache(_CACHED_EXPRESSIONS)
def compile(source: str) -> Expression:
    """Give the program of a jq source text, without `${ }` around it.

    Raises ExpressionSyntax when it does not parse, or calls a function that is unknown or shut off.
    """
    try:
        return Expression(source, _corrected(syntax.parse(source)))
    except RecursionError as error:
        raise ExpressionSyntax("the expression nests too deeply", source) from error


def _corrected(tree: syntax.Node) -> syntax.Node:
    """Give the program with `min_by(.)` for `min`.

    purejq 0.3.1 loses nulls in `min`: `[1, null, 2] | min` gives 2. To go when it gives null.
    """
    return tree if "min" in collect_defined_names(tree) else _with_min_by(tree)


def _with_min_by(part: Any) -> Any:
    match part:
        case ("call", "min", []):
            return ("call", "min_by", [("identity",)])
        case tuple():
            return tuple(_with_min_by(item) for item in part)
        case list():
            return [_with_min_by(item) for item in part]
        case _:
            return part


def _compiled(tree: syntax.Node) -> Any:
    prelude_env()  # calls are bound to its functions while compiling
    with _names_context(frozenset(collect_defined_names(tree))):
        return compile_v(tree)


def _makes_scalars(node: syntax.Node) -> bool:
    """Say whether a program may compute a number, or a text that is no Unicode, and not only pass on its data's."""
    match node:
        case ("const", str(text)):
            return not _is_unicode(text)
        case ("binop", "+" | "-" | "*" | "/" | "%", *_) | ("neg", _) | ("const", float()):
            return True
        case ("assign", operator, *_) if operator not in ("=", "|=", "//="):
            return True
        case ("call", name, _) if name not in builtins.COPYING:
            return True
        case _:
            return any(_makes_scalars(child) for child in syntax.children(node))


def _plain(value: Json) -> Json:
    """Give `value` as jq would print it: no NaN or infinity, whole floats as integers, no half surrogate pairs."""
    if isinstance(value, float):
        return _plain_number(value)
    if isinstance(value, str):
        return value if _is_unicode(value) else _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _plain_number(value: float) -> Json:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return math.copysign(_LARGEST, value)
    return int(value) if value.is_integer() and abs(value) < _EXACT_FLOAT else value


def _is_unicode(text: str) -> bool:
    return text.isascii() or _HALF_PAIR.search(text) is None


def _shortened(source: str) -> str:
    line = " ".join(source.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"
