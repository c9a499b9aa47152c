"""Histories of locks and cells: how calls are written down by processes, and what each of them may do to a lock or a cell."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from linearizable import Call, explained

Histories = Mapping[str, Sequence[Call[list[Any], Any]]]
"""Calls by what they were about. An answer is a tuple of one, so that None is one that never came."""


class Log:
    """Calls as lines: one that a call begins, before it does, another one what it gave. For a process that may be killed."""

    def __init__(self, folder: Path, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._file = os.open(folder / f"{name}.calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._name = f"{name}/{os.getpid()}"
        self._now = now
        self._count = 0

    def begin(self, key: str, what: list[Any]) -> str:
        self._count += 1
        call = f"{self._name}/{self._count}"
        self._write({"call": call, "key": key, "what": what, "at": self._now()})
        return call

    def end(self, call: str, answer: Any) -> None:
        self._write({"call": call, "answer": answer, "at": self._now()})

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read(folder: Path) -> Histories:
    """Give the calls that were written down in a folder."""
    begun: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for file in folder.glob("*.calls"):
        for line in file.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # the last line of one that was killed
                found = json.loads(line)
                (ended if "answer" in found else begun)[found["call"]] = found
    calls: dict[str, list[Call[list[Any], Any]]] = defaultdict(list)
    for name, begin in begun.items():
        end = ended.get(name)
        answer = None if end is None else (end["answer"],)
        calls[begin["key"]].append(
            Call(name.rpartition("/")[0], begin["what"], begin["at"], None if end is None else end["at"], answer)
        )
    return calls


# -- cells -------------------------------------------------------------------------------------------------------


def register(state: int, what: list[Any], answer: tuple[Any] | None) -> Sequence[int]:
    """A cell, known by its value, each of which is written once; 0: it has none.

    ["read"] -> value; ["set", value], ["swap", value, the value that was read], ["delete"] -> [applied, the value then].
    """
    kind = what[0]
    if kind == "read":
        return [state] if answer is None or answer[0] == state else []
    wanted = 0 if kind == "delete" else what[1]
    may = {"set": True, "delete": state != 0, "swap": kind == "swap" and state == what[-1]}[kind]
    if answer is None:
        return [state, wanted] if may else [state]
    applied, present = answer[0]
    if applied:
        return [wanted] if may and present == wanted else []
    return [state] if not may and present == state else []


def wrong_cells(histories: Histories) -> list[str]:
    """Give the keys of the histories that no order of their calls explains."""
    return [key for key, calls in histories.items() if not explained(calls, 0, register)]


# -- locks -------------------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """A lock: who has it by the number of the grant (0: nobody), the number that was granted last, and whether its holder was
    ever told of the grant."""

    fence: int
    last: int
    is_told: bool


def lease(state: Held, what: list[Any], answer: tuple[Any] | None) -> Sequence[Held]:
    """A lock. ["acquire"] -> number or None; ["write", number] -> whether it was applied; ["release", number] -> whether it
    was; ["end", number or None]: the time of a grant (None: of one that nobody was told of) is over, which nobody answers.
    """
    kind = what[0]
    if kind == "acquire":
        if answer is None:
            return [state, Held(state.last + 1, state.last + 1, False)] if state.fence == 0 else [state]
        if answer[0] is None:
            return [state] if state.fence else []
        return [Held(answer[0], answer[0], True)] if state.fence == 0 and answer[0] > state.last else []
    free = Held(0, state.last, True)
    if kind == "end":
        ends = state.fence == what[1] if what[1] is not None else bool(state.fence) and not state.is_told
        return [free] if ends else []
    is_holder = state.fence == what[1]
    if kind == "write":
        return [state] if answer is None or answer[0] is is_holder else []
    if answer is None:
        return [state, free] if is_holder else [state]
    return [free] if answer[0] and is_holder else [] if answer[0] else [state]


def with_ends(calls: Iterable[Call[list[Any], Any]], seconds: float) -> list[Call[list[Any], Any]]:
    """Add the ends of leases, each of which may come `seconds` after the grant was asked for, or never."""
    found = list(calls)
    for call in tuple(found):
        if call.what[0] == "acquire" and (call.answer is None or call.answer[0] is not None):
            fence = None if call.answer is None else call.answer[0]
            found.append(Call(call.process, ["end", fence], call.begin + seconds, None, None))
    return found


def wrong_locks(histories: Histories, seconds: float) -> list[str]:
    """Give the names of the locks whose histories no order of their calls explains. `seconds`: how long a grant lasts."""
    nobody = Held(0, 0, True)
    return [name for name, calls in histories.items() if not explained(with_ends(calls, seconds), nobody, lease)]
