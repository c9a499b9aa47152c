"""From the events of a document to what the engine needs: what to emit, what to listen for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import UNSET

from interlock.expr import template
from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.flow import document as doc
from interlock.flow.graph import Checker, Correlation, Fitting, ListenWork, Strategy
from interlock.flow.reading import Reader
from interlock.model.json import Json

_NEVER: Final = ("false", "null")


def listen(
    task: doc.Listen, first: str | None, reader: Reader, checker: Callable[[doc.Schema | None], Checker | None]
) -> ListenWork:
    """Give the work of a `listen`; `first` is where the list of its `foreach` begins, if it has one.

    `checker` makes the checker of a schema.
    """
    foreach = task.foreach or doc.SubscriptionIterator()
    until = _until(task.to.until, reader)
    return ListenWork(
        strategy=_strategy(task.to, reader),
        until=until,
        read=task.read,
        each=foreach.item,
        at=foreach.at,
        first=first,
        output_as=reader.shape(foreach.output.as_ if foreach.output else UNSET),
        output_schema=checker(foreach.output.schema if foreach.output else None),
        export_as=reader.shape(foreach.export.as_ if foreach.export else UNSET),
        export_schema=checker(foreach.export.schema if foreach.export else None),
        keeps=not (isinstance(until, Expression) and until.source.strip() in _NEVER),
    )


def _strategy(strategy: doc.EventStrategy, reader: Reader) -> Strategy:
    return Strategy(mode=strategy.mode, filters=tuple(_fitting(item, reader) for item in strategy.filters))


def _until(until: str | doc.EventStrategy | None, reader: Reader) -> Expression | Strategy | None:
    if until is None:
        return None
    return template.expression(until) if isinstance(until, str) else _strategy(until, reader)


def _fitting(filter_: doc.EventFilter, reader: Reader) -> Fitting:
    attributes = {name: _pattern(value, reader) for name, value in filter_.with_.items()}
    return Fitting(
        type=_literal(attributes.get("type")),
        source=_literal(attributes.get("source")),
        attributes=attributes,
        correlate={name: _correlation(item, reader) for name, item in filter_.correlate.items()},
    )


def _pattern(value: Json, reader: Reader) -> Json | Template | Mapping[str, Json]:
    """Keep what is literal, compile what is an expression, part by part: each sees its own part of the event."""
    if isinstance(value, dict):
        return {name: _pattern(item, reader) for name, item in value.items()}
    return reader.template(value) if isinstance(value, str) and reader.is_read(value) else value


def _literal(pattern: Json | Template) -> str | None:
    return pattern if isinstance(pattern, str) else None


def _correlation(item: Mapping[str, Json], reader: Reader) -> Correlation:
    expect = item.get("expect")
    return Correlation(
        value=template.expression(item["from"]), expect=None if expect is None else reader.template(expect)
    )
