"""The loop that commands turn."""

from __future__ import annotations

import pytest

from acceptance.shell import Shell

WORKFLOW = """
document: {dsl: 1.0.3, namespace: default, name: loop, version: 1.0.0}
do: [{say: {call: "python:loops:name"}}]
"""
CODE = """
import asyncio

async def name():
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
"""


@pytest.mark.slow
@pytest.mark.parametrize("chosen", ["asyncio", "uvloop"])
def test_commands_turn_the_loop_that_is_chosen(shell: Shell, chosen: str) -> None:
    shell.write("loop.yaml", WORKFLOW)
    shell.write("loops.py", CODE)
    done = shell.run("run", "loop.yaml", env={"INTERLOCK_NODE_EVENT_LOOP": chosen})
    assert done.code == 0, done.err
    assert chosen in done.out


def test_loop_that_is_not_there_is_said(shell: Shell) -> None:
    done = shell.run("list", env={"INTERLOCK_NODE_EVENT_LOOP": "trio"})
    assert done.code == 2
    assert "asyncio or uvloop" in done.err


def test_loop_that_is_not_installed_is_said(shell: Shell) -> None:
    shell.write("uvloop.py", "raise ImportError('no uvloop here')\n")
    done = shell.run("list", env={"INTERLOCK_NODE_EVENT_LOOP": "uvloop", "PYTHONPATH": str(shell.folder)})
    assert done.code == 2
    assert "pip install" in done.err
