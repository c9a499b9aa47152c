"""Wrong names find the one that was meant, or none."""

import pytest

from interlock.flow import nearest

_CASES = [
    ("operation_id", ("operationId", "parameters"), "operationId"),
    ("EXCEPT-WHEN", ("when", "exceptWhen"), "exceptWhen"),
    ("url", ("method", "endpoint"), "endpoint"),
    ("parallel", ("for", "fork"), "fork"),
    ("sleep", ("set", "wait"), "wait"),
    ("steps", ("do",), "do"),
    ("next", ("continue", "exit", "end"), "continue"),
    ("aprove", ("approve", "ship"), "approve"),
    ("hpoks", ("hooks", "books"), "hooks"),
    ("mehtod", ("method", "metadata"), "method"),
    ("ab", ("xy",), None),
    ("x", ("y",), None),
    ("colour", ("set", "if", "input"), None),
    ("a" * 80, ("a" * 79,), "a" * 79),
    ("anything", (), None),
]


@pytest.mark.parametrize(("wrong", "valid", "meant"), _CASES, ids=[wrong[:20] for wrong, *_ in _CASES])
def test_the_nearest_name_is_found(wrong, valid, meant):
    assert nearest.name(wrong, valid) == meant
