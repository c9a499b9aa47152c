"""Decide what a program may use: every function known and harmless, every `$name` listed.

An expression computes from its data and arguments alone, so that the same step gives the same result on every node and
after every crash. What reads the environment, the clock, the time zone or further inputs, writes to the terminal, or
ends the process is shut off when the program is compiled.
"""

from __future__ import annotations

import difflib
from typing import Final

import msgspec

from interlock.errors import ExpressionSyntax
from interlock.expr import builtins, syntax

_ENVIRONMENT: Final = "ENV"
_PRIVATE: Final = "__"
"""purejq keeps variables of its own (`$__prog_args`) under this prefix."""


class _Scope(msgspec.Struct, frozen=True):
    functions: frozenset[builtins.Function] = frozenset()
    variables: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def define(self, *functions: builtins.Function) -> _Scope:
        return msgspec.structs.replace(self, functions=self.functions | set(functions))

    def bind(self, variables: frozenset[str]) -> _Scope:
        return msgspec.structs.replace(self, variables=self.variables | variables)

    def mark(self, label: str) -> _Scope:
        return msgspec.structs.replace(self, labels=self.labels | {label})


class _Screen:
    def __init__(self, source: str) -> None:
        self._source = source
        self.free: set[str] = set()

    def walk(self, node: syntax.Node, scope: _Scope) -> None:
        match node:
            case ("var", name):
                self._read(name, scope)
            case ("call", name, arguments):
                self._call(name, len(arguments), scope)
                self._walk_all(arguments, scope)
            case ("funcdef", name, parameters, body, rest):
                outer = scope.define((name, len(parameters)))
                self.walk(body, _inside(outer, parameters))
                self.walk(rest, outer)
            case ("as" | "reduce" | "foreach", producer, patterns, *bodies):
                self.walk(producer, scope)
                inner = scope.bind(frozenset(bound(patterns)))
                self._walk_all(patterns, inner)
                self._walk_all(bodies, inner)
            case ("label", name, body):
                self.walk(body, scope.mark(name))
            case ("break", name) if name not in scope.labels:
                raise self._refused(f"no `label ${name}` encloses `break ${name}`", "VAR", name)
            case ("format", name) | ("str", str(name), _) if name not in builtins.FORMATS:
                raise self._refused(f"unknown format `@{name}`{_nearest(name, builtins.FORMATS, '@')}", "FORMAT", name)
            case _:
                self._walk_all(node, scope)

    def _walk_all(self, part: object, scope: _Scope) -> None:
        for node in syntax.children(part):
            self.walk(node, scope)

    def _read(self, name: str, scope: _Scope) -> None:
        if name in scope.variables:
            return
        if name == _ENVIRONMENT or name.startswith(_PRIVATE):
            raise self._refused(f"`${name}` is shut off: it reads the environment", "VAR", name)
        self.free.add(name)

    def _call(self, name: str, arity: int, scope: _Scope) -> None:
        if (name, arity) in scope.functions:
            return
        if reason := builtins.SHUT_OFF.get(name):
            raise self._refused(f"`{name}` is shut off: it {reason}", "IDENT", name)
        if (name, arity) not in builtins.BUILTINS:
            raise self._refused(_unknown(name, arity, scope), "IDENT", name)

    def _refused(self, message: str, kind: str, name: str) -> ExpressionSyntax:
        return ExpressionSyntax(message, self._source, syntax.column(self._source, kind, name))


def screen(node: syntax.Node, source: str) -> frozenset[str]:
    """Give the free `$names` of a program, without `$`.

    Raises ExpressionSyntax for a function that is shut off or unknown.
    """
    walker = _Screen(source)
    walker.walk(node, _Scope())
    return frozenset(walker.free)


def bound(part: object) -> set[str]:
    """Give the names that the patterns of `as`, `reduce` and `foreach` bind."""
    match part:
        case ("pvar", str(name)):
            return {name}
        case ("pobject", list(entries)):
            aliases = {alias for _, _, alias in entries if alias is not None}
            return aliases.union(*(bound(pattern) for _, pattern, _ in entries))
        case _:
            return set().union(*(bound(pattern) for pattern in syntax.children(part)))


def _inside(scope: _Scope, parameters: list[str]) -> _Scope:
    """Give the scope of a function's body: a parameter is a function, and `$name` a variable as well."""
    names = [parameter.removeprefix("$") for parameter in parameters]
    values = frozenset(parameter[1:] for parameter in parameters if parameter.startswith("$"))
    return scope.define(*((name, 0) for name in names)).bind(values)


def _unknown(name: str, arity: int, scope: _Scope) -> str:
    known = scope.functions | builtins.BUILTINS.keys()
    arities = sorted(count for other, count in known if other == name)
    if arities:
        noun = "argument" if arities == [1] else "arguments"
        return f"`{name}` takes {' or '.join(map(str, arities))} {noun}, not {arity}"
    return f"unknown function `{name}`{_nearest(name, {other for other, _ in known})}"


def _nearest(name: str, names: frozenset[str] | set[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.8)
    return f"; did you mean `{prefix}{close[0]}`?" if close else ""
