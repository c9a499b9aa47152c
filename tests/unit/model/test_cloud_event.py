"""CloudEvents: what is one, what stands in for what is not given."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.model import cloud_event


def made(given: dict[str, Any]) -> dict[str, Any]:
    return cloud_event.envelope(given, id="i", source="/s", now=0.0)


def test_what_is_not_given_is_filled_in() -> None:
    event = {"specversion": "1.0", "id": "i", "source": "/s", "time": "1970-01-01T00:00:00.000Z", "type": "t"}
    assert made({"type": "t", "subject": None}) == event
    assert made({"type": "t", "data": None}) == event | {"data": None, "datacontenttype": "application/json"}
    assert made(event | {"data": 1, "datacontenttype": "text/plain"})["datacontenttype"] == "text/plain"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"type": "t", "time": "today"}, "`time`"),
        ({"type": "t", "time": "2026-01-01T00:00:00"}, "`time`"),
        ({"type": "t", "dataschema": "a b"}, "`dataschema` is no URI"),
        ({"type": ""}, "`type`"),
        ({"source": "/x"}, "no `type`"),
        ({"type": "t", "a-b": 1}, "`a-b`"),
    ],
)
def test_what_is_no_event_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        made(given)


def test_a_listener_reads_data_or_what_was_sent() -> None:
    assert cloud_event.data({"data": 1}) == 1
    assert cloud_event.data({}) is None
    assert cloud_event.raw({"data_base64": "AA=="}) == "AA=="
    assert cloud_event.raw({"data": 1}) == 1
