"""Runs a workflow once undisturbed, and again with a crash at every commit and around every attempt of a step.

Each repetition begins from the same start: the same world, the same time, the same chance. It has to end the same. Where it
does not, the steps that were performed twice are the suspects, and those that changed the world when they were performed
again, or gave something else for the same key, are the culprits.

What ends side by side is let in one after the other: in the order in which it began, and in a second set of repetitions the
other way round. So a repetition does not depend on luck, and what depends on who comes first is seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from interlock.app import deploy
from interlock.flow.python.step import Step
from interlock.flow.python.workflow import Workflow
from interlock.model.task import Done, Outcome
from interlock.testing import findings, worlds
from interlock.testing.attempts import Attempt
from interlock.testing.findings import Finding, NotCrashSafe, Report
from interlock.testing.gates import COMMIT, STEP, Crash
from interlock.testing.programs import Asked
from interlock.testing.rehearsal import Plan, Played, play


async def crash_everywhere(plan: Plan) -> Report:
    """Rehearse a workflow with every crash. Raises NotCrashSafe, which names what does not survive."""
    judge = _Judge(plan.workflow)
    first = await play(plan)
    judge.look_at_source()
    orders = [first]
    if first.most_kept > 1:
        other = await play(plan, latest_first=True)
        judge.compare(first, other)
        judge.compare_branches(first, other)
        orders.append(other)
    try:
        for expected in orders:
            for crash in _crashes(expected):
                judge.compare(expected, await play(plan, crash, latest_first=expected.latest_first))
    finally:
        plan.world.reset()
    if judge.found:
        raise NotCrashSafe(plan.workflow.name, list(judge.found.values()), judge.repetitions)
    return Report(
        commits=first.commits, attempts=len(first.attempts), repetitions=judge.repetitions, result=first.result[-1]
    )


def _crashes(played: Played) -> Iterable[Crash]:
    for kind, count in ((STEP, len(played.attempts)), (COMMIT, played.commits)):
        for number in range(1, count + 1):
            for after in (False, True):
                yield Crash(kind=kind, number=number, after=after)


class _Judge:
    """Collects findings, each once: with the first crash that showed it."""

    def __init__(self, workflow: Workflow[..., Any]) -> None:
        self._workflow = workflow
        self.found: dict[tuple[str, str, int], Finding] = {}
        self.repetitions = 0

    def look_at_source(self) -> None:
        """Note what the text alone shows, and a repetition may not: the order of a set is the same in one process."""
        for seen in deploy.findings_of(self._workflow):
            message = f"{seen.message}; {seen.suggestion}"
            self._note(
                Finding(code=seen.code, name=seen.function, file=seen.file, line=seen.line, message=message), seen.line
            )

    def compare(self, expected: Played, found: Played) -> None:
        """Note in what a repetition differs from what was expected."""
        self.repetitions += 1
        for asked in found.late:
            self._late(asked, found)
        repeated = _repeated(found.attempts)
        for attempts in repeated.values():
            self._same_result(attempts, found)
        if found.left is not None and (lines := findings.differing(*found.left, worlds.same)):
            self._workflow_acts(found, lines, "has an effect of its own when it is put away; effects belong in steps")
        if lines := findings.differing(expected.world, found.world, worlds.same):
            self._world_differs(repeated, found, lines)
        elif found.result != expected.result:
            self._result_differs(repeated, expected, found)

    def compare_branches(self, one: Played, other: Played) -> None:
        """Note calls that get another number when the branches that make them end in another order."""
        numbered = {(asked.workflow.name, asked.base) for asked in one.asked if asked.identity != asked.base}
        for key in sorted(numbered):
            first, second = _by_branch(one, key), _by_branch(other, key)
            different = [branch for branch in first if first[branch] != second.get(branch)]
            if different:
                self._ambiguous(next(asked for asked in one.asked if asked.branch == different[0] and _of(asked, key)))

    # -- noting --------------------------------------------------------------------------------------------------

    def _late(self, asked: Asked, played: Played) -> None:
        name = asked.workflow.function.__qualname__.rpartition(".")[2]
        message = (
            f"{name} calls `{asked.name}` while it is put away, as in `finally`; nobody performs it then: call it after the "
            f"`try`, or name the undo with compensate="
        )
        found = Finding(
            code=findings.EFFECT_IN_FINALLY,
            name=name,
            file=asked.site.file,
            line=asked.site.line,
            message=message,
            shown_by=str(played),
        )
        self._note(found, asked.site.line)

    def _same_result(self, attempts: list[Attempt], played: Played) -> None:
        values = [attempt.outcome.value for attempt in attempts if isinstance(attempt.outcome, Done)]
        if len(values) > 1 and any(value != values[0] for value in values):
            lines = [f"{value!r} for the key {attempts[0].key}" for value in values]
            self._step(
                attempts[0], findings.RESULT_DIFFERS, "gives another result when it is performed again", played, lines
            )

    def _world_differs(self, repeated: dict[str, list[Attempt]], played: Played, lines: list[str]) -> None:
        culprits = [attempt for attempts in repeated.values() for attempt in attempts if _changed(attempt)]
        for attempt in culprits:
            self._step(
                attempt, findings.NOT_IDEMPOTENT, "is not idempotent: performed again, it acts again", played, lines
            )
        if not culprits:
            self._workflow_acts(
                played, lines, "has effects of its own, made again when it is resumed; move them to steps"
            )

    def _result_differs(self, repeated: dict[str, list[Attempt]], expected: Played, played: Played) -> None:
        lines = [f"the run gave {played.result!r} instead of {expected.result!r}"]
        before, now = _results(expected), _results(played)
        if any(before[key] != now[key] for key in before.keys() & now.keys()):
            return  # a step gives another result each time; that it does so for one key is told above
        again = [attempts[-1] for attempts in repeated.values()]
        for attempt in again:
            self._step(
                attempt, findings.RESULT_DIFFERS, "was performed again, and the run gave another result", played, lines
            )
        if not again:
            message = "gives another result"
            if played.crash is None:
                message += " when the calls that it gathers end in another order"
            self._workflow_acts(played, lines, message, findings.RESULT_DIFFERS)

    def _ambiguous(self, asked: Asked) -> None:
        message = (
            f"`{asked.name}` is called alike in several branches, and which is which depends on who comes first; give each "
            f"a key="
        )
        found = Finding(
            code=findings.AMBIGUOUS_CALLS,
            name=asked.name,
            file=asked.site.file,
            line=asked.site.line,
            message=message,
            shown_by="outcomes in reverse order",
        )
        self._note(found, asked.site.line)

    def _step(self, attempt: Attempt, code: str, what: str, played: Played, lines: list[str]) -> None:
        if attempt.step is None:
            self._workflow_acts(played, lines, f"calls {attempt.name}, which {what}", code)
            return
        undo = attempt.step.options.compensate if attempt.undoes else None
        performed = attempt.step if undo is None else undo
        file, line = findings.place(performed.function if isinstance(performed, Step) else performed)
        found = Finding(
            code=code,
            name=attempt.name,
            file=file,
            line=line,
            message=f"`{attempt.name}` {what}",
            shown_by=str(played),
            lines=tuple(lines),
        )
        self._note(found, 0)

    def _workflow_acts(
        self, played: Played, lines: list[str], what: str, code: str = findings.EFFECT_IN_WORKFLOW
    ) -> None:
        file, line = findings.place(self._workflow.function)
        found = Finding(
            code=code,
            name=self._workflow.name,
            file=file,
            line=line,
            message=f"{self._workflow.name} {what}",
            shown_by=str(played),
            lines=tuple(lines),
        )
        self._note(found, 0)

    def _note(self, finding: Finding, line: int) -> None:
        key = (finding.code, finding.file if line else finding.name, line)
        if key not in self.found or (finding.shown_by and not self.found[key].shown_by):
            self.found[key] = finding


def _repeated(attempts: list[Attempt]) -> dict[str, list[Attempt]]:
    """Give the attempts that were performed more than once, by key."""
    by_key: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.outcome is not None:
            by_key[attempt.key].append(attempt)
    return {key: same for key, same in by_key.items() if len(same) > 1}


def _results(played: Played) -> dict[str, Outcome]:
    """Give the last outcome for each key."""
    return {attempt.key: attempt.outcome for attempt in played.attempts if attempt.outcome is not None}


def _changed(attempt: Attempt) -> bool:
    before, after = attempt.before, attempt.after
    return isinstance(before, dict) and isinstance(after, dict) and not worlds.same(before, after)


def _by_branch(played: Played, key: tuple[str, str]) -> dict[tuple[object, ...], list[str]]:
    found: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for asked in played.asked:
        if _of(asked, key):
            found[asked.branch].append(asked.identity)
    return found


def _of(asked: Asked, key: tuple[str, str]) -> bool:
    return (asked.workflow.name, asked.base) == key
