"""The types of the Python interface, as mypy and pyright see them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
MARK = "# refused"


def _mypy(file: Path, cache: Path) -> set[int]:
    """Give the lines that mypy refuses."""
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", file.name],
        cwd=file.parent,
        env={"MYPYPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stderr
    found = re.findall(rf"^{re.escape(file.name)}:(\d+): error: (.*)$", ended.stdout, re.MULTILINE)
    assert bool(found) == bool(ended.returncode), ended.stdout
    return {int(line) for line, _ in found}


def _pyright(file: Path, folder: Path) -> set[int]:
    """Give the lines that pyright refuses."""
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(SOURCE)], "include": [str(file)]}
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
    assert told["summary"]["filesAnalyzed"] >= 1
    return {each["range"]["start"]["line"] + 1 for each in told["generalDiagnostics"] if each["severity"] == "error"}


def _marked(file: Path) -> set[int]:
    return {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith(MARK)}


@pytest.mark.parametrize("name", ["right.py", "wrong.py"])
def test_mypy_refuses_what_is_wrong_and_nothing_else(name: str, tmp_path: Path) -> None:
    assert _mypy(HERE / name, tmp_path) == _marked(HERE / name)


@pytest.mark.parametrize("name", ["right.py", "wrong.py"])
def test_pyright_refuses_what_is_wrong_and_nothing_else(name: str, tmp_path: Path) -> None:
    assert _pyright(HERE / name, tmp_path) == _marked(HERE / name)
