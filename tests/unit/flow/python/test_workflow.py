"""Python workflows: what may be one, what a call of one is, and how its definition is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from interlock import errors, workflow
from interlock.flow.python import signature
from interlock.flow.python.workflow import is_program, program
from interlock.model.call import ChildCall
from unit.flow.python.fake_inside import inside


@workflow(name="workflow-double", namespace="shop", version="1.2.0", timeout="1h")
async def double(number: int) -> int:
    return number * 2


@workflow(name="workflow-double-at-once")
def double_at_once(number: int) -> int:
    return number * 2


@workflow
async def workflow_without_arguments() -> None:
    pass


def counting() -> Iterator[int]:
    yield 1


async def counting_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("given", [len, counting, counting_async], ids=["builtin", "generator", "async generator"])
def test_only_a_function_that_returns_can_be_a_workflow(given: Any) -> None:
    with pytest.raises(errors.Invalid, match=r"@workflow is for functions that return; .* is none"):
        workflow(given)


def test_version_of_a_workflow_has_three_numbers() -> None:
    async def local() -> None:
        pass

    with pytest.raises(errors.Invalid, match=r"has the version 'new'; write it as 1\.2\.0"):
        workflow(version="new")(local)


def test_workflow_is_called_as_its_function_where_no_name_is_given() -> None:
    made = workflow_without_arguments
    assert (made.name, made.namespace, made.version, made.timeout_seconds) == (
        "workflow_without_arguments",
        "default",
        "1.0.0",
        None,
    )


def test_stored_definition_is_read_back() -> None:
    assert is_program(double.source)
    read = program(double.source)
    assert (read.namespace, read.name, read.version) == ("shop", "workflow-double", "1.2.0")
    assert (read.function, read.timeout_seconds) == (f"{__name__}:double", 3600.0)


def test_document_is_no_python_workflow() -> None:
    assert not is_program("document: {dsl: 1.0.3}")


@pytest.mark.parametrize("doubling", [double, double_at_once])
async def test_call_outside_of_a_workflow_is_one_of_the_plain_function(doubling: Any) -> None:
    assert await doubling(2) == 4


async def test_call_in_a_workflow_is_a_run_of_its_own_in_the_namespace_of_its_parent() -> None:
    with inside(answer=7) as fake:
        assert await double(2) == 7
    ((name, key, call, arguments),) = fake.asked
    assert (name, key, arguments) == ("workflow-double", signature.digest({"number": 2}), {"number": 2})
    assert call == ChildCall(
        namespace=fake.namespace, name="workflow-double", version="1.2.0", definition=double.digest
    )


async def test_child_without_arguments_has_no_key() -> None:
    with inside() as fake:
        await workflow_without_arguments()
    ((_, key, _, arguments),) = fake.asked
    assert (key, arguments) == ("", {})


def test_workflow_shows_itself_by_its_name_and_version() -> None:
    assert repr(double) == "<workflow shop/workflow-double:1.2.0>"
