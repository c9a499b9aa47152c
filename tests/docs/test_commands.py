"""Every command that the documentation shows can be typed (OP-15).

Each page is walked as a reader would: its definitions are put into files named after their workflow, and its commands are
run in order, in a folder of their own. A page that shows `RUN` for the id of a run finds one of that name.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from acceptance.cli import terminal
from acceptance.shell import Shell
from docs.page import is_program, pages

ROOT = Path(__file__).parents[2]
PAGES = [page for page in pages() if "$ interlock" in page.read_text() and not is_program(page)]  # else: test_python
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED = {0, 1, 2, 3, 4, 5}
ANY_RUN = """
document: {dsl: 1.0.3, namespace: default, name: any, version: 1.0.0}
do:
  - used: {set: {a: 1}}
"""


class Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = folder / "home"
        home.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "XDG_"))}
        self.environment = inherited | {"HOME": str(home)}

    def save(self, definition: str) -> None:
        """Put a definition into a file named after its workflow; waits are shortened to what a test can bear."""
        name = yaml.safe_load(definition)["document"]["name"]
        (self.folder / f"{name}.yaml").write_text(
            re.sub(r"wait: \{seconds: \d+\}", "wait: {milliseconds: 50}", definition)
        )

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = shlex.split(command)
        assert program == "interlock"
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def walked(page: Path, reader: Reader) -> list[str]:
    """Save the definitions of a page and give its commands, in order."""
    typed = []
    for language, text in BLOCK.findall(page.read_text("utf-8")):
        if language == "yaml" and text.startswith("document:"):
            reader.save(text)
        if language == "yaml" and (named := re.match(r"# (\S+\.yaml)\n", text)):
            (reader.folder / named[1]).write_text(text)
        if language == "python" and (named := re.match(r"# (\S+\.py)\n", text)):
            (reader.folder / named[1]).write_text(text)
        if language in ("console", "bash"):
            typed += [line[2:] for line in text.splitlines() if line.startswith("$ interlock")]
    return typed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path, reader: Reader) -> None:
    commands = walked(page, reader)
    if any("RUN" in shlex.split(command) for command in commands):
        reader.save(ANY_RUN)
        assert reader.type("interlock run any.yaml --id RUN").returncode == 0

    assert commands
    for command in commands:
        done = reader.type(command)
        assert done.returncode in DOCUMENTED, f"{command}: {done.stderr}"
        assert "Usage:" not in done.stderr, f"{command}: {done.stderr}"
        assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"


@pytest.mark.parametrize("page", ["docs/tutorial/first-workflow.md", "README.md"])
def test_the_commands_of_the_tutorials_succeed(page: str, reader: Reader) -> None:
    for command in walked(ROOT / page, reader):
        done = reader.type(command)
        ended = command.startswith("interlock resume") and "has ended" in done.stderr  # nothing had killed it here
        assert done.returncode == 0 or ended, f"{command}: {done.stderr}"


def test_the_tutorial_gives_what_it_says(reader: Reader) -> None:
    walked(ROOT / "docs" / "tutorial" / "first-workflow.md", reader)

    done = reader.type("""interlock run hello.yaml --input '{"name": "Ada"}'""")

    assert yaml.safe_load(done.stdout) == {"greeting": "Hello, Ada"}


def shown(text: str) -> list[str]:
    """Give what is printed, without what differs from run to run: ids, numbers and the room around them."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}", "ID", text)
    text = re.sub(r"\d+(\.\d+)?( m?s)?", "0", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_readme_shows_what_is_printed(reader: Reader) -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    walked(ROOT / "README.md", reader)
    shell = Shell(reader.folder)
    compared = 0
    for block in re.findall(r"^```console\n(\$ interlock .*?)^```$", page, re.MULTILINE | re.DOTALL):
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = entry.partition("\n")
            with terminal.opened(shell, *shlex.split(command)[1:]) as screen:
                screen.ended()
            seen = shown("\n".join(screen.lines))
            assert seen[: len(shown(printed))] == shown(printed)
            compared += 1
    assert compared == 4


@pytest.mark.parametrize(
    "row", re.findall(r"^\| `(interlock [^`]+)` \|", (ROOT / "docs/reference/command-line.md").read_text(), re.M)
)
def test_every_command_of_the_reference_has_help(row: str, reader: Reader) -> None:
    words = [word for word in row.split()[1:] if word.isalpha() and word.islower()]

    done = reader.type(f"interlock {' '.join(words)} --help")

    assert done.returncode == 0, done.stderr
