"""What the examples of this folder share: a node over a store in a folder of its own, and texts to work on.

with Desk(Path(__file__).parent) as desk:
    desk.interlock("tasks", "load", "tasks.yaml")

The texts are the guides of this repository, or those of the folder named on the command line. They are copied, and all of it
is removed at the end.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "fleets"))
from processes import Fleet  # what starts and ends the processes

TEXTS = Path(__file__).parents[2] / "docs" / "howto"
FEWEST, MOST = 3, 6
"""Texts that an example works on: more than the smallest pool has places."""


class Desk(Fleet):
    """A folder with what the example configures, and `texts`; a node that works there until the block ends."""

    def __init__(self, example: Path) -> None:
        super().__init__()
        for file in example.iterdir():
            if file.suffix in (".yaml", ".py"):
                shutil.copy(file, self.folder)
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else TEXTS
        found = sorted(file for file in source.glob("*.md") if file.is_file())[:MOST]
        if len(found) < FEWEST:
            raise SystemExit(f"{source} has {len(found)} texts (*.md); name a folder that has {FEWEST} or more")
        (self.folder / "texts").mkdir()
        for file in found:
            shutil.copy(file, self.folder / "texts")

    def __enter__(self) -> Desk:
        self.start("node", "node")
        return self

    @property
    def texts(self) -> list[Path]:
        return sorted((self.folder / "texts").iterdir())

    def load(self, graph: str, tasks: list[dict[str, Any]]) -> None:
        """Store a graph of tasks that were made up here."""
        (self.folder / f"{graph}.json").write_text(json.dumps({"graph": graph, "tasks": tasks}))
        self.interlock("tasks", "load", f"{graph}.json")

    def done(self, graph: str) -> dict[str, dict[str, Any]]:
        """Wait until a graph is done and give its tasks by id: where each ran, when it ended."""
        self.interlock("tasks", "watch", graph, "--until-done")
        return {row["id"]: row for row in json.loads(self.interlock("tasks", "list", graph, "--json"))}

    def explain(self, task: str) -> None:
        """Print why a task is where it is, as `interlock tasks explain` tells it."""
        for line in self.interlock("tasks", "explain", task).splitlines():
            tell(f"    {line}")


def tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (an example tells what happens)
