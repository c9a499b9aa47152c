"""Many real `interlock node` processes on one store, to be killed, stopped and continued."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from acceptance.shell import Shell

_EVENT = re.compile(r"^(\S+Z) \w+ (\S+) ?(.*)$")


@dataclass(frozen=True)
class Told:
    """A line of a node's log."""

    at: float
    name: str
    fields: dict[str, str]


@dataclass
class Node:
    process: subprocess.Popen[bytes]
    log_file: Path
    ids: list[str] = field(default_factory=list)

    def told(self, name: str) -> list[Told]:
        """Give what it has told under a name so far."""
        return [told for told in map(_told, self.log_file.read_text().splitlines()) if told and told.name == name]

    def kill(self) -> float:
        """SIGKILL; gives the moment."""
        at = time.time()
        self.process.kill()
        self.process.wait(60)
        return at

    def stop(self) -> float:
        """SIGSTOP; gives the moment."""
        self.process.send_signal(signal.SIGSTOP)
        return time.time()

    def go_on(self) -> float:
        """SIGCONT; gives the moment."""
        self.process.send_signal(signal.SIGCONT)
        return time.time()

    @property
    def is_ready(self) -> bool:
        said = self.told("node.readiness")
        return bool(said) and said[-1].fields.get("ready") == "true"


class Cluster:
    """Nodes of one store in one folder, each with its log in a file, so that no pipe fills."""

    def __init__(self, folder: Path, url: str, environment: dict[str, str]) -> None:
        self.shell = Shell(folder)
        self.url = url
        self.nodes: list[Node] = []
        self.first = 0
        """The number of its first node; another one where two clusters share a folder."""
        self._environment = environment | {"INTERLOCK_STORE_URL": url}

    async def start(self, *arguments: str, wait: bool = True) -> Node:
        file = self.shell.folder / f"node{self.first + len(self.nodes)}.log"
        with file.open("wb") as log:
            process = subprocess.Popen(
                self.shell._command(("node", *arguments)),
                cwd=self.shell.folder,
                env=self.shell._environment(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        node = Node(process, file)
        self.nodes.append(node)
        if wait:
            await until(lambda: node.is_ready, 60)
        return node

    def claims(self) -> list[Told]:
        """Give every claim of a run by any node, in the order of time."""
        return sorted((told for node in self.nodes for told in node.told("run.claimed")), key=lambda told: told.at)

    def troubles(self) -> list[str]:
        """Give the lines that tell of something that must not happen, whatever fails around the nodes."""
        lines = [line for node in self.nodes for line in node.log_file.read_text().splitlines()]
        never = ("Traceback", "run.dropped", "attempt.broken", "interlock: unexpected", "never retrieved")
        return [line for line in lines if any(word in line for word in never)]

    def end(self) -> None:
        for node in self.nodes:
            if node.process.poll() is None:
                node.go_on()
                node.kill()


def _told(line: str) -> Told | None:
    found = _EVENT.match(line)
    if found is None:
        return None
    at = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    fields = dict(pair.split("=", 1) for pair in found[3].split(" ") if "=" in pair)
    return Told(at, found[2], fields)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float) -> None:
    """Poll, backing off, until a condition holds."""
    pause = 0.02
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 0.5)


def is_full() -> bool:
    """Whether this is the proof at full scale, which takes its time."""
    return os.environ.get("INTERLOCK_CHAOS") == "full"
