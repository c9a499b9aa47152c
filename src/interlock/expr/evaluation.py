"""The pure seam between the engine's steps and expressions that must not run on its loop.

A step is computed by pure code that evaluates many expressions. Cheap ones are evaluated at once. For a costly one the
computation stops with `Pending`, which carries the request; the engine has it answered by the `evaluators` and computes
the step again from its start with one answer more:

    answers = []
    while True:
        try:
            return compute(Evaluation(answers))
        except Pending as pending:
            answers.append(await evaluators.evaluate(pending.request))

The n-th costly expression of a computation takes the n-th answer. That is the same expression each time, since the
computation is a function of its data and its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

import msgspec

from interlock.errors import ExpressionDeadline, ExpressionError
from interlock.expr import arithmetic, jq
from interlock.model.json import Json


class Request(msgspec.Struct, frozen=True):
    """An expression to evaluate elsewhere. `arguments` holds only the names that it reads."""

    source: str
    data: Json
    arguments: dict[str, Json]


class Value(msgspec.Struct, frozen=True, tag="value"):
    """What an expression gave."""

    value: Json


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why an expression gave nothing. `code` is that of the error class: `expression` or `expression-deadline`."""

    code: str
    message: str


Answer: TypeAlias = Value | Failure


class Pending(Exception):
    """The computation needs the answer to `request` before it can go on."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.source)
        self.request = request


class Evaluation:
    """Evaluates the expressions of one computation, with the answers that costly ones got so far."""

    def __init__(self, answers: Sequence[Answer] = ()) -> None:
        self._answers = iter(answers)

    def run(self, expression: jq.Expression, data: Json, arguments: Mapping[str, Json]) -> Json:
        """Give the result of an expression with `data` as `.`; None when it has none.

        Raises ExpressionError when it fails, Pending when it is costly and its answer is not there yet.
        """
        try:
            return expression.evaluate_inline(data, arguments)
        except arithmetic.TooLarge:
            return self._next_answer(expression, data, arguments)

    def _next_answer(self, expression: jq.Expression, data: Json, arguments: Mapping[str, Json]) -> Json:
        answer = next(self._answers, None)
        match answer:
            case None:
                used = {name: arguments[name] for name in expression.arguments if name in arguments}
                raise Pending(Request(expression.source, data, used))
            case Value(value):
                return value
            case Failure(code, message):
                raise ExpressionDeadline(message) if code == ExpressionDeadline.code else ExpressionError(message)
            case _:
                assert_never(answer)


def answer(request: Request) -> Answer:
    """Evaluate a request here and now, however long it takes."""
    try:
        return Value(jq.compile(request.source).evaluate(request.data, request.arguments))
    except ExpressionError as error:
        return Failure(error.code, str(error))
