"""What steps change outside of their run, as far as a test can see it: the world that a crash must not change twice.

By default that is what the code of a workflow and its steps keeps in modules and closures: lists, dicts, sets and counters,
objects of its own classes, and plain values that it assigns anew. It is copied before each repetition and put back in place,
so that whoever has a reference to it sees the same. A test that keeps its world elsewhere gives a function for it.
"""

from __future__ import annotations

import builtins
import copy
import dis
import types
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from interlock.flow.python.step import Step
from interlock.flow.python.workflow import Workflow

_CONTAINERS: Final = (list, dict, set, deque, Counter, bytearray)
_PLAIN: Final = (int, float, str, bytes, bool, tuple, frozenset, type(None))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something is kept: a name of a module, or a cell of a closure."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], None]


class World:
    """A copy of the world, to put back and to compare with. `names` are those of what was copied."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._places: list[_Place] = []
        self._first: dict[str, Any] = {}
        self._objects: dict[str, Any] = {}
        for place in _places(functions):
            self.add(place)

    def add(self, place: _Place) -> None:
        """Note a place, unless it is known or cannot be copied."""
        if place.name in self._first:
            return
        value = place.get()
        try:
            self._first[place.name] = copy.deepcopy(_content(value))
        except Exception:  # noqa: BLE001 (locks, connections and the like are no state that could be compared)
            return
        self._places.append(place)
        self._objects[place.name] = value

    @property
    def names(self) -> list[str]:
        return sorted(self._first)

    def reset(self) -> None:
        """Put back what was there, in the very objects that held it."""
        for place in self._places:
            _restore(place, self._objects[place.name], copy.deepcopy(self._first[place.name]))

    def snapshot(self) -> dict[str, Any]:
        """Give what is there now, by name."""
        found: dict[str, Any] = {}
        for place in self._places:
            try:
                found[place.name] = copy.deepcopy(_content(place.get()))
            except Exception:  # noqa: BLE001 (a function put something in that cannot be copied: it cannot be compared)
                found[place.name] = None
        return found


@dataclass(slots=True)
class Given:
    """A world that the test itself describes."""

    look: Callable[[], Any]
    put_back: Callable[[], Any]

    def reset(self) -> None:
        self.put_back()

    def snapshot(self) -> dict[str, Any]:
        return {"the world": copy.deepcopy(self.look())}


def same(one: Any, other: Any) -> bool:
    """Say whether two worlds are alike. The order within a list does not count: what runs side by side may swap."""
    if isinstance(one, list | deque | tuple) and isinstance(other, list | deque | tuple):
        return len(one) == len(other) and _matched(list(one), list(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _matched(one: list[Any], other: list[Any]) -> bool:
    if one == other:
        return True
    for item in one:
        found = next((number for number, candidate in enumerate(other) if same(item, candidate)), None)
        if found is None:
            return False
        del other[found]
    return True


def functions_of(workflow: Workflow[..., Any]) -> list[Callable[..., Any]]:
    """Give the function of a workflow, those of the steps, undos and workflows that it refers to, and the plain functions of
    its module that it calls."""
    found: list[Callable[..., Any]] = [workflow.function]
    for function in found:
        for value in _mentioned(function):
            for plain in _behind(value):
                is_own = plain.__module__ == workflow.function.__module__
                if plain not in found and (is_own or isinstance(value, Step | Workflow)):
                    found.append(plain)
    return found


def _mentioned(function: Callable[..., Any]) -> list[Any]:
    read, _ = _names(function.__code__)
    values = [function.__globals__[name] for name in sorted(read) if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # it is assigned later
            continue
    return values


def _behind(value: Any) -> Iterator[types.FunctionType]:
    """Give the functions that a step, a workflow or a function is made of."""
    if isinstance(value, Step) and (undo := value.options.compensate) is not None:
        yield from _behind(undo)
    plain = value.function if isinstance(value, Step | Workflow) else value
    if isinstance(plain, types.FunctionType):
        yield plain


# -- finding ---------------------------------------------------------------------------------------------------------


def _places(functions: Iterable[Callable[..., Any]]) -> Iterator[_Place]:
    """Give what the functions of the modules of `functions` refer to, and what these close over."""
    seen: set[types.CodeType] = set()
    own = list(functions)
    modules = {function.__module__ for function in own}
    for function in own:
        yield from _referred(function, modules, seen)
    for function in own:
        for value in list(function.__globals__.values()):
            plain = getattr(value, "function", value) if isinstance(value, Step | Workflow) else value
            if isinstance(plain, types.FunctionType) and plain.__module__ in modules:
                yield from _referred(plain, modules, seen)


def _referred(function: Any, modules: set[str], seen: set[types.CodeType]) -> Iterator[_Place]:
    code = function.__code__
    if code in seen:
        return
    seen.add(code)
    for cell, name in zip(function.__closure__ or (), code.co_freevars, strict=True):
        yield from _in_cell(function, name, cell, modules, seen)
    variables = function.__globals__
    names, stored = _names(code)
    for name in sorted(names | stored):
        if name in variables and not hasattr(builtins, name):
            value = variables[name]
            if _is_state(value, modules) or (name in stored and isinstance(value, _PLAIN)):
                yield _variable(function.__module__, variables, name)


def _in_cell(
    function: Any, name: str, cell: types.CellType, modules: set[str], seen: set[types.CodeType]
) -> Iterator[_Place]:
    try:
        value = cell.cell_contents
    except ValueError:  # it is assigned later
        return
    plain = value.function if isinstance(value, Step | Workflow) else value
    if isinstance(plain, types.FunctionType) and plain.__module__ in modules:
        yield from _referred(plain, modules, seen)
    elif _is_state(value, modules) or isinstance(value, int | float | str):
        owner = function.__qualname__.rpartition(".<locals>")[0]
        yield _Place(
            f"{function.__module__}.{owner}.{name}",
            lambda: cell.cell_contents,
            lambda value: setattr(cell, "cell_contents", value),
        )


def _variable(module: str, variables: dict[str, Any], name: str) -> _Place:
    return _Place(f"{module}.{name}", lambda: variables[name], lambda value: variables.__setitem__(name, value))


def _names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Give the globals that a function reads and those that it assigns, with the functions inside it."""
    read: set[str] = set()
    stored: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read.add(str(instruction.argval))
        elif instruction.opname == "STORE_GLOBAL":
            stored.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner_read, inner_stored = _names(constant)
            read |= inner_read
            stored |= inner_stored
    return read, stored


def _is_state(value: Any, modules: set[str]) -> bool:
    if isinstance(value, type | types.ModuleType | types.FunctionType | Step | Workflow):
        return False
    return isinstance(value, _CONTAINERS) or (type(value).__module__ in modules and hasattr(value, "__dict__"))


# -- copying and putting back ----------------------------------------------------------------------------------------


def _content(value: Any) -> Any:
    if isinstance(value, _CONTAINERS + _PLAIN):
        return value
    return vars(value)


def _restore(place: _Place, value: Any, content: Any) -> None:
    """Put content back into the object that held it, and that object back into its place."""
    match value:
        case list() | deque() | bytearray():
            value.clear()
            value.extend(content)
        case dict() | set():
            value.clear()
            value.update(content)
        case _ if isinstance(value, _PLAIN):
            value = content
        case _:
            vars(value).clear()
            vars(value).update(content)
    if place.get() is not value:
        place.put(value)
