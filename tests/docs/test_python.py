"""All Python of the documentation is executed, page by page, with the commands and files around it (OP-15)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from acceptance.cli import terminal
from acceptance.shell import Shell
from docs import page as pages
from docs.page import ROOT, Block, Command

# What the README prints is compared in test_commands, which knows a terminal.
PAGES = [page for page in pages.pages() if pages.is_program(page) and page != ROOT / "README.md"]
DOCUMENTED = {0, 1, 2, 3, 4, 5}
SECONDS = 240


def check(true: bool, told: str) -> None:
    if not true:
        pytest.fail(told, pytrace=False)


class Walk:
    """One page in a folder of its own."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.folder = folder
        home = folder / ".home"
        home.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "XDG_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
        self.environment = inherited | {
            "HOME": str(home),
            "PATH": path,
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONUNBUFFERED": "1",
        }
        self.program: subprocess.Popen[str] | None = None
        self.beside: list[subprocess.Popen[str]] = []

    def step(self, block: Block) -> None:
        where = f"{self.page.name}:{block.line}"
        if block.language == "yaml" and block.text.startswith("document:"):
            name = yaml.safe_load(block.text)["document"]["name"]
            (self.folder / f"{name}.yaml").write_text(block.text)
        elif block.language == "python" and block.file:
            file = self.folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.language == "python":
            done = self.execute(block)
            check(not done["error"], f"{where}\n{done['error']}")
            check(pages.matches(done["printed"].splitlines(), block.prints), f"{where} prints\n{done['printed']}")
        elif block.language == "console":
            for command in pages.commands(block):
                self.type(command, where)

    def execute(self, block: Block) -> dict[str, str]:
        """Hand a block to the page's program, which begins with its first."""
        if self.program is None:
            self.program = subprocess.Popen(
                [sys.executable, "-W", "error", str(Path(__file__).with_name("program.py"))],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        sent: dict[str, Any] = {"page": str(self.page), "line": block.line, "text": block.text}
        self.program.stdin.write(json.dumps(sent) + "\n")
        self.program.stdin.flush()
        with _at_most(self.program):
            answer = self.program.stdout.readline()
        done: dict[str, str] = json.loads(answer) if answer else {"printed": "", "error": "the program has ended"}
        return done

    def type(self, command: Command, where: str) -> None:
        program, *arguments = shlex.split(command.text)
        if command.text == "kill -9 %1":
            job = self.beside[-1]
            job.send_signal(signal.SIGKILL)
            job.wait(SECONDS)
        elif program == "interlock" and arguments[-1] != "&":
            self.show(arguments, command, where)
        elif program in ("interlock", "python") and arguments[-1] == "&":
            self.begin([program, *arguments[:-1]], command, where)
        elif program == "python":
            self.run([program, *arguments], command, where)

    def run(self, arguments: list[str], command: Command, where: str) -> None:
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        told = f"{where} $ {command.text}\n{done.stdout}\n{done.stderr}"
        check(done.returncode == 0 and pages.matches(plain(done.stdout), plain("\n".join(command.shown))), told)

    def show(self, arguments: list[str], command: Command, where: str) -> None:
        """Type a command of Interlock in a terminal, whose screen is what the page shows, as far as it does."""
        with terminal.opened(Shell(self.folder), *arguments, columns=100) as screen:
            code = screen.ended()
        told = f"{where} $ {command.text}\n" + "\n".join(screen.lines)
        check(code in DOCUMENTED and "Usage:" not in told and "Traceback" not in told, told)
        shown = plain("\n".join(command.shown))
        check(not shown or pages.matches(plain("\n".join(screen.lines)), shown), told)

    def begin(self, arguments: list[str], command: Command, where: str) -> None:
        """Start what runs beside, and wait until it has printed what the page shows of it."""
        job = subprocess.Popen(
            arguments,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.beside.append(job)
        assert job.stdout is not None
        for line in command.shown:
            with _at_most(job):
                seen = job.stdout.readline()
            check(seen.rstrip() == line.rstrip(), f"{where} $ {command.text}\n{seen}")

    def end(self) -> None:
        for process in [*self.beside, *([self.program] if self.program is not None else [])]:
            process.kill()
            process.wait(SECONDS)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


@contextlib.contextmanager
def _at_most(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process that keeps silent for too long, which ends the wait for its next line."""
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def plain(text: str) -> list[str]:
    """Give printed lines without what differs from run to run: ids, times and the room around them."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?", "ID", text)
    text = re.sub(r" {2,}\d+(\.\d+)? m?s$", "", text, flags=re.MULTILINE)  # told of what took 10 ms
    text = re.sub(r"\b\d+(\.\d+)? m?s\b", "0 s", text)
    text = re.sub(r"\d{4}-\d\d-\d\d (?=\d\d:)", "", text)
    text = re.sub(r"\d\d:\d\d:\d\d(\.\d+)?", "TIME", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def walk(page: Path, folder: Path) -> None:
    """Walk a page from its beginning to its end."""
    walked = Walk(page, folder)
    try:
        for block in pages.blocks(page):
            walked.step(block)
    finally:
        walked.end()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    walk(page, tmp_path)


PAGE = """
```python
# shop.py
PRICE = 3
```

```python
import asyncio
from shop import PRICE
await asyncio.sleep(0)
print(PRICE)  # prints: 3
```

```python
print(PRICE + 1)
```

```text
4
```

```console
$ python -c "import shop; print(shop.PRICE)"
3
```
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("prints: 3", "prints: 4"), "page.md:8 prints\n3"),
        (("4\n```", "5\n```"), "page.md:15 prints\n4"),
        (("PRICE + 1", "PRICE + none"), "page.md:15\nTraceback"),
        (("\n3\n", "\n4\n"), "page.md:23 $ python"),
        (("print(shop.PRICE)", "print(shop.NONE)"), "page.md:23 $ python"),
    ],
)
def test_a_page_that_lies_is_found(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace(*change))
    with pytest.raises(pytest.fail.Exception, match=re.escape(told)):
        walk(page, tmp_path)


def test_a_page_that_is_true_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    walk(page, tmp_path)
