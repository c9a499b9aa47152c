"""From the events of a document to what the engine needs: what to emit, what to listen for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import UNSET, UnsetType

from interlock.expr import template
from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.flow import document as doc
from interlock.flow.graph import Checker, Correlation, Fitting, ListenWork, Strategy
from interlock.model.json import Json

_NEVER: Final = ("false", "null")


def listen(task: doc.Listen, first: str | None, checker: Callable[[doc.Schema | None], Checker | None]) -> ListenWork:
    """Give the work of a `listen`; `first` is where the list of its `foreach` begins, if it has one.

    `checker` makes the checker of a schema.
    """
    foreach = task.foreach or doc.SubscriptionIterator()
    until = _until(task.to.until)
    return ListenWork(
        strategy=_strategy(task.to),
        until=until,
        read=task.read,
        each=foreach.item,
        at=foreach.at,
        first=first,
        output_as=_shape(foreach.output.as_ if foreach.output else UNSET),
        output_schema=checker(foreach.output.schema if foreach.output else None),
        export_as=_shape(foreach.export.as_ if foreach.export else UNSET),
        export_schema=checker(foreach.export.schema if foreach.export else None),
        keeps=not (isinstance(until, Expression) and until.source.strip() in _NEVER),
    )


def _strategy(strategy: doc.EventStrategy) -> Strategy:
    return Strategy(mode=strategy.mode, filters=tuple(_fitting(item) for item in strategy.filters))


def _until(until: str | doc.EventStrategy | None) -> Expression | Strategy | None:
    if until is None:
        return None
    return template.expression(until) if isinstance(until, str) else _strategy(until)


def _fitting(filter_: doc.EventFilter) -> Fitting:
    attributes = {name: _pattern(value) for name, value in filter_.with_.items()}
    return Fitting(
        type=_literal(attributes.get("type")),
        source=_literal(attributes.get("source")),
        attributes=attributes,
        correlate={name: _correlation(item) for name, item in filter_.correlate.items()},
    )


def _pattern(value: Json) -> Json | Template | Mapping[str, Json]:
    """Keep what is literal, compile what is an expression, part by part: each sees its own part of the event."""
    if isinstance(value, dict):
        return {name: _pattern(item) for name, item in value.items()}
    return template.compile(value) if isinstance(value, str) and template.is_expression(value) else value


def _literal(pattern: Json | Template) -> str | None:
    return pattern if isinstance(pattern, str) else None


def _correlation(item: Mapping[str, Json]) -> Correlation:
    expect = item.get("expect")
    return Correlation(
        value=template.expression(item["from"]), expect=None if expect is None else template.compile(expect)
    )


def _shape(value: Json | UnsetType) -> Expression | Template | None:
    if isinstance(value, UnsetType):
        return None
    return template.expression(value) if isinstance(value, str) else template.compile(value)
