"""The record of a choice: who could have been chosen, with which score, who could not and why, and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.decisions.strategies import Ranking, Strategy
from interlock.decisions.task import Task, refusal
from interlock.model.worker import Worker

MOST_CANDIDATES: Final = 50
"""Of one record; those after it would hardly have been chosen, and a record is written with every task."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`score` None: it could not have the task, for this `reason`."""

    worker: str
    score: float | None = None
    reason: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A choice, explained. `voters`: the strategies that would have chosen the same, which learn from what becomes of it.

    `left_out`: candidates that the record has no room for. `strategy` None: the worker asked for it, or it was moved there.
    """

    strategy: Strategy | None
    chosen: str | None
    reason: str
    candidates: Sequence[Candidate] = ()
    voters: Sequence[Strategy] = ()
    left_out: int = 0


def decision(
    strategy: Strategy, task: Task, ranking: Ranking, chosen: Worker | None, all: Sequence[Worker]
) -> Decision:
    """Explain a choice among all workers."""
    candidates = [Candidate(worker=worker.id, score=score) for worker, score in ranking.order]
    refused = [(worker.id, refusal(task, worker)) for worker in all]
    candidates += [Candidate(worker=worker, reason=reason) for worker, reason in refused if reason is not None]
    return Decision(
        strategy=strategy,
        chosen=None if chosen is None else chosen.id,
        reason=_reason(strategy, ranking, chosen),
        candidates=candidates[:MOST_CANDIDATES],
        voters=() if chosen is None else ranking.voters.get(chosen.id, ()),
        left_out=max(0, len(candidates) - MOST_CANDIDATES),
    )


def pulled(worker: Worker, urgency: float, waiting: int) -> Decision:
    """Explain why a worker that asked for work got this task."""
    reason = f"the most urgent of {waiting} that it can have: {urgency:.3g}, with its age"
    candidate = Candidate(worker=worker.id, score=urgency)
    return Decision(strategy=None, chosen=worker.id, reason=reason, candidates=[candidate])


def left_over(worker: Worker, seconds: float) -> Decision:
    """Explain why a worker took a task that was for another one, or that nobody was meant to have yet."""
    reason = f"it waited for longer than {seconds:g} s, and whoever it was for has not taken it"
    return Decision(strategy=None, chosen=worker.id, reason=reason, candidates=[Candidate(worker=worker.id)])


def moved(source: str, target: Worker) -> Decision:
    """Explain why a task that was not started has another worker now."""
    reason = f"moved from {source}, which had too many: {target.active} of {target.capacity} slots were taken here"
    return Decision(strategy=None, chosen=target.id, reason=reason)


def _reason(strategy: Strategy, ranking: Ranking, chosen: Worker | None) -> str:
    if chosen is None:
        return "no worker can have the task now"
    place = next(number for number, (worker, _) in enumerate(ranking.order) if worker.id == chosen.id)
    behind = "" if place == 0 else f"; {place} before it had no slot any more"
    match strategy:
        case Strategy.ROUND_ROBIN:
            why = "its turn"
        case Strategy.LEAST_LOADED:
            why = f"the least loaded: {chosen.active} of {chosen.capacity} slots taken"
        case Strategy.ADAPTIVE:
            why = f"voted for by {', '.join(ranking.voters.get(chosen.id, ())) or 'nobody'}"
        case _:
            why = f"the best by {strategy}: {ranking.order[place][1]:.3g}"
    return why + behind


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Decision).decode
