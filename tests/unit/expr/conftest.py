"""Child processes import the package from where the tests do."""

import os
from pathlib import Path

import pytest

import interlock


@pytest.fixture(autouse=True)
def _package_for_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(interlock.__file__).parents[1]), prepend=os.pathsep)
