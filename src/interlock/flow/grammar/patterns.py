"""The text patterns of the language: what counts as a version, a name, a URI, a duration, an expression.

The specification means the regular expressions of ECMAScript, whose white space, digits and end of text differ from
Python's; these say the same in Python. `$` is the end of the text, `.` is all but a line feed.
"""

from __future__ import annotations

import re
from typing import Final

from interlock.model import duration

_SPACE: Final = r"\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_PRE: Final = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_AMOUNT: Final = r"[0-9]+(?:\.[0-9]+)?"

_EXPRESSION: Final = re.compile(rf"[{_SPACE}]*\$\{{.+\}}[{_SPACE}]*\Z")
_URI: Final = re.compile(
    rf"(?![{_SPACE}]*\$\{{)(?=[^{_SPACE}])"
    rf"(?:[^:/?#]+:)?(?://[^/?#{_SPACE}]*)?[^?#{_SPACE}]*(?:\?[^#{_SPACE}]*)?(?:#[^{_SPACE}]*)?\Z"
)
_DURATION: Final = re.compile(
    rf"P(?!\Z)(?:{_AMOUNT}Y)?(?:{_AMOUNT}M)?(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?"
    rf"(?:T(?=[0-9])(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?\Z"
)
_VERSION: Final = re.compile(
    r"(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)"
    rf"(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?\Z"
)
_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\Z")
_HOST: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?\Z")


def is_expression(text: str) -> bool:
    """Say whether the whole text is one `${ }`, as the specification's `runtimeExpression` demands."""
    return _EXPRESSION.match(text) is not None


def is_uri(text: str) -> bool:
    """Say whether the text is a URI, a relative one, or a template `{name}`, and no expression."""
    return _URI.match(text) is not None


def is_endpoint(text: str) -> bool:
    """Say whether the text is a URI or an expression."""
    return is_uri(text) or is_expression(text)


def is_duration(text: str) -> bool:
    """Say whether the text is an ISO 8601 duration or an expression."""
    return _DURATION.match(text) is not None or is_expression(text)


def is_version(text: str) -> bool:
    """Say whether the text is a semantic version such as 1.2.0 or 1.0.0-alpha.1+build."""
    return _VERSION.match(text) is not None


def is_name(text: str) -> bool:
    """Say whether the text may name a workflow or a namespace: a DNS label in any case."""
    return _NAME.match(text) is not None


def is_host(text: str) -> bool:
    """Say whether the text may be a host name."""
    return _HOST.match(text) is not None


def is_literal(text: str) -> bool:
    """Say whether the text is no expression."""
    return not is_expression(text)


def is_filled(text: str) -> bool:
    """Say whether the text has at least one character."""
    return text != ""


# -- advice on what does not match -----------------------------------------------------------------------------------


def about_version(text: str) -> tuple[str, str | None]:
    """Give advice on a text that is no version, and the version that it was probably meant to be."""
    numbers = re.match(r"[vV=]*([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?\Z", text.strip())
    if numbers is None:
        return "; write three numbers such as 1.2.0", None
    near = ".".join(str(int(part or 0)) for part in numbers.groups())
    return f"; did you mean `{near}`?", near


def about_name(text: str) -> tuple[str, str | None]:
    """Give advice on a text that is no name, and the closest one that is."""
    near = re.sub(r"[^a-zA-Z0-9]+", "-", text)[:63].strip("-")
    advice = "; at most 63 letters, digits and hyphens, no hyphen at the ends"
    return (f"{advice}: `{near}`", near) if near else (advice, None)


def about_duration(text: str) -> tuple[str, str | None]:
    """Give advice on a text that is no ISO 8601 duration, and the same duration written so if it can be read."""
    try:
        near = _iso(duration.parse(text))
    except (ValueError, OverflowError):
        return "; write PT30S, PT5M, PT2H or P1D, or a map such as {minutes: 5}", None
    return f"; write `{near}`", near


def about_endpoint(text: str) -> tuple[str, str | None]:
    """Give advice on a text that is neither URI nor expression."""
    if "\n" in text:
        return "; the specification wants an expression on one line here", None
    if "${" in text:
        return "; an expression must fill the whole text: ${ ... } and nothing around it", None
    return "; a URI has no white space", None


def about_expression(text: str) -> tuple[str, str | None]:
    """Give advice on a text that is not one expression, and the expression that it was probably meant to be."""
    if "${" in text or "\n" in text:
        return about_endpoint(text)[0], None
    near = f"${{ {text.strip()} }}"
    return f"; did you mean `{near}`?", near


def _iso(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    days, rest = divmod(milliseconds, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    time = "".join(f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M")) if amount)
    time += f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "S" if rest or not (days or time) else ""
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")
