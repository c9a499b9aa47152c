"""What goes out of the node: markers made values just before an effect, and values hidden in what comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from interlock import errors
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Done, Failed, MemoryWrite, Outcome
from interlock.secrets.bound import SHORTEST, pattern
from interlock.secrets.form import HIDDEN, PATTERN, START
from interlock.secrets.markers import Markers, Reference, in_form, text_of

T = TypeVar("T")
_NOTHING: Final = re.compile("(?!)")  # fits nowhere
Values = Mapping[str, Json]

_ANY_JSON: Final[dict[str, frozenset[str]]] = {
    "http": frozenset({"body", "credentials"}),
    "openapi": frozenset({"parameters", "credentials", "document_credentials"}),
    "python": frozenset({"arguments"}),
}
"""By the tag of a target, the fields that take any JSON."""


class Revealed(Generic[T]):
    """Something with its secrets in it, and what hides them in what it gives.

    Values that were revealed become markers again where an outcome repeats them as a whole, and `***` inside of longer
    texts. Texts shorter than four characters are not hidden: they occur everywhere by chance.
    """

    def __init__(self, value: T, shown: Mapping[str, str]) -> None:
        """`shown`: the texts that were revealed, each with its marker."""
        self.value = value
        self._given = shown
        if not shown:  # as for most
            self._shown, self._texts, self._inside = {}, [], None
            return
        self._shown = {text: marker for text, marker in shown.items() if len(text) >= SHORTEST}
        # Many secrets have several lines, and what prints them may print them line by line.
        lines = {line.strip() for text in self._shown for line in text.splitlines() if len(line.strip()) > 2 * SHORTEST}
        self._texts = sorted({*self._shown, *lines}, key=len, reverse=True)
        self._inside = pattern(self._texts)

    def hiding(self, text: str) -> Revealed[T]:
        """Give the same with one more text that is hidden in what comes of it."""
        return Revealed(self.value, {**self._given, text: HIDDEN})

    def masked(self, outcome: Outcome) -> Outcome:
        """Give an outcome without the values that went out."""
        if self._inside is None:
            return outcome
        match outcome:
            case Done(value=value, memory=memory):
                return Done(self._value(value), tuple(self._write(write) for write in memory))
            case Failed(failure=failure, fault=fault, final=final):
                return Failed(failure, self._fault(fault), final)
            case _:
                return outcome

    def stream(self, write: Callable[[str, str], None]) -> Stream:
        """Give what takes the pieces of an attempt's output and passes them on with every value hidden."""
        return Stream(write, self._texts)

    def _write(self, write: MemoryWrite) -> MemoryWrite:
        return msgspec.structs.replace(write, key=self._text(write.key), value=self._value(write.value))

    def _value(self, value: Json) -> Json:
        match value:
            case str():
                return self._shown[value] if value in self._shown else self._text(value)
            case dict():
                return {self._text(key): self._value(item) for key, item in value.items()}
            case list():
                return [self._value(item) for item in value]
            case _:
                return value

    def _text(self, text: str) -> str:
        return text if self._inside is None else self._inside.sub(HIDDEN, text)

    def _fault(self, fault: Fault) -> Fault:
        hidden = {name: self._text(text) for name in ("title", "detail") if (text := getattr(fault, name)) is not None}
        return msgspec.structs.replace(fault, **hidden)


class Stream:
    """Hides values in a text that comes in pieces: what may be the beginning of one waits for the next piece."""

    def __init__(self, write: Callable[[str, str], None], texts: list[str]) -> None:
        """`texts`: the longest first."""
        self._write = write
        self._texts = texts
        self._any = re.compile("|".join(map(re.escape, texts))) if texts else _NOTHING
        self._waiting: dict[str, str] = {}

    def write(self, stream: str, text: str) -> None:
        if not self._texts:
            self._write(stream, text)
            return
        text = self._waiting.pop(stream, "") + text
        end = len(text) - self._unsure(text)
        self._waiting[stream] = text[end:]
        self._pass_on(stream, text[:end])

    def close(self) -> None:
        """Pass on what still waits."""
        for stream, text in self._waiting.items():
            self._pass_on(stream, text)
        self._waiting.clear()

    def _pass_on(self, stream: str, text: str) -> None:
        if text:
            self._write(stream, self._any.sub(HIDDEN, text))

    def _unsure(self, text: str) -> int:
        """Give how many characters at the end may belong to a value that goes on in the next piece.

        What belongs to a value that is whole is sure, unless it may be a part of a longer one.
        """
        whole = [match.span() for match in self._any.finditer(text)]
        start, end = whole[-1] if whole else (-1, 0)
        longest = 0
        for value in self._texts:
            for size in range(min(len(value) - 1, len(text)), longest, -1):
                begin = len(text) - size
                if text.endswith(value[:size]) and (begin >= end or begin <= start):
                    longest = size
                    break
        return longest


def may_hold(thing: object) -> bool:
    """Say whether something that can be written as JSON holds what looks like a marker."""
    return START.encode() in msgspec.json.encode(thing)


def references(thing: object, markers: Markers) -> list[Reference]:
    """Give what the markers in something that can be written as JSON refer to."""
    return markers.found(msgspec.json.encode(thing).decode())


def reveal(thing: T, markers: Markers, values: Values) -> Revealed[T]:
    """Give a target with its markers made values. Raises NotFound for a part of a secret that is not there.

    A number of a secret stays one in the fields that take any JSON, and is its text in all others: arguments, headers.
    """
    shown: dict[str, str] = {}
    as_text, as_it_is = (_Revealing(markers, values, shown, as_text=each) for each in (True, False))
    fields = msgspec.to_builtins(thing)
    any_json = _ANY_JSON.get(fields.get("type"), frozenset())
    found = {name: (as_it_is if name in any_json else as_text).value(value) for name, value in fields.items()}
    return Revealed(msgspec.convert(found, type(thing)), shown)


class _Revealing:
    def __init__(self, markers: Markers, values: Values, shown: dict[str, str], *, as_text: bool) -> None:
        self._markers = markers
        self._values = values
        self._shown = shown
        self._as_text = as_text

    def value(self, value: Json) -> Json:
        match value:
            case str():
                return self._text(value) if START in value else value
            case dict():
                return {key: self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value

    def _text(self, text: str) -> Json:
        whole = PATTERN.fullmatch(text)
        if whole is not None and not self._as_text:
            reference = self._markers.read(whole)
            return text if reference is None else self._found(reference, text)
        return PATTERN.sub(lambda match: self._inside(match.group(), self._markers.read(match)), text)

    def _inside(self, marker: str, reference: Reference | None) -> str:
        return marker if reference is None else text_of(self._found(reference, marker))

    def _found(self, reference: Reference, marker: str) -> Json:
        found: Json = self._values[reference.name]
        for part in reference.path:
            found = _part(found, part, reference)
        value = in_form(found, reference.form)
        self._shown[text_of(value)] = marker
        return value


def _part(value: Json, part: str, reference: Reference) -> Json:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    raise errors.NotFound(f"the secret {reference.name!r} has no {part!r} any more, which this run refers to")
