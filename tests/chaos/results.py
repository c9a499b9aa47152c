"""What the runs of chaos, soak and idle came to, kept for `docs/explanation/reliability.md`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.json"


def read() -> dict[str, Any]:
    """Give what is kept: section to name to figures."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    return found


def record(section: str, name: str, figures: dict[str, Any]) -> None:
    """Keep the figures of one run, instead of those of the last one of that name."""
    kept = read()
    about = {"at": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": _commit(), "machine": _machine()}
    kept.setdefault(section, {})[name] = figures | about
    FILE.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


def _commit() -> str:
    """Give the commit that is checked out, and a `+` when files differ from it; empty outside of a clone."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=FILE.parent, capture_output=True, check=False
    )
    return asked.stdout.decode().strip()


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
