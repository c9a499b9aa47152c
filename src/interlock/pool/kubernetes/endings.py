"""How an attempt ended, as its outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Done, Failed, FailureClass, Outcome, PythonTarget
from interlock.pool import reports
from interlock.pool.kubernetes import status
from interlock.pool.kubernetes.api import ApiError, Object
from interlock.pool.kubernetes.output import Output
from interlock.pool.kubernetes.status import Ending
from interlock.pool.launcher import Launch
from interlock.pool.supervised import Report

_TAIL_CHARACTERS: Final = 2000
_WRONG: Final = (400, 413, 422)  # the request itself; everything else may be otherwise the next time
_outcomes: Final[msgspec.json.Decoder[Outcome]] = msgspec.json.Decoder(Outcome)


def outcome(launch: Launch, ending: Ending, output: Output, result_bytes: int, *, is_complete: bool) -> Outcome:
    """Give the outcome of an attempt that ended. `is_complete`: its log was read to the end."""
    text = output.finish()
    streams = reports.Streams(text, "", ("stdout",) if output.is_over else (), result_bytes)
    match ending.failure:
        case None:
            found = _by_itself(launch, ending.code or 0, output, streams, result_bytes)
        case FailureClass.TIMEOUT if launch.timeout_seconds is not None:
            found = reports.outcome(launch, Report(ended_by="timeout"), streams, Path(), result_bytes)
        case FailureClass.TIMEOUT:
            found = Failed(
                FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=ending.detail)
            )
        case failure:
            code = "lost" if failure is FailureClass.LOST else None
            found = reports.failed(failure, ending.title, ending.detail or None, code=code)
    if isinstance(found, Done) and not is_complete and output.told is None:
        return lost("it succeeded, but its output could not be read in full; its result is unknown")
    return found


def lost(detail: str) -> Failed:
    return reports.failed(FailureClass.LOST, "Lost", detail, code="lost")


def deleted(name: str) -> Ending:
    return Ending(failure=FailureClass.LOST, title="Lost", detail=f"its Job {name} was deleted, and not by Interlock")


def overdue(pod: Object) -> Ending:
    """Give the ending of a pod that was to end and says no more: its node is gone."""
    name, node = pod["metadata"]["name"], pod.get("spec", {}).get("nodeName", "")
    detail = f"its pod {name} did not end when it was asked to; its node {node} is probably gone"
    return Ending(failure=FailureClass.PREEMPTED, title="Preempted", detail=detail)


def refused(pool: str, name: str, error: ApiError) -> Failed:
    """Give the outcome of an attempt whose Job the API server does not make."""
    failure = FailureClass.INVALID if error.status in _WRONG else FailureClass.LAUNCH
    said = f" ({error.status}{' ' + error.reason if error.reason else ''})" if error.status else ""
    return reports.failed(failure, "Not launched", f"pool {pool!r}: the Job {name} was not made{said}: {error}")


def _by_itself(launch: Launch, code: int, output: Output, streams: reports.Streams, result_bytes: int) -> Outcome:
    if isinstance(launch.target, PythonTarget):
        return _of_function(code, output, streams, result_bytes)
    found = reports.outcome(launch, Report(ended_by="exit", code=code), streams, Path(), result_bytes)
    name = status.signal_name(code)
    if isinstance(found, Failed) and found.failure is FailureClass.APPLICATION and name:
        title = f"Exited with {code} ({name})"  # how a container tells of a signal, and a program may say so too
        return msgspec.structs.replace(found, fault=msgspec.structs.replace(found.fault, title=title))
    return found


def _of_function(code: int, output: Output, streams: reports.Streams, result_bytes: int) -> Outcome:
    if output.told is None:
        tail = streams.stdout.strip()[-_TAIL_CHARACTERS:] or None
        return reports.failed(FailureClass.APPLICATION, f"Its process exited with {code}", tail)
    if len(output.told) > result_bytes:
        detail = f"its result has {len(output.told)} bytes; at most {result_bytes} are kept"
        return reports.failed(FailureClass.INVALID, "Result too large", detail, code="payload-too-large")
    try:
        return _outcomes.decode(output.told)
    except msgspec.MsgspecError as error:
        detail = f"what it told is no outcome: {error}; the image must hold the same version of Interlock as the nodes"
        return reports.failed(FailureClass.INVALID, "Function not usable", detail)
