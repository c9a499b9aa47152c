"""JSON values with expressions in them: strings of the form `${ program }`.

A whole string is an expression or it is text: `Hello ${ .name }!` stays as it is, and `${ "Hello \\(.name)!" }` is the
form that interpolates. Only the definition is looked at: expression syntax inside data or results is never evaluated.
Keys of objects are never expressions.

Mode `strict` takes only `${ }`. Mode `loose` also tries every other string that is a program which names `.`, a field
or a `$name`; when it fails, the string stands for itself. `status`, `true` and `42` are text in both modes, though jq
could read them as programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from interlock.errors import ExpressionDeadline, ExpressionError, ExpressionSyntax
from interlock.expr import jq, syntax
from interlock.expr.evaluation import Evaluation
from interlock.model.json import Json

Mode: TypeAlias = Literal["strict", "loose"]

_OPENING: Final = "${"
_CLOSERS: Final = {"{": "}", "(": ")", "[": "]", '"': '"'}


class _Constant(msgspec.Struct, frozen=True):
    value: Json


class _Leaf(msgspec.Struct, frozen=True):
    expression: jq.Expression
    text: str | None = None
    """What stands in when the expression fails; None makes the failure the result."""


class _Array(msgspec.Struct, frozen=True):
    items: tuple[_Part, ...]


class _Object(msgspec.Struct, frozen=True):
    fields: dict[str, _Part]


_Part: TypeAlias = _Constant | _Leaf | _Array | _Object


class Template(msgspec.Struct, frozen=True):
    """A compiled value. `constant`: it holds no expression and evaluates to itself.

    `arguments` are the `$names` that its expressions read, without `$`; `dispensable` are those of them that only texts
    read which stand for themselves when they fail.
    """

    constant: bool
    arguments: frozenset[str]
    dispensable: frozenset[str]
    _part: _Part

    @property
    def secrets(self) -> frozenset[str] | None:
        """The names of the secrets that its expressions read; None when one may read any."""
        read = [leaf.expression.secrets for leaf in _leaves(self._part)]
        names = [each for each in read if each is not None]
        return None if len(names) < len(read) else frozenset().union(*names)

    def evaluate(self, evaluation: Evaluation, data: Json, arguments: Mapping[str, Json]) -> Json:
        """Give the value with each expression replaced by its result, left to right.

        Raises ExpressionError, and what `evaluation` raises.
        """
        return _evaluate(self._part, evaluation, data, arguments)


def is_expression(text: str) -> bool:
    """Say whether the whole of `text` is one `${ ... }`; white space around it does not count."""
    stripped = text.strip()
    return stripped.startswith(_OPENING) and stripped.endswith("}") and _closes_at_end(stripped)


def inner(text: str) -> str:
    """Give the program inside `${ }` of a text for which `is_expression` holds."""
    return text.strip()[len(_OPENING) : -1].strip()


def expression(text: str) -> jq.Expression:
    """Compile a property that is an expression by type (`if`, `when`, `in`, ...): with or without `${ }`.

    Raises ExpressionSyntax; its column counts within the program, without `${ }` and white space around it.
    """
    return jq.compile(inner(text) if is_expression(text) else text.strip())


def possible(text: str) -> jq.Expression | None:
    """Give what the mode `loose` tries of a text without `${ }`: a program that names `.`, a field or a `$name`.

    None for any other text.
    """
    try:
        program = jq.compile(text.strip())
    except ExpressionSyntax:
        return None
    return program if program.arguments or _names_data(syntax.parse(program.source)) else None


def compile(value: Json, mode: Mode = "strict") -> Template:
    """Give the template of a JSON value. Raises ExpressionSyntax for the first `${ }` that does not compile."""
    part = _part(value, mode)
    leaves = _leaves(part)
    arguments: frozenset[str] = frozenset().union(*(leaf.expression.arguments for leaf in leaves))
    needed: frozenset[str] = frozenset().union(*(leaf.expression.arguments for leaf in leaves if leaf.text is None))
    return Template(constant=not leaves, arguments=arguments, dispensable=arguments - needed, _part=part)


def _part(value: Json, mode: Mode) -> _Part:
    part: _Part
    if isinstance(value, str):
        return _text(value, mode)
    if isinstance(value, dict):
        part = _Object({key: _part(item, mode) for key, item in value.items()})
    elif isinstance(value, list):
        part = _Array(tuple(_part(item, mode) for item in value))
    else:
        return _Constant(value)
    return part if _leaves(part) else _Constant(value)


def _text(text: str, mode: Mode) -> _Part:
    if is_expression(text):
        return _Leaf(jq.compile(inner(text)))
    if mode == "loose" and (program := possible(text)) is not None:
        return _Leaf(program, text)
    return _Constant(text)


def _leaves(part: _Part) -> list[_Leaf]:
    match part:
        case _Leaf():
            return [part]
        case _Array(items):
            return [leaf for item in items for leaf in _leaves(item)]
        case _Object(fields):
            return [leaf for item in fields.values() for leaf in _leaves(item)]
        case _Constant():
            return []
        case _:
            assert_never(part)


def _evaluate(part: _Part, evaluation: Evaluation, data: Json, arguments: Mapping[str, Json]) -> Json:
    match part:
        case _Constant(value):
            return value
        case _Leaf(program, text):
            return _evaluate_leaf(program, text, evaluation, data, arguments)
        case _Array(items):
            return [_evaluate(item, evaluation, data, arguments) for item in items]
        case _Object(fields):
            return {key: _evaluate(item, evaluation, data, arguments) for key, item in fields.items()}
        case _:
            assert_never(part)


def _evaluate_leaf(
    program: jq.Expression, text: str | None, evaluation: Evaluation, data: Json, arguments: Mapping[str, Json]
) -> Json:
    try:
        return evaluation.run(program, data, arguments)
    except ExpressionDeadline:
        raise
    except ExpressionError:
        if text is None:
            raise
        return text


def _names_data(node: syntax.Node) -> bool:
    return node[0] in ("identity", "field") or any(_names_data(child) for child in syntax.children(node))


def _closes_at_end(text: str) -> bool:
    """Say whether the brace that opens `text` is still open before its last character.

    `${ .a } and ${ .b }` is text; `${ {a: .b }` is an expression that lacks a brace, and is reported as one.
    """
    open_until = ["}"]
    position = len(_OPENING)
    while position < len(text) - 1:
        character = text[position]
        if open_until[-1] == '"':
            position += _step_in_string(text, position, open_until)
            continue
        if character in _CLOSERS:
            open_until.append(_CLOSERS[character])
        elif character == open_until[-1]:
            open_until.pop()
            if not open_until:
                return False
        position += 1
    return True


def _step_in_string(text: str, position: int, open_until: list[str]) -> int:
    """Handle one character of a string literal; give how far to go on. `\\(` opens a program inside it."""
    if text[position] == "\\":
        if text[position + 1] == "(":
            open_until.append(")")
        return 2
    if text[position] == '"':
        open_until.pop()
    return 1
