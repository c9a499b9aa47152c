"""Parse jq source text into purejq's tree, with errors that name the column.

This module and `jq` are the one door to purejq, whose version is pinned because its tree is used here. A node is a
tuple whose first item is its tag (`("field", base, name)`); parts of nodes are nodes, texts, or lists and tuples of
both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from purejq.errors import JqParseError
from purejq.lexer import lex
from purejq.parser import Parser

from interlock.errors import ExpressionSyntax

Node: TypeAlias = tuple[Any, ...]
_Token: TypeAlias = tuple[str, Any, int]
"""Kind, value, and the offset behind its last character."""

_END_OFFSET: Final = re.compile(r" at position (\d+)")
_START_OFFSET: Final = re.compile(r"^Unexpected character (.+) at position (\d+)$")
_TOKEN_WAS_TAKEN: Final = re.compile(r"Expected (?!pattern)")
_NO_MODULES: Final = frozenset({"import", "include"})


def parse(source: str) -> Node:
    """Give the tree of a program. Raises ExpressionSyntax with the column of the first thing that cannot be there.

    Raises RecursionError for a chain of hundreds of operators.
    """
    if not source.strip():
        raise ExpressionSyntax("the expression is empty", source, 0)
    tokens = _tokens(source)
    parser = Parser(tokens)
    try:
        node: Node = parser.parse_program()
    except JqParseError as error:
        raise _located(error, source, tokens, parser.pos) from error
    return node


def children(part: object) -> Iterator[Node]:
    """Give the nodes directly below a node, or below a part of one."""
    if isinstance(part, list):
        for item in part:
            yield from _nodes(item)
    elif isinstance(part, tuple):
        for item in part[1:] if _is_node(part) else part:
            yield from _nodes(item)


def column(source: str, kind: str, name: str) -> int | None:
    """Give the offset of the first token of a kind (`IDENT`, `VAR`, `FORMAT`, `KW`) and name.

    None when it stands inside a string interpolation only.
    """
    width = len(name) if kind in ("IDENT", "KW") else len(name) + 1
    return next((token[2] - width for token in _tokens(source) if token[:2] == (kind, name)), None)


def _nodes(part: Any) -> Iterator[Node]:
    if _is_node(part):
        yield part
    else:
        yield from children(part)


def _is_node(part: object) -> bool:
    return isinstance(part, tuple) and bool(part) and isinstance(part[0], str)


def _tokens(source: str) -> list[_Token]:
    try:
        tokens: list[_Token] = lex(source)
    except JqParseError as error:
        raise _located(error, source, [], 0) from error
    except ValueError as error:  # an integer literal of more digits than Python converts
        raise ExpressionSyntax("a number in the expression has too many digits", source) from error
    return tokens


def _located(error: JqParseError, source: str, tokens: list[_Token], position: int) -> ExpressionSyntax:
    """Translate an error; `position` is the index of the token that the parser would read next."""
    text = str(error)
    if match := _START_OFFSET.match(text):
        offset = int(match.group(2))
        return ExpressionSyntax(f"unexpected `{source[offset]}`", source, offset)
    if match := _END_OFFSET.search(text):
        index = position - 1 if _TOKEN_WAS_TAKEN.match(text) else position
        if tokens[index][2] == int(match.group(1)) and repr(tokens[index][1]) in text:
            return _at_token(index, source, tokens)
        # the offset counts from the start of a string interpolation, which is a program of its own
        return ExpressionSyntax("unexpected text in a string interpolation", source)
    return ExpressionSyntax(text[0].lower() + text[1:], source)


def _at_token(index: int, source: str, tokens: list[_Token]) -> ExpressionSyntax:
    kind, value, end = tokens[index]
    if kind == "EOF":
        return ExpressionSyntax("unexpected end of the expression", source, len(source))
    start = tokens[index - 1][2] if index else 0
    start += _blank_length(source[start:end])
    if kind == "KW" and value in _NO_MODULES:
        return ExpressionSyntax(f"`{value}` is shut off: an expression reads no files", source, start)
    return ExpressionSyntax(f"unexpected `{source[start:end]}`", source, start)


def _blank_length(text: str) -> int:
    """Give the length of the white space and comments that `text` starts with."""
    match = re.match(r"(?:\s|#[^\n]*\n)*", text)
    assert match is not None
    return match.end()
