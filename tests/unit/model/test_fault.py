"""Errors as values."""

from __future__ import annotations

import pytest

from interlock.model import fault
from interlock.model.fault import Fault

_NEW = "https://open-workflow-specification.org/"
_OLD = "https://serverlessworkflow.io/"


@pytest.mark.parametrize("host", [_NEW, _OLD, "https://www.serverlessworkflow.io/", "http://serverlessworkflow.io/"])
@pytest.mark.parametrize("path", ["spec/1.0.0/errors/", "spec/1.0.3/errors/", "dsl/errors/types/"])
def test_standard_types_are_the_same_on_every_host_and_path(host: str, path: str) -> None:
    assert fault.same_type(f"{host}{path}communication", fault.COMMUNICATION)
    assert not fault.same_type(f"{host}{path}timeout", fault.COMMUNICATION)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("https://shop.example/errors/tea", "https://shop.example/errors/tea", True),
        ("https://shop.example/spec/1.0.0/errors/timeout", fault.TIMEOUT, False),
        (_NEW + "errors/timeout", fault.TIMEOUT, False),
        (_NEW + "spec/1.0.0/errors/timeout/more", fault.TIMEOUT, False),
    ],
)
def test_other_types_are_compared_as_text(left: str, right: str, same: bool) -> None:
    assert fault.same_type(left, right) is same


def test_instance_is_set_once() -> None:
    error = Fault(type=fault.RUNTIME, status=500)
    assert error.at("/do/0/a").at("/do/1/b").instance == "/do/0/a"


def test_description_leaves_absent_fields_and_our_own_code_out() -> None:
    error = Fault(type=fault.RUNTIME, status=500, title="Broken", code="payload-too-large")
    assert error.described() == {"type": fault.RUNTIME, "status": 500, "title": "Broken"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Fault(type=fault.RUNTIME, status=500), "runtime"),
        (Fault(type=fault.RUNTIME, status=500, title="Broken"), "Broken"),
        (Fault(type=fault.RUNTIME, status=500, title="Broken", detail="it fell"), "Broken: it fell"),
        (Fault(type=fault.RUNTIME, status=500, detail="it fell"), "runtime: it fell"),
    ],
)
def test_error_reads_as_a_sentence(error: Fault, text: str) -> None:
    assert str(error) == text
