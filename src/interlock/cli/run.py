"""Commands that execute: run, resume, retry, fork, demo."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from interlock import errors
from interlock.app.interlock import Interlock, Started
from interlock.cli import context, glyphs, live
from interlock.cli.context import answer, note, options
from interlock.model import json
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.states import RunStatus
from interlock.store.ports import RunRow

EXIT: Final = {
    RunStatus.COMPLETED: 0,
    RunStatus.FAULTED: 1,
    RunStatus.CANCELLED: 3,
    RunStatus.SUSPENDED: 5,
}
_TAKE_SECONDS: Final = 1.0
_SHOWN_CHARACTERS: Final = 4_000

InputOption = Annotated[
    str | None, typer.Option("--input", "-i", help="The input as JSON, or @FILE with JSON or YAML in it.")
]
IdOption = Annotated[str | None, typer.Option("--id", help="The run's id; the same id never starts twice.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object with the result and nothing else.")]
RunArgument = Annotated[str, typer.Argument(help="The run's id, or a prefix of it that is unique.")]


def run(
    workflow: Annotated[
        str, typer.Argument(help="A workflow file, - for standard input, or a published NAME[:VERSION].")
    ],
    input: InputOption = None,
    id: IdOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Store the run and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a workflow and show it while it happens."""

    async def command() -> int:
        value = parse_input(input)
        async with context.opened() as app:
            text, file = await _source(app, workflow)
            if not detach:
                await app.bring_node()
            namespace = options.namespace
            started = await app.start(
                text, file=file, input=value, id=id, namespace=namespace, folder=Path.cwd(), detach=detach
            )
            if started.has_schedule:
                note("the document has a schedule; `run` runs it once, now")
            if detach:
                return await _detached(app, started, as_json)
            if not started.fresh and not as_json:
                note(f"the run {started.id} is there already; following it")
            return await attend(app, await app.find(started.namespace, started.id), as_json=as_json)

    context.execute(command)


def resume(
    run: Annotated[str | None, typer.Argument(help="The run's id; none with --all.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Go on with every run that no living process owns.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with runs whose process died, and with suspended ones."""

    async def command() -> int:
        if (run is None) is not all:
            raise errors.Invalid("name one run, or write --all")
        async with context.opened() as app:
            if run is not None:
                row = await app.find(options.namespace, run)
                if row.status in (RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAULTED):
                    hint = f"; `interlock retry {row.id}` goes on from the failed step"
                    faulted = row.status is RunStatus.FAULTED
                    raise errors.Conflict(f"the run {row.id} has ended ({row.status}){hint if faulted else ''}")
                await app.resume(row)
                await app.take(row)
                suspended = row.status is RunStatus.SUSPENDED
                return await attend(app, row, as_json=as_json, resuming=suspended)
            return await _resume_all(app, as_json)

    context.execute(command)


def retry(run: RunArgument, as_json: JsonOption = False) -> None:
    """Go on with a faulted run from the step that failed."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            if not await app.retry(row):
                raise errors.Conflict(f"the run {row.id} is {row.status}; only a faulted run can be retried")
            return await attend(app, row, as_json=as_json)

    context.execute(command)


def fork(
    run: RunArgument,
    step: Annotated[str, typer.Option("--from", help="The step to begin from: its name or its path.")],
    id: IdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a new run that shares another one's history up to a step."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            await app.bring_node()
            started = await app.fork(row, step, id)
            forked = await app.find(started.namespace, started.id)
            await app.take(forked)
            return await attend(app, forked, as_json=as_json)

    context.execute(command)


async def attend(app: Interlock, row: RunRow, *, as_json: bool, resuming: bool = False) -> int:
    """Follow a run to its end, show it, and give the exit code. Ctrl-C asks what is to become of it."""
    title = f"{row.workflow} · {glyphs.short(row.id)} · {app.store.url}"
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    with live.display(title, app.clock.now, quiet=as_json) as display:
        following = asyncio.create_task(_follow(app, row, display, resuming))
        finishing = asyncio.create_task(app.finish(row.run))
        interrupting = asyncio.create_task(interrupted.wait())
        tasks: set[asyncio.Task[object]] = {following, finishing, interrupting}
        try:
            await _first(tasks, following, finishing)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if interrupted.is_set() and not (following.done() and not following.cancelled()):
        return await _interrupted(app, row)
    return await _result(app, row, as_json)


async def _first(
    tasks: set[asyncio.Task[object]], following: asyncio.Task[None], finishing: asyncio.Task[None]
) -> None:
    """Wait until the run was followed to its end, or the person interrupts. Raises what stopped the node."""
    waiting = set(tasks)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if finishing in done:
            finishing.result()
        if following in done:
            following.result()
            return
        if any(task not in (following, finishing) for task in done):
            return


async def _follow(app: Interlock, row: RunRow, display: live.Display, resuming: bool) -> None:
    """Show the run's events; take the run over when the process that executes it dies."""
    taking = asyncio.create_task(_take_when_free(app, row))
    try:
        async for _, news in app.follow(row, resuming=resuming):
            display.tell(news)
    finally:
        taking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await taking


async def _take_when_free(app: Interlock, row: RunRow) -> None:
    while True:
        await asyncio.sleep(_TAKE_SECONDS)
        now = await app.find(row.namespace, row.id)
        if app.node is None or now.owner != app.node.row.node:
            await app.take(now)


async def _interrupted(app: Interlock, row: RunRow) -> int:
    """Ask what is to become of the run: leave it (the default) or cancel it."""
    choice = "l"
    if sys.stdin.isatty() and sys.stderr.isatty():
        note("")
        note("  [l] leave it in the store, to go on with later (default)")
        note("  [c] cancel it")
        choice = (await asyncio.to_thread(input, "  what is to become of the run? ")).strip().lower()[:1] or "l"
    if choice == "c":
        await app.cancel(row, "interrupted at the terminal")
        await app.finish(row.run)
        note(f"cancelled {row.id}")
        return EXIT[RunStatus.CANCELLED]
    note(f"the run stays in the store; go on with `interlock resume {row.id}`")
    return context.INTERRUPTED


async def _result(app: Interlock, row: RunRow, as_json: bool) -> int:
    now = await app.find(row.namespace, row.id)
    output = None
    if now.output is not None:
        output = (await app.rows.value(now.run, now.output, app.store.journal)).value
    fault = None if now.fault is None else msgspec.json.decode(now.fault, type=Fault)
    if as_json:
        answer(json.encode(described(now, output, fault)).decode())
        return EXIT.get(now.status, 0)
    note(f"{glyphs.glyph(now.status)} {now.status} {live.took(now.started_at, now.ended_at)}".rstrip())
    if now.partial:
        note("warning: partial: a step failed and the workflow went on (on_error: continue)")
    if fault is not None:
        note(f"{fault.instance or '/'}: {fault}")
        note(f"go on from there with `interlock retry {now.id}`")
    if now.status is RunStatus.SUSPENDED:
        note(f"go on with `interlock resume {now.id}`")
    if now.status is RunStatus.COMPLETED and output is not None:
        _print_output(now, output)
    return EXIT.get(now.status, 0)


def _print_output(row: RunRow, output: Json) -> None:
    text = output if isinstance(output, str) else context.pretty(output)
    if sys.stdout.isatty() and len(text) > _SHOWN_CHARACTERS:
        note(f"the output has {len(text)} characters; `interlock show {row.id} --output` prints it")
        return
    answer(text)


def described(row: RunRow, output: Json, fault: Fault | None) -> dict[str, Json]:
    """Give a run as the JSON object that programs read."""
    return {
        "id": row.id,
        "namespace": row.namespace,
        "workflow": row.workflow,
        "version": row.version,
        "status": row.status,
        "partial": row.partial,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "output": output,
        "error": None if fault is None else fault.described() | ({"code": fault.code} if fault.code else {}),
    }


async def _detached(app: Interlock, started: Started, as_json: bool) -> int:
    if as_json:
        answer(json.encode({"id": started.id, "namespace": started.namespace, "fresh": started.fresh}).decode())
    else:
        answer(started.id)
    if not await app.has_engine():
        note(f"no node is running; `interlock resume {started.id}` executes it")
    return 0


async def _resume_all(app: Interlock, as_json: bool) -> int:
    """Go on with everything that nobody executes, one view after the other; the worst exit code counts."""
    node = await app.bring_node()
    claimed = []
    for status in (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING):
        rows = await app.store.views.runs(None, [status], None, None, 10_000)
        claimed += [row for row in rows if await app.take(row)]
    if not claimed:
        note("no run is waiting to be resumed")
    codes = [await attend(app, row, as_json=as_json) for row in claimed]
    assert node is app.node
    return max(codes, default=0)


async def _source(app: Interlock, workflow: str) -> tuple[str, str | None]:
    """Give the text of a workflow: a file when there is one, else the published workflow of that name."""
    if workflow == "-" or Path(workflow).exists() or "/" in workflow or workflow.endswith((".yaml", ".yml", ".json")):
        return context.read_text(workflow), workflow
    name, _, version = workflow.partition(":")
    found = await app.store.journal.published(options.namespace or "default", name, version or None)
    if found is None:
        raise errors.NotFound(
            f"there is no file {workflow!r} and no published workflow of that name in {options.namespace or 'default'!r}"
        )
    return found.source, None


def parse_input(text: str | None) -> Json:
    """Give the input of a run. Raises Invalid that says where the JSON is wrong."""
    if text is None:
        return {}
    if text.startswith("@"):
        return _input_file(text[1:])
    try:
        return json.decode(text)
    except msgspec.DecodeError as error:
        raise errors.Invalid(f"--input is not JSON: {error}; to read a file, write --input @FILE") from None


def _input_file(path: str) -> Json:
    from interlock.flow import yaml  # noqa: PLC0415 (start-up: only for inputs from a file)

    source = yaml.read(context.read_text(path))
    if source.flaws:
        flaw = source.flaws[0]
        raise errors.Invalid(f"{path}:{flaw.line}:{flaw.column}: {flaw.message}")
    return source.value
