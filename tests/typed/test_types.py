"""The types of the Python interface, as mypy and pyright see them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
MARK = "# refused"
NAMES = ["right.py", "wrong.py"]
Refused: TypeAlias = dict[str, set[int]]
"""The lines that a type checker refuses, by file."""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """Give the lines that mypy refuses: of both files at once, since most of its work is the package itself."""
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={tmp_path_factory.mktemp('mypy')}", *NAMES],
        cwd=HERE,
        env={"MYPYPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )  # fmt: skip
    assert ended.returncode in (0, 1), ended.stderr
    found = re.findall(r"^(\S+\.py):(\d+): error: ", ended.stdout, re.MULTILINE)
    assert {name for name, _ in found} <= set(NAMES), ended.stdout
    assert bool(found) == bool(ended.returncode), ended.stdout
    return {name: {int(line) for file, line in found if file == name} for name in NAMES}


@pytest.fixture(scope="module")
def pyright(tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """Give the lines that pyright refuses, as above."""
    folder = tmp_path_factory.mktemp("pyright")
    files = [str(HERE / name) for name in NAMES]
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(SOURCE)], "include": files}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("basedpyright")), "--outputjson", "--project", str(folder),
         "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )  # fmt: skip
    told = json.loads(ended.stdout)
    assert told["summary"]["filesAnalyzed"] >= len(NAMES)
    wrong = [each for each in told["generalDiagnostics"] if each["severity"] == "error"]
    assert {each["file"] for each in wrong} <= set(files), wrong
    return {
        name: {each["range"]["start"]["line"] + 1 for each in wrong if each["file"] == str(HERE / name)}
        for name in NAMES
    }


def _marked(file: Path) -> set[int]:
    return {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith(MARK)}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_mypy_refuses_what_is_wrong_and_nothing_else(name: str, mypy: Refused) -> None:
    assert mypy[name] == _marked(HERE / name)


@pytest.mark.parametrize("name", NAMES)
def test_pyright_refuses_what_is_wrong_and_nothing_else(name: str, pyright: Refused) -> None:
    assert pyright[name] == _marked(HERE / name)
