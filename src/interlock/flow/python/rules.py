"""What single statements of a workflow do wrong: effects while it unwinds, swallowed cancels, clocks, chance and waiting."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeAlias

from interlock.flow.python.source import UNKNOWN, Source, walk

_CHANGING: Final = frozenset(
    {
        *(f"time.{name}{suffix}" for name in ("time", "monotonic", "perf_counter") for suffix in ("", "_ns")),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        "datetime.date.today",
        "uuid.uuid1",
        "uuid.uuid4",
        "os.urandom",
    }
)
_CHANCE: Final = re.compile(r"(random|secrets)\.[A-Za-z_]+|random\.Random\.[a-z]+")
_INSTEAD: Final = {"time": "interlock.now()", "datetime": "interlock.now()", "uuid": "interlock.uuid()"}
_BLOCKING: Final = re.compile(r"(time\.sleep|os\.(system|popen)|(requests|subprocess|urllib\.request)\..+)")
_CANCELLED: Final = "asyncio.exceptions.CancelledError"

_KEEPS: Final = "keeps the workflow from being parked and cancelled, which come as exceptions outside `Exception`"

Node: TypeAlias = ast.expr | ast.stmt | ast.excepthandler


class Remark(NamedTuple):
    """A finding, before it is known where its file is. `source` None: it is of the function that was looked at."""

    code: str
    node: Node
    message: str
    suggestion: str
    source: Source | None = None


class Known:
    """What is known of objects: whether one is a step or a workflow, and whether only a workflow can call it."""

    def __init__(self, is_step: Callable[[Any], bool], is_inside: Callable[[Any], bool]) -> None:
        self._is_step = is_step
        self._is_inside = is_inside
        self._performing: dict[object, bool] = {}

    def is_effect(self, value: Any) -> bool:
        """Say whether calling `value` is recorded in the run."""
        return value is not UNKNOWN and (self._is_step(value) or self._is_inside(value))

    def step(self, source: Source, call: ast.Call) -> Any:
        """Give the step that a call calls, UNKNOWN when it calls another thing."""
        called = source.resolve(call.func)
        return called if called is not UNKNOWN and self._is_step(called) else UNKNOWN

    def performs(self, source: Source, call: ast.Call) -> bool:
        """Say whether a call is an effect, or of a function that calls one."""
        if self.is_effect(source.resolve(call.func)):
            return True
        if isinstance(call.func, ast.Attribute) and self.is_effect(source.resolve(call.func.value)):
            return True  # a method of a step
        body = self.body(source, call)
        if body is None:
            return False
        within, tree = body
        if tree not in self._performing:
            self._performing[tree] = False  # while it is looked at: it may call itself
            self._performing[tree] = any(
                isinstance(node, ast.Call) and self.performs(within, node) for node in walk(tree)
            )
        return self._performing[tree]

    def body(self, source: Source, call: ast.Call) -> tuple[Source, ast.AST] | None:
        """Give the body of the function inside the workflow, or of its module, that a call calls."""
        if isinstance(call.func, ast.Name) and call.func.id in source.nested:
            return source, source.nested[call.func.id]
        called = source.resolve(call.func)
        if not isinstance(called, FunctionType) or called.__module__ != source.function.__module__:
            return None
        within = source.of(called)
        return within, within.tree


def check(source: Source, known: Known, is_async: bool) -> Iterator[Remark]:
    """Give what is wrong with the statements of one function of a workflow."""
    for node in walk(source.tree):
        if isinstance(node, ast.Try | ast.TryStar):
            yield from _unwinding(source, known, node)
            yield from _swallowing(source, node)
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from _suppressing(source, node)
        elif isinstance(node, ast.Call):
            yield from _changing(source, node)
            if is_async:
                yield from _blocking(source, node)


def _unwinding(source: Source, known: Known, node: ast.Try | ast.TryStar) -> Iterator[Remark]:
    places: list[tuple[str, list[ast.stmt]]] = [("`finally`", node.finalbody)]
    for handler in node.handlers:
        caught = _caught_outside(source, handler)
        if caught:
            places.append((f"`{caught}`", handler.body))
    for place, body in places:
        for call in _calls(body):
            if known.performs(source, call):
                yield Remark(
                    "effect-in-finally",
                    call,
                    f"`{ast.unparse(call.func)}` is called in {place}, which also runs when the workflow is parked or "
                    f"cancelled: it is not performed then",
                    "call it after the `try`, catch `Exception`, or name the undo with compensate=",
                )


def _swallowing(source: Source, node: ast.Try | ast.TryStar) -> Iterator[Remark]:
    if not _waits(node.body):
        return
    for handler in node.handlers:
        caught = _caught_outside(source, handler)
        if caught and not any(isinstance(inner, ast.Raise) for item in handler.body for inner in walk(item)):
            yield Remark(
                "swallowed-cancel",
                handler,
                f"`{caught}` {_KEEPS}",
                "catch `Exception`, or end the block with `raise`",
            )


def _suppressing(source: Source, node: ast.With | ast.AsyncWith) -> Iterator[Remark]:
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and source.dotted(call.func) == "contextlib.suppress" and _waits(node.body):
            for kind in call.args:
                if _is_outside(source, kind):
                    yield Remark(
                        "swallowed-cancel",
                        call,
                        f"`{ast.unparse(call)}` {_KEEPS}",
                        "suppress `Exception`",
                    )


def _changing(source: Source, call: ast.Call) -> Iterator[Remark]:
    name = source.dotted(call.func)
    if name == "random.Random" and call.args:
        return  # with a seed of its own it gives the same again
    if name in _CHANGING or _CHANCE.fullmatch(name):
        instead = _INSTEAD.get(name.partition(".")[0], "interlock.random()")
        yield Remark(
            "nondeterministic",
            call,
            f"`{ast.unparse(call.func)}` gives another value when the workflow is resumed",
            f"use {instead}, or call it in a step",
        )


def _blocking(source: Source, call: ast.Call) -> Iterator[Remark]:
    name = source.dotted(call.func)
    if _BLOCKING.fullmatch(name):
        instead = "use await interlock.sleep(...)" if name == "time.sleep" else "call it in a step"
        yield Remark(
            "blocking",
            call,
            f"`{ast.unparse(call.func)}` holds up every other run of this node while it waits, and runs again on each resume",
            instead,
        )


def _caught_outside(source: Source, handler: ast.ExceptHandler) -> str:
    """Give how a handler is written that catches more than `Exception`, else ""."""
    if handler.type is None:
        return "except:"
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    caught = any(_is_outside(source, kind) for kind in kinds)
    return f"except {ast.unparse(handler.type)}" if caught else ""


def _is_outside(source: Source, kind: ast.expr) -> bool:
    return source.resolve(kind) is BaseException or source.dotted(kind) in (_CANCELLED, "asyncio.CancelledError")


def _waits(body: Iterable[ast.stmt]) -> bool:
    waiting = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(isinstance(node, waiting) for item in body for node in walk(item))


def _calls(body: Iterable[ast.stmt]) -> Iterator[ast.Call]:
    for item in body:
        yield from (node for node in walk(item) if isinstance(node, ast.Call))
