"""What the author of a step says about its calls: what is taken, what is refused, and what the calls look like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from interlock import errors
from interlock.flow.python.options import Limit, Options, Rate, Retries, seconds
from interlock.model.call import LimitOf, Requirements, StepCall


def call(options: Options, **arguments: Any) -> StepCall:
    return options.call("shop:charge", None, "charge", arguments, "digest")


def refused(complaint: str, made: Callable[[], object]) -> None:
    with pytest.raises(errors.Invalid) as found:
        made()
    assert complaint in str(found.value)


# -- durations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "length"), [("30s", 30.0), ("PT5M", 300.0), (1.5, 1.5), (0, 0.0), (timedelta(minutes=2), 120.0)]
)
def test_duration_is_given_in_seconds(given: Any, length: float) -> None:
    assert seconds(given, "timeout") == length


@pytest.mark.parametrize(("given", "complaint"), [("soon", "timeout: "), (timedelta(-1), "lies in the past")])
def test_duration_that_is_none_is_refused_by_the_name_of_its_option(given: Any, complaint: str) -> None:
    refused(complaint, lambda: Options.of(timeout=given))
    refused("timeout", lambda: Options.of(timeout=given))


# -- retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "budgets"),
    [
        (2, {"application": 2, "timeout": 2, "out_of_memory": 0}),
        (Retries(count=2, timeout=0), {"application": 2, "timeout": 0, "out_of_memory": 0}),
        (
            Retries(out_of_memory=1, lost=4, preempted=5, launch=6),
            {"application": 0, "timeout": 0, "out_of_memory": 1, "lost": 4, "preempted": 5, "launch": 6},
        ),
    ],
)
def test_retries_are_budgets_of_what_the_author_named(given: int | Retries, budgets: dict[str, int]) -> None:
    assert call(Options.of(retries=given)).retries == budgets


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (-1, "-1 retries for `application`"),
        (Retries(lost=1_000_001), "1000001 retries for `lost`"),
        (
            Retries(backoff="quadratic"),
            "there is no back-off 'quadratic'; there are fixed, linear, exponential, random",
        ),
        (Retries(jitter=1.1), "jitter is 1.1"),
        (Retries(delay="later"), "retries: delay"),
        (Retries(longest=-1), "retries: longest"),
    ],
)
def test_retries_that_cannot_be_made_are_refused(given: int | Retries, complaint: str) -> None:
    refused(complaint, lambda: Options.of(retries=given))


def test_pauses_grow_as_the_author_says() -> None:
    backoff = call(Options.of(retries=Retries(backoff="linear", delay="2s", longest="1m", jitter=0.5))).backoff
    assert backoff is not None
    assert (backoff.kind, backoff.delay_seconds, backoff.longest_seconds, backoff.jitter) == ("linear", 2.0, 60.0, 0.5)


@pytest.mark.parametrize(("given", "errors_"), [(None, None), (OSError, (OSError,)), ((OSError, KeyError),) * 2])
def test_one_kind_of_error_is_several_of_one(given: Any, errors_: Any) -> None:
    assert Options.of(retry_on=given).retry_on == errors_


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "interval"), [("10/s", 0.1), (" 120 / m ", 0.5), ("5/30s", 6.0), ("6/2 m", 20.0), ("1/h", 3600.0)]
)
def test_rate_is_read_from_text(text: str, interval: float) -> None:
    assert call(Options.of(rate=text)).limits == (LimitOf(name="rate:charge", interval_seconds=interval, burst=1),)


@pytest.mark.parametrize("text", ["", "fast", "0/s", "10", "-1/s"])
def test_rate_that_is_none_is_refused(text: str) -> None:
    refused(f"rate: {text!r} is no rate", lambda: Options.of(rate=text))


def test_rate_may_say_how_many_start_at_once() -> None:
    limits = call(Options.of(rate=Rate(count=4, per=timedelta(seconds=2), burst=3))).limits
    assert limits == (LimitOf(name="rate:charge", interval_seconds=0.5, burst=3),)


@pytest.mark.parametrize("given", [3, Limit(limit=3)])
def test_concurrency_counts_the_attempts_of_the_step(given: Any) -> None:
    assert call(Options.of(concurrency=given)).limits == (LimitOf(name="concurrency:charge", capacity=3),)


@pytest.mark.parametrize("key", ["account {account}", lambda account: f"account {account}"])
def test_key_of_a_limit_is_made_of_the_arguments(key: Any) -> None:
    options = Options.of(concurrency=Limit(limit=1, key=key), rate=Rate(count=1, per=1, key=key))
    assert [limit.name for limit in call(options, account=7).limits] == ["concurrency:account 7", "rate:account 7"]


@pytest.mark.parametrize("key", ["{nobody}", "{0}", "{account.owner}", lambda: "all"])
def test_key_that_does_not_fit_the_arguments_is_refused(key: Any) -> None:
    options = Options.of(concurrency=Limit(limit=1, key=key))
    refused("the key of a limit of the step charge does not fit its arguments", lambda: call(options, account=7))


@pytest.mark.parametrize(
    ("given", "pool", "here"),
    [
        ({}, "", False),
        ({"pool": "in-process"}, "in-process", True),
        ({"concurrency": 1}, "in-process", True),
        ({"rate": "1/s"}, "in-process", True),
        ({"rate": "1/s", "isolated": True}, "local", False),
        ({"rate": "1/s", "pool": "gpu"}, "gpu", False),
        ({"isolated": True, "pool": "local"}, "local", False),
    ],
)
def test_attempts_that_are_counted_go_through_the_queue(given: dict[str, Any], pool: str, here: bool) -> None:
    options = Options.of(**given)
    assert (call(options).pool, options.queues_here) == (pool, here)


# -- the rest --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"isolated": True, "pool": "gpu"}, "a step of the pool 'gpu' runs in a process of its own anyway"),
        ({"concurrency": 0}, "concurrency: 0 attempts at once"),
        ({"compensate": "refund"}, "compensate: 'refund' is no function"),
        ({"requires": {"skills": ["a"]}}, "requires: is asked of workers"),
        ({"requires": {"skills": ["a"]}, "pool": "local"}, "interlock worker --pool workers"),
        ({"requires": {"skils": ["a"]}, "pool": "gpu"}, "requires: `requires` has no `skils`; did you mean `skills`?"),
        ({"requires": {"memory": float("inf")}, "pool": "gpu"}, "`requires.memory` must be a number, 0 or more"),
        ({"requires": ["a"], "pool": "gpu"}, "requires: `requires` must be a map"),
    ],
)
def test_options_that_do_not_fit_are_refused(given: dict[str, Any], complaint: str) -> None:
    refused(complaint, lambda: Options.of(**given))


def test_option_that_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Options.of(colour="red")


@pytest.mark.parametrize(("given", "cache"), [(None, None), ("1h", ("charge", "digest", 3600.0))])
def test_results_are_cached_for_as_long_as_the_author_says(given: Any, cache: Any) -> None:
    assert call(Options.of(cache=given)).cache == cache


def test_what_is_changed_for_one_place_leaves_the_rest_alone() -> None:
    made = Options.of(retries=1, timeout="5s", priority=3)
    changed = made.changed("charge", {"retries": 4, "timeout": "1m"})
    assert (call(changed).retries["application"], changed.timeout_seconds, changed.priority) == (4, 60.0, 3)
    assert (call(made).retries["application"], made.timeout_seconds) == (1, 5.0)


def test_pool_of_one_place_keeps_retries_and_timeout() -> None:
    made = Options.of(retries=1, timeout="5s")
    changed = made.changed("charge", {"pool": "gpu"})
    assert (changed.pool, changed.budgets, changed.timeout_seconds) == ("gpu", made.budgets, 5.0)


def test_retries_of_one_place_may_be_said_in_full() -> None:
    backoff = Options.of().changed("charge", {"retries": Retries(count=1, delay=9)}).backoff
    assert backoff is not None
    assert backoff.delay_seconds == 9.0


@pytest.mark.parametrize(
    ("own", "given", "name"),
    [("", {}, "charge"), ("pay", {}, "pay"), ("pay", {"name": "again"}, "again")],
)
def test_step_keeps_its_name_unless_the_place_gives_another(own: str, given: dict[str, Any], name: str) -> None:
    assert Options.of(name=own).changed("charge", given).name == name


def test_what_is_changed_is_checked_too() -> None:
    refused("runs in a process of its own anyway", lambda: Options.of(isolated=True).changed("a", {"pool": "gpu"}))


def test_requirements_go_with_the_call() -> None:
    asked = {"skills": ("cuda",), "region": "eu", "type": "training", "cpu": 4, "memory": 8192}
    made = Options.of(pool="gpu", requires=asked)
    assert call(made).requires == Requirements(skills=("cuda",), region="eu", type="training", cpu=4.0, memory=8192.0)
    assert call(Options.of(pool="gpu", requires={})).requires is None
    assert call(made.changed("charge", {"requires": {"cpu": 1}})).requires == Requirements(cpu=1.0)
    assert call(made.changed("charge", {"timeout": "5s"})).requires == call(made).requires
