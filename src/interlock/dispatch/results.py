"""The result that an agent leaves in a file of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.task import Done, Failed, FailureClass, Outcome
from interlock.model.task_graph import TaskSpec

MOST_BYTES: Final = 16 * 1024 * 1024
"""As much as a stream of output may hold for the result."""


def with_result(outcome: Outcome, spec: TaskSpec, folder: str) -> Outcome:
    """Give an outcome with what the file `agent.result` of the folder holds, as `result`.

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
        if file.stat().st_size > MOST_BYTES:
            return _failed(f"the result {name} has {file.stat().st_size} bytes; at most {MOST_BYTES} are kept")
        value = json.decode(file.read_bytes())
    except OSError as error:
        return _failed(f"it ended well, and left no result in {name}: {error.strerror}")
    except (msgspec.DecodeError, ValueError) as error:
        return _failed(f"the result {name} is no JSON: {error}")
    kept = outcome.value if isinstance(outcome.value, dict) else {}
    return msgspec.structs.replace(outcome, value={**kept, "result": value})


def _failed(detail: str) -> Failed:
    return Failed(FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500, title="No result", detail=detail))
