"""The reference of the command line names every command and option that there is, and no other."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

import interlock
from interlock.cli import commands


def _generator() -> ModuleType:
    """Load the script that writes the reference of Python; it is no module of a package."""
    spec = importlib.util.spec_from_file_location("generate", Path(__file__).parents[2] / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


generate = _generator()
TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text("utf-8")
ROWS = dict(
    re.findall(
        r"^\| `interlock ((?:(?:artifacts|config|deliveries|events|keys|locks|memory|nodes|pools|tasks|token|workers) )?[a-z-]+)[^`]*` \| (.+) \|$",
        TEXT,
        re.MULTILINE,
    )
)
BEFORE = " ".join(re.findall(r"^\| (`-.+) \|", TEXT, re.MULTILINE))


def every_command() -> Iterator[tuple[str, Any]]:
    root: Any = typer.main.get_command(commands.app)
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def options(command: Any) -> set[str]:
    return {option for each in command.params if each.param_type_name == "option" for option in each.opts}


def test_every_command_is_listed_and_no_other() -> None:
    assert set(ROWS) == {name for name, _ in every_command()}


@pytest.mark.parametrize(("name", "command"), list(every_command()), ids=[name for name, _ in every_command()])
def test_every_option_is_listed_and_no_other(name: str, command: Any) -> None:
    row = re.search(rf"^\| `interlock {name}[ `].*$", TEXT, re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*", row[0])) == options(command) - {"--help", "-h"}


def test_every_option_before_the_command_is_listed() -> None:
    root = typer.main.get_command(commands.app)
    assert set(re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*", BEFORE)) == options(root) - {"--help", "-h"}


def test_no_help_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commands.app(["--help"])
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_the_reference_of_python_is_made_of_the_docstrings() -> None:
    """After a docstring has changed: `python docs/generate.py`."""
    assert generate.PAGE.read_text("utf-8") == generate.page()


def test_the_reference_of_python_has_every_public_name() -> None:
    assert generate.covered() == set(interlock.__all__) - {"__version__"}


def test_an_option_that_nobody_explains_is_found() -> None:
    @dataclass
    class Unclear:
        """How it is. `speed`: in metres a second."""

        speed: float
        colour: str = "red"

    with pytest.raises(SystemExit, match="Unclear: its docstring does not tell of colour"):
        generate.entry("Unclear", Unclear)
