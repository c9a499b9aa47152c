"""The seam: cheap expressions at once, costly ones by prepared answers."""

from __future__ import annotations

import pytest

from interlock.errors import ExpressionDeadline, ExpressionError
from interlock.expr import evaluation, jq
from interlock.expr.evaluation import Evaluation, Failure, Pending, Request, Value


def test_cheap_expression_is_evaluated_at_once() -> None:
    assert Evaluation().run(jq.compile(".a + $b"), {"a": 1}, {"b": 2}) == 3


def test_costly_expression_asks_for_its_answer_with_the_names_it_reads() -> None:
    with pytest.raises(Pending) as pending:
        Evaluation().run(jq.compile("[range(.n; $to)] + $missing"), {"n": 1}, {"to": 3, "unused": 0})
    assert pending.value.request == Request("[range(.n; $to)] + $missing", {"n": 1}, {"to": 3})


def test_large_operands_make_an_expression_costly() -> None:
    with pytest.raises(Pending):
        Evaluation().run(jq.compile('"a" * 1e9'), None, {})


def test_answers_are_taken_in_order() -> None:
    run = Evaluation([Value(1), Value(None)])
    assert run.run(jq.compile("[range(1)]"), None, {}) == 1
    assert run.run(jq.compile(".a"), {"a": "cheap"}, {}) == "cheap"
    assert run.run(jq.compile("[range(2)]"), None, {}) is None
    with pytest.raises(Pending):
        run.run(jq.compile("[range(3)]"), None, {})


@pytest.mark.parametrize(
    ("code", "error"), [("expression", ExpressionError), ("expression-deadline", ExpressionDeadline)]
)
def test_answer_that_is_a_failure_is_raised(code: str, error: type[ExpressionError]) -> None:
    with pytest.raises(error, match="no luck") as raised:
        Evaluation([Failure(code, "no luck")]).run(jq.compile("[range(1)]"), None, {})
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("[range(3)]", Value([0, 1, 2])),
        ("error($why)", Failure("expression", "bad, in the expression `error($why)`")),
        (".a >", Failure("expression-syntax", "unexpected end of the expression")),
    ],
)
def test_requests_are_answered(source: str, answer: evaluation.Answer) -> None:
    assert evaluation.answer(Request(source, None, {"why": "bad"})) == answer
