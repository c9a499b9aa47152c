from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import main
from interlock.cli.options import options


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line that was said."""
        said = self.err.splitlines()
        assert len(said) == 1, self.err
        return said[0]


class Typed:
    """Types commands in this process, in a folder of their own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capture = capture
        self._patch = patch

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        options.store, options.namespace, options.debug = None, None, False
        self._patch.setattr("sys.stdin", io.StringIO(stdin))
        self._capture.readouterr()
        code = main.outcome(list(arguments))
        out, err = self._capture.readouterr()
        return Ended(code, out, err)


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    for name in os.environ:
        if name.startswith(("INTERLOCK_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Typed(tmp_path, capsys, monkeypatch)
