"""What makes the order of a workflow's steps differ from one run over it to the next.

A set has another order in each process; what ends first ends last the next time; and the same call in two coroutines that run
side by side cannot be told apart.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

from interlock.flow.python.rules import Known, Remark
from interlock.flow.python.source import UNKNOWN, Source, walk

_SETS: Final = frozenset({"builtins.set", "builtins.frozenset"})
_FOLDERS: Final = frozenset({"os.listdir", "os.scandir", "glob.glob", "glob.iglob"})
_FOLDER_METHODS: Final = frozenset({"iterdir", "rglob", "glob"})
_SET_METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference"})
_SAME_ORDER: Final = frozenset(
    {"builtins.list", "builtins.tuple", "builtins.enumerate", "builtins.reversed", "builtins.map"}
)
_TOGETHER: Final = frozenset({"gather", "create_task", "ensure_future"})
_ITERATES: Final = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_SORT: Final = "put `sorted(...)` around it"


def check(source: Source, known: Known) -> Iterator[Remark]:
    """Give what is wrong with the order of the steps of one function of a workflow."""
    for node in walk(source.tree):
        if isinstance(node, ast.For | ast.AsyncFor):
            yield from _loop(source, known, node)
        elif isinstance(node, ast.Call):
            if _is_together(source, node):
                yield from _gathered(source, node)
            yield from _first_to_end(source, node)
    yield from _ambiguous(source, known)


def _loop(source: Source, known: Known, node: ast.For | ast.AsyncFor) -> Iterator[Remark]:
    calls = [call for item in node.body for call in walk(item) if isinstance(call, ast.Call)]
    performing = [call for call in calls if known.performs(source, call) or _is_together(source, call)]
    if performing and _is_unordered(source, node.iter):
        yield Remark(
            "unordered-gather",
            node,
            f"`{ast.unparse(performing[0].func)}` is called in the order of `{ast.unparse(node.iter)}`, which is another one "
            f"when the workflow is resumed",
            _SORT,
        )


def _gathered(source: Source, call: ast.Call) -> Iterator[Remark]:
    for argument in call.args:
        items = argument.value if isinstance(argument, ast.Starred) else argument
        if _is_unordered(source, items):
            yield Remark(
                "unordered-gather",
                call,
                f"`{ast.unparse(call.func)}` starts them in the order of `{ast.unparse(items)}`, which is another one when "
                f"the workflow is resumed",
                _SORT,
            )


def _first_to_end(source: Source, call: ast.Call) -> Iterator[Remark]:
    name = source.dotted(call.func)
    races = any(word.arg == "return_when" and "FIRST" in ast.unparse(word.value) for word in call.keywords)
    if name.startswith("asyncio.") and (name.endswith(".as_completed") or (name.endswith(".wait") and races)):
        yield Remark(
            "unordered-gather",
            call,
            f"`{ast.unparse(call.func)}` goes on with what ends first, which is another one when the workflow is resumed",
            "use gather(...), and choose by the results",
        )


def _is_together(source: Source, call: ast.Call) -> bool:
    """Say whether a call runs coroutines side by side: ours, those of asyncio, and the method of a task group."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr in _TOGETHER
    return getattr(source.resolve(call.func), "__name__", "") in _TOGETHER


def _is_unordered(source: Source, node: ast.expr, depth: int = 0) -> bool:
    """Say whether iterating over what an expression gives has another order in each process."""
    if depth > 20:
        return False  # a name that is assigned from itself
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.ListComp() | ast.GeneratorExp() | ast.DictComp():
            return _is_unordered(source, node.generators[0].iter, depth + 1)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            spread = [item.value for item in items if isinstance(item, ast.Starred)]
            return any(_is_unordered(source, value, depth + 1) for value in spread)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return any(_is_view(side) or _is_unordered(source, side, depth + 1) for side in (left, right))
        case ast.Call():
            return _gives_unordered(source, node, depth)
        case ast.Subscript(value=value):  # the annotation of a parameter
            return source.dotted(value) in _SETS
        case ast.Name(id=name):
            if source.dotted(node) in _SETS:  # as above
                return True
            return any(_is_unordered(source, value, depth + 1) for value in source.assigned(name))
    return False


def _is_view(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


def _gives_unordered(source: Source, call: ast.Call, depth: int) -> bool:
    name = source.dotted(call.func)
    if name in _SETS or name in _FOLDERS:
        return True
    if name in _SAME_ORDER:
        return any(_is_unordered(source, argument, depth + 1) for argument in call.args)
    if isinstance(call.func, ast.Attribute) and not name:
        if call.func.attr in _FOLDER_METHODS:
            return True
        return call.func.attr in _SET_METHODS and _is_unordered(source, call.func.value, depth + 1)
    return False


def _ambiguous(source: Source, known: Known) -> Iterator[Remark]:
    """Look for one call of a step, with no key, in several coroutines that run side by side."""
    direct: Counter[tuple[int, str]] = Counter()
    inside: dict[tuple[int, str], list[tuple[Source, ast.Call]]] = defaultdict(list)
    for branch, times in _branches(source):
        for within, step, call in _keyless(source, known, branch):
            same = (id(step), ast.dump(ast.Tuple([*call.args, *(word.value for word in call.keywords)], ast.Load())))
            if call is branch:
                direct[same] += times
            else:
                inside[same] += [(within, call)] * times
    for same, calls in inside.items():
        if len(calls) + direct[same] > 1:
            yield _ambiguous_call(*calls[-1])


def _ambiguous_call(source: Source, call: ast.Call) -> Remark:
    return Remark(
        "ambiguous-calls",
        call,
        f"`{ast.unparse(call)}` is called with the same arguments in coroutines that run side by side: which result is whose "
        f"cannot be told when the workflow is resumed",
        "give each call a key=",
        source,
    )


def _branches(source: Source) -> Iterator[tuple[ast.Call, int]]:
    """Give each call whose coroutine runs side by side with others; twice what a comprehension or a loop starts."""
    repeated = {
        inner
        for node in walk(source.tree)
        if isinstance(node, (*_ITERATES, ast.For, ast.AsyncFor, ast.While))
        for inner in walk(node)
    }
    for node in walk(source.tree):
        if isinstance(node, ast.Call) and _is_together(source, node):
            for argument in node.args:
                items = argument.value if isinstance(argument, ast.Starred) else argument
                element = items.elt if isinstance(items, ast.ListComp | ast.GeneratorExp) else items
                if isinstance(element, ast.Call):
                    yield element, 2 if element in repeated else 1


def _keyless(source: Source, known: Known, branch: ast.Call) -> Iterator[tuple[Source, Any, ast.Call]]:
    """Give the calls of steps with constant arguments and no key in the body of the coroutine function that is called."""
    body = known.body(source, branch)
    within, tree = (source, branch) if body is None else body
    for node in walk(tree):
        if isinstance(node, ast.Call) and not any(word.arg == "key" for word in node.keywords):
            step = known.step(within, node)
            given = [*node.args, *(word.value for word in node.keywords)]
            if step is not UNKNOWN and all(isinstance(item, ast.Constant) for item in given):
                yield within, step, node
