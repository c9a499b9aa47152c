"""Lists whose items have names: tasks, cases, extensions. An item is a map with one entry."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.flow import pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import ListOf, Shape, label, listed, wrong_type
from interlock.model.json import Json


@dataclass(frozen=True, slots=True)
class OneEntry:
    """A list item that is a map with one entry, `name: content`. `what` it is, in words.

    `own` are the names that stand in the content: an item made of these alone has lost its name.
    """

    content: Shape
    what: str
    own: frozenset[str]
    expected: str = "a map with one entry, `name: content`"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, f"{self.what} with its name, `- name: ...`")
            return
        if len(value) == 1:
            ((name, content),) = value.items()
            self.content.check(content, pointer.child(path, name), findings)
        elif not value:
            findings.add("empty", f"{label(path)} is empty; it needs {self.what} with its name", path)
        else:
            self._refuse(value, path, findings)

    def _refuse(self, value: dict[str, Json], path: str, findings: Findings) -> None:
        if self.own.issuperset(value):
            message = f"{self.what} needs a name: put `- name:` above {listed(list(value), 'and')} and indent them"
            findings.add("missing-name", message, path)
            self.content.check(value, path, findings)
            return
        names = list(value)
        message = f"one item holds {listed(names, 'and')}; begin each with `- ` of its own"
        findings.add("several-in-one-item", message, pointer.child(path, names[1]), at_key=True)
        for name, content in value.items():
            self.content.check(content, pointer.child(path, name), findings)


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list of items that each have a name."""

    item: OneEntry
    minimum: int = 0
    role: Role | None = None
    expected: str = "a list"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, dict):
            advice = ", not a map; put `- ` before each name"
            findings.add("wrong-type", f"{label(path)} must be a list{advice}", path, found="a map", expected="a list")
            for name, content in value.items():
                self.item.content.check(content, pointer.child(path, name), findings)
            return
        if isinstance(value, list):
            findings.note(self.role, path, value)
        ListOf(self.item, self.minimum).check(value, path, findings)
