"""What expressions see besides `.`: the runtime arguments of the specification, and the variables of loops and handlers.

Which argument is available where follows the matrix of OWS 1.0.3, "Runtime expression arguments": an argument that does
not exist at a place is an error there, not null. Only the names that an expression uses are built.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from interlock import errors
from interlock.engine.state import RunState, Scope
from interlock.expr.template import Template
from interlock.flow.graph import ForWork, Graph, HttpWork, ListenWork, Node, OpenApiWork, TryWork
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.version import VERSION

RUNTIME: Final[dict[str, Json]] = {"name": "interlock", "version": VERSION, "metadata": {}}

_ARGUMENTS: Final = frozenset({"context", "input", "output", "secrets", "task", "workflow", "runtime", "authorization"})


class Bindings:
    """The arguments at one place of one step. `None` for what that place does not have."""

    __slots__ = ("_extra", "_graph", "_input", "_node", "_output", "_raw", "_raw_output", "_scope", "_since", "_state")

    def __init__(
        self,
        graph: Graph,
        state: RunState,
        scope: Scope | None,
        node: Node | None,
        *,
        raw: Payload | None = None,
        since: float = 0.0,
        input: Payload | None = None,
        raw_output: Payload | None = None,
        output: Payload | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> None:
        self._graph, self._state, self._scope, self._node = graph, state, scope, node
        self._raw, self._since, self._input = raw, since, input
        self._raw_output, self._output, self._extra = raw_output, output, extra

    def pick(self, names: frozenset[str]) -> dict[str, Json]:
        """Give the arguments of these names. Raises ExpressionError for one that this place does not have."""
        return {name: self._argument(name) for name in names}

    def pick_any(self, names: frozenset[str]) -> dict[str, Json]:
        """Give those arguments of these names that this place has."""
        found: dict[str, Json] = {}
        for name in names:
            with contextlib.suppress(errors.ExpressionError):
                found[name] = self._argument(name)
        return found

    def credentials(self) -> tuple[Template | None, Json]:
        """Give what the credentials of this step's request are made of, and the data for it; None for no credentials.

        Raises ExpressionError where `$authorization` does not exist.
        """
        if self._input is None:
            raise errors.ExpressionError("$authorization is not available here")
        work = None if self._node is None else self._node.work
        return work.credentials if isinstance(work, HttpWork | OpenApiWork) else None, self._input.value

    def _argument(self, name: str) -> Json:
        if self._extra is not None and name in self._extra:
            return self._extra[name]
        match name:
            case "context" if self._scope is not None:
                return self._scope.context.value
            case "input" if (given := self._given()) is not None:
                return given.value
            case "output" if self._output is not None:
                return self._output.value
            case "workflow":
                return {
                    "id": self._state.id,
                    "definition": self._graph.definition,
                    "input": self._state.input.value,
                    "startedAt": moment(self._state.head.started_at),
                }
            case "runtime":
                return RUNTIME
            case "task" if self._node is not None:
                return self._task(self._node)
            case _:
                return self._variable(name)

    def _given(self) -> Payload | None:
        """Give what the step was given; wherever an undo is written, what the step that is undone was given."""
        if self._scope is not None and self._node is not None and self._node.in_undo:
            return next(scope.given for scope in self._state.lineage(self._scope) if scope.given is not None)
        return self._input

    def _task(self, node: Node) -> Json:
        """Describe the step; in an extension, the step that is extended, with its own properties at hand too."""
        if node.extends is not None:
            subject = self._graph.nodes[node.extends]
            described = {"name": subject.name, "reference": subject.path, "definition": subject.definition}
            own = subject.definition if isinstance(subject.definition, dict) else {}
            return {**own, **self._described(node), **described}
        return self._described(node)

    def _described(self, node: Node) -> dict[str, Json]:
        return {
            "name": node.name,
            "reference": node.path,
            "definition": node.definition,
            "input": None if self._raw is None else self._raw.value,
            "output": None if self._raw_output is None else self._raw_output.value,
            "startedAt": moment(self._since),
        }

    def _variable(self, name: str) -> Json:
        if self._scope is not None:
            for scope in self._state.lineage(self._scope):
                for frame in reversed(scope.frames):
                    work = self._graph.nodes[frame.path].work
                    if isinstance(work, ForWork) and frame.items is not None:
                        if name == work.each:
                            return frame.items.value[frame.index]
                        if name == work.at:
                            return frame.index
                    if isinstance(work, ListenWork) and frame.item is not None:
                        if name == work.each:
                            return frame.item.value
                        if name == work.at:
                            return frame.processed
                    if isinstance(work, TryWork) and frame.phase == "catch" and name == work.as_:
                        assert frame.error is not None
                        return frame.error.described()
        if name in _ARGUMENTS:
            raise errors.ExpressionError(f"${name} is not available here")
        raise errors.ExpressionError(f"${name} is not defined here")


def moment(seconds: float) -> Json:
    """Give a time as the specification's DateTime descriptor."""
    whole = datetime.fromtimestamp(seconds, UTC)
    return {
        "iso8601": whole.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "epoch": {"seconds": int(seconds), "milliseconds": int(seconds * 1000)},
    }
