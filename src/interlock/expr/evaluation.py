"""The pure seam between the engine's steps and expressions."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.expr import jq
from interlock.model.json import Json


class Evaluation:
    """Evaluates the expressions of one computation."""

    def run(self, expression: jq.Expression, data: Json, arguments: Mapping[str, Json]) -> Json:
        """Give the result of an expression. Raises ExpressionError."""
        return expression.evaluate(data, arguments)
