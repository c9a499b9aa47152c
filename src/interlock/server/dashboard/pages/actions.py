"""What can be done about a run, and about a step that waits for somebody's answer."""

from __future__ import annotations

from interlock.handshake.answers import TokenView
from interlock.model.states import RunStatus
from interlock.server.dashboard.pages import runs
from interlock.server.dashboard.pages.elements import Action
from interlock.store.ports import RunRow


def of_run(row: RunRow, *, rolls_back: bool) -> tuple[Action, ...]:
    """Give what fits how a run stands. `rolls_back`: a rollback of it has begun."""
    post, run = runs.href(row.namespace, row.id), f"the run {runs.short(row.id)}"
    cancel = Action(
        name="cancel",
        label="Cancel",
        does="Ends the run. What is at work is interrupted, nothing new starts, and it cannot be resumed.",
        confirm=f"Cancel {run}",
        post=f"{post}/cancel",
        asks=("Reason", "reason"),
        can_roll_back=not rolls_back,
        is_dangerous=True,
    )
    suspend = Action(
        name="suspend",
        label="Suspend",
        does="Lets what is at work end and keeps what it gives; nothing new starts until the run is resumed.",
        confirm=f"Suspend {run}",
        post=f"{post}/suspend",
    )
    resume = Action(
        name="resume",
        label="Resume",
        does="Goes on where the run was suspended.",
        confirm=f"Resume {run}",
        post=f"{post}/resume",
    )
    retry = Action(
        name="retry",
        label="Retry",
        does="Goes on from the step that failed. Steps that were completed are not done again.",
        confirm=f"Retry {run}",
        post=f"{post}/retry",
    )
    match row.status:
        case RunStatus.PENDING | RunStatus.RUNNING | RunStatus.WAITING:
            return (suspend, cancel)
        case RunStatus.SUSPENDED:
            return (resume, cancel)
        case RunStatus.FAULTED if not rolls_back:
            return (retry,)
        case _:
            return ()


def of_token(row: RunRow, token: TokenView) -> tuple[Action, ...]:
    """Give how somebody answers a step that waits for a report: yes or no where that is asked, else any value."""
    post, step = runs.href(row.namespace, row.id), (("step", token.step),)
    fail = Action(
        name="fail",
        label="Fail",
        does="Reports that it failed. What its author wrote about errors decides how the run goes on.",
        confirm=f"Fail {token.name}",
        post=f"{post}/fail",
        fields=step,
        asks=("What is wrong", "message"),
        is_dangerous=True,
    )
    if isinstance(token.schema, dict) and token.schema.get("type") == "boolean":
        yes = Action(
            name="approve",
            label="Approve",
            does="Answers with true; the run goes on.",
            confirm=f"Approve {token.name}",
            post=f"{post}/complete",
            fields=(*step, ("result", "true")),
        )
        no = Action(
            name="reject",
            label="Reject",
            does="Answers with false; the run goes on.",
            confirm=f"Reject {token.name}",
            post=f"{post}/complete",
            fields=(*step, ("result", "false")),
            is_dangerous=True,
        )
        return (yes, no, fail)
    complete = Action(
        name="complete",
        label="Complete",
        does="Reports this result in place of who holds the token; the run goes on.",
        confirm=f"Complete {token.name}",
        post=f"{post}/complete",
        fields=step,
        asks_json=("Result, as JSON", "result"),
    )
    return (complete, fail)
