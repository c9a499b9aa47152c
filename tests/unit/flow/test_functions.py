"""Python functions by name: found, checked, called, and what comes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from interlock import step
from interlock.flow import functions
from interlock.flow.python.step import Step
from interlock.model.task import Done, Failed, FailureClass, PythonTarget


class Colour(StrEnum):
    RED = "red"


@pytest.fixture(autouse=True)
def _imports_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _folder(tmp_path: Path, name: str, text: str) -> str:
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "chosen_steps.py").write_text(text)
    return str(tmp_path / name)


def test_function_is_found_in_the_folder_of_the_run(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "a", "def f(): return 1\nclass C:\n    @staticmethod\n    def g(): return 2")
    assert functions.find("chosen_steps:f", folder)() == 1
    assert functions.find("chosen_steps:C.g", folder)() == 2
    assert functions.find("json:dumps", folder)([]) == "[]"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_module:f", "cannot import 'no_such_module'"),
        ("chosen_steps:f", "ZeroDivisionError: division by zero"),
        ("json:nothing", "has no function 'nothing'"),
        ("json:__name__", "has a value but no function '__name__'"),
        ("json", "has no function ''"),
    ],
)
def test_what_cannot_be_found_says_why(tmp_path: Path, name: str, complaint: str) -> None:
    folder = _folder(tmp_path, "a", "1 / 0")
    with pytest.raises(functions.Unusable, match=complaint):
        functions.find(name, folder)


def test_module_of_another_folder_hides_ones_own(tmp_path: Path) -> None:
    first = _folder(tmp_path, "a", "def f(): return 1")
    second = _folder(tmp_path, "b", "def f(): return 2")
    functions.find("chosen_steps:f", first)
    with pytest.raises(functions.Unusable, match=r"is hidden by .*run the step isolated"):
        functions.find("chosen_steps:f", second)
    assert functions.find("chosen_steps:f", first)() == 1


def test_module_that_was_deleted_since_hides_ones_own(tmp_path: Path) -> None:
    first = _folder(tmp_path, "a", "def f(): return 1")
    functions.find("chosen_steps:f", first)
    Path(first, "chosen_steps.py").unlink()
    with pytest.raises(functions.Unusable, match="is hidden by"):
        functions.find("chosen_steps:f", _folder(tmp_path, "b", "def f(): return 1"))


def test_copy_of_the_same_text_is_the_same_module(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert functions.find("chosen_steps:f", _folder(tmp_path, name, "def f(): return 1"))() == 1


def test_modules_of_packages_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / name / "chosen_package"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "inner.py").write_text(f"def f(): return '{name}'")
    assert functions.find("chosen_package.inner:f", str(tmp_path / "a"))() == "a"
    with pytest.raises(functions.Unusable, match=r"'chosen_package\.inner' of the folder"):
        functions.find("chosen_package.inner:f", str(tmp_path / "b"))


def test_folder_without_the_module_hides_nothing(tmp_path: Path) -> None:
    assert functions.find("sys:intern", str(tmp_path))("a") == "a"


def test_arguments_must_fit() -> None:
    def f(a: int, *, b: int = 1) -> int:
        return a + b

    functions.check_call(f, PythonTarget(function="m:f", arguments={"a": 1, "b": 2}))
    with pytest.raises(functions.Unusable, match=r"m:f\(a: 'int', \*, b: 'int' = 1\) -> 'int' cannot be called"):
        functions.check_call(f, PythonTarget(function="m:f", arguments={"c": 1}))


def test_builtin_that_tells_no_parameters_is_called_as_asked() -> None:
    functions.check_call(dict, PythonTarget(function="builtins:dict", arguments={"a": 1}))
    functions.check_call(type, PythonTarget(function="builtins:type", arguments={"a": 1}))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ({"a": [1, 2.5, "é", True]}, {"a": [1, 2.5, "é", True]}),
        ((1, (2,)), [1, [2]]),
        (2**80, 2**80),
        ({1: "a"}, {"1": "a"}),
        (Colour.RED, "red"),
    ],
)
def test_result_is_kept_as_json(value: object, kept: object) -> None:
    assert functions.result(value) == Done(kept)


@pytest.mark.parametrize("value", [{1}, b"x", object(), float("nan"), float("inf"), {(1, 2): 3}, "\ud800", [{1j}]])
def test_result_that_is_not_json_is_refused(value: object) -> None:
    outcome = functions.result(value)
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.APPLICATION
    assert f"it returned {type(value).__name__}, which is not JSON" in str(outcome.fault.detail)


def test_result_that_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    assert isinstance(functions.result(value), Failed)


@pytest.mark.parametrize(
    ("error", "failure", "detail"),
    [
        (ValueError("no"), FailureClass.APPLICATION, "no"),
        (ValueError(), FailureClass.APPLICATION, None),
        (MemoryError("all"), FailureClass.OUT_OF_MEMORY, "all"),
    ],
)
def test_exception_becomes_a_failure(error: BaseException, failure: FailureClass, detail: str | None) -> None:
    outcome = functions.failed(error)
    assert (outcome.failure, outcome.fault.title, outcome.fault.detail) == (failure, type(error).__name__, detail)


def test_call_that_cannot_be_made_is_an_error_of_configuration() -> None:
    outcome = functions.invalid("why")
    assert (outcome.failure, outcome.fault.status, outcome.fault.detail) == (FailureClass.INVALID, 400, "why")


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        (None, True),
        ((), False),
        (("shop",), True),
        (("shop.",), True),
        (("shop.steps",), True),
        (("sho",), False),
        (("shop.steps.more", "other"), False),
    ],
)
def test_function_may_be_called_when_a_prefix_of_its_module_is_allowed(
    allow: tuple[str, ...] | None, allowed: bool
) -> None:
    assert functions.allows(allow, "shop.steps:charge") is allowed


# -- steps -----------------------------------------------------------------------------------------------------------


undone: list[tuple[str, date, int]] = []


def back(receipt: date, amount: int) -> None:
    undone.append(("back", receipt, amount))


@step(name="functions-refund")
def refund(receipt: date, amount: int) -> None:
    undone.append(("refund", receipt, amount))


@step(name="functions-charge", compensate=refund, retry_on=OSError)
def charge(amount: int, *, at: date = date(2030, 1, 1)) -> date:
    return at.replace(year=at.year + amount)


@step(name="functions-order", compensate=back)
async def order(amount: int) -> date:
    return date(amount, 1, 1)


@step(name="functions-look")
def look(amount: int) -> int:
    return amount


def target(of: Step[Any, Any], *, undoes: bool = False, **arguments: Any) -> PythonTarget:
    return PythonTarget(function=of.reference, arguments=arguments, undoes=undoes)


def undoing(of: Step[Any, Any], output: Any) -> functions.Prepared:
    return functions.prepared(target(of, undoes=True, arguments={"amount": 2}, output=output), "/")


def test_step_is_found_by_its_name_wherever_it_was_made() -> None:
    assert functions.find(charge.reference, "/nowhere") is charge


def test_step_is_called_with_its_arguments_as_they_were_typed() -> None:
    made = functions.prepared(target(charge, amount=2, at="2031-02-03"), "/")
    assert not made.is_async
    value = made.call()
    assert value == date(2033, 2, 3)
    assert made.result(value) == Done("2033-02-03")


async def test_async_step_gives_what_is_to_be_awaited() -> None:
    made = functions.prepared(target(order, amount=2030), "/")
    assert made.is_async
    assert await made.call() == date(2030, 1, 1)


def test_plain_function_is_called_with_keywords_and_gives_json() -> None:
    made = functions.prepared(PythonTarget(function="textwrap:dedent", arguments={"text": "  a"}), "/")
    assert made.result(made.call()) == Done("a")
    assert isinstance(made.result({1, 2}), Failed)
    assert not made.failed(ValueError("no")).final


def test_result_that_cannot_be_stored_is_a_failure_that_is_not_tried_again() -> None:
    outcome = functions.prepared(target(look, amount=2), "/").result(lambda: 1)
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.fault.title) == (FailureClass.INVALID, "Result cannot be stored")


@pytest.mark.parametrize(("of", "undo"), [(charge, "refund"), (order, "back")])
def test_undo_is_given_the_result_of_the_step_and_its_arguments(of: Step[Any, Any], undo: str) -> None:
    undone.clear()
    undoing(of, "2033-02-03").call()
    assert undone == [(undo, date(2033, 2, 3), 2)]


def test_what_an_undo_gives_is_not_kept() -> None:
    assert undoing(charge, "2033-02-03").result(object()) == Done(None)


@pytest.mark.parametrize(("error", "final"), [(OSError("away"), False), (TimeoutError(), False), (ValueError(), True)])
def test_only_errors_that_the_author_named_are_tried_again(error: Exception, final: bool) -> None:
    assert functions.prepared(target(charge, amount=2), "/").failed(error).final is final


def test_undo_is_tried_again_whatever_it_raised() -> None:
    assert not undoing(charge, "2033-02-03").failed(ValueError("no")).final


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"amount": "much"}, "cannot be called with \\['amount'\\]"),
        ({}, "cannot be called with \\[\\]"),
        ({"amount": 1, "colour": "red"}, "cannot be called with \\['amount', 'colour'\\]"),
    ],
)
def test_step_that_is_called_wrongly_says_so(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(functions.Unusable, match=complaint):
        functions.prepared(target(charge, **given), "/")


def test_undo_of_a_result_that_does_not_fit_any_more_says_so() -> None:
    with pytest.raises(functions.Unusable, match="cannot be called with"):
        undoing(charge, "yesterday")


def test_undo_that_the_step_has_lost_is_missed() -> None:
    with pytest.raises(functions.Unusable, match="names no function that undoes it any more"):
        undoing(look, 2)
