"""Markers: what stands for a secret in everything that is stored.

    ~~secret.db.password.r.1f2e3d4c.<32 hexadecimal digits>~~

A marker names the secret and the place in it, how the value was written (`r` as it is, `u` percent-encoded, `b` in
base64), and a proof under the store key over the run and all of these. Only nodes of the store can make one, and only for
that run, so text that merely looks like a marker stays text. It consists of characters that no encoding of URIs touches.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from interlock.model import json
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.secrets.form import PATTERN, START
from interlock.secrets.key import KeyRing

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Reference:
    """One value within a secret. `path`: the keys and indexes that lead to it, as text. `form`: r, u or b."""

    name: str
    path: tuple[str, ...] = ()
    form: str = "r"

    def __str__(self) -> str:
        return ".".join((self.name, *self.path))


class Markers:
    """Makes and reads the markers of one run."""

    def __init__(self, keys: KeyRing, run: str) -> None:
        self._keys = keys
        self._run = run

    def make(self, reference: Reference) -> str:
        place = ".".join(_written(part) for part in (reference.name, *reference.path))
        return f"{START}{place}.{reference.form}.{self._keys.sign(*self._parts(reference))}~~"

    def read(self, match: re.Match[str]) -> Reference | None:
        """Give what a text that looks like a marker refers to; None when no node made it for this run."""
        place, form, proof = match.groups()
        name, *path = (_read(part) for part in place.split("."))
        reference = Reference(name, tuple(path), form)
        return reference if self._keys.proves(proof, *self._parts(reference)) else None

    def found(self, text: str) -> list[Reference]:
        """Give what the markers in a text refer to."""
        return [reference for match in PATTERN.finditer(text) if (reference := self.read(match)) is not None]

    def encoded(self, text: str) -> str:
        """Give a URI whose markers stand for percent-encoded values, as the rest of its expanded names are."""

        def encode(match: re.Match[str]) -> str:
            reference = self.read(match)
            if reference is None or reference.form != "r":
                return match.group()
            return self.make(Reference(reference.name, reference.path, "u"))

        return PATTERN.sub(encode, text) if START in text else text

    def moved_text(self, text: str, run: str) -> str:
        """Give a text whose markers are made those of another run."""
        other = Markers(self._keys, run)

        def move(match: re.Match[str]) -> str:
            reference = self.read(match)
            return match.group() if reference is None else other.make(reference)

        return PATTERN.sub(move, text)

    def moved(self, event: T, run: str) -> T:
        """Give an event whose markers are made those of another run, which takes over the history of this one."""
        changes: dict[str, object] = {}
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if isinstance(value, Payload):
                text = value.text.decode()
                changes |= {name: Payload(text=self.moved_text(text, run).encode())} if START in text else {}
            elif isinstance(value, str):
                changes |= {name: self.moved_text(value, run)} if START in value else {}
            elif isinstance(value, msgspec.Struct):
                changes[name] = self.moved(value, run)
        return msgspec.structs.replace(event, **changes) if changes else event

    def _parts(self, reference: Reference) -> tuple[str, ...]:
        return ("secret", self._run, reference.form, reference.name, *reference.path)


def text_of(value: Json) -> str:
    """Give a value as it stands inside a longer text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.encode(value).decode()


def in_form(value: Json, form: str) -> Json:
    """Give a value as a marker of this form stands for it."""
    match form:
        case "u":
            return urllib.parse.quote(text_of(value), safe="")
        case "b":
            return base64.b64encode(text_of(value).encode()).decode("ascii")
        case _:
            return value


def _written(part: str) -> str:
    """Give a name with everything but letters, digits, `_` and `-` as `~` and two hexadecimal digits."""
    quoted = urllib.parse.quote(part, safe="").replace(".", "%2E").replace("~", "%7E")
    return quoted.replace("%", "~") or "~"


def _read(part: str) -> str:
    return "" if part == "~" else urllib.parse.unquote(part.replace("~", "%"))
