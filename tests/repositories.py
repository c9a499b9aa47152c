"""Git repositories that tests make, with authors and times they choose."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NOW = 1_700_000_000  # 2023-11-14T22:13:20Z
DAY = 86_400


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, **variables: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **variables}
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str | bytes | None], *, days_ago: float = 0, author: str = "Ada") -> None:
        """Write (or with None remove) files and commit them."""
        for path, content in files.items():
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.unlink()
            else:
                place.write_bytes(content if isinstance(content, bytes) else content.encode())
        when = f"{int(NOW - days_ago * DAY)} +0000"
        self.git("add", "--all")
        self.git(
            "-c", "user.email=a@b.example", "-c", f"user.name={author}", "commit", "--quiet", "--message", "change",
            GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when,
        )  # fmt: skip
