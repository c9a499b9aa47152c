"""The source of a function, and what the names in it stand for. Nothing of it is called."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from interlock.errors import NotFound

UNKNOWN: Final = object()
"""Stands for what only running the function could tell."""

Def = ast.FunctionDef | ast.AsyncFunctionDef


class Source:
    """One function: its tree, the lines of its file, and the names it knows.

    Names of functions inside it are looked up with its own: they see what it sees. Raises NotFound without a source.
    """

    def __init__(self, function: FunctionType, others: dict[FunctionType, Source] | None = None) -> None:
        self._others: dict[FunctionType, Source] = {} if others is None else others
        self.function = inspect.unwrap(function)
        self.file = inspect.getsourcefile(self.function) or "<unknown>"
        self.tree, self.lines = _definition(self.function)
        self.nested = {node.name: node for node in walk(self.tree) if isinstance(node, Def) and node is not self.tree}
        self._owners = dict(_owners(self.tree, self.tree.name))
        self._imports = _imports(self.tree)
        self._assigned = _assigned(self.tree)
        self._outer = {**vars(builtins), **self.function.__globals__, **_closure(self.function)}

    @property
    def is_async(self) -> bool:
        """Whether it is a coroutine function."""
        return isinstance(self.tree, ast.AsyncFunctionDef)

    @property
    def code(self) -> CodeType:
        """What tells this function from every other."""
        code: CodeType = self.function.__code__
        return code

    def of(self, function: FunctionType) -> Source:
        """Give the source of another function, read once."""
        if function not in self._others:
            self._others[function] = Source(function, self._others)
        return self._others[function]

    def owner(self, node: ast.AST) -> str:
        """Give the name of the function, this one or one inside it, that a node stands in."""
        return self._owners[node]

    def assigned(self, name: str) -> list[ast.expr]:
        """Give what is assigned to a local name; the annotation, of a parameter."""
        return self._assigned.get(name, [])

    def resolve(self, node: ast.expr) -> Any:
        """Give what a name or a dotted name stands for, else UNKNOWN."""
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            if owner is UNKNOWN:
                return UNKNOWN
            if isinstance(owner, ModuleType):
                return getattr(owner, node.attr, UNKNOWN)
            found = inspect.getattr_static(owner, node.attr, UNKNOWN)
            return found.__func__ if isinstance(found, staticmethod) else found
        if not isinstance(node, ast.Name):
            return UNKNOWN
        if node.id in self._imports:
            return _loaded(self._imports[node.id])
        if node.id in self._assigned or node.id in self.nested:
            return UNKNOWN
        return self._outer.get(node.id, UNKNOWN)

    def dotted(self, node: ast.expr) -> str:
        """Give the full name of what a name stands for, such as `datetime.datetime.now`; "" when nobody can tell."""
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        if isinstance(node, ast.Name) and node.id in self._imports:
            return self._imports[node.id]
        return _full_name(self.resolve(node))


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Give a node and all that it contains, in the order of the text, without annotations and decorators."""
    yield node
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child)


def _owners(node: ast.AST, name: str) -> Iterator[tuple[ast.AST, str]]:
    yield node, name
    for child in ast.iter_child_nodes(node):
        yield from _owners(child, child.name if isinstance(child, Def) else name)


def _definition(function: FunctionType) -> tuple[Def, list[str]]:
    try:
        lines, _ = inspect.findsource(function)
    except OSError as error:
        raise NotFound(f"the source of `{function.__qualname__}` cannot be found: {error}") from error
    first = function.__code__.co_firstlineno
    try:
        module = _parsed("".join(lines))
    except SyntaxError as error:  # the file holds more than Python, as a page or a notebook does
        raise NotFound(f"the source of `{function.__qualname__}` cannot be read: {error}") from error
    for node in ast.walk(module):
        if isinstance(node, Def) and min([node.lineno, *(item.lineno for item in node.decorator_list)]) == first:
            return node, lines
    raise NotFound(
        f"the source of `{function.__qualname__}` is not what it was made from; restart to load what changed"
    )


@functools.lru_cache(maxsize=32)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _closure(function: FunctionType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # it is assigned later
            found[name] = UNKNOWN
    return found


def _imports(tree: Def) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _assigned(tree: Def) -> dict[str, list[ast.expr]]:
    names: dict[str, list[ast.expr]] = {}
    for node in walk(tree):
        if isinstance(node, ast.arg):
            names.setdefault(node.arg, []).extend([node.annotation] if node.annotation else [])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, [])
    for node in walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    names[target.id].append(node.value)
    return names


def _loaded(name: str) -> Any:
    """Find what an import inside the function would give, if its module is loaded."""
    if name in sys.modules:
        return sys.modules[name]
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(module), attribute, UNKNOWN)


def _full_name(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    name = getattr(value, "__qualname__", None)
    if name is None or not callable(value):
        return ""
    owner = type(getattr(value, "__self__", None))
    if owner.__module__ == "random":  # its functions are methods of one hidden generator
        return f"random.{value.__name__}"
    return f"{'os' if value.__module__ == 'posix' else value.__module__}.{name}"
