"""The result that an agent leaves in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interlock.dispatch import results
from interlock.model.task import Cancelled, Done, Failed
from interlock.model.task_graph import AgentTerms, TaskSpec

SPEC = TaskSpec(id="a", digest="d", agent=AgentTerms(result="out/result.json"))
ENDED = Done({"code": 0})


def test_result_is_read_and_kept_beside_what_is_known_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/result.json").write_text('{"pr": 812}')
    assert results.with_result(ENDED, SPEC, str(tmp_path)) == Done({"code": 0, "result": {"pr": 812}})


def test_who_asks_for_none_or_reported_it_gets_what_there_is(tmp_path: Path) -> None:
    for outcome, spec in (
        (ENDED, TaskSpec(id="a", digest="d")),
        (ENDED, TaskSpec(id="a", digest="d", agent=AgentTerms())),
        (Done(1, reported=True), SPEC),
        (Cancelled(), SPEC),
    ):
        assert results.with_result(outcome, spec, str(tmp_path)) is outcome


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("result.json", None, "left no result in result.json: No such file"),
        ("result.json", "{", "is no JSON"),
        ("../result.json", "1", "is not in the folder"),
        ("link", "1", "is not in the folder"),
    ],
)
def test_result_that_cannot_be_read_is_a_failure_of_the_work(
    tmp_path: Path, name: str, text: str | None, detail: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if text is not None:
        (folder / name).resolve().write_text(text)
    if name == "link":
        (folder / name).unlink()
        (tmp_path / "secret").write_text("1")
        (folder / name).symlink_to(tmp_path / "secret")
    found = results.with_result(ENDED, TaskSpec(id="a", digest="d", agent=AgentTerms(result=name)), str(folder))
    assert isinstance(found, Failed)
    assert detail in str(found.fault.detail)


def test_result_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MOST_BYTES", 3)
    (tmp_path / "r").write_text("12345")
    found = results.with_result(ENDED, TaskSpec(id="a", digest="d", agent=AgentTerms(result="r")), str(tmp_path))
    assert isinstance(found, Failed)
    assert "has 5 bytes; at most 3" in str(found.fault.detail)


def test_result_that_was_there_before_the_attempt_and_was_not_written_again_is_none_of_its(tmp_path: Path) -> None:
    """An attempt that died after it wrote one must not give the next one its result."""
    spec = TaskSpec(id="a", digest="d", agent=AgentTerms(result="r.json"))
    assert results.mark(spec, str(tmp_path)) is None
    (tmp_path / "r.json").write_text("1")
    os.utime(tmp_path / "r.json", (1, 1))
    before = results.mark(spec, str(tmp_path))
    found = results.with_result(ENDED, spec, str(tmp_path), before)
    assert isinstance(found, Failed)
    assert "left no result in r.json: the one there is older than the attempt" in str(found.fault.detail)
    (tmp_path / "r.json").write_text("1")  # the same text, and its own
    assert results.with_result(ENDED, spec, str(tmp_path), before) == Done({"code": 0, "result": 1})
    assert results.mark(TaskSpec(id="a", digest="d"), str(tmp_path)) is None
