"""What the fleets of this folder share: a node and workers as processes of this machine, over a store in a folder of its own.

with Fleet() as fleet:
    fleet.worker("w1", "--slots", "2")
    fleet.run("build", shell={"web": ...})
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("interlock"))
SECONDS = 60.0


class Fleet:
    """Processes that end with the block, each with its log in the folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fleet-")
        self.folder = Path(self._folder.name)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Fleet:
        self.start("node", "node", "--roles", "engine")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(SECONDS)
        self._folder.cleanup()

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `interlock ARGUMENTS` and wait until it is ready."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [PROGRAM, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.processes[name] = process
        self.until(lambda: "ready=true" in self.log(name) or process.poll() is not None, f"{name} is ready")
        if process.poll() is not None:
            raise SystemExit(f"interlock {' '.join(arguments)} ended: {self.log(name)}")
        return process

    def worker(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        return self.start(name, "worker", "--id", name, *arguments)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def interlock(self, *arguments: str) -> str:
        """Give what `interlock ARGUMENTS` prints."""
        done = subprocess.run(
            [PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise SystemExit(f"interlock {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def submit(self, run: str, tasks: dict[str, dict[str, Any]], command: str) -> None:
        """Start a run whose branches, by name, perform the command on workers; each with its `metadata.interlock`."""
        branches = [
            {name: {"run": {"shell": {"command": command}}, "metadata": {"interlock": asked}}}
            for name, asked in tasks.items()
        ]
        document = {
            "document": {"dsl": "1.0.3", "namespace": "fleets", "name": run, "version": "1.0.0"},
            "do": [{"all": {"fork": {"branches": branches}}}],
        }
        (self.folder / f"{run}.json").write_text(json.dumps(document))
        self.interlock("run", f"{run}.json", "--id", run, "--detach")

    def result(self, run: str) -> list[Any]:
        """Wait for a run and give what its branches printed."""
        self.until(lambda: self.shown(run)["status"] not in ("pending", "running", "waiting"), f"{run} has ended")
        shown = self.shown(run)
        if shown["status"] != "completed":
            raise SystemExit(f"{run} is {shown['status']}: {shown}")
        return [str(each).strip() for each in shown["output"]]

    def shown(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.interlock("show", run, "--json"))
        return found

    def until(self, condition: Any, what: str) -> None:
        end = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"not within {SECONDS:.0f} s: {what}")
            time.sleep(0.05)
