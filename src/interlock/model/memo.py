"""What a run remembers of a finished step, outside of its state: written once, read when it is needed.

A Python workflow remembers every result, since its function runs again over them when it is resumed. Any workflow remembers
the steps that name their undo. `number` grows within the run, so memos in their order are the order of completion.
"""

from __future__ import annotations

import msgspec

from interlock.model.call import StepCall
from interlock.model.payload import Payload
from interlock.model.task import Failed


class Undo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a completed step is undone: by the node `node` of its graph, or in a Python workflow by the call `call`.

    `step` is the path of the step, `input` what it was given.
    """

    step: str
    input: Payload
    node: str = ""
    call: StepCall | None = None


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`call` is the identity of a call in a Python run, the path of a step in others. `failed` None: it gave `output`."""

    number: int
    call: str
    at: float
    output: Payload | None = None
    failed: Failed | None = None
    undo: Undo | None = None
