"""Commands around the work: eval, config, doctor, demo."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from interlock import config, errors
from interlock.app.retention import Rules, ratio
from interlock.app.session import Session
from interlock.app.tasks import short
from interlock.app.unplaced import tasks
from interlock.cli import context, given, glyphs
from interlock.cli.output import answer, note
from interlock.cli.run import run
from interlock.expr import evaluation, template
from interlock.expr.evaluators import Evaluators
from interlock.expr.jq import Expression
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.store.address import masked
from interlock.version import VERSION

_SIZES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_REPORT_LINES: Final = 8
_CLOCK_SAMPLE_SECONDS: Final = 0.2
_DRIFT_SECONDS: Final = 0.01  # more than this within the sample: somebody sets the clock
_SLOW_COMMIT_MILLISECONDS: Final = 50.0  # a disk that makes durable at once what it is given needs a tenth
_QUICK_COMMIT_MILLISECONDS: Final = 0.05  # no disk is this quick: it keeps what it says it wrote in memory


async def eval_(expression: str, input: str | None, args: str | None) -> int:
    """Evaluate an expression under the deadline and the memory of the settings."""
    settings = context.settings().expressions
    data, arguments = given.input(input), given.arguments(args)
    try:
        compiled = template.expression(expression)
    except errors.ExpressionSyntax as error:
        if error.column is not None:
            note(f"{error.source}\n{' ' * error.column}^")
        raise
    evaluators = Evaluators(
        processes=settings.evaluators,
        deadline_seconds=settings.deadline_seconds,
        memory_bytes=settings.memory_bytes,
    )
    await evaluators.start()
    try:
        answer(context.pretty(await _evaluated(compiled, data, arguments, evaluators)))
    finally:
        await evaluators.stop()
    return 0


async def _evaluated(compiled: Expression, data: Json, arguments: Mapping[str, Json], evaluators: Evaluators) -> Json:
    answers: list[evaluation.Answer] = []
    while True:
        try:
            return evaluation.Evaluation(answers).run(compiled, data, arguments)
        except evaluation.Pending as pending:
            answers.append(await evaluators.evaluate(pending.request))


async def config_show(*, as_json: bool) -> int:
    """List every setting with its value and origin."""
    settings = config.explain(context.flags(), os.environ, context.folder(), Path.home())
    if as_json:
        listed = [{"key": each.key, "value": _readable(each), "origin": each.origin} for each in settings]
        answer(json.encode(listed).decode())
        return 0
    shown = [(each.key, _shown(_readable(each), each.unit), each.origin) for each in settings]
    widths = [max(len(row[column]) for row in shown) for column in (0, 1)]
    for key, value, origin in shown:
        answer(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}")
    return 0


def _readable(setting: config.Setting) -> Json:
    """Give the value of a setting as people may read it."""
    is_address = setting.key in ("store.url", "store.listen_url")
    return masked(setting.value) if is_address and isinstance(setting.value, str) else setting.value


def _shown(value: Json, unit: str) -> str:
    """Give a value as it could be written into a settings file."""
    match unit:
        case "seconds":
            return f"{value:g}s"
        case "bytes":
            size = next(((value // factor, name) for factor, name in _SIZES if value % factor == 0), (value, "B"))
            return f"{size[0]} {size[1]}"
        case _:
            return value if isinstance(value, str) else json.encode(value).decode()


async def config_check() -> int:
    """Say that every source is right. Raises InvalidSettings, or InvalidDefinition for the dispatcher's files, which list
    what is not."""
    from interlock.app import pools  # noqa: PLC0415 (start-up: this command alone needs it)

    settings, folder = context.settings(), context.folder()
    pools.find(settings.dispatcher, folder)
    found = [str(file) for file in config.files(os.environ, folder, Path.home()) if file.is_file()]
    found += map(str, pools.files(settings.dispatcher, folder))
    answer(f"the settings are valid ({', '.join(found) or 'there is no file, the defaults hold'})")
    return 0


async def doctor() -> int:
    """Measure and list; what needs a hand comes last, with the command for it."""
    answer(f"interlock   {VERSION} on Python {platform.python_version()}, {platform.system()}")
    answer(f"clock       {await _clock()}")
    answer(f"node (js)   {shutil.which('node') or 'not found: `run: script` with language js will fail'}")
    async with context.opened(Session) as app:
        answer(f"store       {app.store.url}")
        await _examine(app)
    return 0


async def _examine(app: Session) -> None:
    figures = await app.store.figures()
    commit = float(figures["commit_p50_ms"])
    answer(
        f"            durable commit (fsync) {commit:.2f} ms, the worst of 20 {figures['commit_worst_ms']:.2f} ms,"
        f" read {figures['read_p50_ms']:.2f} ms"
    )
    if "server" in figures:
        answer(f"            {_server(figures)}")
    else:
        answer(f"            longest wait for the lock {figures['worst_lock_wait_ms']:.1f} ms")
    counts = await app.store.views.counts()
    answer("rows        " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    now = app.clock.now()
    unattended = await app.unattended()
    answer(f"inbox       {await _oldest_inbox(app, now)}")
    answer(f"retention   {await _retention(app, now)}")
    nodes = [state for state in await app.store.nodes.states(app.clock.stamp()) if (state.lease_seconds or 0) > 0]
    answer(f"nodes       {len(nodes)} alive")
    for state in nodes:
        answer(
            f"            {state.node.node[:13]} pid {state.node.pid} on {state.node.host}, {state.node.roles}"
            f" {state.node.version}, {glyphs.counted(state.runs, 'run')}" + (" (draining)" if state.drain_at else "")
        )
    answer(f"stranded    {glyphs.counted(len(unattended), 'run')} that no process executes")
    unplaced = await tasks(app.store, app.clock)
    answer(f"tasks       {glyphs.counted(len(unplaced), 'kind')} that no pool can have as things are")
    if commit > _SLOW_COMMIT_MILLISECONDS:
        note("slow: every step waits for this disk; put the store on a local one")
    if commit < _QUICK_COMMIT_MILLISECONDS:
        note("suspiciously quick: the disk may not keep what it says it wrote when the power fails")
    for each in unattended:
        row = each.row
        note(f"{row.id} ({row.workflow}, {row.status}): {each.reason}; {each.command}")
    for task, warning in unplaced:
        note(f"{short(task)} and all that ask for the same: {warning}")


async def _oldest_inbox(app: Session, now: float) -> str:
    oldest = await app.store.views.oldest_inbox()
    return "empty" if oldest is None else f"the oldest cause waits for {duration.text(max(0.0, now - oldest))}"


async def _retention(app: Session, now: float) -> str:
    rules = Rules.of(app.settings.retention)
    found = await ratio(app.store, rules, now)
    if rules.shortest is None:
        return "ended runs are kept for ever (retention.keep)"
    return "nothing is kept that may go" if found is None else f"the oldest run is at {found:.2f} of its time"


def _server(figures: Mapping[str, Any]) -> str:
    pooled = ", behind a pooler" if figures["pooled"] else ""
    offset = f"its clock {figures['clock_offset_s'] * 1000:+.1f} ms from this one"
    return f"{figures['server']}{pooled}, {offset}, fsync {figures['fsync']}, commits {figures['synchronous_commit']}"


async def _clock() -> str:
    """Compare the wall clock with the steady one for a moment: a step shows."""
    wall, steady = time.time(), time.monotonic()
    await asyncio.sleep(_CLOCK_SAMPLE_SECONDS)
    drift = (time.time() - wall) - (time.monotonic() - steady)
    warning = "; it is being set: timers will be early or late" if abs(drift) > _DRIFT_SECONDS else ""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}, drift {drift * 1000:+.2f} ms in 0.2 s{warning}"


async def demo(repository: Path) -> int:
    """Run the shipped workflow on a repository, show it as `run` does, then a few lines of the report."""
    if not repository.is_dir():
        raise errors.Invalid(f"there is no folder {repository}")
    note("kill it at any moment: `interlock resume --all` goes on with the next step")
    began = time.time()
    input_ = json.encode({"repository": str(repository.absolute())}).decode()
    with resources.as_file(resources.files("interlock.demo") / "repository-report.yaml") as workflow:
        code = await run(str(workflow), input=input_, id=None, detach=False, as_json=False)
    reports = Path(".interlock", "reports").glob("*/report.md")
    written = max((path for path in reports if path.stat().st_mtime >= began), default=None)
    if written is not None:
        lines = [line for line in written.read_text("utf-8").splitlines() if line.strip()]
        note("")
        for line in lines[:_REPORT_LINES]:
            note(f"  {line}")
        note(f"  …\n\nthe report: {written.with_suffix('.html').absolute()}")
    return code
