"""What a tree says, as a document of the Open Workflow Specification."""

from __future__ import annotations

from simulation.plan import Work


def document(work: Work) -> str:
    raise NotImplementedError


def children(work: Work) -> list[str]:
    raise NotImplementedError
