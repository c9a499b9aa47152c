"""Compiles what a definition says about errors: those it raises, those it catches, and how it tries again."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.expr.template import Template
from interlock.flow import document as doc
from interlock.flow.graph import RetryPlan
from interlock.flow.reading import Reader, condition
from interlock.model import duration
from interlock.model.json import Json

_FIELDS = ("type", "status", "instance", "title", "detail")


def error(raised: doc.ErrorDefinition | str, use: doc.Use, reader: Reader) -> Template:
    """Give what evaluates to the fields of an error that is raised."""
    definition = use.errors[raised] if isinstance(raised, str) else raised
    return reader.template(_given(definition))


def filter(caught: doc.ErrorFilter | None) -> Mapping[str, Json]:
    """Give what an error must have to be caught; nothing for any error."""
    return {} if caught is None else caught.others | _given(caught)


def retry(task: doc.Try, use: doc.Use, reader: Reader) -> RetryPlan | None:
    """Give how a `try` is repeated; None for not at all."""
    policy = use.retries[task.retry] if isinstance(task.retry, str) else task.retry
    if policy is None:
        return None
    jitter = None
    if policy.jitter_from is not None:
        jitter = (reader.template(policy.jitter_from), reader.template(policy.jitter_to))
    longest = task.metadata.get("interlock", {}).get("max_interval")
    return RetryPlan(
        when=condition(policy.when),
        except_when=condition(policy.except_when),
        delay=_optional(policy.delay, reader),
        backoff=policy.backoff,
        count=policy.attempt_count,
        attempt_duration=_optional(policy.attempt_duration, reader),
        total_duration=_optional(policy.limit_duration, reader),
        jitter=jitter,
        longest_seconds=None if longest is None else duration.parse(longest),
    )


def _given(fields: object) -> dict[str, Json]:
    named = {key: getattr(fields, key) for key in _FIELDS}
    return {key: value for key, value in named.items() if value is not None}


def _optional(value: Json, reader: Reader) -> Template | None:
    return None if value is None else reader.template(value)
