"""What a step knows of the attempt that it is."""

from __future__ import annotations

from contextvars import copy_context

import pytest

from interlock import errors, step_context
from interlock.flow.python import step_context as context

ATTEMPT = {
    "INTERLOCK_RUN": "r1",
    "INTERLOCK_STEP": "charge",
    "INTERLOCK_ATTEMPT": "2",
    "INTERLOCK_IDEMPOTENCY_KEY": "r1/charge",
}
SEEN = context.StepContext(run="r1", step="charge", attempt=2, idempotency_key="r1/charge")


def test_step_in_a_process_of_its_own_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ATTEMPT.items():
        monkeypatch.setenv(name, value)
    assert copy_context().run(step_context) == SEEN


def test_steps_of_one_process_know_each_its_own_attempt() -> None:
    one, other = copy_context(), copy_context()
    one.run(context.set, ATTEMPT)
    other.run(context.set, ATTEMPT | {"INTERLOCK_ATTEMPT": "3"})
    assert one.run(step_context) == SEEN
    assert other.run(step_context).attempt == 3


def test_context_is_refused_outside_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERLOCK_STEP", raising=False)
    with pytest.raises(errors.Invalid, match="it was used outside of a running step"):
        step_context()


def test_what_an_attempt_writes_to_shared_memory_is_its_own() -> None:
    attempt = copy_context()
    attempt.run(context.set, ATTEMPT)
    for key in "ab":
        attempt.run(lambda key=key: step_context().memory.set(key, 1))
    assert [write.key for write in attempt.run(context.written)] == ["a", "b"]
    attempt.run(context.set, ATTEMPT)
    assert attempt.run(context.written) == ()


def test_memory_of_a_process_that_nobody_told_of_an_attempt_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ATTEMPT.items():
        monkeypatch.setenv(name, value)
    fresh = copy_context()
    assert fresh.run(context.written) == ()
    for key in "ab":
        fresh.run(lambda key=key: step_context().memory.set(key, 1))
    assert [write.key for write in fresh.run(context.written)] == ["a", "b"]
