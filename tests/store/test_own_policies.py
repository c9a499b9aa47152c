"""A policy of somebody's own may fail or give nonsense: whoever loads is told, and nothing of it is stored. DQ-05."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock import errors
from interlock.app.tasks import TaskGraphs
from interlock.dispatch import policies
from interlock.service import SystemClock
from interlock.store.ports import Store
from store.test_ordering import declare, loaded, waiting

MODULE = """
from interlock.dispatch.policies import Stamp


class Given:
    strategy = None

    def stamp(self, task):
        return {}


class Needs(Given):
    def __init__(self, argument):
        pass


class Misplacing(Given):
    strategy = "nonsense"
"""
NONSENSE = {
    "raises": "1 / 0",
    "exits": "exit(3)",
    "nothing": "None",
    "texts": "Stamp('high', 'low')",
    "huge": "Stamp(10**30, 1.0)",
    "nan": "Stamp(1, float('nan'))",
    "half": "Stamp(1.5, 1.0)",
}


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module with policies, whose stamp is what a test asks for."""
    name = f"own_policies_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(getattr(request, "param", "None")))
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("given", NONSENSE.values(), ids=NONSENSE, indirect=True)
async def test_stamp_that_orders_nothing_is_refused_before_it_is_stored(store: Store, given: str) -> None:
    """One task with a text for its priority kept the dispatchers of the whole store from placing any."""
    await declare(store, f"{given}:Given")
    with pytest.raises(errors.Invalid, match=f"the scheduling policy {given}:Given (fails|gives)"):
        await loaded(store)
    assert await waiting(store) == []


@pytest.mark.parametrize("given", [NONSENSE["raises"]], indirect=True)
async def test_priority_stays_where_the_policy_fails(store: Store, given: str) -> None:
    await declare(store)
    book: TaskGraphs = await loaded(store)
    await declare(store, f"{given}:Given")
    with pytest.raises(errors.Invalid, match="ZeroDivisionError"):
        await TaskGraphs(store, SystemClock()).reprioritise(await book.find("g/old"), 20)
    assert (await book.find("g/old")).spec.priority == 0


@pytest.mark.parametrize(
    ("name", "told"), [("Needs", "cannot be made without arguments"), ("Misplacing", "'nonsense'")]
)
def test_policy_that_cannot_be_one_is_told_when_it_is_named(given: str, name: str, told: str) -> None:
    with pytest.raises(errors.Invalid, match=told):
        policies.policy(f"{given}:{name}")
