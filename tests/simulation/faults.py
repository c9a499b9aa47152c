"""What goes wrong in one world: a plan, drawn from the seed, of which parts can be left out to find those that matter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    CRASH = "crash"  # SIGKILL
    PAUSE = "pause"  # SIGSTOP, and SIGCONT after a while
    STALL = "stall"  # SIGSTOP at a call of the store, and SIGCONT just when another node has claimed runs
    OUTAGE = "outage"  # every call of the store fails for a while, and renewals do
    REFUSED = "refused"  # one call of the store fails and does nothing
    LOST_REPLY = "lost-reply"  # one call of the store is done, and its caller sees the connection break
    SLOW = "slow"  # one call of the store takes long, before or after it is done
    DEAF = "deaf"  # the node's wake-ups are lost for a while
    ECHO = "echo"  # the node's wake-ups come late and again for a while
    DRAIN = "drain"  # the node is asked to drain, leaves, and comes back


AT_CALLS: Final = frozenset({Kind.CRASH, Kind.STALL, Kind.REFUSED, Kind.LOST_REPLY, Kind.SLOW})
AT_TURNS: Final = frozenset({Kind.CRASH, Kind.PAUSE})
AT_TIMES: Final = frozenset({Kind.OUTAGE, Kind.DEAF, Kind.ECHO, Kind.DRAIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`node`: which one, from 0. It strikes at the `call`-th call of the store by that node, of those of `method` if that is
    given, or at its `turn`-th turn, or at a time in seconds; a node that is brought again counts on. `after`: the call is done
    then. `seconds`: how long it lasts.
    """

    kind: Kind
    node: int
    call: int = 0
    method: str = ""
    turn: int = 0
    at: float = 0.0
    after: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.call:
            when = f"{'after' if self.after else 'before'} {self.method or 'call'} {self.call}"
        else:
            when = f"at turn {self.turn}" if self.turn else f"at {self.at:.3f} s"
        return f"{self.kind} of node {self.node} {when}, for {self.seconds:.3f} s"


_WEIGHTS: Final = {
    Kind.CRASH: 6,
    Kind.PAUSE: 3,
    Kind.STALL: 6,
    Kind.OUTAGE: 1,
    Kind.REFUSED: 3,
    Kind.LOST_REPLY: 6,
    Kind.SLOW: 4,
    Kind.DEAF: 2,
    Kind.ECHO: 2,
    Kind.DRAIN: 1,
}
_SECONDS: Final = {
    Kind.CRASH: (0.01, 20.0),
    Kind.PAUSE: (0.05, 40.0),
    Kind.STALL: (15.0, 40.0),
    Kind.OUTAGE: (0.1, 15.0),
    Kind.REFUSED: (0.0, 0.0),
    Kind.LOST_REPLY: (0.0, 0.0),
    Kind.SLOW: (0.05, 15.0),
    Kind.DEAF: (0.5, 10.0),
    Kind.ECHO: (0.5, 10.0),
    Kind.DRAIN: (0.0, 5.0),
}
_CALLS: Final = {"": 400, "journal.commit": 25, "queue.settle": 10, "queue.claim": 10, "nodes.claim_runs": 4}
"""Among how many calls, by method, faults strike; "" stands for all."""
_METHODS: Final = ("", "", *_CALLS)
_STALLED: Final = (
    "journal.commit",
    "journal.commit",
    "journal.commit",
    "queue.settle",
    "queue.claim",
    "nodes.claim_runs",
)
_TURNS: Final = 4_000
_TIME_SECONDS: Final = 10.0


def draw(chance: random.Random, nodes: int) -> list[Fault]:
    """Give a plan: often few faults, sometimes many."""
    count = chance.choice((0, 1, 1, 2, 2, 3, 4, 6, 9))
    return [_one(chance, nodes) for _ in range(count)]


def _one(chance: random.Random, nodes: int) -> Fault:
    kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    low, high = _SECONDS[kind]
    method = ""
    place: dict[str, float] = {}
    if kind in AT_CALLS and not (kind in AT_TURNS and chance.random() < 0.3):
        method = chance.choice(_STALLED if kind is Kind.STALL else _METHODS)
        place["call"] = 1 + int(_CALLS[method] * chance.random() ** 2)
    elif kind in AT_TURNS:
        place["turn"] = 1 + int(_TURNS * chance.random() ** 2)
    else:
        place["at"] = _TIME_SECONDS * chance.random() ** 2
    return Fault(
        kind=kind,
        node=chance.randrange(nodes),
        method=method,
        after=chance.random() < (0.25 if kind is Kind.STALL else 0.5),
        seconds=low + (high - low) * chance.random() ** 3,
        **place,  # type: ignore[arg-type]  # numbers of either kind
    )
