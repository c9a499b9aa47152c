"""Whether live runs of Python workflows can go on with the code that is here: asked before it is deployed.

Each run's function is called over what the run remembers. Where it asks for something new in the middle, nobody knows what
comes of that, so the replay goes on with a stand-in: a result that the same step gave before, else nothing. What is still
not asked for then was dropped, renamed or called otherwise; what is asked for instead would be performed although its like
has finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from interlock import errors
from interlock.app.session import Session
from interlock.app.workflows import Workflows
from interlock.engine.programs import remembered
from interlock.engine.replaying import Replay, replayed
from interlock.engine.state import ROOT, RunState
from interlock.flow.python import inside, lint, registry
from interlock.flow.python.lint import Finding
from interlock.flow.python.step import Step
from interlock.flow.python.workflow import Workflow
from interlock.model.call import Ask, Call, StepCall, TokenCall
from interlock.model.memo import Memo
from interlock.model.payload import NULL, Payload
from interlock.model.states import RunStatus
from interlock.model.task import Place
from interlock.store.ports import RunRow

_LIVE: Final = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.SUSPENDED)
_PAGE: Final = 500
_ROUNDS: Final = 20  # of stand-ins
_STAND_IN: Final = 1_000_000_000  # memos with numbers from here on are stand-ins


class Verdict(StrEnum):
    FITS = "fits"  # it goes on as if nothing had changed
    CHANGES = "changes"  # it goes on, and does more or less than it would have
    BREAKS = "breaks"  # it fails, or does again what it has done


@dataclass(slots=True, kw_only=True)
class Checked:
    """One run, and what would become of it."""

    row: RunRow
    verdict: Verdict = Verdict.FITS
    reasons: list[str] = field(default_factory=list)

    def note(self, verdict: Verdict, reason: str) -> None:
        order = list(Verdict)
        self.verdict = max(self.verdict, verdict, key=order.index)
        self.reasons.append(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`findings`: what the source of the workflows does that would not survive, each with its place."""

    runs: list[Checked]
    findings: list[Finding]

    @property
    def breaks(self) -> bool:
        return any(run.verdict is Verdict.BREAKS for run in self.runs)


async def check(session: Session, *, importing: bool = False) -> Report:
    """Check every live run of a Python workflow, oldest first, and the sources of the workflows that are here.

    `importing`: modules that are not here are looked for in the folders of the runs.
    """
    workflows = Workflows(session.secrets, None if importing else ())
    runs = [await _checked(session, workflows, row) for row in await _live(session)]
    return Report(runs=runs, findings=findings())


def findings() -> list[Finding]:
    """Give what the sources of this process's workflows do that would not survive."""
    found: list[Finding] = []
    for workflow in registry.workflows():
        found += findings_of(workflow)
    return sorted(set(found), key=lambda finding: (finding.file, finding.line, finding.column, finding.code))


def findings_of(workflow: Workflow[..., Any]) -> list[Finding]:
    """Give what the source of one workflow does that would not survive."""
    try:
        return lint.check(workflow.function, _is_step, _waits)
    except errors.NotFound:
        return []  # typed in, or generated: there is no source to look at


def _is_step(value: object) -> bool:
    return isinstance(value, Step | Workflow)


def _waits(value: object) -> bool:
    return getattr(value, "__module__", "") == _DURABLE and getattr(value, "__name__", "") in inside.WAITING


_DURABLE: Final = "interlock.flow.python.durable"


async def _live(session: Session) -> list[RunRow]:
    found: list[RunRow] = []
    before: str | None = None
    while page := await session.store.views.runs(None, _LIVE, None, before, _PAGE):
        found += page
        before = page[-1].run
    programs = [row for row in found if (await session.graphs.graph(row.definition)).program is not None]
    return programs[::-1]


async def _checked(session: Session, workflows: Workflows, row: RunRow) -> Checked:
    checked = Checked(row=row)
    graph = await session.graphs.graph(row.definition)
    place = Place(run=row.run, namespace=row.namespace, id=row.id, folder=row.folder)
    try:
        workflow = await workflows.workflow(graph, place)
    except errors.CannotExecute as error:
        checked.note(Verdict.BREAKS, str(error))
        return checked
    stored = await session.store.journal.load(row.run)
    if stored is None:
        return checked  # it ended meanwhile
    state = await session.rows.load(stored, session.store.journal)
    if state.ended or state.head.rollback is not None:
        return checked  # its function is not called any more
    memos = await remembered(session.store.journal, session.rows, state)
    await _judge(checked, workflow, state, memos)
    return checked


async def _judge(checked: Checked, workflow: Workflow[..., object], state: RunState, memos: Sequence[Memo]) -> None:
    calls = {scope.id: scope.frames[-1].call for scope in state.scopes.values() if scope.id != ROOT and scope.frames}
    given = (state.head.input or state.input).value
    first = await _replayed(workflow, state, given, memos, calls)
    if first.ended and first.error is not None and first.error_memo is None:
        checked.note(Verdict.BREAKS, f"it would fault: {type(first.error).__name__}: {first.error}")
        return
    if state.status is RunStatus.PENDING:
        return  # it has not begun: whatever it does is what it is meant to do
    new = {ask.identity: ask for ask in first.new_calls}
    last, is_blind = await _with_stand_ins(workflow, state, given, memos, calls, first, new)
    _weigh(checked, last, new, calls, is_blind=is_blind)
    if first.ended and calls and not checked.reasons:
        checked.note(Verdict.CHANGES, "it would end at once, without waiting for what it waits for")


async def _replayed(
    workflow: Workflow[..., object],
    state: RunState,
    given: object,
    memos: Sequence[Memo],
    calls: dict[str, Call | None],
) -> Replay:
    return await replayed(workflow, given, memos, calls, id=state.id, run=state.run, namespace=state.namespace)


async def _with_stand_ins(
    workflow: Workflow[..., object],
    state: RunState,
    given: object,
    memos: Sequence[Memo],
    calls: dict[str, Call | None],
    replay: Replay,
    new: dict[str, Ask],
) -> tuple[Replay, bool]:
    """Replay with results for the new calls as well, as long as that leads to what was not asked for yet.

    Gives the last replay, and whether something may lie behind a call that only a real result leads over.
    """
    known = list(memos)
    for round in range(_ROUNDS):
        fresh = [ask for ask in replay.new_calls if ask.identity not in {memo.call for memo in known}]
        if not fresh or not (replay.unused or replay.unasked) or replay.ended:
            return replay, False
        known += [
            Memo(number=_STAND_IN + 1000 * round + place, call=ask.identity, at=0.0, output=_stand_in(ask, memos))
            for place, ask in enumerate(fresh)
        ]
        further = await _replayed(workflow, state, given, known, calls)
        if further.error is not None and further.error_memo is None:
            return replay, True
        new |= {ask.identity: ask for ask in further.new_calls}
        replay = further
    return replay, True


def _stand_in(ask: Ask, memos: Sequence[Memo]) -> Payload:
    """Give a result for a call that was never made: one that its step gave before, also under another name; else nothing."""
    name, key = _name(ask.identity), _key(ask.identity)
    had = [memo for memo in memos if memo.output is not None]
    alike = [memo for memo in had if _name(memo.call) == name]
    renamed = [memo for memo in had if key and _key(memo.call) == key and not registry.has_step(_name(memo.call))]
    return next((memo.output for memo in [*alike, *renamed] if memo.output is not None), NULL)


def _weigh(
    checked: Checked, replay: Replay, new: dict[str, Ask], calls: dict[str, Call | None], *, is_blind: bool
) -> None:
    """Say what became of each result, and of each open call, that the function does not ask for any more.

    `is_blind`: it may still ask for them, where nobody can see it.
    """
    instead = dict(new)
    dropped = [memo.call for memo in replay.unused if memo.number < _STAND_IN and not _is_note(memo.call)]
    for call in dropped:
        twin = _twin(call, instead)
        if twin is not None:
            del instead[twin]
            checked.note(
                Verdict.BREAKS,
                f"`{call}` has finished and would be performed again, as `{twin}`; {_advice(call, twin)}",
            )
        elif not is_blind:
            checked.note(Verdict.CHANGES, f"the result of `{call}` would not be used any more")
    for call in replay.unasked:
        twin, kind = _twin(call, instead), calls.get(call)
        if isinstance(kind, StepCall) and twin is not None:
            del instead[twin]
            checked.note(
                Verdict.BREAKS,
                f"`{call}` is being performed and would be begun again, as `{twin}`; {_advice(call, twin)}",
            )
        elif is_blind:
            continue
        elif isinstance(kind, TokenCall):
            checked.note(Verdict.BREAKS, f"the token of `{call}` was handed out, and nobody would wait for it any more")
        else:
            checked.note(Verdict.CHANGES, f"it waits for `{call}`, and would not any more")
    for call in instead:
        checked.note(Verdict.CHANGES, f"`{call}` is new here, and would be performed")


def _twin(call: str, new: dict[str, Ask]) -> str | None:
    """Give the new call that is the same thing under another identity: of the same step, or with the same key."""
    name, key = _name(call), _key(call)
    same_step = [other for other in new if _name(other) == name]
    same_key = [other for other in new if key and _key(other) == key and _name(other) != name]
    known = registry.has_step(name)
    return next(iter(same_step), None) or (None if known else next(iter(same_key), None))


def _advice(call: str, twin: str) -> str:
    if _name(call) != _name(twin):
        return f'if the step was renamed, keep its identity: @step(name="{_name(call)}")'
    return (
        "if its arguments changed, give the call a `key=` of its own, or keep them for runs before: `if patched(...)`"
    )


def _name(identity: str) -> str:
    return identity.partition("(")[0].partition("#")[0]


def _key(identity: str) -> str:
    return identity.partition("(")[2].rpartition(")")[0]


def _is_note(identity: str) -> bool:
    return _name(identity).endswith(":")
