"""The rows of a group of batches, as the arrays that `queries/postgresql/commit.sql` unnests.

To put something new into a commit: add its rows here, part by part, and a part to the statement. A part's columns are the
parameters `<part>_<column>`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.store.ports import Batch, NewRun
from interlock.store.sql import commit
from interlock.store.sql.commit import CHILD_UNWANTED

_PART: Final = re.compile(r"-- \[ (with others|memos)\b.*?-- \] \1\n", re.DOTALL)


class Arrays:
    """Columns by the name of their parameter; all columns of a part have the same length."""

    def __init__(self) -> None:
        self.columns: defaultdict[str, list[object]] = defaultdict(list)

    def add(self, part: str, **row: object) -> None:
        for column, value in row.items():
            self.columns[f"{part}_{column}"].append(value)


def variants(sql: str) -> list[str]:
    """Give the statement without its parts for what is rare, the shortest first, and at last as a whole.

    Parts cost something even when there is nothing for them: those for children, posts, events, tokens and the like a quarter
    of a small commit, the one for memos a twentieth. A variant serves a group whose columns it has all.
    """
    alone = _PART.sub(lambda part: part.group(0) if part.group(1) == "memos" else "", sql)
    return [_PART.sub("", sql), alone, sql]


def arrays(batches: Sequence[Batch]) -> Arrays:
    """Give the rows of batches, each of another run, in the order of their runs."""
    found = Arrays()
    for batch in sorted(batches, key=lambda each: each.run):
        _head(found, batch)
        _body(found, batch)
    return found


def size(batch: Batch) -> int:
    """Give about how many bytes a batch sends."""
    scopes = sum(len(body) for body in batch.scopes.values() if body is not None)
    memos = sum(len(memo.body) for memo in batch.memos)
    return len(batch.head) + len(batch.history) + len(batch.output or b"") + len(batch.fault or b"") + scopes + memos


def _head(found: Arrays, batch: Batch) -> None:
    row: dict[str, object] = {
        "run": batch.run,
        "status": batch.status,
        "wake_at": batch.wake_at,
        "partial": int(batch.partial),
        "started_at": batch.started_at,
        "ended_at": batch.at if batch.ended else None,
        "head": batch.head,
        "output": batch.output,
        "fault": batch.fault,
        "shown": batch.shown,
    }
    new = batch.accept
    if new is None:
        found.add("advance", **row, epoch=batch.epoch, seq=batch.seq, at=batch.at, release=int(batch.release))
        return
    found.add(
        "accept",
        **row,
        namespace=new.namespace,
        id=new.id,
        definition=new.definition,
        workflow=new.workflow,
        version=new.version,
        folder=new.folder,
        origin=new.origin,
        owner=new.owner,
        parent=new.parent,
        parent_effect=new.parent_effect,
        input=new.input,
        seq=batch.seq + 1,
        at=batch.at,
    )


def _body(found: Arrays, batch: Batch) -> None:
    run = batch.run
    if batch.history:
        found.add("history", run=run, seq=batch.seq + 1, at=batch.at, epoch=batch.epoch, events=batch.history)
    _remember(found, batch)
    for scope, body in batch.scopes.items():
        if body is None:
            found.add("unscope", run=run, scope=scope)
        else:
            found.add("scope", run=run, scope=scope, body=body)
    for digest in batch.large:
        found.add("large", by=run, run=run, digest=digest)
    for limit in batch.limits:
        found.add("limit", run=run, **commit.limit_row(limit))
    for effect in batch.cancelled_tasks:
        found.add("cancel", run=run, effect=effect, at=batch.at, cause=CHILD_UNWANTED)
    for task in batch.tasks:
        found.add("task", **commit.task_row(task, batch.at))
        for name in task.limits:
            found.add("named", run=run, task=task.task, name=name)
    for child in batch.children:
        _child(found, child, batch.at)
        for digest in child.large:
            found.add("large", by=run, run=child.run, digest=digest)
    for post in batch.posts:
        found.add("post", by=run, run=post.run, cause_id=post.cause_id, cause=post.cause)
    _exchange(found, batch)
    _show(found, batch)
    if (caller := commit.called_back_row(batch)) is not None:
        found.add("delivery", **caller)
    for row in commit.token_rows(batch):
        found.add("token", **row)
    for row in commit.revoked_rows(batch):
        found.add("revoke", **row)
    for asked in batch.asked_tokens:
        found.add("ask", run=run, token=asked.token, reason=asked.reason)
    for number in batch.consumed:
        found.add("consume", run=run, number=number)
    if batch.ended:
        found.add("end", run=run, at=batch.at, reason=batch.end_reason)


def _remember(found: Arrays, batch: Batch) -> None:
    if batch.forget_memos:
        found.add("forget", run=batch.run)
    for memo in batch.memos:
        found.add("renew" if batch.forget_memos else "memo", **commit.memo_row(batch.run, memo))
    for each in batch.cached:
        found.add("cached", run=batch.run, **msgspec.structs.asdict(each))


def _show(found: Arrays, batch: Batch) -> None:
    for name, value in batch.attributes.items():
        if value is None:
            found.add("unattribute", run=batch.run, name=name)
        else:
            found.add("attribute", run=batch.run, name=name, **commit.attribute_row(value))


def _child(found: Arrays, child: NewRun, at: float) -> None:
    found.add(
        "child",
        run=child.run,
        namespace=child.namespace,
        id=child.id,
        definition=child.definition,
        workflow=child.workflow,
        version=child.version,
        folder=child.folder,
        owner=child.owner,
        parent=child.parent,
        parent_effect=child.parent_effect,
        at=at,
        input=child.input,
    )


def _exchange(found: Arrays, batch: Batch) -> None:
    run = batch.run
    for listener in batch.unsubscribed:
        found.add("unsubscribe", run=run, listener=listener)
    for wanted in batch.subscriptions:
        found.add(
            "subscribe",
            run=run,
            listener=wanted.listener,
            namespace=wanted.namespace,
            type=wanted.type,
            source=wanted.source,
        )
    for event in batch.emitted:
        found.add(
            "event",
            run=run,
            namespace=event.namespace,
            source=event.source,
            id=event.id,
            type=event.type,
            at=batch.at,
            body=event.body,
            cause=event.cause,
        )
