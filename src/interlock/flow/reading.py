"""How the texts of one definition are read: which of them are expressions, by `evaluate.mode`.

What is written in a language of its own (a command line, the code of a script, a URI template) is an expression only as
a whole `${ }`, in the mode `loose` too: `$1` and `.` mean something else there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import UnsetType

from interlock.expr import template
from interlock.expr.jq import Expression
from interlock.expr.template import Mode, Template
from interlock.model.json import Json


class Reader:
    """Compiles what a definition holds in one mode."""

    def __init__(self, mode: Mode) -> None:
        self._mode: Final[Mode] = mode

    def template(self, value: Json) -> Template:
        """Give the template of a value: `set`, `with`, `input`, ..."""
        return _text(value, self._mode) if isinstance(value, str) else template.compile(value, self._mode)

    def shape(self, value: Json | UnsetType) -> Expression | Template | None:
        """Give what `input.from`, `output.as` or `export.as` evaluates: a text is an expression by type."""
        if isinstance(value, UnsetType):
            return None
        return template.expression(value) if isinstance(value, str) else self.template(value)

    def is_read(self, text: str) -> bool:
        """Say whether a text is an expression, or may be one."""
        return not self.template(text).constant


def braced(text: str) -> Template:
    """Give the template of a text in a language of its own: only `${ }` is an expression."""
    return _text(text, "strict")


def condition(text: str | None) -> Expression | None:
    """Give what is an expression by type, where it is given."""
    return None if text is None else template.expression(text)


@lru_cache(maxsize=4096)
def _text(text: str, mode: Mode) -> Template:
    return template.compile(text, mode)
