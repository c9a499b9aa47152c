"""What a command loads before it does anything: start-up is what people and scripts pay thousands of times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.shell import SOURCE, Shell
from interlock.cli import commands
from interlock.cli.program import named, program

FLOW = "document: {dsl: 1.0.3, namespace: default, name: small, version: 1.0.0}\ndo: [{a: {set: {x: 1}}}]\n"

CLIENTS = ("httpx", "fastapi", "uvicorn", "jinja2", "asyncpg", "cryptography", "interlock.client", "interlock.server")
"""What speaks with others; a command that opens a store here speaks with nobody."""
PLACING = ("interlock.pool", "interlock.dispatch.dispatcher", "interlock.dispatch.placer", "interlock.app.pools")
EXECUTING = (*PLACING, "interlock.app.node", "interlock.app.session", "interlock.effects", "interlock.engine.advance")
CHECKING = ("interlock.flow.check", "interlock.flow.compile", "interlock.flow.graph", "yaml", "jsonschema_rs")

_LOADED = """
import json, sys
from interlock.cli.main import outcome
code = outcome(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def _modules(shell: Shell, *arguments: str) -> list[str]:
    """Give what a command that ends well has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        cwd=shell.folder,
        env=_environment() | {"HOME": str(shell.folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return list(modules)


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("INTERLOCK_")}
    return kept | {"PYTHONPATH": str(SOURCE)}


def _of(modules: list[str], unwanted: tuple[str, ...]) -> list[str]:
    return [each for each in modules for name in unwanted if each == name or each.startswith(f"{name}.")]


@pytest.fixture
def kept(shell: Shell) -> Shell:
    """A store with one run that has ended."""
    shell.write("small.yaml", FLOW)
    assert shell.run("run", "small.yaml", "--id", "first").code == 0
    return shell


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("locks list", (*CLIENTS, *EXECUTING, *CHECKING, "interlock.engine", "interlock.dispatch")),
        ("memory list", (*CLIENTS, *EXECUTING, *CHECKING, "interlock.engine", "interlock.dispatch")),
        ("workers list", (*CLIENTS, *EXECUTING, *CHECKING, "interlock.engine", "interlock.dispatch")),
        ("list", (*CLIENTS, *EXECUTING, *CHECKING)),
        ("tasks list", (*CLIENTS, *EXECUTING, *CHECKING, "interlock.dispatch.configuration")),
        ("history first", (*CLIENTS, *EXECUTING, *CHECKING)),
        ("show first", (*CLIENTS, *EXECUTING)),
        ("run small.yaml", (*CLIENTS, "interlock.app.pools", "interlock.dispatch.configuration", "interlock.pool.ray")),
    ],
)
def test_command_loads_nothing_that_it_does_not_need(kept: Shell, command: str, unwanted: tuple[str, ...]) -> None:
    assert _of(_modules(kept, *command.split()), unwanted) == []


def test_module_is_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "frobnicate"],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "interlock: no such command 'frobnicate'; see `interlock --help`\n"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("list", "list"),
        ("--store list show x", "show"),
        ("--store=sqlite:///list.db -n list --debug tasks list", "tasks"),
        ("list --store x", "list"),
        ("", None),
        ("--help", None),
        ("--help list", None),
        ("-nlist show x", None),
        ("--debug=1 list", None),
        ("--store", None),
        ("-- list", None),
    ],
)
def test_command_that_a_line_names_is_found_without_the_parser(line: str, name: str | None) -> None:
    assert named(line.split()) == name


def test_program_has_the_command_alone_or_all_of_them() -> None:
    whole = commands.app
    assert len(program(whole, ["list"]).registered_commands) == 1
    assert [each.name for each in program(whole, ["tasks", "list"]).registered_groups] == ["tasks"]
    assert program(whole, ["lisst"]) is whole
    assert program(whole, []) is whole
    assert len(whole.registered_commands) > 20
