"""What keeps a task out of every pool until somebody acts: named, with what helps. SC-04."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.decisions import obstacles, pools
from interlock.decisions.pools import PoolView
from interlock.model.task import Resources
from interlock.model.task_graph import TaskSpec, WorkspaceTerms

VIEWS = {
    "small": PoolView(name="small", type="local-process", capacity=1, running=1, cpu=2.0, memory=512.0),
    "off": PoolView(name="off", type="docker", state="disabled"),
    "sick": PoolView(name="sick", type="docker", ill="no engine"),
    "none": PoolView(name="none", type="docker", capacity=0),
    "functions": PoolView(name="functions", type="in-process"),
    "machine": PoolView(name="machine", type="local-process", cpu_each=2.0, memory_each=512.0),
    "far": PoolView(name="far", type="worker"),
    "workflows": PoolView(name="workflows", type="workflows"),
}


@pytest.mark.parametrize(
    ("given", "reason", "helps"),
    [
        ({"pools": ("smal",)}, "smal is not configured", "add smal to agent-pools.yaml"),
        ({"pools": ("off",)}, "off is disabled", "`interlock pools enable off`"),
        ({"pools": ("sick",)}, "sick is ill: no engine", "see to its engine"),
        ({"pools": ("none",)}, "none has max_concurrency 0", "give it places"),
        ({"pools": ("functions",)}, "functions calls Python functions only", "a pool that starts programs"),
        ({"pools": ("workflows",)}, "workflows starts workflows only", "name another pool"),
        ({"pools": ("small",), "kind": "container"}, "small starts no containers", "the type docker or kubernetes"),
        (
            {"pools": ("far",), "workspace": WorkspaceTerms(branch="b")},
            "far has no worktrees",
            "a pool of another type",
        ),
        ({"pools": ("small",), "resources": Resources(cpu=9)}, "small has 2 cores, 9 asked", "ask for less"),
        ({"pools": ("small",), "resources": Resources(memory=999)}, "small has 512 MB, 999 asked", "ask for less"),
        (
            {"pools": ("machine",), "resources": Resources(cpu=9)},
            "machine has 2 cores on a machine, 9 asked",
            "ask for less, have a larger machine serve machine, or give it `cpu_quota: 9` in agent-pools.yaml",
        ),
        (
            {"pools": ("machine",), "resources": Resources(memory=999.5)},
            "machine has 512 MB on a machine, 1000 asked",
            "`memory_quota: 1000`",
        ),
        ({"pools": ("small",), "resources": Resources(gpus=1)}, "small has 0 graphics", "ask for less"),
        ({"pools": ("small",), "labels": {"zone": "b"}}, "small is not labelled zone=b", "label a pool so"),
    ],
)
def test_what_somebody_has_to_change_is_named_with_what_helps(given: dict[str, Any], reason: str, helps: str) -> None:
    spec = TaskSpec(id="a", digest="d", **given)
    told = obstacles.standing(spec, pools.asked(spec, {}), VIEWS, ills=True)
    assert told is not None
    before, _, after = told.partition(". What helps: ")
    assert reason in before
    assert helps in after


def test_task_that_one_pool_can_have_only_waits() -> None:
    spec = TaskSpec(id="a", digest="d", pools=("off", "small"))
    assert obstacles.standing(spec, pools.asked(spec, {}), VIEWS, ills=True) is None


def test_illness_counts_only_for_who_asks_for_it() -> None:
    spec = TaskSpec(id="a", digest="d", pools=("sick",))
    assert obstacles.standing(spec, pools.asked(spec, {}), VIEWS) is None


@pytest.mark.parametrize(
    ("skills", "told"),
    [
        (("ml",), "no pool has the skill ml: add one"),
        (("ml", "backend"), "no pool has all of the skills ml, backend: add one"),
        (("nobody",), "no pool is mapped to the skill nobody: add it to skill_mapping"),
    ],
)
def test_skill_without_a_pool_is_told_of_even_where_a_default_has_room(skills: tuple[str, ...], told: str) -> None:
    """SC-04: a skill that nobody maps runs in a default pool, with a warning; one that no pool has stays, with another."""
    spec = TaskSpec(id="a", digest="d", skills=skills)
    asked = pools.asked(spec, {"ml": (), "backend": ("small",), "default": ("small",)})
    warning = obstacles.standing(spec, asked, VIEWS)
    assert warning is not None
    assert warning.startswith(told)
