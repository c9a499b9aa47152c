"""The result that an agent leaves in a file of its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.task import Done, Failed, FailureClass, Outcome
from interlock.model.task_graph import TaskSpec

MOST_BYTES: Final = 16 * 1024 * 1024
"""As much as a stream of output may hold for the result."""


class Mark(NamedTuple):
    """What tells a file that was written again: in place, or by another in its place."""

    inode: int
    bytes: int
    changed_ns: int


def mark(spec: TaskSpec, folder: str) -> Mark | None:
    """Mark the file `agent.result` as it is before an attempt begins. None: there is none, or nobody asked for it."""
    name = "" if spec.agent is None else spec.agent.result
    try:
        return _marked((Path(folder) / name).stat()) if name else None
    except OSError:
        return None


def _marked(found: os.stat_result) -> Mark:
    return Mark(found.st_ino, found.st_size, found.st_mtime_ns)


def with_result(outcome: Outcome, spec: TaskSpec, folder: str, before: Mark | None = None) -> Outcome:
    """Give an outcome with what the file `agent.result` of the folder holds, as `result`.

    `before`: the file as the attempt found it, None for none: one that is still the same is of somebody else, such as of an
    attempt before it, and no result.
    One that was to be there and is not, or that is no JSON, is a failure of the work: who waits for it would find nothing.
    An agent that reported its result by its token needs no file.
    """
    name = "" if spec.agent is None else spec.agent.result
    if not name or not isinstance(outcome, Done) or outcome.reported:
        return outcome
    root = Path(folder).resolve()
    file = (root / name).resolve()
    if not file.is_relative_to(root):
        return _failed(f"the result {name} is not in the folder of the task")
    try:
        now = file.stat()
        if now.st_size > MOST_BYTES:
            return _failed(f"the result {name} has {now.st_size} bytes; at most {MOST_BYTES} are kept")
        if before is not None and _marked(now) == before:
            return _failed(f"it ended well, and left no result in {name}: the one there is older than the attempt")
        value = json.decode(file.read_bytes())
    except OSError as error:
        return _failed(f"it ended well, and left no result in {name}: {error.strerror}")
    except (msgspec.DecodeError, ValueError) as error:
        return _failed(f"the result {name} is no JSON: {error}")
    kept = outcome.value if isinstance(outcome.value, dict) else {}
    return msgspec.structs.replace(outcome, value={**kept, "result": value})


def _failed(detail: str) -> Failed:
    return Failed(FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500, title="No result", detail=detail))
