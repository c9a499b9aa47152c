"""One step of a run: how it stands, what it was given and gave, who performs it and why, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from interlock.app.session import Session
from interlock.decisions import record
from interlock.handshake.answers import TokenView
from interlock.handshake.tokens import Tokens
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import StepStatus
from interlock.model.story import Step
from interlock.secrets.form import hidden
from interlock.server.dashboard import times, values
from interlock.server.dashboard.pages import actions, runs
from interlock.server.dashboard.pages.elements import Action, Fact
from interlock.server.dashboard.times import Moment
from interlock.server.dashboard.values import Shown
from interlock.store.ports import RunRow, TaskRow

_MOST_TASKS: Final = 20
_MOST_DECISIONS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A decision that was recorded, with its candidates: name, score (empty for none), why not."""

    at: Moment
    chosen: str
    reason: str
    candidates: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    pool: str
    state: str
    attempt: int
    holder: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a step waits for: a report by a token. `question`: what is asked; `progress`: from 0 to 1, None for untold."""

    name: str
    question: str
    facts: tuple[Fact, ...]
    progress: float | None
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The step that the address selects. `is_known`: it was reached, or is in the definition."""

    path: str
    name: str
    state: str
    is_known: bool
    facts: tuple[Fact, ...]
    fault: str
    next: str
    waits: tuple[Waiting, ...]
    input: Shown | None
    output: Shown | None
    tasks: tuple[Task, ...]
    close: str


async def selected(
    session: Session, row: RunRow, step: Step | None, given: Payload | None, path: str, *, is_known: bool, may_act: bool
) -> Selected:
    """Give the step at `path`. `step`: as far as it came, None when it was never reached; `given`: its input, None where it
    is what the step before gave; `is_known`: the definition has it; `may_act`: buttons are for whoever looks."""
    now = session.clock.now()
    tasks = [task for task in await session.store.views.tasks(row.run) if task.path == path]
    return Selected(
        path=path,
        name=(step or Step(path=path)).name,
        state=str(step.status) if step is not None else str(StepStatus.PENDING),
        is_known=is_known or step is not None,
        facts=() if step is None else _facts(step, row.ended_at or now, now),
        fault="" if step is None else _fault(step),
        next="" if step is None or not step.next else step.next,
        waits=await _waits(session, row, path, may_act=may_act) if step is not None and step.ended is None else (),
        input=values.payload(given),
        output=None if step is None else values.payload(step.output),
        tasks=tuple([await _task(session, task, now) for task in tasks[-_MOST_TASKS:]]),
        close=runs.href(row.namespace, row.id),
    )


def _facts(step: Step, end: float, now: float) -> tuple[Fact, ...]:
    facts = [
        Fact(name="path", text=step.path, copies=step.path),
        Fact(name="began", moment=times.moment(step.began, now)),
    ]
    if step.ended is not None:
        facts.append(Fact(name="ended", moment=times.moment(step.ended, now)))
    if step.until is not None:
        facts.append(Fact(name="waits until", moment=times.moment(step.until, now)))
    facts.append(Fact(name="took", text=times.took((step.ended or end) - step.began)))
    if step.attempts > 1:
        facts.append(Fact(name="attempt", text=str(step.attempts)))
    if step.visits > 1:
        facts.append(Fact(name="visits", text=str(step.visits)))
    if step.items is not None and step.index is not None:
        facts.append(Fact(name="items", text=f"{step.index} of {step.items}"))
    return tuple(facts)


def _fault(step: Step) -> str:
    fault = step.fault or step.undo_fault
    return "" if fault is None else hidden(str(fault))


async def _task(session: Session, task: TaskRow, now: float) -> Task:
    found = await session.store.workers.choices("worker", task.task, _MOST_DECISIONS)
    choices = []
    for each in found:
        decision = record.decode(each.body)
        at = times.moment(each.at, now)
        assert at is not None
        candidates = tuple(
            (one.worker, "" if one.score is None else f"{one.score:.3g}", one.reason or "")
            for one in decision.candidates
        )
        choices.append(Choice(at=at, chosen=each.chosen or "nobody", reason=decision.reason, candidates=candidates))
    return Task(
        pool=task.pool, state=str(task.state), attempt=task.attempt, holder=task.holder or "", choices=tuple(choices)
    )


async def _waits(session: Session, row: RunRow, path: str, *, may_act: bool) -> tuple[Waiting, ...]:
    tokens = Tokens(session.store, session.secrets, session.clock, row.namespace)
    now = session.clock.now()
    found = [token for token in await tokens.of_run(row.run) if token.step == path]
    return tuple(
        Waiting(
            name=token.name,
            question=hidden(_text(token.question)),
            facts=_waiting_facts(token, now),
            progress=_told(token, "fraction", float | int),
            actions=actions.of_token(row, token) if may_act else (),
        )
        for token in found
    )


def _waiting_facts(token: TokenView, now: float) -> tuple[Fact, ...]:
    facts = [Fact(name="asked", text=values.summary(_text(token.to)))] if token.to is not None else []
    facts.append(Fact(name="since", moment=times.moment(token.created_at, now)))
    if token.expires_at is not None:
        facts.append(Fact(name="expires", moment=times.moment(token.expires_at, now)))
    if token.heartbeat_at is not None:
        facts.append(Fact(name="heard of", moment=times.moment(token.heartbeat_at, now)))
    if (message := _told(token, "message", str)) is not None:
        facts.append(Fact(name="tells", text=values.summary(message)))
    if token.detail is not None:
        facts.append(Fact(name="details", text=values.summary(token.detail)))
    return tuple(facts)


def _told(token: TokenView, name: str, kind: Any) -> Any:
    """Give what the holder told of the work, None when it is not of the kind that it should be."""
    told = token.progress.get(name) if isinstance(token.progress, dict) else None
    return told if isinstance(told, kind) and not isinstance(told, bool) else None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else "" if value is None else values.summary(value)
