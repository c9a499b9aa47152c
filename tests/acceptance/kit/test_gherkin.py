"""The reader of the kit's feature files, and that a wrong expectation fails."""

from __future__ import annotations

import re

import pytest

from acceptance.kit import gherkin
from acceptance.kit.gherkin import Step

FEATURE = '''Feature: Sums
  As a reader

  # a comment
  @tag
  Scenario: One and one
    Given a workflow with definition:
    """yaml
    do:
      - a: 1

      - b: 2
    """
    And given the workflow input is:
      """yaml
      x: 1
      """
    When the workflow is executed
    Then the workflow should complete
  Scenario: Another
    When the workflow is executed'''


def test_scenarios_have_their_steps_and_doc_strings_without_indent() -> None:
    one, another = gherkin.read(FEATURE)
    assert (one.feature, one.name, another.name) == ("Sums", "One and one", "Another")
    assert one.steps == (
        Step("a workflow with definition:", "do:\n  - a: 1\n\n  - b: 2", "yaml"),
        Step("given the workflow input is:", "x: 1", "yaml"),
        Step("the workflow is executed"),
        Step("the workflow should complete"),
    )
    assert another.steps == (Step("the workflow is executed"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Feature: a\nScenario: b\nGiven c\n| table |", "line 4 is no step: | table |"),
        ('Feature: a\nScenario: b\nGiven c\n"""\nopen', "a doc string is not closed"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        gherkin.read(text)
