"""What is jq: that every expression parses, that the `$names` it reads exist, and what only looks like one.

Properties that are expressions by type may be written with or without `${ }`; everywhere else only a text that is one
`${ }` as a whole is an expression (reference 1.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from interlock.errors import ExpressionSyntax
from interlock.expr import jq, template
from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import quoted
from interlock.flow.grammar.tasks import kinds_of
from interlock.model.event import UNDO
from interlock.model.json import Json

ARGUMENTS: Final = ("context", "input", "output", "secrets", "task", "workflow", "runtime", "authorization")
"""The `$names` of every expression (OWS 1.0.3, "Runtime expression arguments"); loops and catches add their own."""
LANGUAGES: Final = ("jq",)

_VARIABLE: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_LOOKS_LIKE_ONE: Final = re.compile(rf"(?:\.(?=[a-zA-Z_])|\$(?:{'|'.join(ARGUMENTS)}|item|index|error)\b)[\w.\[\]$]*\Z")
_SHELL_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_EXCERPT_WIDTH: Final = 100


def check(value: Json, findings: Findings) -> None:
    """Note expressions that do not parse, that read unknown names, and texts that look like expressions but are not."""
    _check_variables(findings)
    evaluate = value.get("evaluate") if isinstance(value, dict) else None
    settings = evaluate if isinstance(evaluate, dict) else {}
    language = settings.get("language", "jq")
    if language not in LANGUAGES:
        if isinstance(language, str):
            message = f"expressions are written in {', '.join(LANGUAGES)}, not in {quoted(language)}"
            findings.add("unsupported-language", message, "/evaluate/language", found=language, expected="jq")
        return
    scopes = list(_scopes(findings))
    for path, text in findings.places[Role.EXPRESSION]:
        _check_program(path, text, scopes, findings)
    for path, command in findings.places[Role.COMMAND]:
        _check_command(path, command, scopes, findings)
    for path, content in findings.places[Role.TEMPLATE]:
        for place, text in _texts(path, content):
            _check_text(place, text, scopes, findings, is_strict=settings.get("mode") != "loose")


# -- names -----------------------------------------------------------------------------------------------------------


def _check_variables(findings: Findings) -> None:
    for path, name in findings.places[Role.VARIABLE]:
        if not _VARIABLE.match(name):
            near = re.sub(r"\W+", "_", name.removeprefix("$"), flags=re.ASCII).strip("_")
            advice = f": `{near}`" if _VARIABLE.match(near) else ""
            message = f"{quoted(name)} is no variable name; use letters, digits and `_`, and no `$`{advice}"
            findings.add("invalid-variable-name", message, path, found=name, nearest=near if advice else None)
        elif name in ARGUMENTS:
            findings.add("reserved-name", f"`${name}` has a meaning of its own; choose another name", path, found=name)


def _scopes(findings: Findings) -> Iterator[tuple[str, frozenset[str]]]:
    """Give the places below which more `$names` can be read, and these names."""
    for path, task in findings.places[Role.TASK]:
        for kind in kinds_of(task):
            if kind == "for":
                yield f"{path}/", _named(task["for"], ("each", "item"), ("at", "index"))
            elif kind == "try":
                yield f"{path}/catch/", _named(task.get("catch"), ("as", "error"))
            elif kind == "listen":
                yield f"{path}/foreach/", _named(task.get("foreach"), ("item", "item"), ("at", "index"))
            elif task.get("call") == "asyncapi":
                foreach = f"{path}/with/subscription/foreach"
                yield (
                    f"{foreach}/",
                    _named(_at(task, "with", "subscription", "foreach"), ("item", "item"), ("at", "index")),
                )


def _at(value: Json, *keys: str) -> Json:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _named(properties: Json, *names: tuple[str, str]) -> frozenset[str]:
    given = properties if isinstance(properties, dict) else {}
    written = (given.get(key, default) for key, default in names)
    return frozenset(name for name in written if isinstance(name, str) and _VARIABLE.match(name))


# -- programs --------------------------------------------------------------------------------------------------------


def _check_program(path: str, text: str, scopes: list[tuple[str, frozenset[str]]], findings: Findings) -> None:
    program = template.inner(text) if template.is_expression(text) else text.strip()
    if not program:
        findings.add("empty-expression", "the expression is empty", path)
        return
    try:
        compiled = jq.compile(program)
    except ExpressionSyntax as error:
        near = _single_braced(program)
        advice = f"; braces stand once: `{near}`" if near else ""
        excerpt = _excerpt(error.source, error.column)
        findings.add("expression", f"{error}{advice}", path, found=program, nearest=near, excerpt=excerpt)
        return
    _note_secrets(path, compiled, findings)
    _check_names(path, compiled, scopes, findings)


def _note_secrets(path: str, program: jq.Expression | None, findings: Findings) -> None:
    names = None if program is None else program.secrets
    for name in sorted(names or ()):
        findings.note(Role.SECRET_NAME, path, name)


def _check_names(
    path: str, compiled: jq.Expression, scopes: list[tuple[str, frozenset[str]]], findings: Findings
) -> None:
    if path.startswith("/use/"):  # read where it is used, in scopes that are not known here
        return
    undo = path[: path.rfind(UNDO) + len(UNDO)] if UNDO in path else ""  # which sees nothing of what is around it
    known = set(ARGUMENTS).union(*(names for prefix, names in scopes if path.startswith(prefix) and undo in prefix))
    for name in sorted(compiled.arguments - known):
        near = nearest.name(name, sorted(known))
        advice = (
            f"; did you mean `${near}`?" if near else f"; here are {', '.join(f'${item}' for item in sorted(known))}"
        )
        message = f"`${name}` is not defined here{advice}"
        excerpt = _excerpt(compiled.source, _offset(compiled.source, name))
        findings.add("unknown-variable", message, path, found=f"${name}", nearest=near and f"${near}", excerpt=excerpt)


def _offset(source: str, name: str) -> int | None:
    match = re.search(rf"\${re.escape(name)}\b", source)
    return match.start() if match else None


def _single_braced(program: str) -> str | None:
    """Give the expression that `${{ .x }}` was meant to be, None when this is not that mistake."""
    if not (program.startswith("{") and program.endswith("}")):
        return None
    try:
        jq.compile(program[1:-1].strip())
    except ExpressionSyntax:
        return None
    return f"${{ {program[1:-1].strip()} }}"


def _excerpt(source: str, column: int | None) -> str | None:
    """Give the line of a program with a caret below `column`; None when the place is not known."""
    if column is None:
        return None
    begin = source.rfind("\n", 0, column) + 1
    end = source.find("\n", column)
    line, caret = source[begin : end if end >= 0 else None].replace("\t", " "), column - begin
    if caret > _EXCERPT_WIDTH - 20:
        cut = caret - _EXCERPT_WIDTH // 2
        line, caret = "..." + line[cut:], caret - cut + 3
    return f"{line[:_EXCERPT_WIDTH]}\n{' ' * caret}^"


# -- texts -----------------------------------------------------------------------------------------------------------


def _texts(path: str, content: Json) -> Iterator[tuple[str, str]]:
    if isinstance(content, str):
        yield path, content
    elif isinstance(content, dict):
        for key, item in content.items():
            yield from _texts(pointer.child(path, key), item)
    elif isinstance(content, list):
        for index, item in enumerate(content):
            yield from _texts(f"{path}/{index}", item)


def _check_text(
    path: str, text: str, scopes: list[tuple[str, frozenset[str]]], findings: Findings, *, is_strict: bool
) -> None:
    if template.is_expression(text):
        _check_program(path, text, scopes, findings)
    elif "${" in text:
        message = (
            '`${ }` inside longer text is not evaluated; make the whole text one expression: ${ "... \\(.name) ..." }'
        )
        findings.warn("embedded-expression", message, path)
    elif not is_strict:
        _note_secrets(path, template.possible(text), findings)
    elif _LOOKS_LIKE_ONE.match(text):
        near = f"${{ {text} }}"
        findings.warn(
            "literal-expression", f"{quoted(text)} is plain text here; did you mean `{near}`?", path, nearest=near
        )


def _check_command(path: str, command: str, scopes: list[tuple[str, frozenset[str]]], findings: Findings) -> None:
    if template.is_expression(command):
        _check_program(path, command, scopes, findings)
    elif "${" in command:
        message = '`${ }` inside a command line is refused; pass the value by `arguments` and write "$1"'
        variable = _SHELL_VARIABLE.search(command)
        if variable:
            message += f"; the shell's own variable is written `${variable.group(1)}`, without braces"
        findings.add("expression-in-shell", message, path)
