"""Compile and evaluate jq programs.

`compile` checks a program once; an `Expression` is a pure function of data and arguments. Source of the choices that
jq leaves open (reference 1.7): no output is null, several are an error, integers are exact. One thread of a process
compiles and evaluates: purejq keeps compile-time state of its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Final

from purejq.compiler import Env, collect_defined_names, compile_v
from purejq.compiler import _names_ctx as _names_context
from purejq.errors import JqError
from purejq.prelude import prelude_env

from interlock.errors import ExpressionError, ExpressionSyntax
from interlock.expr import screen, syntax
from interlock.model.json import Json

_CACHED_EXPRESSIONS: Final = 4096
"""Programs kept compiled: a definition has tens, a node some hundred definitions; each takes a few kilobytes."""

_LARGEST: Final = 1.7976931348623157e308
_EXACT_FLOAT: Final = 1e17
"""Whole floats below this print without a fraction, as in jq."""
_SHOWN_CHARACTERS: Final = 80


class Expression:
    """A checked program.

    `arguments` are the `$names` that it reads and does not bind itself, without `$`: the caller builds only these.
    """

    __slots__ = ("_program", "arguments", "source")

    def __init__(self, source: str, arguments: frozenset[str], program: Any) -> None:
        self.source: Final = source
        self.arguments: Final = arguments
        self._program = program

    def evaluate(self, data: Json, arguments: Mapping[str, Json]) -> Json:
        """Give the one result for `data` as `.`; None when there is none.

        The result may share parts with `data` and `arguments`, none of which is changed. Raises ExpressionError when
        the program fails, gives several results or reads a name that `arguments` lacks.
        """
        outputs = self._outputs(data, arguments)
        if not outputs:
            return None
        if len(outputs) > 1:
            raise self._failed("it gives several results; wrap it in [...] to get an array")
        return _plain(outputs[0])

    def _outputs(self, data: Json, arguments: Mapping[str, Json]) -> list[Json]:
        outputs: list[Json] = []
        try:
            for output in self._program(data, Env(parent=prelude_env(), vars=arguments)):
                outputs.append(output)
                if len(outputs) > 1:
                    break
        except JqError as error:
            raise self._failed(str(error)) from error
        except RecursionError as error:
            raise self._failed("it recurses too deeply") from error
        except Exception as error:
            raise self._failed(str(error) or type(error).__name__) from error
        return outputs

    def _failed(self, reason: str) -> ExpressionError:
        return ExpressionError(f"{reason}, in the expression `{_shortened(self.source)}`")

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


@functools.lru_cache(_CACHED_EXPRESSIONS)
def compile(source: str) -> Expression:
    """Give the program of a jq source text, without `${ }` around it.

    Raises ExpressionSyntax when it does not parse, or calls a function that is unknown or shut off.
    """
    tree = syntax.parse(source)
    arguments = screen.screen(tree, source)
    try:
        return Expression(source, arguments, _compiled(tree))
    except RecursionError as error:
        raise ExpressionSyntax("the expression nests too deeply", source) from error


def _compiled(tree: syntax.Node) -> Any:
    prelude_env()  # calls are bound to its functions while compiling
    with _names_context(frozenset(collect_defined_names(tree))):
        return compile_v(tree)


def _plain(value: Json) -> Json:
    """Give `value` with the numbers that jq would print: no NaN or infinity, whole floats as integers."""
    if isinstance(value, float):
        return _plain_number(value)
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


def _shortened(source: str) -> str:
    line = " ".join(source.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"
