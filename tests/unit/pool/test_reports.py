"""What the report of a supervisor means."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, PythonTarget, ShellTarget
from interlock.pool.launcher import Launch
from interlock.pool.reports import Streams, outcome
from interlock.pool.supervised import Report

SHELL = Launch(attempt="1", target=ShellTarget(command="x"), folder="/runs", timeout_seconds=2)
ANY_CODE = Launch(attempt="1", target=ShellTarget(command="x"), folder="/runs", any_exit_code=True)
FUNCTION = Launch(attempt="1", target=PythonTarget(function="m:f"), folder="/runs")


def _outcome(launch: Launch, report: Report | None, streams: Streams, folder: Path) -> Outcome:
    return outcome(launch, report, streams, folder, 100)


@pytest.mark.parametrize("ended_by", ["cancel", "orphan"])
def test_ended_on_purpose_is_cancelled(ended_by: str, tmp_path: Path) -> None:
    assert _outcome(SHELL, Report(ended_by=ended_by, signal=9), Streams("", ""), tmp_path) == Cancelled()


@pytest.mark.parametrize(
    ("launch", "report", "streams", "failure", "title", "code"),
    [
        (SHELL, None, Streams("", ""), FailureClass.LOST, "Lost", "lost"),
        (SHELL, Report(ended_by="timeout"), Streams("", ""), FailureClass.TIMEOUT, "Timeout", None),
        (
            SHELL,
            Report(ended_by="not-launched", reason="no-such-folder"),
            Streams("", ""),
            FailureClass.INVALID,
            "No such folder",
            "no-such-folder",
        ),
        (
            SHELL,
            Report(ended_by="not-launched", reason="invalid"),
            Streams("", ""),
            FailureClass.INVALID,
            "Not launched",
            None,
        ),
        (
            SHELL,
            Report(ended_by="not-launched", reason="E2BIG"),
            Streams("", ""),
            FailureClass.INVALID,
            "Not launched",
            None,
        ),
        (
            SHELL,
            Report(ended_by="not-launched", reason="EAGAIN"),
            Streams("", ""),
            FailureClass.LAUNCH,
            "Not launched",
            None,
        ),
        (SHELL, Report(ended_by="exit", code=3), Streams("", ""), FailureClass.APPLICATION, "Exited with 3", None),
        (
            ANY_CODE,
            Report(ended_by="exit", signal=11),
            Streams("", ""),
            FailureClass.APPLICATION,
            "Killed by SIGSEGV",
            None,
        ),
        (
            SHELL,
            Report(ended_by="exit", signal=40),
            Streams("", ""),
            FailureClass.APPLICATION,
            "Killed by signal 40",
            None,
        ),
        (
            SHELL,
            Report(ended_by="exit", signal=9, out_of_memory=True),
            Streams("", ""),
            FailureClass.OUT_OF_MEMORY,
            "Out of memory",
            None,
        ),
        (
            ANY_CODE,
            Report(ended_by="exit", code=137, out_of_memory=True),
            Streams("", ""),
            FailureClass.OUT_OF_MEMORY,
            "Out of memory",
            None,
        ),
        (
            SHELL,
            Report(ended_by="exit", code=0),
            Streams("x", "", ("stdout",), 2 * 1024 * 1024),
            FailureClass.INVALID,
            "Output too large",
            "payload-too-large",
        ),
        (
            FUNCTION,
            Report(ended_by="exit", code=5),
            Streams("", ""),
            FailureClass.APPLICATION,
            "Its process exited with 5",
            None,
        ),
        (
            FUNCTION,
            Report(ended_by="exit", signal=11),
            Streams("", ""),
            FailureClass.APPLICATION,
            "Its process was killed by SIGSEGV",
            None,
        ),
    ],
)
def test_failures_have_their_class(
    launch: Launch,
    report: Report | None,
    streams: Streams,
    failure: FailureClass,
    title: str,
    code: str | None,
    tmp_path: Path,
) -> None:
    result = _outcome(launch, report, streams, tmp_path)
    assert isinstance(result, Failed)
    assert (result.failure, result.fault.title, result.fault.code) == (failure, title, code)


def test_output_that_is_too_large_is_told_with_the_limit_and_what_helps(tmp_path: Path) -> None:
    """It said "exceeded the limit for a result", of which nobody knows how much that is."""
    result = _outcome(
        SHELL, Report(ended_by="exit", code=0), Streams("", "", ("stderr", "stdout"), 16 * 2**20), tmp_path
    )
    assert isinstance(result, Failed)
    assert result.fault.detail == (
        "its stderr and stdout had more than the 16 MB that a result holds; have it write a file, such as an artifact"
    )


@pytest.mark.parametrize(
    ("streams", "detail"),
    [
        (Streams("out\n", "last words\n"), "last words"),
        (Streams("out\n", " \n"), "out"),
        (Streams("", ""), None),
        (Streams("", "x" * 3000 + "end"), "x" * 1997 + "end"),
    ],
)
def test_failure_tells_the_last_output(streams: Streams, detail: str | None, tmp_path: Path) -> None:
    result = _outcome(SHELL, Report(ended_by="exit", code=1), streams, tmp_path)
    assert isinstance(result, Failed)
    assert result.fault.detail == detail


def test_exit_is_a_result(tmp_path: Path) -> None:
    report = Report(ended_by="exit", code=4)
    assert _outcome(ANY_CODE, report, Streams("o", "e"), tmp_path) == Done({"code": 4, "stdout": "o", "stderr": "e"})


def test_exit_of_the_command_wins_over_want_of_memory_elsewhere(tmp_path: Path) -> None:
    report = Report(ended_by="exit", code=0, out_of_memory=True)
    assert isinstance(_outcome(SHELL, report, Streams("", ""), tmp_path), Done)


def test_function_result_comes_from_the_spool(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"type": "done", "value": [1]}')
    assert _outcome(FUNCTION, Report(ended_by="exit", code=0), Streams("", ""), tmp_path) == Done([1])


def test_function_result_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"type": "done", "value": "' + "x" * 100 + '"}')
    result = _outcome(FUNCTION, Report(ended_by="exit", code=0), Streams("", ""), tmp_path)
    assert isinstance(result, Failed)
    assert result.fault.code == "payload-too-large"
