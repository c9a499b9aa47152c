"""What a workflow function may use besides steps: outside of one, and where what it is given is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from interlock import errors, gather, set_attributes, set_progress, sleep, step
from interlock.flow.python.durable import now, patched, random, sleep_until, token, uuid
from interlock.model.call import Show
from unit.flow.python.fake_inside import inside


@step
async def durable_one() -> int:
    return 1


@step
async def durable_broken() -> int:
    raise ValueError("broken")


async def test_gather_outside_of_a_workflow_gives_the_results_in_the_order_of_the_calls() -> None:
    assert list(await gather(durable_one(), durable_one())) == [1, 1]


async def test_gather_outside_of_a_workflow_gives_errors_as_results_where_that_is_wished() -> None:
    one, broken = await gather(durable_one(), durable_broken(), return_exceptions=True)
    assert one == 1
    assert isinstance(broken, ValueError)


async def test_sleep_outside_of_a_workflow_is_a_plain_sleep() -> None:
    assert await sleep(0) is None  # type: ignore[func-returns-value]  # that it ends is what is seen


def test_moment_to_sleep_until_needs_a_time_zone() -> None:
    with pytest.raises(errors.Invalid, match="has no time zone"):
        sleep_until(datetime(2026, 1, 1))  # noqa: DTZ001 (what is refused here)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_progress_lies_between_0_and_1(fraction: float) -> None:
    with inside() as fake, pytest.raises(errors.Invalid, match="lies outside of 0 to 1"):
        set_progress(fraction)
    assert not fake.shown


def test_attributes_are_given_as_a_map_and_by_name() -> None:
    with inside() as fake:
        set_attributes({"customer": 42}, region="eu")
    assert fake.shown == [Show(attributes={"customer": 42, "region": "eu"})]


def test_operation_that_no_token_has_is_refused() -> None:
    with inside(), pytest.raises(errors.Invalid, match=r"there is no operation 'compete'; there are complete, fail"):
        token("approval", operations=["compete"])


def test_id_of_a_token_differs_between_a_run_and_its_fork() -> None:
    with inside() as fake:
        first, again = token("approval").id, token("approval").id
        fake.run = "fork"
        forked = token("approval").id
    assert first == again
    assert first != forked


@pytest.mark.parametrize(
    ("make", "given"), [(now, datetime.fromtimestamp(1000, UTC)), (random, 0.5)], ids=["now", "random"]
)
def test_time_and_chance_are_those_of_the_run_and_stay(make: Any, given: Any) -> None:
    with inside() as fake:
        assert make() == given
        fake.clock = None  # type: ignore[assignment]  # it is not asked again
        assert make() == given


def test_uuid_is_the_same_for_the_same_key() -> None:
    with inside():
        assert uuid("a") == uuid("a") != uuid("b")


def test_change_is_taken_only_by_runs_that_have_it() -> None:
    with inside() as fake:
        fake.patches.add("new prices")
        assert patched("new prices")
        assert not patched("old prices")


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("now", now),
        ("random", random),
        ("uuid", uuid),
        ("patched", lambda: patched("a")),
        ("set_progress", lambda: set_progress(0.5)),
        ("set_attributes", set_attributes),
        ("token", lambda: token("approval")),
        ("sleep_until", lambda: sleep_until(datetime(2026, 1, 1, tzinfo=UTC))),
    ],
)
def test_what_is_for_workflows_is_refused_outside_of_one(name: str, use: Any) -> None:
    with pytest.raises(errors.Invalid, match=f"`{name}` is for workflow functions"):
        use()
