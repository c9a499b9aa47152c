"""The secrets of one run as expressions see them, and what they give as it may be stored.

Expressions see the values. In what an expression that reads `$secrets` gives, each value that is a secret becomes its
marker. A secret inside a longer text becomes a marker inside it where the text goes out with an effect, and is refused
elsewhere: data would carry it, half hidden, to places where nobody looks for it.

Only values themselves, percent-encoded and in base64, are recognised; what an expression computes from one otherwise (a
part of it, a digest) is not. A text shorter than four characters is recognised only as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from interlock import errors
from interlock.model.json import Json
from interlock.secrets.form import HIDDEN, PATTERN
from interlock.secrets.markers import Markers, Reference, in_form

SHORTEST: Final = 4
"""Shorter texts occur everywhere by chance."""


class SecretInData(errors.ExpressionError):
    """A value that would be stored holds a secret inside a longer text."""

    code = "secret-in-data"


class Bound:
    """`values`: what `$secrets` is. `problems`: why the secrets that it lacks are not there, by name."""

    def __init__(self, markers: Markers, values: Mapping[str, Json], problems: Mapping[str, str]) -> None:
        self.markers = markers
        self.values: Final[dict[str, Json]] = dict(values)
        self._problems = problems
        self._tables: dict[frozenset[str], _Table] = {}

    def problem(self, names: frozenset[str] | None) -> str | None:
        """Say why one of these secrets (None: of all declared ones) cannot be read; None when all are there.

        A name that was not declared is not there: only a computed one gets this far.
        """
        wanted = frozenset(self._problems) if names is None else names
        return next((self._problems[name] for name in sorted(wanted) if name in self._problems), None)

    def concealed(self, value: Json, names: frozenset[str] | None, *, goes_out: bool) -> Json:
        """Give `value` with markers for the secrets of these names (None: all) in it.

        `goes_out`: it goes out with an effect, so a secret may stand inside a longer text. Raises SecretInData.
        """
        return self._table(names).concealed(value, goes_out=goes_out)

    def masked(self, text: str) -> str:
        """Give a text for people with every secret hidden."""
        return self._table(None).masked(text)

    def _table(self, names: frozenset[str] | None) -> _Table:
        wanted = frozenset(self.values) if names is None else names.intersection(self.values)
        if wanted not in self._tables:
            self._tables[wanted] = _Table(self.markers, {name: self.values[name] for name in sorted(wanted)})
        return self._tables[wanted]


class _Table:
    """Every text that gives some secrets away, with what it refers to."""

    def __init__(self, markers: Markers, values: Mapping[str, Json]) -> None:
        self._markers = markers
        self._whole: dict[str | float, Reference] = {}
        for name, value in values.items():
            for path, leaf in leaves(value):
                self._add(name, path, leaf)
        self._inside = pattern([text for text in self._whole if isinstance(text, str)])

    def _add(self, name: str, path: tuple[str, ...], leaf: str | float) -> None:
        self._whole.setdefault(leaf, Reference(name, path))
        if isinstance(leaf, str) and len(leaf) >= SHORTEST:
            for form in ("u", "b"):
                self._whole.setdefault(in_form(leaf, form), Reference(name, path, form))

    def concealed(self, value: Json, *, goes_out: bool) -> Json:
        match value:
            case str():
                return self._text(value, goes_out=goes_out)
            case dict():
                return {self._key(key): self.concealed(item, goes_out=goes_out) for key, item in value.items()}
            case list():
                return [self.concealed(item, goes_out=goes_out) for item in value]
            case int() | float() if not isinstance(value, bool) and value in self._whole:
                return self._markers.make(self._whole[value])
            case _:
                return value

    def masked(self, text: str) -> str:
        if text in self._whole:
            return HIDDEN
        return self._inside.sub(HIDDEN, text) if self._inside is not None else text

    def _text(self, text: str, *, goes_out: bool) -> str:
        if text in self._whole:
            return self._markers.make(self._whole[text])
        if self._inside is None or PATTERN.fullmatch(text):
            return text
        return self._inside.sub(lambda match: self._within(match, goes_out=goes_out), text)

    def _within(self, match: re.Match[str], *, goes_out: bool) -> str:
        reference = self._whole.get(match.group())
        if reference is None:
            return match.group()  # a marker that was there before
        if not goes_out:
            raise SecretInData(
                f"a value holds the secret {str(reference)!r} inside a longer text, which would be stored; put it together"
                " where it is used, in the arguments of a call or a run, or store the secret alone"
            )
        return self._markers.make(reference)

    def _key(self, key: str) -> str:
        if self._inside is not None and self._text(key, goes_out=True) != key:
            raise SecretInData("the name of a property holds a secret, which would be stored; name it otherwise")
        return key


def pattern(texts: list[str]) -> re.Pattern[str] | None:
    """Give what finds secrets inside longer texts, the longest first, and passes over markers; None for no secret."""
    long = sorted((text for text in texts if len(text) >= SHORTEST), key=len, reverse=True)
    if not long:
        return None
    return re.compile("|".join([PATTERN.pattern.replace("(", "(?:"), *map(re.escape, long)]))


def leaves(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str | float]]:
    """Give the texts and numbers in a secret, with the way to each."""
    match value:
        case dict():
            for key, item in value.items():
                yield from leaves(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from leaves(item, (*path, str(index)))
        case bool() | None | "":
            return
        case _:
            yield path, value
