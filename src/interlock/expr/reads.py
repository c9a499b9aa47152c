"""What a program reads of one of its arguments: the fields that it names."""

from __future__ import annotations

from interlock.expr import syntax


def fields(node: syntax.Node, argument: str) -> frozenset[str] | None:
    """Give the fields of `$argument` that a program names (`$secrets.db`, `$secrets["db"]`); None for any of them.

    Everything but naming a field of it at once (`$secrets | keys`, `$secrets[.name]`) may read all.
    """
    found: set[str] = set()
    return frozenset(found) if _names_only(node, argument, found) else None


def _names_only(node: syntax.Node, argument: str, found: set[str]) -> bool:
    match node:
        case ("field", ("var", name), str(field)) if name == argument:
            found.add(field)
            return True
        case ("index", ("var", name), ("const", str(field))) if name == argument:
            found.add(field)
            return True
        case ("var", name) if name == argument:
            return False
        case _:
            return all(_names_only(child, argument, found) for child in syntax.children(node))
