"""A store without room: one clear line, exit code 4, and nothing lost when there is room again."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable

import pytest

from acceptance.shell import Shell

HEADER = "document: {dsl: 1.0.3, namespace: default, name: full, version: 1.0.0}\ndo:\n"
FUNCTIONS = """
def work(number):
    with open("ledger", "a") as ledger:
        ledger.write(f"{number}\\n")
    return {"number": number, "padding": "x" * 8000}
"""
IN_PROCESS = HEADER + "".join(
    f"  - step{number}: {{call: 'python:functions:work', with: {{number: {number}}}}}\n" for number in range(12)
)
QUEUED = HEADER + (
    "  - all:\n      fork:\n        branches:\n"
    + "".join(
        f"          - b{number}: {{run: {{shell: {{command: 'echo {number} >> ledger; head -c 30000 /dev/zero | tr \"\\0\" x'}}}}}}\n"
        for number in range(6)
    )
    + "          - long: {run: {shell: {command: 'sleep 0.7; echo long >> ledger'}}}\n"
)


def _unmeasured(shell: Shell) -> dict[str, str]:
    """The environment of a command whose coverage is not measured: its figures would not fit on the disk either."""
    return {name: value for name, value in shell._environment(None).items() if not name.startswith("COVERAGE")}


def _limited(kilobytes: int) -> Callable[[], None]:
    """Files of the process, and of its children, end at this size: writing more fails as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, resource.RLIM_INFINITY))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "kilobytes"), [(IN_PROCESS, 860), (IN_PROCESS, 950), (QUEUED, 885), (QUEUED, 980)]
)
def test_run_on_a_full_disk_ends_clearly_and_completes_when_there_is_room(
    shell: Shell, document: str, kilobytes: int
) -> None:
    shell.write("functions.py", FUNCTIONS)
    shell.write("full.yaml", document)
    full = subprocess.run(
        shell._command(("run", "full.yaml", "--id", "full")),
        cwd=shell.folder,
        env=_unmeasured(shell),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        preexec_fn=_limited(kilobytes),
        check=False,
    )
    assert full.returncode == 4, full.stderr
    said = [line for line in full.stderr.splitlines() if line.startswith("interlock: ")]
    assert len(said) == 1
    assert "no space for the store" in said[0]
    assert "`interlock resume --all`" in said[0]
    before = shell.ledger()
    resumed = shell.run("resume", "--all")
    assert resumed.code == 0, resumed.err
    done = shell.ledger()
    assert done[: len(before)] == before
    at_once = 1 if document is IN_PROCESS else 4  # branches that were in flight together
    repeated = {step for step in done if done.count(step) > 1}
    assert len(repeated) <= at_once
    assert all(done.count(step) <= 2 for step in done)
    assert len(set(done)) == (12 if document is IN_PROCESS else 7)


def test_store_that_has_no_room_to_begin_with_is_told(shell: Shell) -> None:
    shell.write("functions.py", FUNCTIONS)
    shell.write("full.yaml", IN_PROCESS)
    full = subprocess.run(
        shell._command(("run", "full.yaml")),
        cwd=shell.folder,
        env=_unmeasured(shell),
        capture_output=True,
        text=True,
        timeout=30,
        preexec_fn=_limited(16),
        check=False,
    )
    assert (full.returncode, len(full.stderr.splitlines())) == (4, 1)
    assert "no space for the store" in full.stderr
    assert shell.run("run", "full.yaml").code == 0
