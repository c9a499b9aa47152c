"""Tasks of a graph as the store keeps them: what each needs, how it is retried, and what it waits for.

A task graph is not a run: it has no journal, and its truth is its task rows. What a row does not hold in columns of its own,
because nothing searches for it, is a `TaskSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from interlock.model.json import Json
from interlock.model.task import Failed, FailureClass, Resources, Snoozed

GRAPH_BUDGETS: Final[dict[FailureClass, int]] = {
    FailureClass.APPLICATION: 2,
    FailureClass.TIMEOUT: 2,
    FailureClass.OUT_OF_MEMORY: 1,
    FailureClass.LOST: 3,
    FailureClass.PREEMPTED: 10,
    FailureClass.LAUNCH: 3,
    FailureClass.INVALID: 0,
}
"""Retries of a task of a graph whose author says nothing. A timeout shares the budget of application."""

POISONED_AT: Final = 3
"""Runners that may die over one task before it is put into quarantine."""

KILLED: Final = "killed"
"""The key, beside the failure classes, that counts the runners that died over a task."""

_SHARED: Final = {FailureClass.TIMEOUT: FailureClass.APPLICATION}
_AT_ONCE: Final = frozenset({FailureClass.LOST, FailureClass.PREEMPTED})


class WorkspaceTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The worktree that an attempt gets of the graph's repository. `branch`: what it stands on, "" for none (detached);
    `base`: the commit it begins with. `clean`: when it is wiped at the end: always, on-success or never."""

    branch: str = ""
    base: str = "HEAD"
    clean: str = "always"


class AgentTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent is told. `prompt`: what to do; `context`: files of its folder that it should know; `result`: the file, in
    its folder, where it leaves its result as JSON, "" for none."""

    prompt: str = ""
    context: tuple[str, ...] = ()
    result: str = ""


class RetryTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Budgets that the author set, by failure class (retries, not executions), and the wait before each retry.

    `backoff`: exponential (initial x base^(n-1)), linear (initial x n) or fixed, at most `longest_seconds`: requirements 3.5,
    checklist RT-01.
    """

    budgets: dict[str, int] = {}
    backoff: str = "exponential"
    initial_seconds: float = 10.0
    base: float = 2.0
    longest_seconds: float = 300.0


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task of a graph beyond its columns. `id`: its name within the graph; `digest`: of all that its author wrote. `kind`:
    what its target is: run, python, container, workflow or agent.

    `priority` is what the author gave; the row's own is what its policy made of it. `pools`: where it may run, in the order
    of preference, when the author names pools; `skills` decide otherwise. `labels`: what a pool must be marked with. `key`:
    whose share of the pools it uses. `deadline`: UTC seconds. `expected_seconds`: how long it usually takes, None when nobody
    knows. `dependencies`: ids of the graph's tasks it waits for; True: it is skipped should that one not succeed. `inputs`
    are handed to the program as they are.
    """

    id: str
    digest: str
    kind: str = "run"
    title: str = ""
    description: str = ""
    priority: int = 0
    pools: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    resources: Resources = Resources()
    retry: RetryTerms = RetryTerms()
    timeout_seconds: float | None = None
    key: str = ""
    deadline: float | None = None
    expected_seconds: float | None = None
    optional: bool = False
    workspace: WorkspaceTerms | None = None
    dependencies: dict[str, bool] = {}
    inputs: Json = None
    agent: AgentTerms | None = None
    metadata: dict[str, Json] = {}


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A task is tried again in so many seconds. `used`: its retries by then. `counts`: whether this was an execution."""

    seconds: float
    used: dict[str, int]
    counts: bool = True


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """A task is not tried again. `poisoned`: it killed so many runners that somebody has to look at it first."""

    used: dict[str, int]
    poisoned: bool = False


def after(
    terms: RetryTerms, used: Mapping[str, int], outcome: Failed | Snoozed, *, killed: bool = False
) -> Again | Over:
    """Decide what follows an attempt that did not succeed. `killed`: its runner died over it, while its node lives.

    What the machine lost is tried again at once; the rest waits, longer with every retry of its class. A place that was given
    up (snoozed) costs nothing.
    """
    if isinstance(outcome, Snoozed):
        return Again(seconds=outcome.delay_seconds, used=dict(used), counts=False)
    now = dict(used)
    if killed:
        now[KILLED] = now.get(KILLED, 0) + 1
        if now[KILLED] >= POISONED_AT:
            return Over(used=now, poisoned=True)
    budgets = {**GRAPH_BUDGETS, **{FailureClass(name): count for name, count in terms.budgets.items()}}
    against = FailureClass(counted(outcome.failure, terms))
    retries = now.get(against, 0)
    if outcome.final or retries >= budgets[against]:
        return Over(used=now)
    now[against] = retries + 1
    return Again(seconds=0.0 if outcome.failure in _AT_ONCE else delay_seconds(terms, retries + 1), used=now)


def delay_seconds(terms: RetryTerms, retry: int) -> float:
    """Give the wait before the `retry`-th retry, from 1."""
    if terms.backoff == "exponential":
        try:
            seconds = terms.initial_seconds * terms.base ** (retry - 1)
        except OverflowError:
            seconds = terms.longest_seconds
    elif terms.backoff == "linear":
        seconds = terms.initial_seconds * retry
    else:
        seconds = terms.initial_seconds
    return min(seconds, terms.longest_seconds)


def counted(failure: str, terms: RetryTerms) -> str:
    """Give the class whose budget a failure counts against."""
    shared = failure not in terms.budgets and failure in _SHARED
    return str(_SHARED[FailureClass(failure)]) if shared else failure


def retried(used: Mapping[str, int]) -> dict[str, int]:
    """Give the retries that a task has had, by the class that they count against, without what else is counted of it."""
    return {failure: count for failure, count in used.items() if failure != KILLED}


def budget(failure: str) -> int:
    """Give the retries for a class of failure where the author says nothing."""
    return GRAPH_BUDGETS[FailureClass(failure)]


def executions(terms: RetryTerms) -> int:
    """Give how often the work itself may be executed: "attempt 2 of 3"."""
    return terms.budgets.get(FailureClass.APPLICATION, GRAPH_BUDGETS[FailureClass.APPLICATION]) + 1


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(TaskSpec).decode
decode_used: Final = msgspec.json.Decoder(dict[str, int]).decode
