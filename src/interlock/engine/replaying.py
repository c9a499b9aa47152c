"""Runs the present function of a workflow over what a run remembers, to see whether the two still fit.

Nothing is performed and no store is touched: the function is given the results that were had, and stops where it asks for
one that was not. What it leaves unused, and what it asks for that is new, tells whether a run that began with other code can
go on with this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.engine.python import Program
from interlock.flow.python.workflow import Workflow
from interlock.model.call import Action, Ask, Raise, Renew, Return
from interlock.model.json import Json
from interlock.model.memo import Memo
from interlock.model.payload import Payload

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 0.5  # that a function which computes, or awaits what is no call, is given to go on
_LONGEST_SECONDS: Final = 30.0  # that it is given altogether


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a function made of what its run remembers.

    `unused`: results that it did not ask for, oldest first; `unasked`: calls that were open and that it did not make again.
    With `new_calls` they may lie behind those, and nobody can tell: the function waits for results that do not exist yet.
    `new_calls`: what it would have performed now, in order. `ended`: it came to its end, by `output`, by `error` (whose
    memo is `error_memo`, if a remembered result raised it), or (`renewed`) by beginning anew.
    """

    unused: tuple[Memo, ...]
    unasked: tuple[str, ...]
    new_calls: tuple[Ask, ...]
    ended: bool
    output: Payload | None = None
    error: BaseException | None = None
    error_memo: int | None = None
    renewed: Payload | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the function made use of everything, and raised nothing that no step had raised before."""
        return not self.unused and not self.unasked and (self.error is None or self.error_memo is not None)


async def replayed(
    workflow: Workflow[Any, Any],
    input: Json,
    memos: Iterable[Memo],
    open_calls: Iterable[str],
    *,
    id: str = "replay",
    run: str = "replay",
    namespace: str = "",
    sign: Callable[[str], Awaitable[str]] | None = None,
    patience_seconds: float = _PATIENCE_SECONDS,
    longest_seconds: float = _LONGEST_SECONDS,
) -> Replay:
    """Run a workflow's function over `memos`, up to where it waits for what is not there.

    `open_calls`: the identities of the calls that the run waits for. `sign` gives the text of a token; it has to be that of
    the run's store where the text is an argument of steps. `namespace`: the workflow's own if not given. Raises Environment
    when the function computes for longer than `longest_seconds`.
    """
    woken = asyncio.Event()
    program = Program(
        workflow,
        run=run,
        id=id,
        namespace=namespace or workflow.namespace,
        input=input,
        memos=memos,
        open=open_calls,
        wake=woken.set,
        sign=sign or _unsigned,
    )
    program.begin()
    try:
        async with asyncio.timeout(longest_seconds):
            actions = await _followed(program, woken, patience_seconds)
    except TimeoutError as error:
        raise errors.Environment(
            f"the workflow {workflow.name} came to no call within {longest_seconds:g} s; what computes belongs in steps"
        ) from error
    finally:
        program.leave("it was only replayed")
        await program.gone()
    return _told(program, actions)


async def _followed(program: Program, woken: asyncio.Event, patience_seconds: float) -> list[Action]:
    """Give what the function does until it has ended or waits; one whose tasks nobody can count is given some time."""
    actions: list[Action] = []
    while True:
        woken.clear()
        actions += await program.advance()
        if program.has_ended or (program.is_quiet and not program.unused and not program.unasked):
            return actions
        left = len(program.unused)
        try:
            async with asyncio.timeout(patience_seconds):
                await woken.wait()
        except TimeoutError:
            if len(program.unused) == left:
                return actions


def _told(program: Program, actions: list[Action]) -> Replay:
    end = next((action for action in actions if isinstance(action, Return | Raise | Renew)), None)
    return Replay(
        unused=tuple(program.unused),
        unasked=tuple(sorted(program.unasked)),
        new_calls=tuple(action for action in actions if isinstance(action, Ask)),
        ended=end is not None,
        output=end.output if isinstance(end, Return) else None,
        error=program.error,
        error_memo=end.memo if isinstance(end, Raise) else None,
        renewed=end.input if isinstance(end, Renew) else None,
    )


async def _unsigned(token: str) -> str:
    return f"{token}.unsigned"


__all__ = ["Replay", "replayed"]
