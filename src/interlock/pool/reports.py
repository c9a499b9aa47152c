"""What the report of a supervisor means: the outcome of an attempt."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import msgspec

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.supervision import RESULT_FILE
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, PythonTarget
from interlock.pool.launcher import Launch
from interlock.pool.supervised import Report

_TAIL_CHARACTERS: Final = 2000
"""How much of the last output a failure tells."""
_NO_MEMORY: Final = ("MemoryError", "Cannot allocate memory", "std::bad_alloc", "memory exhausted", "out of memory")
"""What Python, the C library, C++, coreutils and Node.js say."""
_KILLED_IN_A_SHELL: Final = 128 + signal.SIGKILL
_outcomes: Final[msgspec.json.Decoder[Outcome]] = msgspec.json.Decoder(Outcome)


_MEGABYTE: Final = 1024 * 1024


class Streams(msgspec.Struct):
    """What an attempt printed. `over` names streams that are longer than a result may hold: `limit_bytes` of each."""

    stdout: str
    stderr: str
    over: tuple[str, ...] = ()
    limit_bytes: int = 0


def outcome(
    launch: Launch,
    report: Report | None,
    streams: Streams,
    spool: Path,
    result_bytes: int,
    address_bytes: int | None = None,
) -> Outcome:
    """Give the outcome of an attempt. `report`: None when its supervisor died over it; `address_bytes`: what the address
    space of its processes was limited to, None for nothing."""
    if report is None:
        return failed(FailureClass.LOST, "Lost", "its supervisor died before it told how the work ended", code="lost")
    match report.ended_by:
        case "cancel" | "orphan":
            return Cancelled()
        case "timeout":
            detail = f"it ran longer than {launch.timeout_seconds:g} s"
            error = Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail)
            return Failed(FailureClass.TIMEOUT, error)
        case "not-launched":
            return _not_launched(launch, report)
    if report.out_of_memory and (report.signal == signal.SIGKILL or report.code == _KILLED_IN_A_SHELL):
        return failed(FailureClass.OUT_OF_MEMORY, "Out of memory", "the kernel killed it for want of memory")
    if address_bytes is not None and _complains_of_memory(report, streams) and not (spool / RESULT_FILE).exists():
        detail = f"its processes may have {address_bytes} bytes of memory each: {tail(streams)}"
        return failed(FailureClass.OUT_OF_MEMORY, "Out of memory", detail)
    if isinstance(launch.target, PythonTarget):
        return _returned(report, streams, spool, result_bytes)
    return exited(launch, report, streams)


def _complains_of_memory(report: Report, streams: Streams) -> bool:
    """Say whether a process ended badly whose last words were that it gets no memory: the system tells nobody else."""
    last = streams.stderr[-_TAIL_CHARACTERS:]
    return report.code != 0 and any(words in last for words in _NO_MEMORY)


def failed(failure: FailureClass, title: str, detail: str | None, code: str | None = None) -> Failed:
    """Give a failure; one of the class invalid is an error of configuration."""
    is_invalid = failure is FailureClass.INVALID
    type_, status = (fault.CONFIGURATION, 400) if is_invalid else (fault.RUNTIME, 500)
    return Failed(failure, Fault(type=type_, status=status, title=title, detail=detail, code=code))


def _not_launched(launch: Launch, report: Report) -> Failed:
    if report.reason == "no-such-folder":
        detail = f"the folder {launch.folder or report.detail} that the run was started in is not on this machine"
        return failed(FailureClass.INVALID, "No such folder", detail, code="no-such-folder")
    is_invalid = report.reason in ("invalid", "E2BIG")  # trying again cannot help
    return failed(FailureClass.INVALID if is_invalid else FailureClass.LAUNCH, "Not launched", report.detail)


def exited(launch: Launch, report: Report, streams: Streams) -> Outcome:
    """Give the outcome of a program that ended by itself."""
    if report.code is None:
        return failed(FailureClass.APPLICATION, f"Killed by {signal_name(report)}", tail(streams))
    if report.code != 0 and not launch.any_exit_code:
        return failed(FailureClass.APPLICATION, f"Exited with {report.code}", tail(streams))
    if streams.over:
        what = f"more than the {streams.limit_bytes / _MEGABYTE:g} MB that a result holds"
        detail = f"its {' and '.join(streams.over)} had {what}; have it write a file, such as an artifact"
        return failed(FailureClass.INVALID, "Output too large", detail, code="payload-too-large")
    return Done({"code": report.code, "stdout": streams.stdout, "stderr": streams.stderr})


def _returned(report: Report, streams: Streams, spool: Path, result_bytes: int) -> Outcome:
    """Give the outcome that a function's process wrote down."""
    try:
        text = (spool / RESULT_FILE).read_bytes()
    except FileNotFoundError:
        how = f"exited with {report.code}" if report.code is not None else f"was killed by {signal_name(report)}"
        return failed(FailureClass.APPLICATION, f"Its process {how}", tail(streams))
    if len(text) > result_bytes:
        detail = f"its result has {len(text)} bytes; at most {result_bytes} are kept"
        return failed(FailureClass.INVALID, "Result too large", detail, code="payload-too-large")
    return _outcomes.decode(text)


def signal_name(report: Report) -> str:
    """Give the name of the signal that ended a program."""
    number = report.signal or 0
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def tail(streams: Streams) -> str | None:
    """Give the last words of a program, for people; None when it said nothing."""
    text = streams.stderr.strip() or streams.stdout.strip()
    return text[-_TAIL_CHARACTERS:] or None
