"""What the storm has done: runs of many kinds by number, each with the one way in which it may end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance import kitchen
from chaos import errands
from interlock import config
from interlock.app.session import Session
from interlock.flow.python.workflow import Workflow
from interlock.model.json import Json
from interlock.model.states import RunStatus

NAMESPACE = "default"
KITCHENS = 12
MODULES = ("chaos.errands", kitchen.MODULE)
UNDONE = "withdraw"
ASKING = "asking"

_FUNCTIONS = """
import asyncio

from chaos.errands import marked


def double(n):
    with marked():
        return {"n": (n * 2) % 1000003}


async def pause(n, seconds):
    with marked():
        await asyncio.sleep(seconds)
        return {"n": n + 1}
"""

_PATIENT = {"retry": {"application": 10, "lost": 10, "launch": 10, "preempted": 10}}


@dataclass(frozen=True)
class Work:
    """One run. `output`: what it must give, None when that is not known beforehand (see `answered`)."""

    id: str
    kind: str
    number: int

    @property
    def status(self) -> RunStatus:
        return RunStatus.FAULTED if self.kind == UNDONE else RunStatus.COMPLETED


class Works:
    """Makes works by number. The kitchens' outputs are those of an undisturbed node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kitchens: dict[int, str] = {}
        self._served: dict[int, Json] = {}

    async def prepare(self) -> None:
        """Write what nodes import, and learn how each kitchen ends when nothing disturbs it."""
        (self._folder / f"{kitchen.MODULE}.py").write_text(_FUNCTIONS)
        self._kitchens = {seed: patient(kitchen.Kitchen(seed).document()) for seed in range(KITCHENS)}
        apart = self._folder / "undisturbed"
        apart.mkdir()
        (apart / f"{kitchen.MODULE}.py").write_text(kitchen.FUNCTIONS)
        async with Session.open(settings(f"sqlite:///{apart}/runs.db")) as app:
            await publish(app)
            await app.bring_node()
            for seed, text in self._kitchens.items():
                started = await app.start(text, input={"n": seed}, folder=apart)
                await app.finish(started.run)
                self._served[seed] = await output(app, started.id)
        sys.modules.pop(kitchen.MODULE)  # the next folder has one of its own

    def work(self, number: int) -> Work:
        kinds = ("gathering", "kitchen", "asking", UNDONE, "gathering", "kitchen", "pressing", "resting")
        kind = kinds[number % len(kinds)]
        return Work(f"{kind}-{number}", kind, number)

    async def start(self, app: Session, work: Work) -> None:
        """Store a run of it; again and again is the same run."""
        if work.kind == "kitchen":
            text = self._kitchens[work.number % KITCHENS]
            seed = work.number % KITCHENS
            await app.start(text, input={"n": seed}, id=work.id, folder=self._folder, detach=True)
        else:
            workflow: Workflow[Any, Any] = getattr(errands, work.kind)
            await app.start_program(
                workflow, {"number": work.number}, id=work.id, folder=self._folder, detach=True
            )  # fmt: skip

    def wanted(self, work: Work, answers: Mapping[str, int]) -> Json:
        """Give the output that a work must have; `answers`: what was reported to the tokens of runs, by their id."""
        number = work.number
        match work.kind:
            case "gathering":
                return 2 * (number + 1) + sum(number + shelf for shelf in range(errands.SHELVES))
            case "pressing":
                return number * 3 + 1
            case "asking":
                return answers[work.id] + number
            case "resting":
                return 2 * (number + 1)
            case "kitchen":
                return self._served[number % KITCHENS]
            case _:
                return None


def settings(url: str) -> config.Settings:
    return config.Settings(store=config.Store(url=url), python=config.Python(allow=MODULES))


async def publish(app: Session) -> None:
    for text in (kitchen.CHILD, kitchen.SPOILED):
        await app.publish(patient(text), None)


async def output(app: Session, id: str) -> Json:
    row = await app.find(NAMESPACE, id)
    if row.output is None:
        return None
    value: Json = (await app.rows.value(row.run, row.output, app.store.journal)).value
    return value


def patient(document: str) -> str:
    """Give a document whose effects are made again however often their process dies: here it dies often."""
    return json.dumps(_patient(json.loads(document)))


def _patient(part: Any) -> Any:
    if isinstance(part, list):
        return [_patient(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {name: _patient(item) for name, item in part.items()}
    is_effect = isinstance(part.get("call"), str) or (isinstance(part.get("run"), dict) and "shell" in part["run"])
    if is_effect:
        metadata = found.setdefault("metadata", {}).setdefault("interlock", {})
        found["metadata"]["interlock"] = _PATIENT | metadata
    return found
