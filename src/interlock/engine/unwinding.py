"""What becomes of a function whose run has left this process, and that goes on nevertheless.

Its calls are refused, by the same news that ended it. One that it makes on its way out, in a `finally` or an `except` that
takes everything, would have been performed had the run not left: an effect that sometimes does not happen. That is told once.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import os
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any, Final, NoReturn

from interlock import telemetry
from interlock.flow.python.inside import Leaving

_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_STANDARD: Final = sysconfig.get_path("stdlib") + os.sep
_PACKAGES: Final = f"{os.sep}site-packages{os.sep}"
_HANDLE: Final = asyncio.events.__file__
_REFUSED_AT_ONCE: Final = 100
_PAUSE_SECONDS: Final = (
    1.0  # then between refusals, or a function that swallows them all would take the loop for itself
)


class Unwinding:
    """The end of one function in this process, `code` of the workflow `name`."""

    def __init__(self, run: str, name: str, code: CodeType) -> None:
        self._run = run
        self._name = name
        self._code = code
        self._told = False
        self._refused = 0

    async def refuse(self, call: str, thread: int | None) -> NoReturn:
        """Refuse a call. `thread`: that of a sync function. Raises Leaving, always."""
        if not self._told and is_on_the_way_out(thread):
            self._told = True
            file, line = self._place(thread)
            telemetry.emit(
                "python.step_in_finally", run=self._run, workflow=self._name, step=call, file=file, line=line
            )
        self._refused += 1
        if self._refused > _REFUSED_AT_ONCE:
            task = asyncio.current_task()
            assert task is not None
            asyncio.tasks._unregister_task(
                task
            )  # who swallows even its cancellation must not keep the loop from closing
            await asyncio.sleep(_PAUSE_SECONDS)
        raise Leaving("the run has left")

    def _place(self, thread: int | None) -> tuple[str, int]:
        """Give the file and the line of the function that makes the call; those of the workflow where it is in a task."""
        frame: FrameType | None = sys._getframe()
        if thread is not None:
            frame = sys._current_frames().get(thread)
        while frame is not None and frame.f_code.co_filename != _HANDLE:
            if _is_of_the_program(frame.f_code.co_filename):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return self._code.co_filename, self._code.co_firstlineno


def _is_of_the_program(file: str) -> bool:
    if file.startswith(_OURS):
        return False
    return not file.startswith(_STANDARD) or _PACKAGES in file


def is_on_the_way_out(thread: int | None) -> bool:
    """Say whether a call is made while the news that the run leaves is on its way through the function, of a `thread` if any.

    The first call of one that computed when its run left is not: it hears of that there.
    """
    error: object = sys.exc_info()[1]
    if thread is not None:
        error = sys._current_exceptions().get(thread)
        error = error[1] if isinstance(error, tuple) else error  # until Python 3.12
    return isinstance(error, Leaving)


def is_left(error: BaseException) -> bool:
    """Say whether an error is, or holds nothing but, the news that the run leaves."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_left(each) for each in error.exceptions)
    return isinstance(error, Leaving)


def taken_note_of(task: asyncio.Task[Any]) -> None:
    """A task of a function that is left ended; nobody may be there to hear of it, and asyncio would complain."""
    if not task.cancelled():
        task.exception()


__all__ = ["Unwinding", "is_left", "is_on_the_way_out", "taken_note_of"]
