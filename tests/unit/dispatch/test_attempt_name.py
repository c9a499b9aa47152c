"""The names of attempts outside of their store."""

from __future__ import annotations

import msgspec
import pytest

from interlock.dispatch import attempt_name
from interlock.model.task import ShellTarget
from interlock.store.ports import ClaimedTask

TASK = ClaimedTask(
    task="default/g/a.b@c",
    run="default/g",
    effect=1,
    path="a",
    fence=7,
    target=ShellTarget(command="x"),
    folder="",
    idempotency_key="",
    attempt=1,
    any_exit_code=False,
    namespace="default",
    run_id="",
    pool="p",
)


def test_name_is_found_again_by_its_own_store_alone() -> None:
    name = attempt_name.name("5a", TASK)
    assert attempt_name.of_store("5a", name) == ("default/g/a.b@c", 7)
    assert attempt_name.of_store("5b", name) is None
    assert name != attempt_name.name("5a", msgspec.structs.replace(TASK, fence=8))


@pytest.mark.parametrize("name", ["", "t.1", "t@5a", "t.x@5a", ".1@5a", "t.²@5a"])
def test_what_is_no_name_of_an_attempt_is_none_of_ours(name: str) -> None:
    assert attempt_name.of_store("5a", name) is None
