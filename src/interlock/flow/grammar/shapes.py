"""Shapes: what values may look like, as small frozen objects that a grammar is put together from.

A shape is asked to `check` a value: it notes every problem, says what it found and expected, and goes on. What may be
left out, what excludes what and which names are known is said by `Record`; which of several shapes a value was meant
to have is decided by its JSON type (`Either`) or by the name that tells (`flow.structure`), never by trying all of
them, so that the messages are about what the author meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.problem import Severity
from interlock.model.json import Json


class Shape(Protocol):
    """What a value may look like. `expected` completes "must be ..."."""

    @property
    def expected(self) -> str: ...

    def check(self, value: Json, path: str, findings: Findings) -> None:
        """Note in `findings` every problem of `value`, which stands at the JSON pointer `path`."""


def fits(shape: Shape, value: Json) -> bool:
    """Say whether `value` has the shape, without noting anything."""
    scratch = Findings()
    shape.check(value, "", scratch)
    return not scratch.has_errors()


# -- words -----------------------------------------------------------------------------------------------------------


def kind_of(value: Json) -> str:
    """Give a JSON value in words: "nothing", "the number 3", "the text `abc`", "a list", "a map"."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value!r:.40}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a list" if isinstance(value, list) else "a map"


def quoted(text: str) -> str:
    """Give a text in backquotes on one line, cut at 60 characters, with NUL as \\0."""
    line = text.replace("\n", "\\n").replace("\0", "\\0")
    return f"`{line[:57]}...`" if len(line) > 60 else f"`{line}`"


def label(path: str) -> str:
    """Give the value at `path` in words: "`port`", "item 3 of `arguments`", "the document"."""
    key = pointer.last(path)
    if not path:
        return "the document"
    if key.isdecimal():
        return f"item {int(key) + 1} of {label(pointer.parent(path))}"
    return f"`{key}`"


def listed(names: tuple[str, ...] | list[str], word: str = "or") -> str:
    """Give names as "`a`, `b` or `c`"."""
    marked = [f"`{name}`" for name in names]
    return marked[0] if len(marked) == 1 else f"{', '.join(marked[:-1])} {word} {marked[-1]}"


def wrong_type(value: Json, path: str, findings: Findings, expected: str, advice: str = "") -> None:
    """Note that the value at `path` has the wrong JSON type."""
    found = kind_of(value)
    message = f"{label(path)} must be {expected}, not {found}{advice}"
    findings.add("wrong-type", message, path, at_key=value is None, found=found, expected=expected)


# -- scalars ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value: a template unless it is said to be plain data."""

    role: Role | None = Role.TEMPLATE
    expected: str = "any value"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        findings.note(self.role, path, value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text that `accepts` takes, or any text. The answer to one that it refuses has `code` and `advice`."""

    expected: str = "text"
    accepts: Callable[[str], bool] | None = None
    code: str = "invalid-value"
    advice: Callable[[str], tuple[str, str | None]] | None = None
    role: Role | None = None

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, str):
            wrong_type(value, path, findings, self.expected, self._advice_on(value, path, findings))
        elif self.accepts is not None and not self.accepts(value):
            advice, near = self.advice(value) if self.advice is not None else ("", None)
            message = f"{quoted(value)} is not {self.expected}{advice}" if value else f"{label(path)} is empty"
            findings.add(self.code, message, path, found=value, expected=self.expected, nearest=near)
        else:
            findings.note(self.role, path, value)

    def _advice_on(self, value: Json, path: str, findings: Findings) -> str:
        written = findings.written(path)
        if isinstance(value, bool | int | float) and self.advice and self.accepts and not self.accepts(written):
            return self.advice(written)[0]
        return _quote_advice(value, path, findings)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few texts."""

    names: tuple[str, ...]

    @property
    def expected(self) -> str:
        return listed(self.names)

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, str) and value in self.names:
            return
        if not isinstance(value, str):
            wrong_type(value, path, findings, self.expected, _quote_advice(value, path, findings))
            return
        near = nearest.name(value, self.names)
        message = f"{label(path)} must be {self.expected}, not {quoted(value)}"
        message += f"; did you mean `{near}`?" if near else ""
        findings.add("invalid-value", message, path, found=value, expected=self.expected, nearest=near)


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or false. YAML 1.2 reads `yes` and `on` as text."""

    expected: str = "true or false"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, bool):
            return
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower())
        advice = f"; YAML 1.2 reads {value} as text, write {meant}" if meant else ""
        wrong_type(value, path, findings, self.expected, advice)


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number; 3.0 counts as one, as in JSON Schema."""

    minimum: int | None = None
    maximum: int | None = None

    @property
    def expected(self) -> str:
        return "a whole number" if self.minimum is None else f"a whole number from {self.minimum} to {self.maximum}"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (isinstance(value, float) and value.is_integer())):
            wrong_type(value, path, findings, self.expected)
        elif self.minimum is not None and self.maximum is not None and not self.minimum <= value <= self.maximum:
            message = f"{label(path)} must be {self.expected}, not {value}"
            findings.add("out-of-range", message, path, found=str(value), expected=self.expected)


def _quote_advice(value: Json, path: str, findings: Findings) -> str:
    if not isinstance(value, bool | int | float):
        return ""
    return f"; quote it: '{findings.written(path) or value}'"


# -- containers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one shape of items."""

    item: Shape
    minimum: int = 0
    expected: str = "a list"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, list):
            wrong_type(value, path, findings, self.expected)
            return
        if len(value) < self.minimum:
            findings.add("empty", f"{label(path)} is empty; it needs at least one item", path, expected=self.expected)
        check = self.item.check
        for index, item in enumerate(value):
            check(item, f"{path}/{index}", findings)


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map of free keys to one shape of values."""

    item: Shape
    minimum: int = 0
    expected: str = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, self.expected)
            return
        if len(value) < self.minimum:
            findings.add("empty", f"{label(path)} is empty; it needs at least one entry", path, at_key=True)
        for key, item in value.items():
            self.item.check(item, pointer.child(path, key), findings)


@dataclass(frozen=True, slots=True)
class Either:
    """One shape for texts, one for maps, one for lists; what has none is of the wrong type."""

    expected: str
    text: Shape | None = None
    mapping: Shape | None = None
    items: Shape | None = None
    role: Role | None = None

    def check(self, value: Json, path: str, findings: Findings) -> None:
        shape = None
        if isinstance(value, str):
            shape = self.text
        elif isinstance(value, dict):
            shape = self.mapping
        elif isinstance(value, list):
            shape = self.items
        if shape is not None:
            findings.note(self.role, path, value)
            shape.check(value, path, findings)
        else:
            wrong_type(value, path, findings, self.expected)


class Forward:
    """A shape that is used before it is made, for a grammar that contains itself; `become` is called once."""

    def __init__(self) -> None:
        self._shape: Shape | None = None

    def become(self, shape: Shape) -> None:
        """Say what shape this is."""
        self._shape = shape

    @property
    def expected(self) -> str:
        return self._made().expected

    def check(self, value: Json, path: str, findings: Findings) -> None:
        self._made().check(value, path, findings)

    def _made(self) -> Shape:
        assert self._shape is not None, "the grammar is used only after all of it was made"
        return self._shape


class Further(Enum):
    """What becomes of names that a record does not know."""

    REFUSED = auto()
    IGNORED = auto()  # the schema takes them and nothing looks at them: worth a warning
    EVALUATED = auto()  # they are the author's own, and templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A map with known names. `who` names it in messages.

    `required` names must be there. Of each group in `one_of` exactly one name must be there. `needs`: a name that is of
    use only beside another. `homes`: where names belong that are often written here, as "under `with`".
    """

    who: str
    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    minimum: int = 0
    further: Further = Further.REFUSED
    role: Role | None = None
    expected: str = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, self.expected)
            return
        findings.note(self.role, path, value)
        meant = self._check_items(value, path, findings)
        self._check_presence(value, meant, path, findings)

    def _check_items(self, value: dict[str, Json], path: str, findings: Findings) -> set[str]:
        """Check what is there, and give the absent names that unknown ones were probably meant to be."""
        meant: set[str] = set()
        for key, item in value.items():
            shape = self.fields.get(key)
            if shape is not None:
                shape.check(item, pointer.child(path, key), findings)
            elif self.further is Further.EVALUATED:
                findings.note(Role.TEMPLATE, pointer.child(path, key), item)
            else:
                near = self._refuse(key, value, path, findings)
                meant.update({near} if near else ())
        return meant

    def _refuse(self, key: str, value: dict[str, Json], path: str, findings: Findings) -> str | None:
        home = self.homes.get(key)
        near = None if home else nearest.name(key, [name for name in self.fields if name not in value])
        if home:
            advice = f"; it belongs {home}"
        elif near:
            advice = f"; did you mean `{near}`?"
        else:
            advice = f"; it knows {listed(list(self.fields), 'and')}"
        is_refused = self.further is Further.REFUSED
        findings.add(
            "unknown-property" if is_refused else "ignored-property",
            f"{self.who} has no `{key}`{advice}",
            pointer.child(path, key),
            at_key=True,
            severity=Severity.ERROR if is_refused else Severity.WARNING,
            found=key,
            expected=", ".join(self.fields),
            nearest=near,
        )
        return near if is_refused else None

    def _check_presence(self, value: dict[str, Json], meant: set[str], path: str, findings: Findings) -> None:
        for name in self.required:
            if name not in value and name not in meant:
                self._miss(f"{self.who} needs `{name}`", path, findings, name)
        for group in self.one_of:
            there = [name for name in value if name in group]
            if len(there) > 1:
                message = f"{self.who} has {listed(there, 'and')}; only one of them may stand"
                findings.add("exclusive-properties", message, pointer.child(path, there[1]), at_key=True)
            elif not there and not meant.intersection(group):
                self._miss(f"{self.who} needs {listed(group)}", path, findings, " or ".join(group))
        for name, other in self.needs.items():
            if name in value and other not in value:
                self._miss(f"`{name}` of {self.who} is of use only with `{other}`", path, findings, other)
        if len(value) < self.minimum:
            findings.add("empty", f"{self.who} is empty; it needs at least one entry", path, at_key=True)

    def _miss(self, message: str, path: str, findings: Findings, name: str) -> None:
        findings.add("missing-property", message, path, at_key=True, expected=name)
