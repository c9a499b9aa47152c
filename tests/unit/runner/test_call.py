"""What the process of a function does with it."""

from __future__ import annotations

import types

import pytest

from interlock.model.task import Done, Failed, FailureClass, PythonTarget
from interlock.runner import call


@pytest.fixture(autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("functions_to_call")
    exec(
        "import sys\n"
        "def add(a, b): return a + b\n"
        "async def later(a): return a\n"
        "def fail(): raise ValueError('no')\n"
        "def leave(): sys.exit(3)\n",
        module.__dict__,
    )
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)


@pytest.mark.parametrize(("name", "arguments", "value"), [("add", {"a": 1, "b": 2}, 3), ("later", {"a": 1}, 1)])
def test_function_gives_its_value(name: str, arguments: dict[str, object], value: object, tmp_path: object) -> None:
    target = PythonTarget(function=f"functions_to_call:{name}", arguments=arguments)
    assert call.perform(target, str(tmp_path)) == Done(value)


@pytest.mark.parametrize(("name", "title"), [("fail", "ValueError"), ("leave", "SystemExit")])
def test_whatever_a_function_raises_is_its_outcome(name: str, title: str, tmp_path: object) -> None:
    outcome = call.perform(PythonTarget(function=f"functions_to_call:{name}"), str(tmp_path))
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.fault.title) == (FailureClass.APPLICATION, title)


def test_function_that_cannot_be_called_is_invalid(tmp_path: object) -> None:
    outcome = call.perform(PythonTarget(function="functions_to_call:nothing"), str(tmp_path))
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.INVALID
