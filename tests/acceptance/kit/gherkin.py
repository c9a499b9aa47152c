"""A reader of the part of Gherkin that the conformance kit uses: features, scenarios, steps and tagged doc strings.

Source: cucumber.io, "Gherkin Reference". Backgrounds, rules, outlines and tables do not occur, and are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(r"^(?:Given|When|Then|And|But|\*)\s+(.*)$")
_FENCES = ('"""', "```")


@dataclass(frozen=True)
class Step:
    """`text` is what follows the keyword: `And given the input is:` gives `given the input is:`."""

    text: str
    doc: str | None = None
    tag: str = ""


@dataclass(frozen=True)
class Scenario:
    feature: str
    name: str
    steps: tuple[Step, ...]


def read(text: str) -> list[Scenario]:
    """Give the scenarios of one feature. Raises ValueError with the line that is not understood."""
    scenarios: list[Scenario] = []
    feature = name = ""
    steps: list[Step] = []
    lines = enumerate(text.splitlines(), start=1)
    for number, line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", "@")):
            continue
        if stripped.startswith("Feature:"):
            feature = stripped.removeprefix("Feature:").strip()
        elif stripped.startswith("Scenario:"):
            if steps:
                scenarios.append(Scenario(feature, name, tuple(steps)))
            name, steps = stripped.removeprefix("Scenario:").strip(), []
        elif stripped.startswith(_FENCES) and steps:
            tag = stripped[3:].strip()
            doc = _doc(lines, stripped[:3], len(line) - len(line.lstrip()))
            steps[-1] = Step(steps[-1].text, doc, tag)
        elif match := _STEP.match(stripped):
            steps.append(Step(match[1].strip()))
        elif name:  # what stands before the first scenario describes the feature
            raise ValueError(f"line {number} is no step: {stripped}")
    return [*scenarios, Scenario(feature, name, tuple(steps))]


def _doc(lines: enumerate[str], fence: str, indent: int) -> str:
    """Give the text up to the closing fence, without the indent of the opening one."""
    found = []
    for _, line in lines:
        if line.strip() == fence:
            return "\n".join(found)
        found.append(line[indent:] if not line[:indent].strip() else line.lstrip())
    raise ValueError("a doc string is not closed")
