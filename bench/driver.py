"""Runs the subjects of every case, interleaved, each in a process of its own, and keeps what they say.

Round by round and case by case, the subjects in an order shuffled from the seed: what slows the machine for a while slows
everybody, and a ratio is taken between neighbours.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import machine, products, servers
from bench.products import Kind, Product
from bench.sizes import Scale

CASES: Final = (
    "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "W13", "W14", "PF-01", "P1", "P2", "P3",
    "C1", "C2", "C3", "T1", "T2", "T3", "TK-20",
)  # fmt: skip
"""What is measured when nothing is said."""
LONG_CASES: Final = ("W12", "T4")
"""What takes many minutes, and is measured when it is asked for."""
_ONCE: Final = {"W9", "W12", "C2", "T4"}
"""Cases that take minutes and hardly vary: the first round is enough."""

_SECONDS: Final = 240.0
_LONG_SECONDS: Final = 3600.0
_TOLD_CHARACTERS: Final = 300

_ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    cases: Sequence[str]
    subjects: Sequence[Product]
    rounds: int
    scale: Scale
    seed: int
    event_loop: str = "asyncio"
    """What Interlock's processes that are measured run on, `asyncio` or `uvloop`; peers choose for themselves."""

    def steps(self) -> Iterator[tuple[int, str, Product]]:
        """Give what is measured one after the other: round, case, product."""
        order = random.Random(self.seed)  # noqa: S311 (an order that can be had again, not a secret)
        for number in range(1, self.rounds + 1):
            for case in self.cases:
                shuffled = list(self.subjects)
                order.shuffle(shuffled)
                if number == 1 or case not in _ONCE:
                    yield from ((number, case, product) for product in shuffled)


def measure(plan: Plan, tell: Callable[[str], None], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure everything; gives what is known, as `bench.table` reads it. `keep` gets it after every measurement too."""
    kinds = {product.kind for product in plan.subjects}
    with contextlib.ExitStack() as stack:
        postgresql = stack.enter_context(servers.postgresql()) if Kind.POSTGRESQL in kinds else None
        known: dict[str, Any] = {
            "machine": machine.describe(postgresql.version if postgresql else None),
            "plan": {
                "cases": list(plan.cases),
                "rounds": plan.rounds,
                "scale": plan.scale,
                "seed": plan.seed,
                "event_loop": plan.event_loop,
            },
            "products": {product.subject: _described(product) for product in plan.subjects},
            "measurements": [],
        }
        tell(machine.sentence(known["machine"]))
        absent: set[tuple[str, str]] = set()
        for number, case, product in plan.steps():
            if (product.subject, case) in absent:
                continue
            found = _measured(plan, product, case, postgresql)
            known["measurements"].append({"round": number, **found})
            if "absent" in found:
                absent.add((product.subject, case))  # the other rounds would say the same
            tell(f"round {number}  {case:6} {product.subject:22} {_told(found)}")
            keep(known)
    return known


def _described(product: Product) -> dict[str, Any]:
    return {
        "distribution": product.distribution,
        "version": product.version(),
        "kind": product.kind,
        "durability": product.durability,
    }


def _measured(plan: Plan, product: Product, case: str, postgresql: servers.PostgreSQL | None) -> dict[str, Any]:
    """Measure one case of one product in a process; whatever goes wrong there is what is found."""
    known = {"subject": product.subject, "case": case}
    if product.version() is None:
        return {**known, "error": f"not installed: {product.distribution}"}
    command = [sys.executable, "-m", "bench.subject", product.subject, case, "--scale", plan.scale]
    if product.distribution == products.OWN:
        command += ["--event-loop", plan.event_loop]
    seconds = _LONG_SECONDS if case in LONG_CASES else _SECONDS
    with contextlib.ExitStack() as stack:
        if product.kind is Kind.POSTGRESQL:
            assert postgresql is not None
            command += ["--url", stack.enter_context(postgresql.database())]
        code, out, err = _ended(command, seconds)
    answer: dict[str, Any] | None = _last_object(out)
    if answer is None:
        reason = f"took longer than {seconds:.0f} s" if code is None else f"ended with {code}"
        return {**known, "error": f"{reason}: {err.strip()[-_TOLD_CHARACTERS:]}"}
    return answer


def _ended(command: Sequence[str], seconds: float) -> tuple[int | None, str, str]:
    """Let a process and what it started end; gives its code, None when it was ended after `seconds`, and what it wrote."""
    process = subprocess.Popen(
        command, cwd=_ROOT, env=_environment(os.environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return None, out, err
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a worker that it left
    return process.returncode, out, err


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a subject: this checkout first, and no settings of the caller's."""
    kept = {name: value for name, value in given.items() if not name.startswith("INTERLOCK_")}
    path = os.pathsep.join([str(_ROOT / "src"), str(_ROOT)])
    return {**kept, "PYTHONPATH": path}


def _last_object(text: str) -> dict[str, Any] | None:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(line)
                return found
    return None


def _told(found: Mapping[str, Any]) -> str:
    if "figures" in found:
        return "  ".join(f"{name} {value:.4g}" for name, value in found["figures"].items())
    return f"- {found['absent']}" if "absent" in found else f"FAILED {found['error'][:_TOLD_CHARACTERS]}"


def chosen(peers: str) -> list[Product]:
    """Give Interlock and the products of the packages named, such as `dbos,taskiq`; `all`, or `none`. Raises ValueError."""
    names = {name.strip() for name in peers.split(",")}
    known = {product.distribution for product in products.PRODUCTS.values()}
    unknown = names - known - {"all", "none"}
    if unknown:
        raise ValueError(
            f"there is no peer {sorted(unknown)[0]!r}; there are {', '.join(sorted(known - {products.OWN}))}"
        )
    return [
        product
        for product in products.PRODUCTS.values()
        if product.distribution == products.OWN or "all" in names or product.distribution in names
    ]
