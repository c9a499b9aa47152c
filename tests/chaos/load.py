"""The work: runs whose every step writes a line about itself, with its moment, to one file that is only appended to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULE = "chaos_steps"

FUNCTIONS = """
import os
import time


def mark(run, step, seconds):
    line = f"{run} {step} {time.time():.6f} {os.getpid()}\\n".encode()
    ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line)
    finally:
        os.close(ledger)
    time.sleep(seconds)
    return {"step": step}
"""

_SHELL = 'echo "$1 $2 $(date +%s.%N) $$" >> ledger; sleep "$3"'
_RUN = "${ $workflow.id }"


def _python(name: str, seconds: float, run: str = _RUN) -> dict[str, Any]:
    return {name: {"call": f"python:{MODULE}:mark", "with": {"run": run, "step": name, "seconds": seconds}}}


def _shell(name: str, seconds: float) -> dict[str, Any]:
    arguments = ["${ $workflow.id }", name, str(seconds)]
    return {name: {"run": {"shell": {"command": _SHELL, "arguments": arguments}}}}


def _wait(name: str, milliseconds: int) -> dict[str, Any]:
    return {name: {"wait": {"milliseconds": milliseconds}}}


CHILD = json.dumps(
    {
        "document": {"dsl": "1.0.3", "namespace": "default", "name": "errand", "version": "1.0.0"},
        "do": [_wait("rest", 30), _python("errand", 0.02, "${ $workflow.input.parent }")],
    }
)
"""What some runs have done by a child run; publish it first."""


def document(seed: int) -> str:
    """Give the workflow of a run: one of four kinds."""
    kinds = (_steps, _talk, _delegate, _long)
    header = {"dsl": "1.0.3", "namespace": "default", "name": f"chaos-{seed % 4}", "version": "1.0.0"}
    return json.dumps({"document": header, "do": kinds[seed % 4]()})


def steps(seed: int) -> set[str]:
    """Give the names of the steps that write a line."""
    return {
        0: {"first", "second", "third", "last"},
        1: {"before", "teller", "after"},
        2: {"ask", "errand", "done"},
        3: {"begin", "work", "finish"},
    }[seed % 4]


def _steps() -> list[Any]:
    return [
        _python("first", 0.02),
        _shell("second", 0.05),
        _wait("pause", 200),
        _python("third", 0.0),
        _python("last", 0.1),
    ]


def _talk() -> list[Any]:
    kind, subject = "chaos.told", _RUN
    hear = {"listen": {"to": {"one": {"with": {"type": kind, "subject": subject}}}}}
    tell = {"emit": {"event": {"with": {"type": kind, "source": "https://chaos.example", "subject": subject}}}}
    speak = {"do": [_wait("breath", 50), _python("teller", 0.02), {"tell": tell}]}
    return [
        _python("before", 0.0),
        {"both": {"fork": {"branches": [{"hear": hear}, {"speak": speak}]}}},
        _python("after", 0.0),
    ]


def _delegate() -> list[Any]:
    workflow = {"namespace": "default", "name": "errand", "version": "1.0.0", "input": {"parent": _RUN}}
    return [_python("ask", 0.0), {"send": {"run": {"workflow": workflow}}}, _python("done", 0.0)]


def _long() -> list[Any]:
    return [_python("begin", 0.3), _wait("while", 5000), _shell("work", 0.4), _python("finish", 0.0)]


@dataclass(frozen=True)
class Line:
    run: str
    step: str
    at: float
    pid: int


def lines(folder: Path) -> list[Line]:
    """Give what the steps have written."""
    file = folder / "ledger"
    if not file.exists():
        return []
    split = [line.split() for line in file.read_text().splitlines()]
    return [Line(run, step, float(at), int(pid)) for run, step, at, pid in split]
