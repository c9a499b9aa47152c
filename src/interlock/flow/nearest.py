"""The valid name that a wrong one was probably meant to be: by its spelling, or by the words of other systems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MEANT: Final[dict[str, tuple[str, ...]]] = {
    "action": ("call", "run"),
    "actions": ("do",),
    "api": ("http",),
    "args": ("arguments",),
    "argv": ("arguments",),
    "auth": ("authentication",),
    "authorization": ("authentication",),
    "bash": ("shell",),
    "body": ("message",),
    "branch": ("branches", "switch"),
    "break": ("exit",),
    "case": ("when",),
    "cases": ("switch",),
    "cmd": ("command",),
    "concurrent": ("fork",),
    "condition": ("when", "if"),
    "content": ("body",),
    "cron": ("schedule",),
    "data": ("body", "with", "set"),
    "default": ("else",),
    "delay": ("wait",),
    "docker": ("container",),
    "done": ("end",),
    "each": ("item", "for"),
    "else": ("then",),
    "env": ("environment",),
    "envs": ("environment",),
    "error": ("raise",),
    "except": ("catch",),
    "expression": ("when",),
    "fail": ("raise",),
    "finish": ("end",),
    "foreach": ("for",),
    "function": ("call",),
    "goto": ("then",),
    "header": ("headers",),
    "href": ("endpoint", "uri"),
    "id": ("name",),
    "index": ("at",),
    "inputs": ("input", "arguments"),
    "interval": ("delay", "every"),
    "items": ("in",),
    "javascript": ("js",),
    "jobs": ("do", "branches"),
    "key": ("name",),
    "label": ("title",),
    "list": ("in",),
    "loop": ("for",),
    "match": ("switch",),
    "max": ("count",),
    "max_attempts": ("count",),
    "max_retries": ("count",),
    "namespaces": ("namespace",),
    "next": ("then", "continue"),
    "node": ("js",),
    "on_error": ("catch",),
    "on_failure": ("catch",),
    "otherwise": ("catch",),
    "outputs": ("output",),
    "over": ("in",),
    "parallel": ("fork",),
    "params": ("parameters", "query", "with", "arguments"),
    "parameters": ("with", "query", "arguments", "input"),
    "pause": ("wait",),
    "payload": ("body", "data", "message"),
    "post": ("body",),
    "publish": ("emit",),
    "py": ("python",),
    "queries": ("query",),
    "race": ("compete",),
    "receive": ("listen",),
    "result": ("output",),
    "results": ("output",),
    "retries": ("retry",),
    "return": ("end", "output"),
    "runs-on": ("metadata",),
    "script": ("code", "run"),
    "seconds": ("after",),
    "send": ("emit",),
    "shell": ("run",),
    "sleep": ("wait",),
    "source": ("code",),
    "spawn": ("fork",),
    "step": ("do",),
    "steps": ("do", "branches"),
    "stop": ("end",),
    "subscribe": ("listen",),
    "tasks": ("do", "branches"),
    "text": ("title",),
    "throw": ("raise",),
    "timeout": ("after",),
    "type": ("call",),
    "until": ("while",),
    "url": ("endpoint", "uri"),
    "uri": ("endpoint",),
    "uses": ("call",),
    "value": ("set",),
    "values": ("set",),
    "var": ("each",),
    "variables": ("set", "environment"),
    "vars": ("set",),
    "verb": ("method",),
    "where": ("when",),
    "with": ("arguments", "input"),
    "workflow": ("document", "run"),
    "yields": ("output",),
}


def name(wrong: str, valid: Iterable[str]) -> str | None:
    """Give the name of `valid` that `wrong` was meant to be; None when nothing comes close.

    Letter case, `_` and `-` are looked through first, then the words of other systems, then the spelling: up to one
    slip in three letters, where two swapped letters are one slip.
    """
    names = list(valid)
    plain = _plain(wrong)
    for candidate in names:
        if _plain(candidate) == plain:
            return candidate
    for candidate in _MEANT.get(wrong.lower(), ()):
        if candidate in names:
            return candidate
    return _closest(wrong, names)


def _closest(wrong: str, names: list[str]) -> str | None:
    best, best_distance = None, max(1, len(wrong) // 3) + 1
    for candidate in names:
        if abs(len(candidate) - len(wrong)) >= best_distance:
            continue
        distance = _distance(wrong.lower(), candidate.lower())
        if distance < best_distance and distance < len(candidate):
            best, best_distance = candidate, distance
    return best


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def _distance(left: str, right: str) -> int:
    """Count the insertions, deletions, replacements and swaps of neighbours that turn `left` into `right`.

    Source: optimal string alignment, a restricted Damerau-Levenshtein distance. Long texts are cut at 64 letters.
    """
    left, right = left[:64], right[:64]
    above: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        two_above, above, row = above, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, two_above[j - 2] + 1)
            row.append(cost)
    return row[-1]
