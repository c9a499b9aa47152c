"""Compiles what `run` starts: processes and other workflows."""

from __future__ import annotations

from msgspec import UnsetType

from interlock.flow import document as doc
from interlock.flow.fetched import Fetched
from interlock.flow.graph import ChildWork, ProcessWork
from interlock.flow.reading import Reader, braced
from interlock.model.json import Json


def process(task: doc.RunShell | doc.RunScript | doc.RunContainer, fetched: Fetched, reader: Reader) -> ProcessWork:
    """Give the work of `run: shell`, `script` or `container`. The command and the code are texts of other languages."""
    if isinstance(task, doc.RunContainer):
        command = task.container.get("command", "")
        rest = {key: value for key, value in task.container.items() if key != "command"}
        given = reader.template({"arguments": [], "environment": {}} | rest)
        return ProcessWork(kind="container", language="", text=braced(command), fields=given, result=task.return_)
    fields: dict[str, Json] = {"arguments": list(task.arguments), "environment": task.environment}
    if task.stdin is not None:
        fields["stdin"] = task.stdin
    given = reader.template(fields)
    if isinstance(task, doc.RunShell):
        return ProcessWork(kind="shell", language="", text=braced(task.command), fields=given, result=task.return_)
    if task.source is not None:
        code = fetched.text(task.source.endpoint)
        return ProcessWork(kind="script", language=task.language, text=code, fields=given, result=task.return_)
    assert task.code is not None  # a script has a source or code: the grammar says so
    return ProcessWork(kind="script", language=task.language, text=braced(task.code), fields=given, result=task.return_)


def child(task: doc.RunWorkflow, reader: Reader) -> ChildWork:
    """Give the work of `run: workflow`."""
    return ChildWork(
        namespace=task.namespace,
        name=task.name,
        version=task.version,
        input=None if isinstance(task.child_input, UnsetType) else reader.template(task.child_input),
        awaited=task.await_,
    )
