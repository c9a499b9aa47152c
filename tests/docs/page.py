"""A page of the documentation, walked as its reader would walk it.

    ```python           the page's program, block by block: one module, in which `await` may stand outside of functions
    ```python # shop.py a file of that name in the page's folder, which the program and the commands may import
    ```yaml document:   a file named after its workflow
    ```console          `$ python ...`, `$ interlock ...`, a line that ends with `&` for what runs beside, and `$ kill -9 %1`
    ```text             directly below a Python block: what it prints

What a block prints stands behind `# prints:` in it, or in a text block directly below; `...` stands for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"\A# ([\w/]+\.py)\n")
_PRINTS = re.compile(r"# prints: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """`line` counts from 1 and is that of the block's first line. `file`: "" for a part of the page's program."""

    language: str
    text: str
    line: int
    file: str = ""
    printed: str | None = None

    @property
    def prints(self) -> list[str]:
        """The lines that it says it prints."""
        if self.printed is not None:
            return self.printed.splitlines()
        return _PRINTS.findall(self.text)


@dataclass(frozen=True)
class Command:
    """A command that a page shows, with what it shows of its output."""

    text: str
    shown: list[str] = field(default_factory=list)


def blocks(page: Path) -> list[Block]:
    """Give the blocks of a page in order, each text block that tells what Python prints with the block before it."""
    text = page.read_text("utf-8")
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        language, body = match[1], match[2]
        follows = bool(found) and not text[end : match.start()].strip()
        end = match.end()
        if language == "text" and follows and found[-1].language == "python" and not found[-1].file:
            found[-1] = replace(found[-1], printed=body)
            continue
        named = _FILE.match(body) if language == "python" else None
        line = text.count("\n", 0, match.start(2)) + 1
        found.append(Block(language, body, line, file=named[1] if named else ""))
    return found


def commands(block: Block) -> list[Command]:
    """Give the commands of a console block, each with the lines below it."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif found and line.strip():
            found[-1].shown.append(line)
    return found


def is_program(page: Path) -> bool:
    """Say whether a page has Python that is executed."""
    return any(block.language == "python" for block in blocks(page))


def pages() -> list[Path]:
    return sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])


def matches(seen: list[str], shown: list[str]) -> bool:
    """Compare what was printed with what a page shows, in which `...` stands for anything, and alone for any lines."""
    if not shown:
        return not seen
    if shown[0].strip() == "...":
        return any(matches(seen[start:], shown[1:]) for start in range(len(seen) + 1))
    return bool(seen) and _is_like(seen[0].rstrip(), shown[0].rstrip()) and matches(seen[1:], shown[1:])


def _is_like(seen: str, shown: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("...")), seen) is not None
