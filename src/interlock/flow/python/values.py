"""Python values to JSON and back, as an annotation says.

    coder = Coder(Order, "the argument `order` of step `price`", "order: {}")
    coder.decode(coder.encode(order)) == order

What cannot be stored, or would come back as something else, fails when it is encoded: at the step that gave it, not in
another process after a restart.
"""

from __future__ import annotations

import inspect
import pathlib
from typing import Any

import msgspec

from interlock.errors import Misfit
from interlock.flow.python import forms, planning
from interlock.flow.python.forms import Unfit
from interlock.flow.python.planning import Unsupported
from interlock.model import json
from interlock.model.json import Json

MISSING = inspect.Parameter.empty
"""Stands for the annotation that nobody wrote."""


class Coder:
    """Encodes and decodes the values of one annotation.

    `what` names the value in errors, such as "the result of step `price`", and `example` shows how it is annotated, with
    {} in place of the type: "-> {}". Raises Misfit when nothing can be stored by the annotation.
    """

    __slots__ = ("_annotation", "_example", "_form", "_what")

    def __init__(self, annotation: Any = MISSING, what: str = "the value", example: str = "{}") -> None:
        self._annotation = annotation
        self._what = what
        self._example = example
        try:
            self._form = planning.form_of(annotation)
        except Unsupported as error:
            raise Misfit(f"the annotation of {what} {error}") from error

    def encode(self, value: Any) -> Json:
        """Give the JSON of `value`, which shares nothing with it. Raises Misfit, which says what to do."""
        try:
            encoded = self._form.encode(value)
            if encoded is not None and type(encoded) is not bool:
                json.encode(encoded)
        except Unfit as unfit:
            raise Misfit(self._refusal(unfit)) from unfit.__cause__
        except RecursionError as error:
            raise Misfit(f"{self._what} cannot be stored: it contains itself or is nested too deeply") from error
        except (UnicodeEncodeError, ValueError, msgspec.MsgspecError) as error:
            raise Misfit(f"{self._what} cannot be stored: {_why(error)}") from error
        return encoded

    def decode(self, value: Json) -> Any:
        """Give the value whose JSON is `value`. Raises Misfit: it was stored by other code, or written by hand."""
        try:
            return self._form.decode(value)
        except Unfit as unfit:
            place = f"`{unfit.path}` " if unfit.path else "it "
            raise Misfit(
                f"{self._what} does not fit {planning.described(self._annotation)}: {place}{unfit.message}"
            ) from unfit.__cause__

    def _refusal(self, unfit: Unfit) -> str:
        place = f"`{unfit.path}` " if unfit.path else "it "
        kind = unfit.unannotated
        if kind is None:
            return f"{self._what} cannot be stored: {place}{unfit.message}"
        return f"{self._what} cannot be stored: {place}{unfit.message}, {self._advice(unfit.path, kind)}"

    def _advice(self, path: str, kind: type) -> str:
        name = "Path" if issubclass(kind, pathlib.Path) else kind.__qualname__
        if not planning.is_storable(kind):
            return f"and no annotation could store {name}: {planning.ADVICE}"
        if self._annotation is not MISSING:
            room = f"{planning.described(self._annotation)} only has room for plain JSON"
            return f"where {room}: say {name} in the annotation"
        written = f"`{self._example.format(name)}`" if not path else f"its type, such as a dataclass that has a {name}"
        return f"which is not plain JSON: annotate {self._what} with {written}"


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        bad = error.object[error.start : error.end]
        return f"it has the text {bad!a}, half of a character, which no JSON can hold"
    return str(error)


def is_plain(value: Any) -> bool:
    """Say whether `value` is plain JSON, which any process can read."""
    try:
        json.encode(forms.plain(value))
    except (Unfit, RecursionError, UnicodeEncodeError, ValueError):
        return False
    return True
