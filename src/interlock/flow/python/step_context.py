"""What a step can know of the attempt that it is: its run, its place there, and the key of its effect."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from interlock import errors
from interlock.flow.python.step_memory import StepMemory
from interlock.model.task import MemoryWrite

_HERE: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("interlock_step", default=None)
_MEMORY: Final[ContextVar[StepMemory | None]] = ContextVar("interlock_step_memory", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step knows of the attempt that it is.

    `run`: the run's key, unique in the store. `step`: its place in the run. `attempt`: counts from 1. `idempotency_key`: the
    same for all attempts of one call, also after a crash: hand it to whoever must not do a thing twice. `memory`: shared
    memory, written with the step's result. `token` and `callback`: in a step of a definition that awaits a token, its text
    and where a report is sent to; empty in others.
    """

    run: str
    step: str
    attempt: int
    idempotency_key: str
    token: str = field(default="", repr=False)
    callback: str = field(default="", repr=False)
    memory: StepMemory = field(default_factory=StepMemory, compare=False, repr=False)


def set(environment: Mapping[str, str] | None) -> None:
    """Tell the context of one attempt what its environment is, None for the process's own; for the pools."""
    _HERE.set(environment)
    _MEMORY.set(StepMemory())


def written() -> tuple[MemoryWrite, ...]:
    """Give what the attempt of this context has written to shared memory."""
    memory = _MEMORY.get()
    return () if memory is None else memory.writes


def step_context() -> StepContext:
    """Give what the step that runs here is. Raises Invalid outside of a step."""
    environment = _HERE.get()
    if environment is None:
        environment = os.environ
    if "INTERLOCK_STEP" not in environment:
        raise errors.Invalid("`step_context` is for steps; it was used outside of a running step")
    return StepContext(
        run=environment["INTERLOCK_RUN"],
        step=environment["INTERLOCK_STEP"],
        attempt=int(environment["INTERLOCK_ATTEMPT"]),
        idempotency_key=environment["INTERLOCK_IDEMPOTENCY_KEY"],
        token=environment.get("INTERLOCK_TOKEN", ""),
        callback=environment.get("INTERLOCK_CALLBACK", ""),
        memory=_memory(),
    )


def _memory() -> StepMemory:
    if (memory := _MEMORY.get()) is None:
        memory = StepMemory()
        _MEMORY.set(memory)
    return memory
