"""Secrets are read in time, kept for a while, and read again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlock import config, errors
from interlock.model.task import FailureClass, PythonTarget
from interlock.secrets.keeper import Keeper, no_secret
from interlock.secrets.markers import Reference
from interlock.service import SystemClock


class StillClock(SystemClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def kept(environ: dict[str, str], url: str = "sqlite:///:memory:", **settings: Any) -> tuple[Keeper, StillClock]:
    clock = StillClock()
    return Keeper(url, config.Secrets(**settings), clock, environ), clock


async def test_value_is_read_again_when_its_time_is_over() -> None:
    environ = {"INTERLOCK_SECRET_A": "old"}
    keeper, clock = kept(environ)
    assert (await keeper.bound("r", ("a",))).values == {"a": "old"}
    environ["INTERLOCK_SECRET_A"] = "new"
    clock.seconds = 59.0
    assert (await keeper.bound("r", ("a",))).values == {"a": "old"}
    clock.seconds = 60.0
    assert (await keeper.bound("r", ("a",))).values == {"a": "new"}


async def test_missing_secret_is_looked_for_again_soon() -> None:
    environ: dict[str, str] = {}
    keeper, clock = kept(environ)
    assert "was not found" in ((await keeper.bound("r", ("a",))).problem(None) or "")
    environ["INTERLOCK_SECRET_A"] = "there"
    clock.seconds = 4.0
    assert (await keeper.bound("r", ("a",))).values == {}
    clock.seconds = 5.0
    assert (await keeper.bound("r", ("a",))).values == {"a": "there"}


async def test_target_gets_its_values_and_nothing_else_is_read() -> None:
    keeper, _ = kept({"INTERLOCK_SECRET_A": "hush"})
    markers = await keeper.markers("r")
    plain = PythonTarget(function="m:f", arguments={"x": 1})
    assert (await keeper.revealed("r", plain)).value is plain
    target = PythonTarget(function="m:f", arguments={"x": markers.make(Reference("a"))})
    assert (await keeper.revealed("r", target)).value.arguments == {"x": "hush"}
    assert (await keeper.revealed("another", target)).value == target
    gone = PythonTarget(function="m:f", arguments={"x": markers.make(Reference("b"))})
    with pytest.raises(errors.NotFound, match="the secret 'b' was not found"):
        await keeper.revealed("r", gone)


async def test_without_a_store_key_no_secret_can_be_used() -> None:
    keeper, _ = kept({"INTERLOCK_SECRET_A": "hush"}, "postgresql://x/y")
    bound = await keeper.bound("r", ("a",))
    assert bound.values == {}
    assert "needs the store key" in (bound.problem(frozenset({"a"})) or "")


async def test_values_outside_of_runs() -> None:
    keeper, _ = kept({"INTERLOCK_SECRET_A": '{"x": 1}'})
    assert await keeper.values(["a"]) == {"a": {"x": 1}}
    with pytest.raises(errors.NotFound):
        await keeper.values(["a", "b"])


async def test_those_who_want_a_value_at_the_same_time_read_it_once(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    keeper, _ = kept({}, command=("sh", "-c", f'echo "$0" >> {asked}; echo hush'))
    bounds = await asyncio.gather(*(keeper.bound(f"r{number}", ("a",)) for number in range(20)))
    assert {tuple(bound.values.items()) for bound in bounds} == {(("a", "hush"),)}
    assert asked.read_text() == "a\n"


async def test_text_like_a_marker_needs_no_key(tmp_path: Path) -> None:
    marker = (await kept({"INTERLOCK_KEY": "the-key-of-another-store"})[0].markers("r")).make(Reference("a"))
    target = PythonTarget(function="m:f", arguments={"x": marker})
    keeper, _ = kept({}, "postgresql://x/y")
    assert (await keeper.revealed("r", target)).value is target
    keeper, _ = kept({}, "postgresql://x/y", key_file=str(tmp_path / "gone"))
    with pytest.raises(errors.Environment):
        await keeper.revealed("r", target)


def test_missing_secret_is_an_outcome_that_no_retry_helps() -> None:
    failed = no_secret("the secret 'x' was not found")
    assert (failed.failure, failed.fault.status, failed.fault.code) == (FailureClass.INVALID, 403, "no-secret")
