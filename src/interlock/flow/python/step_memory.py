"""What a step writes to shared memory: kept until it ends, and stored in the transaction that stores its result.

    @step
    async def ship(order: str) -> str:
        step_context().memory.set(f"orders/{order}", {"state": "shipped"}, space="tasks")
        return ...

A step that fails, is cancelled, or is made again writes nothing, so what others read is what the run knows, once.
"""

from __future__ import annotations

from typing import Final

from interlock import errors
from interlock.flow.python.options import Duration, seconds
from interlock.model import json
from interlock.model.json import Json
from interlock.model.memory_names import DEFAULT_SPACE, LARGEST_VALUE, check_key, check_space
from interlock.model.task import MemoryWrite

_MOST: Final = 1_000


class StepMemory:
    """The shared memory of the run's namespace, for writing; `Coordination.memory` reads it.

    The last write of a key counts.
    """

    def __init__(self) -> None:
        self._writes: dict[tuple[str, str], MemoryWrite] = {}
        self._bytes: dict[tuple[str, str], int] = {}

    @property
    def writes(self) -> tuple[MemoryWrite, ...]:
        return tuple(self._writes.values())

    def set(self, key: str, value: Json, space: str = DEFAULT_SPACE, *, ttl: Duration | None = None) -> None:
        """Set a value once the step is done. `ttl`: how long it lasts, for ever if not told. Raises Invalid, Misfit."""
        try:
            text = json.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise errors.Misfit(f"the value of {key!r} cannot be stored: {error}; shared memory holds JSON") from error
        lasts = None if ttl is None else seconds(ttl, "ttl")
        write = MemoryWrite(key=check_key(key), space=check_space(space), value=json.decode(text), ttl_seconds=lasts)
        self._add(write, len(text))

    def delete(self, key: str, space: str = DEFAULT_SPACE) -> None:
        """Delete a value once the step is done; nothing if there is none. Raises Invalid."""
        self._add(MemoryWrite(key=check_key(key), space=check_space(space), deletes=True), 0)

    def _add(self, write: MemoryWrite, size: int) -> None:
        place = write.space, write.key
        whole = sum(self._bytes.values()) - self._bytes.get(place, 0) + size
        if whole > LARGEST_VALUE:
            raise errors.Invalid(
                f"with {write.key!r} the step would write {whole} bytes to shared memory, more than the {LARGEST_VALUE} of "
                "one commit; store them elsewhere and set where they are"
            )
        if place not in self._writes and len(self._writes) == _MOST:
            raise errors.Invalid(f"a step writes at most {_MOST} keys of shared memory; {write.key!r} is one more")
        self._writes.pop(place, None)  # the order is that of the last writes
        self._writes[place] = write
        self._bytes[place] = size
