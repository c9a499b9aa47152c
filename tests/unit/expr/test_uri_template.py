"""URI templates: simple expansion of top-level scalars."""

from __future__ import annotations

import pytest

from interlock.errors import ExpressionError, ExpressionSyntax
from interlock.expr import uri_template

DATA = {"id": 7, "name": "a b/c?&é%", "ok": True, "none": None, "price": 1.5, "whole": 2.0, "list": [1], "map": {}}


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("https://x.test/pets/{id}", "https://x.test/pets/7"),
        ("https://x.test/{name}", "https://x.test/a%20b%2Fc%3F%26%C3%A9%25"),
        ("/{ok}/{none}/{missing}/{price}/{whole}", "/true///1.5/2"),
        ("/{id}{id}", "/77"),
        ("/plain", "/plain"),
        ("/a}b", "/a}b"),
    ],
)
def test_names_expand_to_encoded_scalars(template: str, uri: str) -> None:
    assert uri_template.expand(template, DATA) == uri


def test_data_without_properties_expands_to_nothing() -> None:
    assert uri_template.expand("/{id}", "text") == "/"


@pytest.mark.parametrize("name", ["list", "map"])
def test_arrays_and_objects_are_refused(name: str) -> None:
    with pytest.raises(ExpressionError, match=f"`{name}` is an"):
        uri_template.expand(f"/{{{name}}}", DATA)


@pytest.mark.parametrize(
    ("template", "column"), [("/{+id}", 1), ("/{$context}", 1), ("/x/{a,b}", 3), ("/{}", 1), ("/{id", 1), ("/{a:3}", 1)]
)
def test_other_forms_are_refused_with_their_column(template: str, column: int) -> None:
    with pytest.raises(ExpressionSyntax) as raised:
        uri_template.expand(template, DATA)
    assert raised.value.column == column


def test_hostile_values_cannot_leave_their_place_in_the_uri() -> None:
    """OP-07: a value never adds a path, a query or a host."""
    uri = uri_template.expand("https://x.test/{id}", {"id": "../../@evil.test/?a=b#c\r\nHost: evil"})
    assert uri == "https://x.test/..%2F..%2F%40evil.test%2F%3Fa%3Db%23c%0D%0AHost%3A%20evil"


def test_only_braces_make_a_template() -> None:
    assert uri_template.is_template("/{id}")
    assert not uri_template.is_template("/id")
