"""Where the conformance kit of the specification is: the folder named by INTERLOCK_OWS, else beside the repository."""

import os
from pathlib import Path

import pytest

from required import may_skip

_REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("INTERLOCK_OWS") or _REPOSITORY.parent / "shared" / "ows")

needs_kit = pytest.mark.skipif(
    may_skip("kit", FOLDER.is_dir()), reason=f"no conformance kit at {FOLDER}; set INTERLOCK_OWS"
)


def texts(folder: str) -> dict[str, str]:
    """Give the documents of one folder of the kit by name; none without the kit."""
    return {path.stem: path.read_text("utf-8") for path in sorted((FOLDER / folder).glob("*.yaml"))}
