"""The benchmarks measure, interleave and tell what they found; how fast it is, is not judged here. WF-29, PF-01"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import sampled
from bench import driver, page, products, rows, sizes, statements, table
from bench.case import Given
from bench.own import cases, placing
from bench.products import Kind
from bench.sizes import Scale

ROOT = Path(__file__).parents[2]
PLAN = {"cases": ["W1", "W2"], "rounds": 3, "scale": "full", "seed": 1}
MACHINE = {
    "measured_at": "2026-01-01 00:00 UTC", "commit": "abc", "cores": 2, "cpu": "a CPU", "memory_gb": 24.0, "system": "Linux",
    "filesystem": "ext4", "load": 0.1, "python": "3.11", "postgresql": None, "sqlite": "3.40", "fdatasync_ms": 0.1,
}  # fmt: skip


def known(*measurements: dict[str, Any], scale: str = "full") -> dict[str, Any]:
    subjects = {"interlock-sqlite", "dbos-sqlite", "dbos-sqlite-wal", "taskiq"}
    return {
        "machine": MACHINE,
        "plan": {**PLAN, "scale": scale},
        "products": {name: {"version": "1.0", "durability": "all"} for name in sorted(subjects)},
        "measurements": list(measurements),
    }


def found(subject: str, case: str, **figures: float) -> dict[str, Any]:
    return {"subject": subject, "case": case, "round": 1, "figures": figures}


def test_line_has_the_median_of_the_rounds_and_the_ratios() -> None:
    (line,) = table.as_json(
        known(
            *[found("interlock-sqlite", "W3", long_step_ms=value) for value in (0.9, 0.5, 0.6)],
            found("dbos-sqlite", "W3", long_step_ms=2.4),
            found("dbos-sqlite-wal", "W3", long_step_ms=1.2),
            found("taskiq", "W3", long_step_ms=0.3),
        )
    )

    assert (line["median"], line["low"], line["high"]) == (0.6, 0.5, 0.9)
    assert (line["target"], line["missed"], line["times_better_than_target"]) == (0.3, True, 0.5)
    assert (line["best_peer"], line["times_better_than_best_peer"]) == ("taskiq", 0.5)
    assert line["times_better_than_alike"] == 2.0, "the better of its modes"


@pytest.mark.parametrize(("rate", "missed"), [(4_499.0, True), (4_500.0, False)])
def test_of_a_rate_more_is_better(rate: float, missed: bool) -> None:
    (line,) = table.as_json(known(found("interlock-sqlite", "W2", runs_per_second=rate)))

    assert line["missed"] is missed


def test_missed_target_is_told_with_by_how_much() -> None:
    text = table.markdown(known(found("interlock-sqlite", "W2", runs_per_second=3_600.0)))

    assert "**missed**, 0.8x" in text
    assert "3,600 /s against 4,500 /s, 20 % below it" in text


def test_target_is_held_against_the_full_scale_only() -> None:
    text = table.markdown(known(found("interlock-sqlite", "W2", runs_per_second=1.0), scale="smoke"))

    assert "missed" not in text


def test_peer_that_failed_is_named_with_the_reason() -> None:
    text = table.markdown(known({"subject": "taskiq", "case": "W1", "round": 1, "error": "not installed: taskiq"}))

    assert "- taskiq, W1: not installed: taskiq" in text


def test_every_row_is_a_case_that_is_measured() -> None:
    assert {row.case for row in rows.ROWS} == set(cases.CASES) == {*driver.CASES, *driver.LONG_CASES}
    assert {row.name for row in rows.ROWS if row.name} == {"WF-29"}


def test_rounds_are_interleaved_and_shuffled_alike_for_one_seed() -> None:
    subjects = driver.chosen("dbos")
    plan = driver.Plan(cases=["W1", "W9"], subjects=subjects, rounds=4, scale=Scale.SMOKE, seed=7)

    steps = [(number, case, product.subject) for number, case, product in plan.steps()]

    assert steps == [(number, case, product.subject) for number, case, product in plan.steps()]
    assert Counter(case for _, case, _ in steps) == {"W1": 4 * len(subjects), "W9": len(subjects)}, "W9 needs one round"
    orders = {tuple(name for number, case, name in steps if (number, case) == (each, "W1")) for each in range(1, 5)}
    assert len(orders) > 1


def test_peer_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="there is no peer 'temporal'; there are celery, dbos"):
        driver.chosen("temporal")


def test_product_that_is_not_installed_is_found_out() -> None:
    absent = products.Product(subject="a", distribution="no-such-package", module="a", kind=Kind.SQLITE, durability="")

    assert absent.version() is None


def test_results_measured_apart_replace_their_cases() -> None:
    first = known(found("interlock-sqlite", "W1", p50_ms=1.0), found("interlock-sqlite", "W2", runs_per_second=1.0))
    later = known(found("interlock-sqlite", "W2", runs_per_second=2.0))
    later["plan"] = {**PLAN, "cases": ["W2"], "rounds": 5}

    joined = page.merged([first, later])

    assert [measured["figures"] for measured in joined["measurements"]] == [{"p50_ms": 1.0}, {"runs_per_second": 2.0}]
    assert "W2 measured apart (5 rounds, scale `full`)" in page.page(joined, "{{table}}")


def test_results_of_some_cases_leave_the_others_and_results_of_all_replace_them() -> None:
    before = known(found("interlock-sqlite", "W1", p50_ms=1.0), found("interlock-sqlite", "W2", runs_per_second=1.0))
    some = known(found("interlock-sqlite", "W2", runs_per_second=2.0)) | {"plan": {**PLAN, "cases": ["W2"]}}

    assert page.kept(before, [some]) == [before, some]
    assert page.kept(before, [before]) == [before]
    assert page.kept(before | {"plan": {**PLAN, "scale": "smoke"}}, [some]) == [some], "another scale"
    twice = page.merged([before, some, some])
    assert [other["plan"]["cases"] for other in twice["apart"]] == [["W2"]]


def test_page_is_what_its_figures_and_notes_make() -> None:
    made = page.page(json.loads(page.FIGURES.read_text()), page.NOTES.read_text())

    assert page.PAGE.read_text() == made, "python -m bench.page"


@pytest.mark.parametrize(("statement", "frames"), [("BEGIN;", True), ("\n commit", True), ("SELECT 1", False)])
def test_statement_that_frames_a_transaction_is_told_from_others(statement: str, frames: bool) -> None:
    assert statements.frames(statement) is frames


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled.one_of(4, ["C3", "W13", "W1", "P1"]))  # `make bench-smoke` runs them all
def test_case_gives_figures_in_a_process_of_its_own(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.subject", "interlock-sqlite", case, "--scale", "smoke"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert figures.keys() >= {row.figure for row in rows.ROWS if row.case == case} - {"bulk_runs_per_second"}


def test_cost_of_a_decision_is_told_for_each_size_and_as_a_ratio() -> None:
    """PF-01: a row for each number of tasks that wait at full scale, and the last against the first."""
    told = {row.figure for row in rows.ROWS if row.case == "P2"}

    assert told == {f"beside_{number}_us" for number, _ in enumerate(sizes.of(Scale.FULL).beside, 1)} | {"times_first"}


async def test_round_of_the_bench_places_by_the_code_of_the_dispatcher(tmp_path: Path) -> None:
    given = Given(
        subject="interlock-sqlite", url=f"sqlite:///{tmp_path}/s.db", folder=tmp_path, sizes=sizes.of(Scale.SMOKE)
    )

    figures = await placing.beside(given)

    assert figures.keys() == {"beside_1_us", "beside_2_us", "times_first"}


@pytest.mark.slow
def test_whole_measurement_writes_the_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--cases", "W10", "--rounds", "1", "--peers", "none", "--scale", "smoke",
         "--out", str(tmp_path)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads((tmp_path / "table.json").read_text())
    assert {line["figure"] for line in lines} == {row.figure for row in rows.ROWS if row.case == "W10"}
    assert "a condition on 1 KB" in (tmp_path / "table.md").read_text()
