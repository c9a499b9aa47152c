"""kill -9 at every commit boundary: the run completes and no finished step repeats. WF-19"""

from __future__ import annotations

import signal

import pytest

from acceptance.shell import Shell
from sampled import one_of

STEPS = 20

FUNCTIONS = """
def work(number):
    with open("ledger", "a") as ledger:
        ledger.write(f"{number}\\n")
    return {"sum": number}
"""

DOCUMENT = "document: {dsl: 1.0.3, namespace: default, name: twenty, version: 1.0.0}\ndo:\n" + "".join(
    f"  - step{number}: {{call: 'python:functions:work', with: {{number: {number}}}}}\n" for number in range(STEPS)
)

BOUNDARIES = [f"commit:{number}:{moment}" for number in range(1, STEPS + 2) for moment in ("before", "after")]


@pytest.mark.parametrize("fault", one_of(5, BOUNDARIES))
def test_run_killed_at_a_commit_completes_and_repeats_at_most_the_step_in_flight(shell: Shell, fault: str) -> None:
    """WF-19"""
    shell.write("functions.py", FUNCTIONS)
    shell.write("twenty.yaml", DOCUMENT)
    killed = shell.run("run", "twenty.yaml", "--id", "victim", env={"INTERLOCK_FAULT": fault})
    assert killed.code == -signal.SIGKILL
    number, moment = int(fault.split(":")[1]), fault.split(":")[2]
    if (number, moment) == (1, "before"):
        assert shell.run("resume", "victim").code == 2  # nothing was acknowledged, nothing is there
        return
    resumed = shell.run("resume", "--all")
    assert resumed.code == 0, resumed.err
    assert shell.run("show", "victim", "--json").json["status"] == "completed"
    done = shell.ledger()
    assert sorted(set(map(int, done))) == list(range(STEPS))
    repeated = [step for step in set(done) if done.count(step) > 1]
    in_flight = number - 2 if moment == "before" else number - 1
    assert repeated in ([], [str(in_flight)])
    assert all(done.count(step) == 2 for step in repeated)


def test_fault_is_ignored_outside_tests(shell: Shell) -> None:
    shell.write("functions.py", FUNCTIONS)
    shell.write("twenty.yaml", DOCUMENT)
    env = {"INTERLOCK_FAULT": "commit:1:before", "INTERLOCK_TESTING": "0"}
    assert shell.run("run", "twenty.yaml", env=env).code == 0
    assert len(shell.ledger()) == STEPS
