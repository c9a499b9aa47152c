"""From the typed tree to the graph that the engine walks.

Compiling assumes a document without errors (`check.load` said so). A task of a kind that cannot be executed yet is
refused by name here too; what else `check` warns about, `run` and `publish` refuse.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import assert_never

from msgspec import UNSET

from interlock import errors
from interlock.expr import template
from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.flow import calling, compile_events, extendable, failing, pointer, reporting, requirements, running
from interlock.flow import document as doc
from interlock.flow.document import Workflow
from interlock.flow.fetched import Fetched
from interlock.flow.grammar.tasks import undo_of
from interlock.flow.graph import (
    ApprovalWork,
    Awaits,
    Case,
    Checker,
    DoWork,
    EmitWork,
    ExtendedWork,
    ForkWork,
    ForWork,
    FunctionWork,
    Graph,
    ListenWork,
    Node,
    Part,
    PythonWork,
    RaiseWork,
    SetWork,
    SwitchWork,
    TasksWork,
    TryWork,
    WaitWork,
    Work,
)  # fmt: skip
from interlock.flow.reading import Reader, condition
from interlock.model import retry
from interlock.model.event import EXTENDED, LIST_END, RUN_END, STEP_END, UNDO
from interlock.model.json import Json
from interlock.model.task import FailureClass


class NotExecutable(errors.Invalid):
    """The document uses something that validates but cannot be executed yet; the message names it."""


def compile(workflow: Workflow, definition: Json, fetched: Mapping[str, str] = MappingProxyType({})) -> Graph:
    """Give the graph of a checked document; `definition` is the same document as plain JSON.

    `fetched`: the texts of its external resources, by URI. Raises NotExecutable for what validates but cannot be executed
    yet, InvalidDefinition for a resource that is not there or not what it should be.
    """
    return _Compiler(workflow, definition, fetched).graph()


def target_position(directive: str | None, follow: str, targets: Mapping[str, str]) -> str:
    """Give the position that a flow directive leads to (OWS 1.0.3, "Flow Directive")."""
    match directive:
        case None | "continue":
            return follow
        case "exit":
            return targets.get("exit", LIST_END)
        case "end":
            return RUN_END
        case name:
            return targets[name]


class _Compiler:
    def __init__(self, workflow: Workflow, definition: Json, fetched: Mapping[str, str]) -> None:
        self._workflow = workflow
        self._definition = definition
        self._reader = Reader(workflow.mode)
        self._fetched = Fetched(workflow.use, definition.get("use", {}), fetched)
        self._nodes: dict[str, Node] = {}
        self._extended: str | None = None
        """The task whose extensions are being compiled."""
        self._budgets: Mapping[FailureClass, int] = retry.WORKFLOW_BUDGETS
        self._in_undo = False
        """Whether what is being compiled is written in an undo; a function that it calls is not."""

    def graph(self) -> Graph:
        workflow = self._workflow
        first = self._list(workflow.do, "/do", self._definition["do"])
        return Graph(
            nodes=self._nodes,
            first=first,
            definition=self._definition,
            input_schema=self._checker(workflow.input.schema if workflow.input else None),
            input_from=self._reader.shape(workflow.input.from_ if workflow.input else UNSET),
            output_as=self._reader.shape(workflow.output.as_ if workflow.output else UNSET),
            output_schema=self._checker(workflow.output.schema if workflow.output else None),
            timeout=self._timeout(workflow.timeout),
            listens=any(isinstance(node.work, ListenWork) for node in self._nodes.values()),
            secrets=workflow.use.secrets,
        )

    # -- lists ---------------------------------------------------------------------------------------------------

    def _list(self, tasks: doc.TaskList, path: str, definition: Json, exit_: str = LIST_END) -> str:
        """Compile a task list and give the position of its first node, LIST_END when it is empty.

        `exit_` is where `then: exit` leads.
        """
        paths = [pointer.child(f"{path}/{number}", named.name) for number, named in enumerate(tasks)]
        entries = [self._entry(named, node_path) for named, node_path in zip(tasks, paths, strict=True)]
        targets = {named.name: entry for named, entry in zip(tasks, entries, strict=True)}
        targets["exit"] = exit_
        for number, named in enumerate(tasks):
            follow = entries[number + 1] if number + 1 < len(paths) else LIST_END
            self._node(named, paths[number], follow, targets, definition[number][named.name], number)
        return entries[0] if entries else LIST_END

    def _entry(self, named: doc.NamedTask, path: str) -> str:
        """Give the position at which a task is entered: that of the node around it when extensions may apply."""
        return path + EXTENDED if self._extensions(named.task) else path

    def _extensions(self, task: doc.Task) -> list[tuple[int, doc.Extension]]:
        """Give the extensions of a task's kind; the lists of extensions have none."""
        if self._extended is not None:
            return []
        return [
            (number, extension)
            for number, extension in enumerate(self._workflow.use.extensions)
            if extendable.applies(extension, task)
        ]

    def _node(
        self,
        named: doc.NamedTask,
        path: str,
        follow: str,
        targets: Mapping[str, str],
        definition: Json,
        order: int = 0,
    ) -> None:
        task = named.task
        if self._extensions(task):
            self._around(named, path, follow, targets, definition, order)
        extension = task.metadata.get("interlock", {})
        self._nodes[path] = Node(
            path=path,
            name=named.name,
            work=self._work(task, path, follow, targets, definition),
            next=target_position(task.then, follow, targets),
            follow=follow,
            order=order,
            definition=definition,
            if_=None if self._extensions(task) else condition(task.if_),
            extends=self._extended,
            input_schema=self._checker(task.input.schema if task.input else None),
            input_from=self._reader.shape(task.input.from_ if task.input else UNSET),
            output_as=self._reader.shape(task.output.as_ if task.output else UNSET),
            output_schema=self._checker(task.output.schema if task.output else None),
            export_as=self._reader.shape(task.export.as_ if task.export else UNSET),
            export_schema=self._checker(task.export.schema if task.export else None),
            timeout=self._timeout(task.timeout),
            tolerates=extension.get("on_error") == "continue",
            budgets=retry.budgets(extension.get("retry", {}), self._budgets),
            idempotency_key=condition(extension.get("idempotency_key")),
            pool=extension.get("pool", ""),
            requires=requirements.of(extension.get("requires")),
            undo=None if task.undo is None else self._undo(named, task.undo, path, definition),
            awaits=self._awaits(task, extension),
            in_undo=self._in_undo,
        )

    def _awaits(self, task: doc.Task, extension: Mapping[str, Json]) -> Awaits | None:
        function = task.function if isinstance(task, doc.CallFunction) else None
        arguments = task.with_ if isinstance(task, doc.CallFunction) else {}
        return reporting.awaits(function, arguments, extension.get("await"), self._reader)

    def _undo(self, named: doc.NamedTask, task: doc.Task, path: str, definition: Json) -> str:
        """Compile the undo of a task and give the position at which it begins."""
        undo = doc.NamedTask(name=f"undo {named.name}", task=task)
        outer, self._budgets = self._budgets, retry.UNDO_BUDGETS
        with self._writing(in_undo=True):
            self._node(undo, path + UNDO, LIST_END, {}, undo_of(definition))
        self._budgets = outer
        return self._entry(undo, path + UNDO)

    @contextlib.contextmanager
    def _writing(self, *, in_undo: bool) -> Iterator[None]:
        outer, self._in_undo = self._in_undo, in_undo
        yield
        self._in_undo = outer

    def _around(
        self,
        named: doc.NamedTask,
        path: str,
        follow: str,
        targets: Mapping[str, str],
        definition: Json,
        order: int,
    ) -> None:
        """Compile the node around a task with extensions, and their lists once more for this task."""
        parts = []
        for number, extension in self._extensions(named.task):
            written = self._definition["use"]["extensions"][number][extension.name]
            self._extended = path
            before = pointer.child(f"{path}/before", extension.name)
            after = pointer.child(f"{path}/after", extension.name)
            with self._writing(in_undo=False):
                part = Part(
                    when=condition(extension.when),
                    before=self._list(extension.before, before, written.get("before", []), STEP_END),
                    after=self._list(extension.after, after, written.get("after", [])),
                )
            parts.append(part)
            self._extended = None
        self._nodes[path + EXTENDED] = Node(
            path=path + EXTENDED,
            name=named.name,
            work=ExtendedWork(parts=tuple(parts), inner=path),
            next=target_position(named.task.then, follow, targets),
            follow=follow,
            order=order,
            definition=definition,
            if_=condition(named.task.if_),
            extends=path,
        )

    # -- kinds ---------------------------------------------------------------------------------------------------

    def _work(self, task: doc.Task, path: str, follow: str, targets: Mapping[str, str], definition: Json) -> Work:
        match task:
            case doc.Set():
                return SetWork(value=self._reader.template(task.set))
            case doc.Switch():
                cases = tuple(
                    Case(
                        when=condition(case.when),
                        next=target_position(case.then, follow, targets),
                    )
                    for case in task.cases
                )
                return SwitchWork(cases=cases)
            case doc.Raise():
                return RaiseWork(error=failing.error(task.error, self._workflow.use, self._reader))
            case doc.Wait():
                return WaitWork(duration=self._reader.template(task.wait))
            case doc.Do():
                return DoWork(first=self._list(task.do, f"{path}/do", definition["do"]))
            case doc.For():
                return self._for(task, path, definition)
            case doc.Fork():
                return self._fork(task, path, definition)
            case doc.Try():
                return self._try(task, path, follow, targets, definition)
            case doc.CallHttp():
                return calling.http(task, self._workflow.use, self._reader)
            case doc.CallOpenApi():
                return calling.openapi(task, self._workflow.use, self._reader)
            case doc.CallFunction():
                return self._function(task, path)
            case doc.RunShell() | doc.RunScript() | doc.RunContainer():
                if not task.await_:
                    raise _unbuilt(path, "run with `await: false`")
                return running.process(task, self._fetched, self._reader)
            case doc.RunWorkflow():
                return running.child(task, self._reader)
            case doc.Emit():
                return EmitWork(event=self._reader.template(task.event))
            case doc.Listen():
                return self._listen(task, path, definition)
            case doc.CallProtocol(protocol=protocol):
                raise _unbuilt(path, f"call {protocol}")
            case _:
                assert_never(task)

    def _for(self, task: doc.For, path: str, definition: Json) -> ForWork:
        items: Expression | Template = (
            template.expression(task.in_) if isinstance(task.in_, str) else self._reader.template(task.in_)
        )
        return ForWork(
            each=task.each,
            at=task.at,
            items=items,
            while_=condition(task.while_),
            first=self._list(task.do, f"{path}/do", definition["do"]),
        )

    def _listen(self, task: doc.Listen, path: str, definition: Json) -> ListenWork:
        first = None
        if task.foreach is not None and task.foreach.do is not None:
            first = self._list(task.foreach.do, f"{path}/foreach/do", definition["foreach"]["do"])
        return compile_events.listen(task, first, self._reader, self._checker)

    def _fork(self, task: doc.Fork, path: str, definition: Json) -> ForkWork:
        branches = []
        for number, named in enumerate(task.branches):
            branch = pointer.child(f"{path}/fork/branches/{number}", named.name)
            self._node(named, branch, LIST_END, {}, definition["fork"]["branches"][number][named.name])
            branches.append(self._entry(named, branch))
        return ForkWork(branches=tuple(branches), compete=task.compete)

    def _try(self, task: doc.Try, path: str, follow: str, targets: Mapping[str, str], definition: Json) -> TryWork:
        handlers = LIST_END
        if task.catch_do:
            handlers = self._list(task.catch_do, f"{path}/catch/do", definition["catch"]["do"])
        return TryWork(
            first=self._list(task.try_, f"{path}/try", definition["try"]),
            filter=failing.filter(task.errors),
            as_=task.as_,
            when=condition(task.when),
            except_when=condition(task.except_when),
            retry=failing.retry(task, self._workflow.use, self._reader),
            catch_first=handlers,
            catch_next=None if task.catch_then is None else target_position(task.catch_then, follow, targets),
        )

    def _function(self, task: doc.CallFunction, path: str) -> FunctionWork | PythonWork | ApprovalWork | TasksWork:
        if task.function == reporting.APPROVAL:
            return reporting.approval(task.with_, self._reader)
        if task.function == reporting.TASKS:
            return reporting.tasks(task.with_, self._reader)
        named = self._fetched.function(task.function)
        if named is None:
            isolated = bool(task.metadata.get("interlock", {}).get("isolated", False))
            name = task.function.removeprefix("python:")
            return PythonWork(function=name, arguments=self._reader.template(task.with_), isolated=isolated)
        inner = pointer.child(f"{path}/call/0", task.function)
        called = doc.NamedTask(name=task.function, task=named.task)
        with self._fetched.inside(task.function), self._writing(in_undo=False):
            self._node(called, inner, LIST_END, {}, named.definition)
        return FunctionWork(arguments=self._reader.template(task.with_), first=self._entry(called, inner))

    def _checker(self, schema: doc.Schema | None) -> Checker | None:
        if schema is None:
            return None
        if schema.resource is not None:
            return self._fetched.checker(schema.resource.endpoint)
        return Checker(schema.document)

    def _timeout(self, timeout: doc.Timeout | str | None) -> Template | None:
        if timeout is None:
            return None
        named = self._workflow.use.timeouts[timeout] if isinstance(timeout, str) else timeout
        return self._reader.template(named.after)


def _unbuilt(path: str, what: str) -> NotExecutable:
    return NotExecutable(f"{path}: {what} cannot be executed yet; `interlock validate` lists all such places")
