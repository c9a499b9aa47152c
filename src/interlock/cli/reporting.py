"""Performs the commands about tokens, and tells what a run waits for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import quote

from interlock import errors
from interlock.app.records import Records
from interlock.app.tokens import Alive, Held, Reported, Tokens, TokenView
from interlock.cli import book, context, far, given, glyphs, shapes
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.model.states import ENDED_RUN
from interlock.wire import tokens as wire

_DEFAULT_NAMESPACE: Final = "default"
_VARIABLE: Final = "INTERLOCK_TOKEN"
_STOP: Final = 3
"""The exit code that tells a script to stop its work: nobody will want the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure as it was typed."""

    type: str
    message: str
    retryable: bool
    details: str | None


async def complete(text: str | None, run: str | None, step: str | None, result: str, *, as_json: bool) -> int:
    """Complete a step. Raises TokenUnknown, TokenError, Invalid for what is no JSON or not what was asked for."""
    value = _value(result, "--result")
    if options.server is not None:
        body = wire.Complete(result=value)
        return _print_reported(await _reported_far(text, run, step, "complete", body), as_json=as_json)
    async with _chosen(text, run, step) as (app, tokens, token):
        reported = await tokens.complete(token, value)
        await _tell_reported(app, reported, as_json=as_json)
    return 0


async def fail(text: str | None, run: str | None, step: str | None, failure: Failure, *, as_json: bool) -> int:
    """Fail a step. Raises as `complete`."""
    details = None if failure.details is None else _value(failure.details, "--details")
    if options.server is not None:
        body = wire.Fail(message=failure.message, type=failure.type, retryable=failure.retryable, details=details)
        return _print_reported(await _reported_far(text, run, step, "fail", body), as_json=as_json)
    async with _chosen(text, run, step) as (app, tokens, token):
        reported = await tokens.fail(
            token, failure.message, type=failure.type, retryable=failure.retryable, details=details
        )
        await _tell_reported(app, reported, as_json=as_json)
    return 0


async def heartbeat(text: str | None, run: str | None, step: str | None, details: str | None, *, as_json: bool) -> int:
    """Tell that the work goes on; gives the exit code that says whether it is to be stopped."""
    value = None if details is None else _value(details, "--details")
    if options.server is not None:
        body = wire.Heartbeat(details=value)
        return _tell_alive(await _alive_far(text, run, step, "heartbeat", body), as_json=as_json)
    async with _chosen(text, run, step) as (_, tokens, token):
        return _tell_alive(await tokens.heartbeat(token, value), as_json=as_json)


async def progress(
    text: str | None, run: str | None, step: str | None, fraction: float | None, message: str | None, *, as_json: bool
) -> int:
    """Tell how far the work is; the rest as `heartbeat`. Raises Invalid for neither a number nor words."""
    if fraction is None and message is None:
        raise errors.Invalid("say how far the work is: --fraction from 0 to 1, --message, or both")
    if options.server is not None:
        body = wire.Progress(fraction=fraction, message=message)
        return _tell_alive(await _alive_far(text, run, step, "progress", body), as_json=as_json)
    async with _chosen(text, run, step) as (_, tokens, token):
        return _tell_alive(await tokens.progress(token, fraction, message), as_json=as_json)


async def show(text: str | None, run: str | None, step: str | None, *, as_json: bool) -> int:
    """Show a token, or all that a run waits for."""
    if run is not None and step is None:
        return await _show_run(text, run, as_json=as_json)
    if options.server is not None:
        async with far.opened() as server:
            path, query = _path(text, run, step, "standing" if run is not None else "")
            view, now = shapes.view(await server.ask(wire.TokenTold, "GET", path, query=query)), server.now()
    else:
        async with _chosen(text, run, step) as (app, tokens, token):
            view = await tokens.show(token)
            now = app.clock.now()
    if as_json:
        answer(json.encode(asdict(view)).decode())
    else:
        for line in [f"{view.state}  {view.step}  of the run {view.run_id}", *_facts(view, now)]:
            answer(line)
    return 0


async def _show_run(text: str | None, run: str, *, as_json: bool) -> int:
    _refuse_both(text, run)
    async with book.opened() as source:
        row = await source.find(options.namespace, run)
        views = await source.tokens(row)
        now = source.now()
    if as_json:
        answer(json.encode([asdict(view) for view in views]).decode())
        return 0
    for view in views:
        answer(f"{view.step}  {told(view, now)}")
    if not views:
        note(f"no step of the run {row.id} waits for a token")
    return 0


# -- which token -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _chosen(
    text: str | None, run: str | None, step: str | None
) -> AsyncIterator[tuple[Records, Tokens, str | Held]]:
    """Give the token that was meant: by its text, by the run and the step that waits for it, or by the environment."""
    _check(text, run, step)
    async with context.existing(Records) as app:
        if run is not None and step is not None:
            row = await app.find(options.namespace, run)
            tokens = Tokens(app, row.namespace)
            yield app, tokens, await tokens.of_step(row.run, step)
            return
        yield app, Tokens(app, options.namespace or _DEFAULT_NAMESPACE), _given(text)


def _check(text: str | None, run: str | None, step: str | None) -> None:
    _refuse_both(text, run)
    if (run is None) != (step is None):
        raise errors.Invalid("--run and --step belong together: they name the step that waits for the token")


def _given(text: str | None) -> str:
    """Give the text of the token that was given, here or by the environment. Raises Invalid."""
    text = text or os.environ.get(_VARIABLE)
    if text is None:
        raise errors.Invalid(
            f"which token? Write its text, or set {_VARIABLE}; operators name the step by --run RUN --step STEP"
        )
    return text.strip()


def _path(text: str | None, run: str | None, step: str | None, action: str) -> tuple[str, dict[str, Json]]:
    """Give where the server is asked about a token, and with which query."""
    _check(text, run, step)
    below = f"/{action}" if action else ""
    if run is not None:
        return f"{far.of_run(run)}/tokens{below}", {"step": step}
    return f"/tokens/{quote(_given(text), safe='')}{below}", {}


async def _reported_far(text: str | None, run: str | None, step: str | None, action: str, body: object) -> Reported:
    path, query = _path(text, run, step, action)
    async with far.opened() as server:
        return shapes.reported(await server.ask(wire.Reported, "POST", path, body=body, query=query, safe=True))


async def _alive_far(text: str | None, run: str | None, step: str | None, action: str, body: object) -> Alive:
    path, query = _path(text, run, step, action)
    async with far.opened() as server:
        return shapes.alive(await server.ask(wire.Heard, "POST", path, body=body, query=query, safe=True))


def _refuse_both(text: str | None, run: str | None) -> None:
    if text is not None and run is not None:
        raise errors.Invalid("name the token by its text or by --run and --step, not by both")


def _value(text: str, option: str) -> Json:
    return given.value("@-" if text == "-" else text, option)


# -- telling -----------------------------------------------------------------------------------------------------------


async def _tell_reported(app: Records, reported: Reported, *, as_json: bool) -> None:
    _print_reported(reported, as_json=as_json)
    if as_json:
        return
    row = await app.find(reported.namespace, reported.run_id)
    if row.status not in ENDED_RUN and not await app.is_served(row):
        note(f"no process executes that run now; `interlock resume {row.id}` goes on with it")


def _print_reported(reported: Reported, *, as_json: bool) -> int:
    if as_json:
        answer(json.encode(asdict(reported)).decode())
    else:
        again = "" if reported.applied else ", as was reported before"
        note(f"{reported.state}{again}: {reported.step or 'a step'} of the run {reported.run_id}")
    return 0


def _tell_alive(alive: Alive, *, as_json: bool) -> int:
    if as_json:
        answer(json.encode(asdict(alive)).decode())
    elif alive.cancel_requested:
        note(f"stop: the run is being cancelled{f' ({alive.reason})' if alive.reason else ''}")
    return _STOP if alive.cancel_requested else 0


def told(view: TokenView, now: float) -> str:
    """Say in one line what is known of the work that a token stands for."""
    return ", ".join(_facts(view, now)) or "open"


def _facts(view: TokenView, now: float) -> Sequence[str]:
    facts = [f"waits {duration.text(max(0.0, now - view.created_at))}" if view.completed_at is None else ""]
    if view.to is not None:
        facts.append(f"to {glyphs.value(view.to)}")
    if view.question is not None:
        facts.append(f"asks {glyphs.value(view.question)}")
    if view.expires_at is not None and view.completed_at is None:
        left = view.expires_at - now
        facts.append(f"expires in {duration.text(left)}" if left > 0 else "expired")
    if view.heartbeat_at is not None:
        facts.append(f"last heartbeat {duration.text(max(0.0, now - view.heartbeat_at))} ago")
    elif view.heartbeat_seconds is not None:
        facts.append("no heartbeat yet")
    if isinstance(view.progress, dict):
        facts.append(_progress(view.progress))
    if view.completed_by is not None:
        facts.append(f"by {view.completed_by}")
    if view.reason is not None:
        facts.append(view.reason)
    return [fact for fact in facts if fact]


def _progress(told: dict[str, Json]) -> str:
    parts = [f"{told['fraction']:.0%}"] if "fraction" in told else []
    return " ".join([*parts, *([str(told["message"])] if "message" in told else [])])
