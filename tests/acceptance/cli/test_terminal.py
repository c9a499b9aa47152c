"""What a person sees at a terminal, and what Ctrl-C does there."""

from __future__ import annotations

import pytest

from acceptance.cli import terminal
from acceptance.shell import Shell, until

HEADER = "document: {dsl: 1.0.3, namespace: default, name: shown, version: 1.0.0}\n"
QUICK = HEADER + (
    "do:\n"
    "  - first: {set: {commits: 812}}\n"
    "  - both: {fork: {branches: [{churn: {wait: {milliseconds: 300}}}, {size: {wait: {milliseconds: 400}}}]}}\n"
    "  - judge: {switch: [{good: {then: last}}]}\n"
    "  - last: {set: {done: true}}\n"
)
WAITING = HEADER + (
    "do:\n  - note: {run: {shell: {command: echo x >> ledger}}}\n  - gate: {call: 'python:gates:gate'}\n  - last: {set: {done: true}}\n"
)
GATES = """
import asyncio, os
async def gate():
    while not os.path.exists("open"):
        await asyncio.sleep(0.02)
def busy():
    import time
    open("began", "w").close()
    while True:
        time.sleep(0.05)
async def deaf():
    busy()
"""


def test_tree_is_drawn_in_place_and_its_last_frame_stays(shell: Shell) -> None:
    shell.write("quick.yaml", QUICK)
    with terminal.opened(shell, "run", "quick.yaml", "--id", "seen") as screen:
        screen.until_shows("churn")
        assert screen.ended() == 0
        lines = [line for line in screen.lines if line]
    assert lines[0] == "shown · seen · sqlite:///.interlock/interlock.db"
    assert lines[1] == " ✓ first              commits 812"
    assert lines[2].startswith(" ✓ both               2 branches")
    assert lines[2].endswith(" s")
    assert len(lines[2]) == 80
    assert lines[3] == "   ✓ churn   ✓ size"
    assert lines[4:6] == [" ✓ judge              → last", " ✓ last               done yes"]
    assert lines[6].startswith("✓ completed in 0.")
    assert lines[7:] == ["{", '  "done": true', "}"]
    assert "\x1b[?25l" not in screen.raw  # a killed process must not leave a terminal without a cursor


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {}])
def test_colours_are_left_out_when_asked_for(shell: Shell, env: dict[str, str]) -> None:
    shell.write("quick.yaml", QUICK)
    with terminal.opened(shell, "run", "quick.yaml", env=env) as screen:
        assert screen.ended() == 0
    assert ("\x1b[32m" in screen.raw) is not bool(env)


def test_narrow_terminal_has_no_broken_lines(shell: Shell) -> None:
    shell.write("quick.yaml", QUICK)
    with terminal.opened(shell, "run", "quick.yaml", "--id", "seen", columns=30) as screen:
        assert screen.ended() == 0
    assert all(len(line) <= 30 for line in screen.lines)


def test_dumb_terminal_gets_plain_lines(shell: Shell) -> None:
    shell.write("quick.yaml", QUICK)
    with terminal.opened(shell, "run", "quick.yaml", env={"TERM": "dumb"}) as screen:
        assert screen.ended() == 0
    assert "\x1b" not in screen.raw


@pytest.mark.slow
def test_interruption_asks_and_leaves_the_run_by_default(shell: Shell) -> None:
    shell.write("gates.py", GATES)
    shell.write("waiting.yaml", WAITING)
    with terminal.opened(shell, "run", "waiting.yaml", "--id", "left") as screen:
        screen.until_shows("● gate")
        screen.type("\x03")
        screen.until_shows("leave the run in the store")
        screen.type("what\n")
        screen.until(lambda lines: sum("leave the run in the store" in line for line in lines) == 2)
        screen.type("\n")
        assert screen.ended() == 130
    assert screen.lines[-2] == "the run stays in the store; `interlock resume left` goes on with it"
    shell.write("open", "")
    assert shell.run("resume", "--all").code == 0
    assert shell.ledger() == ["x"]


def test_interruption_can_cancel(shell: Shell) -> None:
    shell.write("gates.py", GATES)
    shell.write("waiting.yaml", WAITING)
    with terminal.opened(shell, "run", "waiting.yaml", "--id", "gone") as screen:
        screen.until_shows("● gate")
        screen.type("\x03")
        screen.until_shows("leave the run in the store")
        screen.type("c\n")
        assert screen.ended() == 3
    assert shell.runs()[0]["status"] == "cancelled"


def test_interruption_can_roll_back(shell: Shell) -> None:
    undo = "metadata: {interlock: {compensate: {run: {shell: {command: echo undone >> ledger}}}}}"
    shell.write("gates.py", GATES)
    shell.write("waiting.yaml", WAITING.replace("x >> ledger}}", f"x >> ledger}}}}, {undo}"))
    with terminal.opened(shell, "run", "waiting.yaml", "--id", "gone") as screen:
        screen.until_shows("● gate")
        screen.type("\x03")
        screen.until_shows("or roll back what it did (r)?")
        screen.type("r\n")
        assert screen.ended() == 3
    assert "rollback: 1 undone" in screen.lines
    assert shell.ledger() == ["x", "undone"]


def test_run_goes_on_while_it_is_asked_about(shell: Shell) -> None:
    shell.write("gates.py", GATES)
    shell.write("waiting.yaml", WAITING)
    with terminal.opened(shell, "run", "waiting.yaml", "--id", "done") as screen:
        screen.until_shows("● gate")
        screen.type("\x03")
        screen.until_shows("leave the run in the store")
        shell.write("open", "")
        assert screen.ended() == 0
    assert any("✓ completed" in line for line in screen.lines)


def test_end_of_input_leaves_the_run(shell: Shell) -> None:
    shell.write("gates.py", GATES)
    shell.write("waiting.yaml", WAITING)
    with terminal.opened(shell, "run", "waiting.yaml", "--id", "left") as screen:
        screen.until_shows("● gate")
        screen.type("\x03")
        screen.until_shows("leave the run in the store")
        screen.type("\x04")
        assert screen.ended() == 130


def test_second_interruption_leaves_at_once(shell: Shell) -> None:
    """Even while a step keeps the loop busy, so that nothing can be asked."""
    shell.write("gates.py", GATES)
    shell.write("deaf.yaml", HEADER + "do: [{a: {call: 'python:gates:deaf'}}]\n")
    with terminal.opened(shell, "run", "deaf.yaml", "--id", "deaf") as screen:
        until((shell.folder / "began").exists)
        screen.insist("\x03")  # two that come at the same moment are one to the system
        assert screen.ended() == 130
    assert shell.runs()[0]["status"] == "running"
