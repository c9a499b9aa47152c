"""YAML 1.2 and JSON text to plain values, with the line and column of every key and value.

libyaml scans; this module decides what scalars mean: the core schema of YAML 1.2 (section 10.3.2), so that `on`, `yes`
and dates stay text, `010` is ten, integers are exact, and `<<` is an ordinary key. What JSON cannot hold is refused:
infinities, keys that are not scalars, tags, a second document. So are texts that are small only as long as nobody
unfolds them: recursive aliases, alias bombs and nesting beyond `MAX_DEPTH`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from yaml import CSafeLoader
from yaml.error import YAMLError
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from interlock.flow import pointer
from interlock.model import json as model_json
from interlock.model.json import Json

MAX_DEPTH: Final = 100
"""Levels of maps and lists. A nested task takes three; the walkers that follow are recursive."""
MAX_ALIASED: Final = 100_000
"""Values that aliases may add to a document. Each is visited by every later pass."""

_CONSTANTS: Final[dict[str, Json]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?[0-9]+\Z")
_BASED: Final = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_TAG: Final = "tag:yaml.org,2002:"
_TAGGED_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "bool": (bool,), "int": (int,), "float": (int, float), "null": (type(None),),
}  # fmt: skip


class Mark(Protocol):
    """Where libyaml was: counted from 0, in characters."""

    line: int
    column: int


Place: TypeAlias = "tuple[Mark, dict[str, tuple[Mark, Place]] | list[Place] | None]"
"""The mark of a value, and the places of its items: by key with the mark of the key, or in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What keeps a text from being one JSON value. `line` and `column` count from 1."""

    code: str
    message: str
    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A text that was read: its plain JSON `value` (None when `flaws` stopped the reading) and where everything stands.

    A key that is written twice keeps its last value and is a flaw. Values of aliases are copies, nothing is shared.
    """

    text: str
    value: Json = None
    place: Place | None = None
    flaws: tuple[Flaw, ...] = ()
    is_complete: bool = True
    """False when the text could not be read to its end; `value` then says nothing."""

    def position(self, path: str) -> tuple[int, int]:
        """Give line and column, from 1, of the value at the JSON pointer `path`, or of its nearest existing parent."""
        return _counted(self._find(path)[1])

    def key_position(self, path: str) -> tuple[int, int]:
        """Give line and column, from 1, of the key that names the value at `path`; of the value itself in a list."""
        return _counted(self._find(path)[0])

    def written(self, path: str) -> str:
        """Give the word that stands in the text at `path`, as `1.10` where the value became 1.1."""
        line, column = self.position(path)
        lines = self.text.splitlines()
        rest = lines[line - 1][column - 1 :] if line <= len(lines) else ""
        return re.split(r"[\s,}\]]", rest, maxsplit=1)[0]

    def _find(self, path: str) -> tuple[Mark | None, Mark | None]:
        if self.place is None:
            return None, None
        place, key_mark = self.place, self.place[0]
        for part in pointer.parts(path):
            items = place[1]
            if isinstance(items, dict) and part in items:
                key_mark, place = items[part]
            elif isinstance(items, list) and part.isdecimal() and int(part) < len(items):
                place = items[int(part)]
                key_mark = place[0]
            else:
                break
        return key_mark, place[0]


def read(text: str) -> Source:
    """Read one YAML 1.2 or JSON document. Never raises: what is wrong with the text is in `flaws`."""
    text = text.removeprefix("\ufeff")
    if unprintable := _UNPRINTABLE.search(text):
        return _unreadable(text, _unprintable_flaw(text, unprintable))
    reader = _Reader(text)
    try:
        reader.read()
    except _Stop as stop:
        return _unreadable(text, stop.flaw)
    except YAMLError as error:
        if "invalid Unicode character escape" in str(error) and (joined := _joined_surrogates(text)) != text:
            return read(joined)
        return _unreadable(text, _syntax_flaw(text, error))
    return Source(text=text, value=reader.value, place=reader.place, flaws=tuple(reader.flaws))


class _Stop(Exception):
    """Reading cannot go on after this flaw."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


@dataclass(slots=True)
class _Anchored:
    """A value that aliases may repeat. It is open, and may not be repeated, until its end was read."""

    is_open: bool = True
    value: Json = None
    items: dict[str, tuple[Mark, Place]] | list[Place] | None = None
    size: int = 1


@dataclass(slots=True)
class _Frame:
    """A map or list that is being read. `key` waits for its value in a map."""

    mark: Mark
    value: dict[str, Json] | list[Json]
    items: dict[str, tuple[Mark, Place]] | list[Place]
    anchor: _Anchored | None
    size: int = 1
    key: str | None = None
    key_mark: Mark | None = None


@dataclass(slots=True)
class _Reader:
    """Builds the value of one document from the events of libyaml, without recursion."""

    text: str
    value: Json = None
    place: Place | None = None
    flaws: list[Flaw] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    aliased: int = 0

    def read(self) -> None:
        next_event = CSafeLoader(self.text).get_event
        documents = 0
        while (event := next_event()) is not None:
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, CollectionStartEvent):
                self._open(event)
            elif isinstance(event, CollectionEndEvent):
                self._close()
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    message = "a second document starts here; a file holds one workflow"
                    raise self._stop("several-documents", message, _mark(event))

    # -- events ------------------------------------------------------------------------------------------------------

    def _scalar(self, event: ScalarEvent) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None and isinstance(frame.value, dict):
            self._key(frame, event)
            return
        mark = _mark(event)
        if event.implicit[0] and event.tag is None:
            value = self._plain(event.value, mark)
        else:
            value = event.value if event.tag is None else self._tagged(event.tag, event.value, mark)
        self._add(value, mark, None, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(is_open=False, value=value)

    def _key(self, frame: _Frame, event: ScalarEvent) -> None:
        key: str = event.value
        if not key and event.implicit[0]:
            raise self._stop("key-not-text", "a key is missing before this `:`", _mark(event))
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(is_open=False, value=key)
        self._begin(frame, key, _mark(event))

    def _begin(self, frame: _Frame, key: str, mark: Mark) -> None:
        frame.key, frame.key_mark = key, mark
        if key in frame.value:
            assert isinstance(frame.items, dict)
            first_line = frame.items[key][0].line + 1
            message = f"`{key}` stands twice in this map, first on line {first_line}; only one can count"
            self._note("duplicate-key", message, mark)

    def _open(self, event: CollectionStartEvent) -> None:
        if len(self.stack) == MAX_DEPTH:
            raise self._stop("too-deep", f"nested deeper than {MAX_DEPTH} levels", _mark(event))
        if self._awaits_key():
            raise self._stop("key-not-text", "a key must be text, not a map or a list", _mark(event))
        is_map = type(event) is MappingStartEvent
        if event.tag is not None and event.tag not in ("!", _TAG + ("map" if is_map else "seq")):
            self._note("unknown-tag", f"the tag `{_short(event.tag)}` means nothing here", _mark(event))
        anchor = None
        if event.anchor is not None:
            anchor = self.anchors[event.anchor] = _Anchored()
        value: dict[str, Json] | list[Json] = {} if is_map else []
        self.stack.append(_Frame(_mark(event), value, {} if is_map else [], anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.anchor is not None:
            frame.anchor.is_open = False
            frame.anchor.value, frame.anchor.items, frame.anchor.size = frame.value, frame.items, frame.size
        self._add(frame.value, frame.mark, frame.items, frame.size)

    def _alias(self, event: AliasEvent) -> None:
        anchored = self.anchors.get(event.anchor or "")
        mark = _mark(event)
        if anchored is None:
            raise self._stop("unknown-alias", f"no anchor `&{event.anchor}` stands before this alias", mark)
        if anchored.is_open:
            raise self._stop("recursive-alias", f"`*{event.anchor}` would contain itself", mark)
        if self._awaits_key():
            if not isinstance(anchored.value, str):
                raise self._stop("key-not-text", f"`*{event.anchor}` is not text and cannot be a key", mark)
            self._begin(self.stack[-1], anchored.value, mark)
            return
        self.aliased += anchored.size
        if self.aliased > MAX_ALIASED:
            raise self._stop("too-many-aliases", f"aliases unfold to more than {MAX_ALIASED:,} values", mark)
        self._add(model_json.copy(anchored.value), mark, anchored.items, anchored.size)

    def _awaits_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].key is None and isinstance(self.stack[-1].value, dict)

    def _add(
        self, value: Json, mark: Mark, items: dict[str, tuple[Mark, Place]] | list[Place] | None, size: int
    ) -> None:
        if not self.stack:
            self.value, self.place = value, (mark, items)
            return
        frame = self.stack[-1]
        frame.size += size
        if isinstance(frame.value, list):
            assert isinstance(frame.items, list)
            frame.value.append(value)
            frame.items.append((mark, items))
            return
        assert isinstance(frame.items, dict)
        assert frame.key is not None
        assert frame.key_mark is not None
        frame.value[frame.key] = value
        frame.items[frame.key] = (frame.key_mark, (mark, items))
        frame.key = None

    # -- scalars -----------------------------------------------------------------------------------------------------

    def _plain(self, text: str, mark: Mark) -> Json:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text[0] not in "0123456789+-.":
            return text
        if _INTEGER.match(text) or _BASED.match(text):
            return self._integer(text, mark)
        if _FLOAT.match(text):
            return self._float(text, mark)
        if _NOT_FINITE.match(text):
            self._note("not-json", f"`{text}` cannot be written as JSON; quote it to make it text", mark)
            return None
        return text

    def _integer(self, text: str, mark: Mark) -> Json:
        try:
            return int(text, {"o": 8, "x": 16}.get(text[1:2], 10))
        except ValueError:  # Python reads at most 4,300 digits
            self._note("not-json", f"an integer of {len(text):,} digits is too long", mark)
            return None

    def _float(self, text: str, mark: Mark) -> Json:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            self._note("not-json", f"`{text}` is beyond the numbers that JSON can carry", mark)
            return None
        return value

    def _tagged(self, tag: str, text: str, mark: Mark) -> Json:
        if tag in ("!", _TAG + "str"):
            return text
        types = _TAGGED_TYPES.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
        if types is None:
            self._note("unknown-tag", f"the tag `{_short(tag)}` means nothing here; write plain text", mark)
            return text
        value = self._plain(text, mark)
        if type(value) not in types:
            self._note("unknown-tag", f"`{text}` is not a {tag.removeprefix(_TAG)}, as its tag says", mark)
        return float(value) if tag == _TAG + "float" and type(value) is int else value

    # -- flaws -------------------------------------------------------------------------------------------------------

    def _note(self, code: str, message: str, mark: Mark) -> None:
        self.flaws.append(self._flaw(code, message, mark))

    def _stop(self, code: str, message: str, mark: Mark) -> _Stop:
        return _Stop(self._flaw(code, message, mark))

    def _flaw(self, code: str, message: str, mark: Mark) -> Flaw:
        path = ""
        for frame in self.stack if len(self.stack) < MAX_DEPTH else ():
            key = len(frame.value) if isinstance(frame.value, list) else frame.key
            path = path if key is None else pointer.child(path, key)
        return Flaw(code=code, message=message, path=path, line=mark.line + 1, column=mark.column + 1)


def _unreadable(text: str, flaw: Flaw) -> Source:
    return Source(text=text, flaws=(flaw,), is_complete=False)


def _mark(event: Event) -> Mark:
    mark = event.start_mark
    assert mark is not None, "libyaml marks every event"
    return mark


def _counted(mark: Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag


def _unprintable_flaw(text: str, match: re.Match[str]) -> Flaw:
    before = text[: match.start()]
    line, column = before.count("\n") + 1, match.start() - (before.rfind("\n") + 1) + 1
    message = f"the character U+{ord(match.group()):04X} may not stand in YAML; in a quoted text write it as an escape"
    return Flaw(code="yaml-syntax", message=message, path="", line=line, column=column)


def _syntax_flaw(text: str, error: YAMLError) -> Flaw:
    begun: Mark | None = getattr(error, "context_mark", None)
    line, column = _counted(getattr(error, "problem_mark", None) or begun)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    message: str = getattr(error, "problem", None) or str(error)
    if "\t" in written[: len(written) - len(written.lstrip())]:
        message = "a tab stands in the indentation; YAML is indented with spaces"
    elif written[column - 1 : column] in ("@", "`", "%"):
        message = f"a text cannot begin with `{written[column - 1]}` unless it is quoted"
    elif "mapping values are not allowed" in message:
        message = "a `:` followed by a space is not expected here; quote the text, or check the indentation"
    elif "unexpected end of stream" in message and begun is not None:
        message = f"the text that begins on line {begun.line + 1} is never closed"
    return Flaw(code="yaml-syntax", message=message, path="", line=line, column=column)


def _joined_surrogates(text: str) -> str:
    """Write the surrogate pairs of a JSON text as the one escape that YAML has for them, which is 2 columns shorter."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text

    def joined(match: re.Match[str]) -> str:
        high, low = int(match.group(2), 16), int(match.group(3), 16)
        return f"{match.group(1)}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"

    return _SURROGATES.sub(joined, text)
