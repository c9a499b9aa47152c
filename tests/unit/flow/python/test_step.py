"""Steps: what may be one, what a call of one is, in a workflow and outside of any."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Retries, errors, step
from interlock.flow.python import signature
from interlock.flow.python.options import Options
from interlock.flow.python.step import Step
from interlock.model.call import StepCall
from unit.flow.python.fake_inside import inside


async def release(result: int, price: int) -> None:
    pass


@step
async def charge(price: int) -> int:
    return price * 2


@step
def charge_at_once(price: int) -> int:
    return price * 2


@step
async def nothing() -> None:
    pass


@step
async def keyed(key: str) -> str:
    return key


@step(retries=Retries(count=1), timeout="1m")
async def give_back(result: int, price: int) -> None:
    pass


@step(compensate=release)
async def reserve(price: int) -> int:
    return price


@step(compensate=give_back)
async def book(price: int) -> int:
    return price


async def called(call: Any, answer: Any = 1) -> tuple[str, str, StepCall, Any]:
    """Give what a call asks of the workflow that it is made in."""
    with inside(answer) as fake:
        await call()
    ((name, key, made, arguments),) = fake.asked
    assert isinstance(made, StepCall)
    return name, key, made, arguments


@pytest.mark.parametrize(("given", "kind"), [(len, "builtin_function_or_method"), (Step, "type"), ("charge", "str")])
def test_only_a_function_can_be_a_step(given: Any, kind: str) -> None:
    with pytest.raises(errors.Invalid, match=rf"@step is for functions; .* is {kind}"):
        Step(given, Options.of())


@pytest.mark.parametrize("charging", [charge, charge_at_once])
async def test_call_outside_of_a_workflow_is_one_of_the_plain_function(charging: Any) -> None:
    assert await charging(2) == 4


async def test_call_in_a_workflow_asks_for_it_by_name_and_arguments() -> None:
    name, key, call, arguments = await called(lambda: charge(2))
    assert (name, arguments) == ("charge", {"price": 2})
    assert key == signature.digest({"price": 2})
    assert call.function == f"{__name__}:charge"


async def test_result_in_a_workflow_is_what_was_stored() -> None:
    with inside(answer=7):
        assert await charge(2) == 7


@pytest.mark.parametrize(
    ("call", "answer", "identity"),
    [
        (lambda: nothing(), None, ""),
        (lambda: charge(2, key="order 7"), 1, "order 7"),
        (lambda: keyed(key="order 7"), "a", signature.digest({"key": "order 7"})),
    ],
    ids=["no arguments", "named by the caller", "a parameter called key is an argument"],
)
async def test_identity_of_a_call(call: Any, answer: Any, identity: str) -> None:
    _, key, _, _ = await called(call, answer)
    assert key == identity


async def test_function_that_undoes_a_step_is_retried_well() -> None:
    _, _, call, _ = await called(lambda: reserve(2))
    assert call.undo is not None
    assert call.undo.undoes
    assert call.undo.retries["application"] == 5


async def test_step_that_undoes_another_keeps_its_own_options() -> None:
    _, _, call, _ = await called(lambda: book(2))
    assert call.undo is not None
    assert call.undo.undoes
    assert (call.undo.retries["application"], call.undo.timeout_seconds) == (1, 60.0)


async def test_variant_is_the_same_step_with_other_options() -> None:
    other = charge.using(timeout="5s", pool="gpu")
    name, _, call, _ = await called(lambda: other(2))
    assert (name, call.function) == ("charge", f"{__name__}:charge")
    assert (call.timeout_seconds, call.pool) == (5.0, "gpu")
    _, _, unchanged, _ = await called(lambda: charge(2))
    assert (unchanged.timeout_seconds, unchanged.pool) == (None, "")


async def test_variant_may_have_a_name_of_its_own() -> None:
    name, _, _, _ = await called(lambda: charge.using(name="charge again")(2))
    assert name == "charge again"


def test_step_shows_itself_by_its_reference() -> None:
    assert repr(charge) == f"<step {__name__}:charge>"
