"""How the work of a program grows with its data, decided from its tree.

The node evaluates expressions on the loop that drives every run, so a program runs there only when it cannot hold the
loop for long. The estimate is an upper bound, found bottom-up:

- *degree*: the work, and the size of what comes out, is at most (size of input and variables) ^ degree;
- one pass over the parts of a value, doing degree-d work on each, is degree d again, since the parts together are no
  larger than the whole: `.orders[].lines[].price` and `map(.lines | length)` are linear. That holds only while the work
  on a part looks at nothing but the part; a `$variable` of any size in it adds a degree;
- a comparison counts as one unit (it ends at the first difference), and so does arithmetic, which `arithmetic` bounds.

Recursion, user functions, `reduce` and `foreach` (whose accumulator may double each time), regular expressions and what
the table in `builtins` calls unbounded are never linear.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final, assert_never

import msgspec

from interlock.expr import syntax
from interlock.expr.builtins import BUILTINS, Builtin, Cost, Runs
from interlock.expr.screen import bound
from interlock.model.json import Json

SMALL_VALUES: Final = 256
"""Data of at most so many values: even quadratic work (65,000 units of 0.1 to 0.5 µs) ends within a few 10 ms."""
_CHARACTERS_PER_VALUE: Final = 64
_LARGEST_GROWTH: Final = 1000
"""Results more than this many times as large as the data are not made on the loop: `[.,.] | [.,.] | ...` doubles."""
_LARGEST_INDEX: Final = 1000
"""`.[n] = 1` makes an array of n + 1 items; purejq allows n up to ten million."""
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})


class Place(StrEnum):
    """Where a program may be evaluated."""

    INLINE = "inline"
    INLINE_WHEN_SMALL = "inline when small"
    """On the loop if `is_small(data and arguments)`."""
    ISOLATED = "isolated"


class _Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """An upper bound for a part of a program.

    `many`: the data decides how many results there are; else at most `fan`. `within`: the results together are no
    larger than `growth` times input and variables. `scalar`: each result has the same small size whatever the data.
    `reads`: the variables that decide about work or size.
    """

    degree: int = 0
    many: bool = False
    fan: int = 1
    growth: int = 1
    within: bool = True
    scalar: bool = False
    reads: frozenset[str] = frozenset()


_IDENTITY: Final = _Estimate()
_SCALAR: Final = _Estimate(scalar=True)
_ITERATION: Final = _Estimate(degree=1, many=True)
_PASS: Final = _Estimate(degree=1)
_UNBOUNDED: Final = _Estimate(degree=Cost.UNBOUNDED, many=True, within=False)


def place(tree: syntax.Node) -> Place:
    """Decide where a screened program may run."""
    estimate = _estimate(tree)
    if estimate.degree > Cost.QUADRATIC or max(estimate.growth, estimate.fan) > _LARGEST_GROWTH:
        return Place.ISOLATED
    return Place.INLINE if estimate.degree <= Cost.LINEAR else Place.INLINE_WHEN_SMALL


def is_small(*values: Json) -> bool:
    """Say whether values together hold at most SMALL_VALUES values; looks at no more than these."""
    budget = SMALL_VALUES
    rest = list(values)
    while rest:
        value = rest.pop()
        budget -= 1
        if isinstance(value, str):
            budget -= len(value) // _CHARACTERS_PER_VALUE
        elif isinstance(value, dict | list) and len(value) <= budget:
            rest.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, dict | list):
            return False
        if budget < 0:
            return False
    return True


def _estimate(node: syntax.Node) -> _Estimate:
    match node:
        case ("identity",):
            return _IDENTITY
        case ("const" | "emptyarray" | "loc" | "break", *_):
            return _SCALAR
        case ("var", name):
            return _Estimate(reads=frozenset({name}))
        case ("field", base, _):
            return _chain(_estimate(base), _IDENTITY)
        case ("iterate", base):
            return _chain(_estimate(base), _ITERATION)
        case ("index", base, index):
            return _index(_estimate(base), index)
        case ("slice", base, low, high):
            bounds = [_estimate(limit) for limit in (low, high) if limit is not None]
            return _chain(_product(_estimate(base), *bounds), _PASS)
        case ("pipe", left, right):
            return _chain(_estimate(left), _estimate(right))
        case ("comma" | "alt", left, right):
            return _either(_estimate(left), _estimate(right))
        case ("binop", operator, left, right):
            result = _product(_estimate(left), _estimate(right))
            return result if operator in _ARITHMETIC else _as_scalar(result)
        case ("and" | "or", left, right):
            return _as_scalar(_product(_estimate(left), _estimate(right)))
        case ("neg", operand):
            return _as_scalar(_estimate(operand))
        case ("opt", body) | ("label", _, body):
            return _estimate(body)
        case ("try", body, handler):
            return _estimate(body) if handler is None else _either(_estimate(body), _estimate(handler))
        case ("collect", body):
            return _collected(_estimate(body))
        case ("object", entries):
            return _product(*(_estimate(part) for entry in entries for part in entry))
        case ("str", _, parts):
            return _chain(_product(*(_estimate(part) for part in parts if isinstance(part, tuple))), _PASS)
        case ("format", _):
            return _PASS
        case ("if", branches, otherwise):
            return _conditional(branches, otherwise)
        case ("as", source, patterns, body):
            return _binding(_estimate(source), patterns, _estimate(body))
        case ("assign", operator, path, value):
            return _assignment(operator, path, _estimate(value))
        case ("call", name, arguments):
            return _call(BUILTINS.get((name, len(arguments))), [_estimate(argument) for argument in arguments])
        case _:  # funcdef, reduce, foreach
            return _UNBOUNDED


def _chain(first: _Estimate, then: _Estimate) -> _Estimate:
    """Estimate `first | then`."""
    looks_aside = first.many and bool(then.reads)
    degree = max(first.degree, then.degree)
    if looks_aside or (first.many and not first.within):
        degree = first.degree + max(then.degree, 0 if then.scalar else 1)
    return _settled(
        degree=degree,
        many=first.many or then.many,
        fan=first.fan * then.fan,
        growth=first.growth * then.growth,
        within=first.within and then.within and not looks_aside,
        scalar=then.scalar or (first.scalar and not then.reads),
        reads=first.reads | then.reads,
    )


def _product(*operands: _Estimate) -> _Estimate:
    """Estimate what combines every result of each operand with every result of the others, all on the same input."""
    many = [operand for operand in operands if operand.many]
    single = [operand for operand in operands if not operand.many]
    copies_whole = bool(many) and not all(operand.scalar for operand in single)
    fan = math.prod(operand.fan for operand in operands)
    per_result = max((operand.degree for operand in single), default=0)
    return _settled(
        degree=sum(operand.degree for operand in many) + max(per_result, 1 if copies_whole else 0),
        many=bool(many),
        fan=fan,
        growth=fan * max(1, sum(operand.growth for operand in operands)),
        within=all(operand.within for operand in operands) and len(many) <= 1 and not copies_whole,
        scalar=all(operand.scalar for operand in operands),
        reads=frozenset().union(*(operand.reads for operand in operands)),
    )


def _either(*choices: _Estimate) -> _Estimate:
    """Estimate what gives the results of some or all of its choices."""
    return _settled(
        degree=max(choice.degree for choice in choices),
        many=any(choice.many for choice in choices),
        fan=sum(choice.fan for choice in choices),
        growth=sum(choice.growth for choice in choices),
        within=all(choice.within for choice in choices),
        scalar=all(choice.scalar for choice in choices),
        reads=frozenset().union(*(choice.reads for choice in choices)),
    )


def _settled(**fields: Any) -> _Estimate:
    estimate = _Estimate(**fields)
    if estimate.degree == Cost.FLAT and estimate.scalar:
        return msgspec.structs.replace(estimate, reads=frozenset(), within=True)
    return estimate


def _as_scalar(operands: _Estimate) -> _Estimate:
    """Estimate a result of fixed size that was made of operands of any size, without copying them."""
    fields = msgspec.structs.asdict(operands)
    return _settled(**(fields | {"scalar": True, "growth": max(1, operands.fan)}))


def _collected(body: _Estimate) -> _Estimate:
    return msgspec.structs.replace(body, many=False, fan=1, scalar=body.scalar and not body.many)


def _index(base: _Estimate, index: syntax.Node) -> _Estimate:
    if index[0] == "const":
        return _chain(base, _IDENTITY)
    # an array as index searches for itself, which takes a pass
    return _chain(_product(base, _estimate(index)), _PASS)


def _conditional(branches: list[tuple[syntax.Node, syntax.Node]], otherwise: syntax.Node | None) -> _Estimate:
    conditions = [_estimate(condition) for condition, _ in branches]
    results = [_estimate(result) for _, result in branches]
    results.append(_IDENTITY if otherwise is None else _estimate(otherwise))
    return _guarded_by(conditions, _either(*results))


def _guarded_by(conditions: list[_Estimate], result: _Estimate) -> _Estimate:
    """Estimate `result` computed on the same input once per result of each condition."""
    combined = _product(*(_as_scalar(condition) for condition in conditions), result)
    if combined.many and not result.many:
        return combined
    return msgspec.structs.replace(combined, growth=result.growth * combined.fan, scalar=result.scalar)


def _binding(source: _Estimate, patterns: list[syntax.Node], body: _Estimate) -> _Estimate:
    if any(_computes(pattern) for pattern in patterns):
        return _UNBOUNDED
    result = _product(source, body) if source.many else _guarded_by([source], body)
    reads = source.reads | (body.reads - bound(patterns))
    return msgspec.structs.replace(result, reads=reads, growth=result.growth * source.growth)


def _computes(pattern: syntax.Node) -> bool:
    """Say whether a pattern holds a key that is a program: `{(f): $x}`."""
    if pattern[0] not in ("const", "pvar", "parray", "pobject"):
        return True
    return any(_computes(child) for child in syntax.children(pattern))


def _assignment(operator: str, path: syntax.Node, value: _Estimate) -> _Estimate:
    if _may_index_far(path):
        return _UNBOUNDED
    target = _estimate(path)
    applied = _chain(target, value) if operator == "|=" else _product(target, value)
    copies = applied.degree + 1 if target.many or value.many else max(applied.degree, Cost.LINEAR)
    return msgspec.structs.replace(
        applied, degree=copies, many=operator != "|=" and value.many, growth=1 + applied.growth, scalar=False
    )


def _may_index_far(path: syntax.Node) -> bool:
    match path:
        case ("index", _, ("const", str())):
            pass
        case ("index", _, ("const", int() | float() as position)) if position <= _LARGEST_INDEX:
            pass
        case ("index", *_) | ("call", "nth" | "getpath", *_):
            return True
    return any(_may_index_far(child) for child in syntax.children(path))


def _call(builtin: Builtin | None, arguments: list[_Estimate]) -> _Estimate:
    if builtin is None or builtin.cost is Cost.UNBOUNDED:
        return _UNBOUNDED
    result = _arguments(builtin, arguments)
    if builtin.is_filter:
        return _guarded_by([result], _IDENTITY)
    if builtin.gives_one or builtin.runs in (Runs.ON_EACH, Runs.CHAINED):
        result = msgspec.structs.replace(result, many=False, fan=1)
    result = msgspec.structs.replace(result, degree=max(result.degree, builtin.cost))
    return _as_scalar(result) if builtin.gives_scalar else msgspec.structs.replace(result, scalar=False)


def _arguments(builtin: Builtin, arguments: list[_Estimate]) -> _Estimate:
    match builtin.runs:
        case Runs.ON_INPUT:
            return _product(*arguments) if builtin.is_filter else _product(_IDENTITY, *arguments)
        case Runs.THROUGH:
            *parameters, last = arguments
            return _product(*map(_as_scalar, parameters), last)
        case Runs.ON_EACH:
            return _chain(_ITERATION, _product(*arguments))
        case Runs.CHAINED:
            first, then = arguments
            return _chain(first, then)
        case _:
            assert_never(builtin.runs)
