"""Golden histories: what a run did, kept in a file beside the tests, to be compared with what it does now.

The file holds the history without times and ids, which tests compare, and what the run remembered, over which `replay` runs
the present code: whether a run that began with the code of then could go on with that of now.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock import errors
from interlock.app.run import Run
from interlock.engine.replaying import Replay, replayed
from interlock.flow.python.workflow import Workflow
from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.json import Json
from interlock.model.memo import Memo
from interlock.model.payload import Payload

_LEFT_OUT: Final = frozenset({"at", "until", "deadline", "effect", "base", "listener", "traceback"})
_VERSION: Final = 1


class GoldenDiffers(errors.InterlockError, AssertionError):
    """A run did other than its golden history says; the message is a diff."""


class DoesNotFit(errors.InterlockError, AssertionError):
    """A run that began with the code of a golden history cannot go on with the present one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a run began with and remembers. `open`: the calls that it waits for, or did at its end. `ended` None: not
    yet. `run` is its key, of which the texts of its tokens are made."""

    run: str
    input: Json
    memos: list[Memo]
    open: list[str]
    ended: Json | None


async def compare(run: Run[Any], path: Path, input: Json, workflow: str, *, update: bool) -> None:
    """Compare a run with its golden history, which is written when there is none, or with `update`. Raises GoldenDiffers."""
    text = _text(workflow, run.run, input, await run.history(), {run.run: "<run>", run.id: "<run>"})
    if update or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return
    if lines := _differing(_lines(path.read_text("utf-8"), path), _lines(text, path)):
        told = f"{workflow} did other than {path} says; --interlock-update-golden writes what is right now"
        raise GoldenDiffers("\n".join([told, *lines]))


def _lines(text: str, path: Path) -> list[str]:
    """Give what is compared, one thing a line. What ran side by side may end in any order, so the order does not count."""
    try:
        parts = json.loads(text)
        lines = [f"{name}: {_json(parts[name])}" for name in ("workflow", "input", "ended")]
        return lines + [_json(event) for event in parts["history"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise errors.Invalid(f"{path} is no golden history: {error}; remove it to have it written anew") from error


def _differing(golden: list[str], now: list[str]) -> list[str]:
    """Give the lines that only one of the two has, in the order of what happened."""
    gone, new = Counter(golden) - Counter(now), Counter(now) - Counter(golden)
    return [f"- {line}" for line in golden if gone[line]] + [f"+ {line}" for line in now if new[line]]


async def replay(workflow: Workflow[..., Any], path: Path, sign: Callable[[str], Awaitable[str]]) -> Replay:
    """Run the present code of a workflow over a golden history. Raises DoesNotFit, which says where they part."""
    golden = _read(path)
    found = await replayed(
        workflow,
        golden.input,
        golden.memos,
        golden.open,
        id="golden",
        run=golden.run,
        namespace=workflow.namespace,
        sign=sign,
    )
    if problems := _problems(golden, found):
        raise DoesNotFit("\n    ".join([f"{workflow.name} does not fit {path} any more:", *problems]))
    return found


def _problems(golden: Remembered, replay: Replay) -> list[str]:
    """Say what is not as it was."""
    if replay.error is not None and replay.error_memo is None and golden.ended != _how_it_ended(replay):
        return [f"it raises {type(replay.error).__name__}: {replay.error}"]
    found = [f"`{ask.identity}` is new, and would be performed" for ask in replay.new_calls]
    found += [f"the result of `{memo.call}` is not asked for any more" for memo in replay.unused]
    if golden.ended is None:
        found += [f"the call `{call}`, which it waited for, is not made any more" for call in replay.unasked]
    if not found and golden.ended is not None and golden.ended != _how_it_ended(replay):
        found.append(f"it ends with {_how_it_ended(replay)!r} instead of {golden.ended!r}")
    if not found and golden.ended is None and replay.ended:
        found.append(f"it ends, with {_how_it_ended(replay)!r}, where it waited")
    return found


def _how_it_ended(replay: Replay) -> Json:
    if replay.output is not None:
        return {"output": replay.output.value}
    return None if replay.error is None else {"error": f"{type(replay.error).__name__}: {replay.error}"}


# -- writing and reading ---------------------------------------------------------------------------------------------


def _text(workflow: str, run: str, input: Json, history: list[Event], names: Mapping[str, str]) -> str:
    remembered = _remembered(run, input, history)
    parts = {
        "golden": _VERSION,
        "workflow": workflow,
        "run": run,
        "input": remembered.input,
        "ended": remembered.ended,
        "open": remembered.open,
        "history": [_plain(event, names) for event in history],
        "memos": [_plain(memo, {}) for memo in remembered.memos],
    }
    lines = []
    for name, value in parts.items():
        if name in ("history", "memos"):  # one line each, so that a diff shows what happened
            items = ",\n".join(f"    {_json(item)}" for item in value)
            lines.append(f'  "{name}": [\n{items}\n  ]')
        else:
            lines.append(f'  "{name}": {_json(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _plain(value: Event | Memo, names: Mapping[str, str]) -> Json:
    """Give an event or a memo as data, without what differs from run to run."""
    return _kept(msgspec.to_builtins(value, enc_hook=_payload), names)


def _payload(value: Any) -> Json:
    assert isinstance(value, Payload)
    return {"value": value.value}


def _kept(value: Json, names: Mapping[str, str]) -> Json:
    match value:
        case {"value": inner} if len(value) == 1:  # a payload: what it holds is the user's
            return {"value": _named(inner, names)}
        case dict():
            return {key: _kept(item, names) for key, item in value.items() if key not in _LEFT_OUT}
        case list():
            return [_kept(item, names) for item in value]
        case _:
            return _named(value, names)


def _named(value: Json, names: Mapping[str, str]) -> Json:
    match value:
        case str():
            for id, name in names.items():
                value = value.replace(id, name)
            return value
        case dict():
            return {key: _named(item, names) for key, item in value.items()}
        case list():
            return [_named(item, names) for item in value]
        case _:
            return value


def _remembered(run: str, input: Json, history: list[Event]) -> Remembered:
    """Gather from its history what a run remembers, as the engine does."""
    memos: list[Memo] = []
    open: dict[str, None] = {}
    dropped: int | None = None
    ended: Json | None = None
    number = 0
    for event in history:
        match event:
            case events.Called(scope=scope):
                open[scope] = None
            case events.Returned(scope=scope, output=output, failed=failed):
                number += 1
                open.pop(scope, None)
                memos.append(Memo(number=number, call=scope, at=0.0, output=output, failed=failed))
            case events.Noted(call=call, value=value):
                number += 1
                memos.append(Memo(number=number, call=call, at=0.0, output=value))
            case events.Left(scope=scope):
                open.pop(scope, None)
            case events.Renewed():
                input, memos, open = event.input.value, [], {}
            case events.Ended(output=result):
                ended = {"output": result.value}
            case events.Faulted(fault=fault, memo=memo):
                dropped, ended = memo, {"error": f"{fault.title}: {fault.detail}"}
            case events.Reopened():
                memos, open, ended = [memo for memo in memos if memo.number != dropped], {}, None
            case _:
                pass
    return Remembered(run=run, input=input, memos=memos, open=list(open), ended=ended)


def _read(path: Path) -> Remembered:
    try:
        parts = json.loads(path.read_text("utf-8"))
        if parts["golden"] != _VERSION:
            raise errors.Invalid(
                f"{path} is a golden history of version {parts['golden']}, not {_VERSION}; write it anew"
            )
        memos = msgspec.convert([{"at": 0.0, **memo} for memo in parts["memos"]], list[Memo], dec_hook=_from_payload)
        return Remembered(run=parts["run"], input=parts["input"], memos=memos, open=parts["open"], ended=parts["ended"])
    except FileNotFoundError as error:
        raise errors.NotFound(f"there is no golden history {path}; `interlock.golden(run, path)` writes one") from error
    except (json.JSONDecodeError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise errors.Invalid(f"{path} is no golden history: {error}") from error


def _from_payload(kind: type, value: Json) -> Payload:
    assert kind is Payload
    return Payload(value["value"])
