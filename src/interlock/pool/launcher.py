"""The protocol between those who ask for an attempt and the place that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from interlock.model.task import Outcome, Resources, Target

OnOutput: TypeAlias = Callable[[str, str], None]
"""Called on the event loop with the stream (`stdout`, `stderr`) and a piece of text, in order."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to run.

    `attempt` is unique for all time (it names the spool folder). `folder`: where it starts. `environment` is added to the
    pool's clean base. `orphan_grace_seconds`: how long it may outlive its node; a container needs no node, and outlives it
    whatever this says, unless it is 0. `any_exit_code`: every exit is a result. `resources`: what it asked for, and `devices`
    the graphics processors, by index, that it was given. `labels`: what it is marked with where the pool can mark
    (`interlock.attempt`, `interlock.fence`, `interlock.task`, ...), so that what was left behind is found again. `files`:
    texts by the variable that tells the program where the file is, wherever its pool puts it.
    """

    attempt: str
    target: Target
    folder: str
    environment: dict[str, str] = {}
    timeout_seconds: float | None = None
    orphan_grace_seconds: float = 0.0
    any_exit_code: bool = False
    resources: Resources = Resources()
    devices: tuple[int, ...] = ()
    labels: dict[str, str] = {}
    files: dict[str, str] = {}


def file_name(variable: str) -> str:
    """Give the name of the file that a variable of `Launch.files` leads to."""
    return f"{variable.lower()}.json"


class Running(Protocol):
    """An attempt that was launched."""

    async def outcome(self) -> Outcome:
        """Give the outcome once it has ended; any number of callers, any number of times."""
        ...

    async def cancel(self) -> None:
        """Stop it, with everything it started; returns when it has ended or cannot be stopped. Safe to call twice."""
        ...

    async def forget(self) -> None:
        """The store knows the outcome: remove what was kept of it for a node that might have to adopt it."""
        ...

    async def detach(self) -> None:
        """Leave it to the node that adopts it, where it can outlive this one; else stop it. `outcome` gives Cancelled."""
        ...


class Launcher(Protocol):
    async def launch(self, launch: Launch, on_output: OnOutput) -> Running: ...

    def is_left(self, launch: Launch) -> bool:
        """Say whether something is left to adopt of an attempt whose node is gone: the work itself, or its outcome."""
        ...

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        """Go on with an attempt whose node is gone; `on_output` hears all of its output again, from the beginning."""
        ...
