"""Writes `docs/explanation/performance.md`: `python -m bench.page [RESULTS.json ...]`.

With results of `python -m bench` they become the figures of the page (`docs/explanation/performance.json`), later ones in
place of earlier ones case by case. Results of some cases leave those of the others as they are, when they were made at the
same scale. Without results the page is written anew from the figures that it has. What people have to say about them stands
in `bench/notes.md`, which has a line `{{table}}` where the figures belong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import machine, table

_ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = _ROOT / "docs" / "explanation" / "performance.md"
FIGURES: Final = PAGE.with_suffix(".json")
NOTES: Final = Path(__file__).with_name("notes.md")
_MARK: Final = "{{table}}"


def main(arguments: Sequence[str]) -> int:
    if arguments:
        results = [json.loads(Path(name).read_text()) for name in arguments]
        known = merged(kept(json.loads(FIGURES.read_text()), results) if FIGURES.exists() else results)
        FIGURES.write_text(json.dumps(known, indent=1) + "\n")
    PAGE.write_text(page(json.loads(FIGURES.read_text()), NOTES.read_text()))
    sys.stdout.write(f"written: {PAGE.relative_to(_ROOT)}\n")
    return 0


def kept(before: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Give the results to join: with what was measured before, unless all of that was measured again or at another scale."""
    if before["plan"]["scale"] != results[0]["plan"]["scale"]:
        return results
    measured = {found["case"] for found in before["measurements"]}
    return (
        results if measured <= {case for result in results for case in result["plan"]["cases"]} else [before, *results]
    )


def merged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give several results as one: the first one's machine and plan, and what was measured apart with its own."""
    first, *others = results
    known: dict[str, Any] = {**first, "apart": list(first.get("apart", []))}
    for other in others:
        cases = set(other["plan"]["cases"])
        kept = [found for found in known["measurements"] if found["case"] not in cases]
        known["measurements"] = [*kept, *other["measurements"]]
        known["products"] = {**known["products"], **other["products"]}
        known["apart"] = [*_without(known["apart"], cases), {"machine": other["machine"], "plan": other["plan"]}]
    return known


def _without(apart: Sequence[Mapping[str, Any]], cases: set[str]) -> list[dict[str, Any]]:
    """Leave out cases that were measured again."""
    found = []
    for other in apart:
        left = [case for case in other["plan"]["cases"] if case not in cases]
        if left:
            found.append({**other, "plan": {**other["plan"], "cases": left}})
    return found


def page(known: Mapping[str, Any], notes: str) -> str:
    """Give the text of the page. Raises ValueError when the notes have no place for the table."""
    if notes.count(_MARK) != 1:
        raise ValueError(f"{NOTES.name} needs exactly one line {_MARK}, where the figures belong")
    apart = [
        f"{', '.join(other['plan']['cases'])} measured apart ({other['plan']['rounds']} rounds, scale"
        f" `{other['plan']['scale']}`): {machine.sentence(other['machine'])}."
        for other in known.get("apart", [])
    ]
    return notes.replace(_MARK, "\n\n".join([table.markdown(known).rstrip(), *apart]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
