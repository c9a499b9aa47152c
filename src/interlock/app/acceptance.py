"""The commit that accepts a run which whoever can will begin."""

from __future__ import annotations

import msgspec

from interlock.engine.rows import Rows
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.service import Clock
from interlock.store.ports import Batch, NewRun


def acceptance(new: NewRun, value: Payload, rows: Rows, clock: Clock) -> Batch:
    """Give the commit that accepts a run and does not begin it."""
    text, large = rows.input(value)
    return Batch(
        run=new.run,
        epoch=1,
        seq=0,
        at=clock.now(),
        history=b"",
        status=RunStatus.PENDING,
        wake_at=None,
        head=b"",
        large=large,
        accept=msgspec.structs.replace(new, input=text),
    )
