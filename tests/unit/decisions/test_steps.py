"""What steps of workflows ask of pools: lanes, terms, candidates. Pure. SC-04"""

from __future__ import annotations

import pytest

from interlock.decisions import steps
from interlock.model.call import Requirements
from interlock.model.task import ContainerTarget, PythonTarget, Resources, ShellTarget

SHELL = ShellTarget(command="x")
BOX = ContainerTarget(image="i")
TYPES = {"laptop": "local-process", "docker": "docker", "cluster": "kubernetes"}
MAPPING = {"default": ("laptop",), "ml": ("cluster", "laptop")}


@pytest.mark.parametrize(
    ("pool", "target", "lane", "named"),
    [
        ("gpu", SHELL, "gpu", "gpu"),
        ("local", SHELL, "local", "local"),
        ("gpu", BOX, "?step=container,pool=gpu", "gpu"),
        ("local", BOX, "?step=container", ""),
    ],
)
def test_lane_says_which_pool_may_have_a_step(
    pool: str, target: ShellTarget | ContainerTarget, lane: str, named: str
) -> None:
    assert steps.lane(pool, target) == lane
    assert steps.pool_of(lane) == named


def test_terms_are_what_a_pool_knows_of() -> None:
    spec = steps.spec("t", BOX, Requirements(skills=("ml",), region="eu", type="build", cpu=2.0, memory=512.0))
    assert (spec.kind, spec.skills, spec.labels) == ("container", ("ml",), {"region": "eu", "type": "build"})
    assert spec.resources == Resources(cpu=2.0, memory=512.0)
    assert steps.spec("t", PythonTarget(function="a:b"), None).kind == "python"
    assert steps.spec("t", SHELL, None).kind == "run"


@pytest.mark.parametrize(
    ("lane", "skills", "types", "mapping", "pools", "warning"),
    [
        ("laptop", (), TYPES, MAPPING, ("laptop",), None),
        ("?step=container", (), TYPES, MAPPING, ("docker", "cluster"), None),
        ("?step=container,pool=docker", (), TYPES, MAPPING, ("docker",), None),
        ("?step=container", ("ml",), TYPES, MAPPING, ("cluster",), None),
        (
            "?step=container",
            ("ml",),
            TYPES,
            {"default": ("laptop",)},
            ("docker", "cluster"),
            "no pool is mapped to the skill ml",
        ),
        ("?step=container", ("other",), TYPES, MAPPING, (), "the skill other to none of docker, cluster"),
        ("?step=container", (), {"laptop": "local-process"}, MAPPING, (), "add one to agent-pools.yaml"),
    ],
)
def test_candidates_are_the_pool_that_is_named_or_all_of_containers(
    lane: str,
    skills: tuple[str, ...],
    types: dict[str, str],
    mapping: dict[str, tuple[str, ...]],
    pools: tuple[str, ...],
    warning: str | None,
) -> None:
    found = steps.asked(lane, steps.spec("t", BOX, Requirements(skills=skills)), types, mapping)
    assert found.pools == pools
    assert (found.warning is None) if warning is None else (warning in (found.warning or ""))
