"""Exceptions of steps: to a value that is stored, and back to an exception that `except` catches.

Only classes that this process has loaded already are looked at, and of those only exceptions are called.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from interlock.errors import RunFaulted, StepFailed, StepLost, StepTimeout
from interlock.flow.python.values import is_plain
from interlock.model import fault as faults
from interlock.model.fault import Fault
from interlock.model.memo import Memo
from interlock.model.raised import Raised
from interlock.model.task import FailureClass

_MAIN: Final = "__main__"


def of(error: BaseException) -> Raised:
    """Give an exception as a value."""
    kind = type(error)
    arguments = list(error.args)
    given = {name: value for name, value in vars(error).items() if not name.startswith("__") and is_plain(value)}
    return Raised(
        type=f"{module_name(kind.__module__)}:{kind.__qualname__}",
        message=_message(error),
        arguments=arguments if is_plain(arguments) else None,
        attributes=given,
    )


def fault_of(error: BaseException) -> Fault:
    """Give an exception as the error of a step or a run."""
    if isinstance(error, StepFailed | RunFaulted) and isinstance(error.fault, Fault):
        return error.fault  # passed on as it came
    return Fault(
        type=faults.RUNTIME, status=500, title=type(error).__name__, detail=_message(error) or None, raised=of(error)
    )


def of_run(fault: Fault, id: str) -> Exception:
    """Give the exception to raise for a run that faulted: that of the workflow where it can be had, else RunFaulted."""
    error = (None if fault.raised is None else _original(fault.raised, fault)) or RunFaulted(fault, id)
    error.add_note(f"the run {id} faulted" + (f" at {fault.instance}" if fault.instance not in (None, "/") else ""))
    return error


def rebuilt(
    raised: Raised | None,
    fault: Fault,
    *,
    step: str = "",
    attempt: int = 0,
    attempts: int = 0,
    kind: FailureClass = FailureClass.APPLICATION,
) -> Exception:
    """Give the exception to raise for a failed step: one of its own class where that can be had, else a StepFailed.

    A note says which step it was, and which attempt of how many.
    """
    error = (None if raised is None else _original(raised, fault)) or _foreign(fault, kind)
    if step:
        tried = f", attempt {attempt} of {attempts}" if attempts else ""
        error.add_note(f"raised in step `{step}`{tried}")
    return error


def marked(error: Exception, memo: Memo) -> Exception:
    """Give an error that says which memo it was made from."""
    error.__interlock_memo__ = memo.number  # type: ignore[attr-defined]  # found again where the run ends with it
    error.__interlock_call__ = memo.call  # type: ignore[attr-defined]  # the same
    return error


def call_of(error: BaseException) -> str | None:
    """Give the call that an error came from, if it came as it is."""
    call: str | None = getattr(error, "__interlock_call__", None)
    return call


def memo_of(error: BaseException) -> int | None:
    """Give the number of the memo that an error came from: its own, or of what it holds, or of what it was raised for."""
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        found = ahead.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        memo: int | None = getattr(found, "__interlock_memo__", None)
        if memo is not None:
            return memo
        if isinstance(found, BaseExceptionGroup):
            ahead += found.exceptions
        ahead += [found.__cause__, found.__context__]
    return None


def module_name(name: str) -> str:
    """Give the name of a module by which other processes know it: that of the script for `__main__`."""
    if name != _MAIN:
        return name
    main = sys.modules[_MAIN]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return PurePath(file).stem if file else _MAIN


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as unprintable:  # noqa: BLE001 (the code of a user: whatever it raises, the step has failed as it did)
        text = f"{type(error).__name__}, whose message cannot be had: {type(unprintable).__name__}"
    return text.encode("utf-8", "backslashreplace").decode()  # half characters of file names are no JSON


def _foreign(fault: Fault, kind: FailureClass) -> StepFailed:
    if kind is FailureClass.LOST:
        return StepLost(fault)
    if kind is FailureClass.TIMEOUT or faults.same_type(fault.type, faults.TIMEOUT):
        return StepTimeout(fault)
    return StepFailed(fault)


def _original(raised: Raised, fault: Fault) -> Exception | None:
    kind = _class(raised.type)
    if kind is None:
        return None
    if issubclass(kind, StepFailed):
        return kind(fault)
    if raised.arguments is None:
        return None
    return _called(kind, raised) or _made(kind, raised)


def _called(kind: type[Exception], raised: Raised) -> Exception | None:
    """Call the class with the arguments, and see whether it comes to the same: its __init__ may take others."""
    assert raised.arguments is not None  # the caller looked
    try:
        error = kind(*raised.arguments)
        _restore(error, raised.attributes)
        return error if list(error.args) == raised.arguments else None
    except Exception:  # noqa: BLE001 (the code of a user: whatever it raises, it cannot be called like this)
        return None


def _made(kind: type[Exception], raised: Raised) -> Exception | None:
    """Make one without calling its __init__."""
    assert raised.arguments is not None  # the caller looked
    try:
        error = kind.__new__(kind, *raised.arguments)
        error.args = tuple(raised.arguments)
        _restore(error, raised.attributes)
    except Exception:  # noqa: BLE001 (as above)
        return None
    return error


def _restore(error: Exception, attributes: Mapping[str, Any]) -> None:
    vars(error).update(attributes)


def _class(type_: str) -> type[Exception] | None:
    """Find the class of an exception among the modules that are loaded; nothing is imported, and nothing called."""
    module, _, path = type_.partition(":")
    name = _MAIN if module == module_name(_MAIN) else module
    found: Any = sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, Exception) else None
