"""What the end of a container means: the outcome of its attempt. Pure.

An exit code of 128 + n is taken for the signal n: a container tells no more, and a shell, or the first process, tells it so.
Somebody who stops a container from outside cannot be told from the work itself; it shows as killed by that signal.
"""

from __future__ import annotations

import datetime
import re
import signal
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Cancelled, Failed, FailureClass, Outcome
from interlock.pool import reports
from interlock.pool.docker.plan import Plan
from interlock.pool.launcher import Launch
from interlock.pool.reports import Streams
from interlock.pool.supervised import Report

_SIGNALS: Final = 128
_KILLED: Final = _SIGNALS + signal.SIGKILL
_ENGINE_LOST: Final = 255
"""What an engine says of a container whose end it did not see."""
_NOT_EXECUTED: Final = (126, 127)
_INIT_COMPLAINS: Final = re.compile(r"^\[FATAL tini \(\d+\)\] exec (?P<program>.*) failed: (?P<why>.*)$", re.MULTILINE)
_NOT_THERE: Final = re.compile(r"executable file .*not found|no such file or directory|No such file or directory")
_NO_INTERLOCK: Final = re.compile(r"No module named '?interlock\b")
_TOO_LONG: Final = re.compile(r"argument list too long", re.IGNORECASE)
_NO_FOLDER: Final = "bind source path does not exist: "
_BAD_REQUEST: Final = 400
_outcomes: Final[msgspec.json.Decoder[Outcome]] = msgspec.json.Decoder(Outcome)


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended. `state`: its State, as the engine tells it. `asked`: `cancel` or `timeout` when we ended it.

    `ran_out`: there is evidence that its memory did. `torn`: the engine was away meanwhile. `result`: what the process of a
    function wrote down.
    """

    state: Mapping[str, Any]
    asked: str = ""
    ran_out: bool = False
    torn: bool = False
    result: bytes | None = None


def outcome(launch: Launch, plan: Plan, end: End, streams: Streams, result_bytes: int) -> Outcome:
    """Give the outcome of an attempt whose container has ended."""
    code = int(end.state.get("ExitCode") or 0)
    if end.asked == "cancel":
        return Cancelled()
    if end.asked == "timeout" or _took_too_long(launch, end.state):
        detail = f"it ran longer than {launch.timeout_seconds:g} s"
        return Failed(FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail))
    if end.ran_out and code == _KILLED:
        detail = "the kernel killed it for want of memory"
        if not end.state.get("OOMKilled"):
            detail += "; this engine does not tell, but it was killed under a limit of memory, and not by us"
        return reports.failed(FailureClass.OUT_OF_MEMORY, "Out of memory", detail)
    if end.torn and code > _SIGNALS:
        return lost("its engine was away, and ended it meanwhile")
    if code in _NOT_EXECUTED and (complaint := _INIT_COMPLAINS.search(streams.stderr)):
        return _not_executed(plan, complaint["program"], complaint["why"])
    if plan.has_result:
        return _returned(plan, end, code, streams, result_bytes)
    return reports.exited(launch, _report(code), streams)


def not_launched(plan: Plan, words: str, status: int) -> Failed:
    """Give the outcome of an attempt whose container could not be made or started, by the engine's words."""
    if _NO_FOLDER in words:
        return no_folder(words.partition(_NO_FOLDER)[2])
    if _TOO_LONG.search(words):
        return reports.failed(FailureClass.INVALID, "Not launched", f"the arguments or variables are too long: {words}")
    if plan.program and f"{plan.program}" in words and _NOT_THERE.search(words):
        return _not_executed(plan, plan.program, words)
    failure = FailureClass.INVALID if status == _BAD_REQUEST else FailureClass.LAUNCH
    return reports.failed(failure, "Not launched", f"the engine says of the image {plan.image}: {words}")


def no_folder(folder: str) -> Failed:
    """Give the outcome of an attempt whose folder the engine does not see."""
    detail = f"the folder {folder} that the run was started in is not on this machine"
    return reports.failed(FailureClass.INVALID, "No such folder", detail, code="no-such-folder")


def lost(detail: str) -> Failed:
    """Give the outcome of an attempt whose container cannot be told of any more."""
    return reports.failed(FailureClass.LOST, "Lost", detail, code="lost")


def seconds_run(state: Mapping[str, Any], now: float) -> float:
    """How long a container has run, until `now` (UTC) or its end; 0 when it has not started."""
    started = _moment(state.get("StartedAt"))
    if started is None:
        return 0.0
    ended = None if state.get("Running") else _moment(state.get("FinishedAt"))
    return max(0.0, (now if ended is None else ended) - started)


def seconds_over(state: Mapping[str, Any], now: float) -> float | None:
    """How long ago a container ended; None when it has not."""
    ended = None if state.get("Running") else _moment(state.get("FinishedAt"))
    return None if ended is None else now - ended


def _took_too_long(launch: Launch, state: Mapping[str, Any]) -> bool:
    """Whether a container that ended before it was adopted was ended for its time by the node before."""
    code = int(state.get("ExitCode") or 0)
    if launch.timeout_seconds is None or code not in (_KILLED, _SIGNALS + signal.SIGTERM):
        return False
    return seconds_run(state, 0.0) >= launch.timeout_seconds


def _moment(text: object) -> float | None:
    """Give a time of the engine; None for its zero, the year 1."""
    if not isinstance(text, str) or not text or text.startswith("0001-"):
        return None
    return datetime.datetime.fromisoformat(text).timestamp()  # what is finer than a microsecond is cut


def _not_executed(plan: Plan, program: str, why: str) -> Failed:
    if _TOO_LONG.search(why):
        return reports.failed(FailureClass.INVALID, "Not launched", f"the arguments or variables are too long: {why}")
    hint = "scripts in js need Node.js: " if program == "node" else ""
    detail = f"{hint}there is no program `{program}` that can be executed in the image {plan.image}: {why}"
    return reports.failed(FailureClass.LAUNCH, "Not launched", detail)


def _returned(plan: Plan, end: End, code: int, streams: Streams, result_bytes: int) -> Outcome:
    """Give the outcome that a function's process wrote down."""
    if end.result is None:
        if _NO_INTERLOCK.search(streams.stderr):
            detail = f"the image {plan.image} has no Interlock (pip install interlock), which calls functions there"
            return reports.failed(FailureClass.INVALID, "No Interlock in the image", detail)
        report = _report(code)
        how = f"exited with {code}" if report.code is not None else f"was killed by {reports.signal_name(report)}"
        return reports.failed(FailureClass.APPLICATION, f"Its process {how}", reports.tail(streams))
    if len(end.result) > result_bytes:
        detail = f"its result has more than the {result_bytes} bytes that are kept"
        return reports.failed(FailureClass.INVALID, "Result too large", detail, code="payload-too-large")
    return _outcomes.decode(end.result)


def _report(code: int) -> Report:
    number = code - _SIGNALS
    if number in set(signal.Signals):
        return Report(ended_by="exit", signal=number)
    return Report(ended_by="exit", code=code)
