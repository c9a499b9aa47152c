"""The page about reliability says what was recorded."""

from __future__ import annotations

from chaos import report


def test_the_page_is_made_of_what_was_recorded() -> None:
    """After a run with `--record`, or a change of the words: `make reliability`."""
    assert report.PAGE.read_text("utf-8") == report.page()
