"""What `crash_everywhere` found, in words: which step, where it stands, which crash showed it, and what differed."""

from __future__ import annotations

import inspect
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from interlock import errors

_SHOWN: Final = 300  # characters of a value
_LISTED: Final = 20

NOT_IDEMPOTENT: Final = "not-idempotent"
RESULT_DIFFERS: Final = "result-differs"
EFFECT_IN_WORKFLOW: Final = "effect-in-workflow"
EFFECT_IN_FINALLY: Final = "effect-in-finally"
AMBIGUOUS_CALLS: Final = "ambiguous-calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`name`: the step or workflow. `shown_by`: the crash, "" where none was needed. `lines` tell what differed."""

    code: str
    name: str
    file: str
    line: int
    message: str
    shown_by: str = ""
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f" (shown by {self.shown_by})" if self.shown_by else ""
        return "\n    ".join((f"{self.file}:{self.line}  {self.code}  {self.message}{shown}", *self.lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was tried. `commits`, `attempts`: of the run without a crash. `repetitions`: with one crash each, and in another
    order. `result`: what the run gave, every time."""

    commits: int
    attempts: int
    repetitions: int
    result: Any


class NotCrashSafe(errors.InterlockError, AssertionError):
    """A workflow does not come to the same after a crash; `findings` says where, and why."""

    def __init__(self, workflow: str, findings: Sequence[Finding], repetitions: int) -> None:
        self.findings = tuple(findings)
        found = "\n".join(str(finding) for finding in self.findings[:_LISTED])
        more = f"\nand {len(self.findings) - _LISTED} more" if len(self.findings) > _LISTED else ""
        super().__init__(f"{workflow} is not crash-safe ({repetitions} repetitions):\n{found}{more}")


def place(function: Callable[..., Any]) -> tuple[str, int]:
    """Give the file and the line of a function's `def`."""
    code = inspect.unwrap(function).__code__
    first = code.co_firstlineno
    try:
        lines, _ = inspect.getsourcelines(code)
    except (OSError, SyntaxError, tokenize.TokenError):  # typed in, generated, or in a file that is not only Python
        return code.co_filename, first
    offset = next((number for number, line in enumerate(lines) if line.lstrip().startswith(("def ", "async def "))), 0)
    return code.co_filename, first + offset


def differing(expected: dict[str, Any], found: dict[str, Any], same: Callable[[Any, Any], bool]) -> list[str]:
    """Tell what is not as expected, by name."""
    return [
        f"{name}: {_short(found.get(name))} instead of {_short(value)}"
        for name, value in expected.items()
        if not same(value, found.get(name))
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
