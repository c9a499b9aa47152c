"""Makes the table of what was measured: medians, spread, and the ratios to the targets and to the best peer."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bench import machine, products
from bench.products import Kind
from bench.rows import ROWS, Row
from bench.sizes import Scale

_HEAD: Final = (
    "| case | what | on | Interlock | target | of the target | against DBOS | best peer | against it | other peers |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
_ALIKE: Final = "dbos"
"""The peer that keeps what Interlock keeps: workflows, and the results of their steps."""
_NOTHING: Final = "-"

Values: TypeAlias = Mapping[tuple[str, str, str], list[float]]
"""What was measured: by subject, case and figure, one value per round."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: one figure of Interlock on one store."""

    row: Row
    kind: Kind
    own: Sequence[float]
    peers: Mapping[str, Sequence[float]]
    """By subject."""
    is_judged: bool
    """Whether it was measured at full scale; a target says nothing about less."""

    @property
    def median(self) -> float:
        return statistics.median(self.own)

    @property
    def target(self) -> float | None:
        return self.row.targets.get(self.kind) if self.is_judged else None

    @property
    def misses(self) -> bool:
        """Whether there is a target, and the median is on the wrong side of it."""
        if self.target is None:
            return False
        return self.median < self.target if self.row.is_rate else self.median > self.target

    @property
    def best_peer(self) -> str | None:
        if not self.peers:
            return None
        choose = max if self.row.is_rate else min
        return choose(self.peers, key=lambda subject: statistics.median(self.peers[subject]))

    def best_alike(self) -> float | None:
        """Give the best median of the peer that is alike, on the same kind of store; None where it was not measured."""
        given = [statistics.median(given) for subject, given in self.peers.items() if self._is_alike(subject)]
        if not given:
            return None
        return max(given) if self.row.is_rate else min(given)

    def _is_alike(self, subject: str) -> bool:
        return subject.startswith(f"{_ALIKE}-{self.kind}")

    def times_better(self, other: float) -> float | None:
        """Say how many times better than another value it is; below 1 it is worse. None where one of them is 0."""
        if not other or not self.median:
            return None
        return self.median / other if self.row.is_rate else other / self.median


def values(known: Mapping[str, Any]) -> Values:
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for measurement in known["measurements"]:
        for figure, value in measurement.get("figures", {}).items():
            found[measurement["subject"], measurement["case"], figure].append(value)
    return found


def lines(known: Mapping[str, Any]) -> Iterator[Line]:
    """Give the lines for what was measured of Interlock."""
    found = values(known)
    peers = [subject for subject in known["products"] if not subject.startswith(products.OWN)]
    for row in ROWS:
        for kind in (Kind.SQLITE, Kind.POSTGRESQL):
            own = found.get((f"{products.OWN}-{kind}", row.case, row.figure))
            if own:
                theirs = {
                    peer: found[peer, row.case, row.figure] for peer in peers if (peer, row.case, row.figure) in found
                }
                yield Line(row, kind, own, theirs, known["plan"]["scale"] == Scale.FULL)


def markdown(known: Mapping[str, Any]) -> str:
    """Give the whole result: the machine, the table, what was missed, and what could not be measured."""
    parts = [
        f"Machine: {machine.sentence(known['machine'])}.",
        _method(known),
        "\n".join([_HEAD, *(_written(line) for line in lines(known))]),
        _missed(known),
        _peers(known),
        _failures(known),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the lines of the table for programs."""
    return [
        {
            "name": line.row.name or line.row.case,
            "case": line.row.case,
            "figure": line.row.figure,
            "title": line.row.title,
            "unit": line.row.unit,
            "on": line.kind,
            "median": line.median,
            "low": min(line.own),
            "high": max(line.own),
            "target": line.target,
            "missed": line.misses,
            "times_better_than_target": None if line.target is None else line.times_better(line.target),
            "times_better_than_alike": _against_alike(line),
            "best_peer": line.best_peer,
            "times_better_than_best_peer": _against_best(line),
            "peers": {subject: statistics.median(given) for subject, given in line.peers.items()},
        }
        for line in lines(known)
    ]


def _against_best(line: Line) -> float | None:
    best = line.best_peer
    return None if best is None else line.times_better(statistics.median(line.peers[best]))


def _against_alike(line: Line) -> float | None:
    alike = line.best_alike()
    return None if alike is None else line.times_better(alike)


def _method(known: Mapping[str, Any]) -> str:
    plan = known["plan"]
    return (
        f"Scale `{plan['scale']}`, {plan['rounds']} rounds, interleaved in an order from seed {plan['seed']};"
        f" Interlock on the event loop of {plan.get('event_loop', 'asyncio')}. A figure is the median of the rounds,"
        " in brackets the lowest and the highest. *Of the target* and *against* say how many times"
        " better Interlock is: 2.0x is half the time, or twice the rate. DBOS is compared on the same kind of store, at its"
        " best (SQLite in WAL mode); the best peer may do less, and keep less, as the second table says."
    )


def _written(line: Line) -> str:
    best = line.best_peer
    others = sorted(subject for subject in line.peers if subject != best)
    cells = (
        line.row.name or line.row.case,
        line.row.title,
        line.kind,
        f"**{number(line.median)}** {line.row.unit}{_spread(line.own)}",
        _NOTHING if line.target is None else f"{number(line.target)} {line.row.unit}",
        _of_target(line),
        _times(_against_alike(line)),
        _NOTHING if best is None else f"{best} {number(statistics.median(line.peers[best]))}",
        _times(_against_best(line)),
        ", ".join(f"{subject} {number(statistics.median(line.peers[subject]))}" for subject in others) or _NOTHING,
    )
    return "| " + " | ".join(cell.strip() for cell in cells) + " |"


def _of_target(line: Line) -> str:
    if line.target is None:
        return _NOTHING
    times = line.times_better(line.target)
    if line.misses:
        return "**missed**" + ("" if times is None else f", {_times(times)}")
    return "held" + ("" if times is None else f", {_times(times)}")


def _times(ratio: float | None) -> str:
    return _NOTHING if ratio is None else f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.0f}x"


def _spread(given: Sequence[float]) -> str:
    return f" ({number(min(given))} - {number(max(given))})" if len(given) > 1 else ""


def number(value: float) -> str:
    """Write a number as people read it: three digits, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _missed(known: Mapping[str, Any]) -> str:
    if known["plan"]["scale"] != Scale.FULL:
        return "Targets are held against the scale `full` only."
    missed = [line for line in lines(known) if line.misses]
    if not missed:
        return "Every target that was measured is held."
    told = [
        f"- **{line.row.name or line.row.case}** {line.row.title}, {line.kind}: {number(line.median)} {line.row.unit} against"
        f" {number(line.target or 0)} {line.row.unit}, {_by(line)}."
        for line in missed
    ]
    return "\n".join(["Missed:", "", *told])


def _by(line: Line) -> str:
    assert line.target is not None
    if not line.target:
        return f"{number(line.median)} too many"
    return f"{abs(line.median / line.target - 1) * 100:.0f} % {'below' if line.row.is_rate else 'above'} it"


def _peers(known: Mapping[str, Any]) -> str:
    told = [
        f"| {subject} | {given['version'] or 'not installed'} | {given['durability']} |"
        for subject, given in known["products"].items()
    ]
    return "\n".join(["| product | version | what is kept |", "|---|---|---|", *told])


def _failures(known: Mapping[str, Any]) -> str:
    """Tell, by name, what was not measured although it was asked for."""
    reasons: dict[tuple[str, str], set[str]] = defaultdict(set)
    for measurement in known["measurements"]:
        if "error" in measurement:
            reasons[measurement["subject"], measurement["error"]].add(measurement["case"])
    told = [
        f"- {subject}, {', '.join(sorted(cases))}: {' '.join(reason.split())}"
        for (subject, reason), cases in reasons.items()
    ]
    return "\n".join(["Not measured:", "", *told]) if told else ""
