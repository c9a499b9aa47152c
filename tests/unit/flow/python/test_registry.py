"""Steps and workflows of a process, by the names under which runs know them."""

from __future__ import annotations

import pytest

from interlock import step, workflow
from interlock.flow.python import registry


@pytest.fixture(autouse=True)
def _registered_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_steps", {})
    monkeypatch.setattr(registry, "_workflows", {})


def versions(*given: str) -> None:
    for version in given:

        @workflow(name="order", namespace="shop", version=version)
        async def order() -> None: ...


def test_step_is_known_by_its_reference_and_its_name() -> None:
    @step(name="charge-card")
    def charge() -> None: ...

    assert registry.step(charge.reference) is charge
    assert registry.step("elsewhere:charge") is None
    assert registry.named("charge-card") is charge
    assert registry.has_step("charge-card")


def test_name_of_no_step_is_not_known() -> None:
    assert registry.named("nothing") is None
    assert not registry.has_step("nothing")


def test_name_of_two_functions_names_neither() -> None:
    @step(name="send")
    def mail() -> None: ...

    @step(name="send")
    def post() -> None: ...

    assert registry.named("send") is None
    assert registry.has_step("send")


def test_step_that_is_loaded_again_replaces_the_old_one() -> None:
    def loaded() -> None: ...

    step(loaded)
    again = step(loaded)
    assert registry.step(again.reference) is again


def test_node_takes_from_the_queue_once_a_step_wants_it() -> None:
    @step
    def plain() -> None: ...

    assert not registry.has_queued_steps()

    @step(concurrency=1)
    def counted() -> None: ...

    assert registry.has_queued_steps()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("1.0.0", "1.0.0"),
        ("1.1.0", "1.3.0"),
        ("1.3.1", None),
        ("2.0.0", "2.0.0"),
        ("3.0.0", None),
    ],
)
def test_run_is_executed_by_its_version_or_the_newest_compatible_one(wanted: str, found: str | None) -> None:
    versions("1.0.0", "1.2.0", "1.3.0", "2.0.0")
    workflow = registry.workflow("shop", "order", wanted)
    assert (None if workflow is None else workflow.version) == found


def test_workflow_of_another_namespace_is_not_known() -> None:
    versions("1.0.0")
    assert registry.workflow("default", "order", "1.0.0") is None
    assert registry.versions_of("default", "order") == []


def test_all_versions_are_told() -> None:
    versions("2.0.0", "1.0.0")
    assert registry.versions_of("shop", "order") == ["1.0.0", "2.0.0"]
    assert [str(workflow) for workflow in registry.workflows()] == [
        "<workflow shop/order:2.0.0>",
        "<workflow shop/order:1.0.0>",
    ]
