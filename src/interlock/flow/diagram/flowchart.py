"""A workflow as a Mermaid flowchart.

A task with lists within becomes a subgraph. Ways lead between boxes, not between subgraphs, since Mermaid refuses a way
between a subgraph and what is in it; the exception is from a `try` to its `catch`, which lie side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from interlock.flow import document as doc
from interlock.flow.diagram import outline
from interlock.flow.diagram.outline import Caption, Family, Flow, Place, Role, Section

_START: Final = "start"
_FINISH: Final = "finish"
_INDENT: Final = "  "

_SHAPES: Final[dict[Family, tuple[str, str]]] = {
    Family.DATA: ("[", "]"),
    Family.CHOICE: ("{", "}"),
    Family.CALL: ("[[", "]]"),
    Family.PROCESS: ("[/", "/]"),
    Family.EVENT: (">", "]"),
    Family.PAUSE: ("(", ")"),
    Family.FAILURE: ("{{", "}}"),
    Family.GROUP: ("[", "]"),
}

# Inside quotes Mermaid still reads HTML, entities, Markdown (also at the start of a label), LaTeX, comments and the
# words `style` and `classDef`; the first character of each match is written as an entity.
_MISREAD: Final = re.compile(r"""["#<&;`*~\\]|^[-+=]|(?<=^\d)[.)]|(?<!\w)_|_(?!\w)|\$(?=\$)|%(?=%)|style|classDef""")


def mermaid(workflow: doc.Workflow) -> str:
    """Give a Mermaid flowchart of a workflow, for a Markdown page or the Mermaid command line."""
    return _Chart().write(workflow)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exit:
    """A way that leaves a box and has not arrived yet."""

    source: str
    label: str = ""
    caught: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What was written for a task: where ways enter it, and those that leave it."""

    entry: str
    exits: tuple[_Exit, ...]
    caught: tuple[_Exit, ...] = ()


@dataclass(slots=True)
class _Chart:
    lines: list[str] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    boxes: int = 0
    depth: int = 1
    is_finished: bool = False
    """Whether a way leads to the end; there is none after an error that nobody catches."""

    def write(self, workflow: doc.Workflow) -> str:
        header = workflow.document
        self._line(f'{_START}(["{escaped(f"{header.name} {header.version}")}"])')
        drawn = self._list(workflow.do)
        self._way(_Exit(source=_START), drawn.entry)
        for way in drawn.exits:
            self._way(way, _FINISH)
        if self.is_finished:
            self._line(f'{_FINISH}(["end"])')
        return "\n".join(["flowchart TD", *self.lines, *self.ways, ""])

    # -- lists and tasks -----------------------------------------------------------------------------------------

    def _list(self, tasks: doc.TaskList) -> _Drawn:
        drawn = [self._task(named) for named in tasks]
        left: list[_Exit] = []
        for flow in outline.flows(tasks):
            for way in _ways_of(drawn[flow.source], flow):
                if flow.target is Place.EXIT:
                    left.append(way)
                else:
                    self._way(way, _FINISH if isinstance(flow.target, Place) else drawn[flow.target].entry)
        return _Drawn(entry=drawn[0].entry, exits=tuple(left))

    def _task(self, named: doc.NamedTask) -> _Drawn:
        caption = outline.caption(named)
        sections = outline.sections(named.task)
        match [section.role for section in sections]:
            case []:
                box = self._box(caption)
                return _Drawn(entry=box, exits=(_Exit(source=box),))
            case [Role.LOOP]:
                return self._loop(caption, sections[0])
            case [Role.BODY]:
                self._open(_title(caption))
                drawn = self._list(sections[0].tasks)
                self._close()
                return drawn
            case [Role.TRY, Role.CATCH]:
                return self._try(caption, *sections, continues=_continues(named.task))
            case _:
                return self._fork(caption, sections)

    def _loop(self, caption: Caption, section: Section) -> _Drawn:
        self._open(escaped(f"{caption.name}: {caption.kind}") + _condition(caption))
        head = self._id()
        self._line(f'{head}{{{{"{escaped(caption.detail or section.title)}"}}}}')
        body = self._list(section.tasks)
        self._way(_Exit(source=head), body.entry)
        for way in body.exits:
            self._way(_Exit(source=way.source, label=way.label or section.title, caught=way.caught), head)
        self._close()
        return _Drawn(entry=head, exits=(_Exit(source=head, label="done"),))

    def _fork(self, caption: Caption, sections: tuple[Section, ...]) -> _Drawn:
        self._open(_title(caption))
        head, join = self._id(), self._id()
        self._line(f'{head}(("fork"))')
        for section in sections:
            branch = self._list(section.tasks)
            self._way(_Exit(source=head), branch.entry)
            for way in branch.exits:
                self._way(way, join)
        self._line(f'{join}(("{"first" if caption.detail else "join"}"))')
        self._close()
        return _Drawn(entry=head, exits=(_Exit(source=join),))

    def _try(self, caption: Caption, try_: Section, catch: Section, *, continues: bool) -> _Drawn:
        self._open(_title(caption))
        attempt = self._open(escaped(try_.title))
        if try_.tasks:
            body = self._list(try_.tasks)
        else:
            box = self._text_box("nothing")
            body = _Drawn(entry=box, exits=(_Exit(source=box),))
        self._close()
        if catch.tasks:
            handler = self._open(escaped(catch.title))
            caught = self._list(catch.tasks).exits
            self._close()
        else:
            handler = self._text_box(catch.title)
            caught = (_Exit(source=handler, caught=True),)
        self._close()
        self.ways.append(f'{_INDENT}{attempt} -.->|"error"| {handler}')
        if continues:
            return _Drawn(entry=body.entry, exits=(*body.exits, *caught))
        return _Drawn(entry=body.entry, exits=body.exits, caught=caught)

    # -- text ----------------------------------------------------------------------------------------------------

    def _id(self) -> str:
        self.boxes += 1
        return f"n{self.boxes}"

    def _line(self, text: str) -> None:
        self.lines.append(_INDENT * self.depth + text)

    def _box(self, caption: Caption) -> str:
        box = self._id()
        left, right = _SHAPES[caption.family]
        detail = f"{caption.kind} {caption.detail}".strip()
        texts = [caption.name, detail, *([f"if {caption.condition}"] if caption.condition else [])]
        self._line(f'{box}{left}"{"<br/>".join(escaped(text) for text in texts)}"{right}')
        return box

    def _text_box(self, text: str) -> str:
        box = self._id()
        self._line(f'{box}["{escaped(text)}"]')
        return box

    def _open(self, title: str) -> str:
        box = self._id()
        self._line(f'subgraph {box}["{title}"]')
        self.depth += 1
        return box

    def _close(self) -> None:
        self.depth -= 1
        self._line("end")

    def _way(self, way: _Exit, target: str) -> None:
        self.is_finished |= target == _FINISH
        text = escaped(way.label)
        arrow = "-.->" if way.caught else "-->"
        label = f'|"{text}"|' if text else ""
        self.ways.append(f"{_INDENT}{way.source} {arrow}{label} {target}")


def escaped(text: str) -> str:
    """Give a text as the inside of a quoted Mermaid label: shown as it is, whatever it holds."""
    line = " ".join(text.split())
    return _MISREAD.sub(lambda match: f"#{ord(match[0][0])};{match[0][1:]}", line)


def _title(caption: Caption) -> str:
    return escaped(f"{caption.name}: {caption.kind} {caption.detail}") + _condition(caption)


def _condition(caption: Caption) -> str:
    return f"<br/>if {escaped(caption.condition)}" if caption.condition else ""


def _ways_of(drawn: _Drawn, flow: Flow) -> list[_Exit]:
    """Give the ways that leave a task by one flow; the flow's label is the choice, an inner one only tells the origin."""
    ways = drawn.caught if flow.caught else drawn.exits
    return [_Exit(source=way.source, label=flow.label or way.label, caught=way.caught or flow.caught) for way in ways]


def _continues(task: doc.Task) -> bool:
    """Say whether a caught error goes the same way as success."""
    return isinstance(task, doc.Try) and task.catch_then is None
