"""Exceptions as values, and back."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest

from interlock.errors import RunCancelled, RunFaulted, StepFailed, StepLost, StepTimeout
from interlock.flow.python import raised
from interlock.model import fault as faults
from interlock.model import json as model_json
from interlock.model.fault import Fault
from interlock.model.raised import Raised
from interlock.model.task import FailureClass

_FAULT = Fault(type=faults.RUNTIME, status=500, title="Rejected", detail="no")
_HERE = __name__


class Rejected(Exception):
    def __init__(self, order: str, *, code: int = 7) -> None:
        super().__init__(f"order {order} is rejected")
        self.order = order
        self.code = code


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Stubborn(Exception):
    made = False

    def __new__(cls, *args: Any) -> Stubborn:
        if cls.made:
            raise ValueError("only once")
        cls.made = True
        return super().__new__(cls, *args)


class Outer:
    class Inner(ValueError):
        pass


def _again(error: BaseException) -> Exception:
    value = model_json.decode(model_json.encode(raised.of(error)))
    return raised.rebuilt(Raised(**value), _FAULT)


@pytest.mark.parametrize(
    "error",
    [ValueError("a", 1), KeyError("k"), FileNotFoundError(2, "no such file"), Outer.Inner(), TimeoutError("late")],
)
def test_exception_comes_back_as_it_was(error: Exception) -> None:
    again = _again(error)
    assert type(again) is type(error)
    assert again.args == error.args
    assert str(again) == str(error)


def test_exception_with_an_init_of_its_own_comes_back_with_its_attributes() -> None:
    again = _again(Rejected("a", code=9))
    assert isinstance(again, Rejected)
    assert (str(again), again.order, again.code) == ("order a is rejected", "a", 9)
    with pytest.raises(json.JSONDecodeError, match="Expecting value"):
        raise _again(json.JSONDecodeError("Expecting value", "{", 1))


def test_attributes_that_are_no_json_are_left_out() -> None:
    error = ValueError("a")
    error.plain, error.odd = [1], object()  # type: ignore[attr-defined]  # as programs do
    error.add_note("seen")
    assert raised.of(error).attributes == {"plain": [1]}


@pytest.mark.parametrize(
    "error", [ValueError(object()), KeyboardInterrupt(), SystemExit(1), ExceptionGroup("two", [ValueError()])]
)
def test_exception_that_cannot_be_made_again_is_a_failed_step(error: BaseException) -> None:
    again = _again(error)
    assert type(again) is StepFailed
    assert again.fault is _FAULT
    assert str(again) == "Rejected: no"


def test_class_that_refuses_is_not_asked_twice() -> None:
    assert type(_again(Stubborn("a"))) is StepFailed


def test_local_class_cannot_be_found_again() -> None:
    class Local(Exception):
        pass

    assert type(_again(Local())) is StepFailed


@pytest.mark.parametrize(
    "type_",
    [
        f"{_HERE}:Path",
        f"{_HERE}:_again",
        f"{_HERE}:nothing",
        "never.imported:Error",
        "os:system",
        f"{_HERE}:Outer",
        "builtins",
    ],
)
def test_nothing_but_a_loaded_exception_is_called(type_: str) -> None:
    assert type(raised.rebuilt(Raised(type=type_, message="", arguments=["x"]), _FAULT)) is StepFailed


@pytest.mark.parametrize(
    ("kind", "fault", "expected"),
    [
        (FailureClass.APPLICATION, _FAULT, StepFailed),
        (FailureClass.LOST, _FAULT, StepLost),
        (FailureClass.TIMEOUT, _FAULT, StepTimeout),
        (FailureClass.APPLICATION, Fault(type=faults.TIMEOUT, status=408), StepTimeout),
    ],
)
def test_failure_without_an_exception_is_told_by_its_class(kind: FailureClass, fault: Fault, expected: type) -> None:
    error = raised.rebuilt(None, fault, kind=kind)
    assert type(error) is expected
    assert isinstance(error, StepFailed)
    assert isinstance(error, TimeoutError) == (expected is StepTimeout)


def test_failed_step_of_another_run_keeps_the_fault() -> None:
    error = raised.rebuilt(raised.of(StepLost(_FAULT)), _FAULT)
    assert isinstance(error, StepLost)
    assert error.fault is _FAULT


def test_note_says_which_step_and_which_attempt() -> None:
    error = raised.rebuilt(raised.of(ValueError("a")), _FAULT, step="price", attempt=2, attempts=3)
    assert error.__notes__ == ["raised in step `price`, attempt 2 of 3"]


def test_message_that_cannot_be_had_is_replaced() -> None:
    assert raised.of(Silent()).message == "Silent, whose message cannot be had: RuntimeError"
    assert raised.of(OSError("\udcff")).message == "\\udcff"


@pytest.mark.parametrize(
    ("main", "name"),
    [
        ({"__spec__": types.SimpleNamespace(name="shop.orders")}, "shop.orders"),
        ({"__spec__": None, "__file__": "/srv/shop.py"}, "shop"),
        ({}, "__main__"),
    ],
)
def test_script_is_known_by_the_name_that_others_import_it_by(
    monkeypatch: pytest.MonkeyPatch, main: Any, name: str
) -> None:
    module = types.ModuleType("__main__")
    for attribute, value in main.items():
        setattr(module, attribute, value)
    module.Broken = type("Broken", (Exception,), {"__module__": "__main__"})  # type: ignore[attr-defined]  # as a script has it
    monkeypatch.setitem(sys.modules, "__main__", module)
    value = raised.of(module.Broken("a"))
    assert value.type == f"{name}:Broken"
    assert type(raised.rebuilt(value, _FAULT)) is module.Broken
    assert raised.module_name("json") == "json"


def test_ends_of_runs_name_the_run() -> None:
    assert str(RunFaulted(_FAULT, "r1")) == "run 'r1' faulted: Rejected: no"
    assert str(RunFaulted(_FAULT)) == "Rejected: no"
    assert str(RunCancelled("r1")) == "run 'r1' was cancelled"
    assert str(RunCancelled("r1", "too late")) == "run 'r1' was cancelled: too late"


@pytest.mark.parametrize(
    ("instance", "note"),
    [("/price", "the run r1 faulted at /price"), ("/", "the run r1 faulted"), (None, "the run r1 faulted")],
)
def test_error_of_a_run_says_which_run_it_was_and_where(instance: str | None, note: str) -> None:
    error = raised.of_run(Fault(type=faults.RUNTIME, status=500, instance=instance), "r1")
    assert isinstance(error, RunFaulted)
    assert error.__notes__ == [note]


def test_run_that_faulted_raises_what_its_workflow_raised() -> None:
    error = raised.of_run(raised.fault_of(Rejected("a", code=9)), "r1")
    assert isinstance(error, Rejected)
    assert error.code == 9
