"""Random workflows from a seed: every kind of step that this version executes, with one right output each."""

from __future__ import annotations

import json
import random
from typing import Any

MODULE = "kitchen_functions"
FUNCTIONS = """
import asyncio

def double(n):
    return {"n": (n * 2) % 1000003}

async def pause(n, seconds):
    await asyncio.sleep(seconds)
    return {"n": n + 1}
"""


CHILD = json.dumps(
    {
        "document": {"dsl": "1.0.3", "namespace": "default", "name": "sous-chef", "version": "1.0.0"},
        "do": [{"rest": {"wait": {"milliseconds": 5}}}, {"add": {"set": {"n": "${ .n + 3 }"}}}],
    }
)
"""What a kitchen's `run: workflow` runs; publish it first."""


def _undone(task: dict[str, Any], n: str = "${ .n }") -> dict[str, Any]:
    undo = {"call": "python:kitchen_functions:pause", "with": {"n": n, "seconds": 0.01}}
    return task | {"metadata": {"interlock": {"compensate": undo}}}


_BREWED = {"call": "python:kitchen_functions:pause", "with": {"n": "${ .n }", "seconds": 0.01}}
SPOILED = json.dumps(
    {
        "document": {"dsl": "1.0.3", "namespace": "default", "name": "spoiled", "version": "1.0.0"},
        "do": [
            {"one": _undone(_BREWED)},
            {"both": {"fork": {"branches": [{"two": _undone(_BREWED)}, {"three": _undone({"set": {"n": 3}}, "${ $input.n }")}]}}},
            {"spoil": {"raise": {"error": {"type": "https://kitchen.example/spoiled", "status": 418}}}},
        ],
    }
)  # fmt: skip
"""A child that always fails, after it has undone its three steps; publish it first too."""
UNDONE = 3

EXTENSION = {"log": {"extend": "call", "before": [{"seen": {"set": {"n": 0}}}], "after": [{"gone": {"set": {"n": 0}}}]}}


class Kitchen:
    """Makes one workflow; each step takes `{n: ...}` and gives `{n: ...}`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0
        self._seed = seed

    def document(self) -> str:
        """A document as JSON, which is YAML too."""
        header = {"dsl": "1.0.3", "namespace": "default", "name": f"kitchen-{self._seed}", "version": "1.0.0"}
        use = {"extensions": [EXTENSION]} if self._seed % 2 else {}
        return json.dumps({"document": header, "use": use, "do": self._list(2)})

    def _list(self, depth: int) -> list[dict[str, Any]]:
        return [self._step(depth) for _ in range(self._random.randint(2, 4))]

    def _step(self, depth: int) -> dict[str, Any]:
        self._names += 1
        leaves = [self._set, self._double, self._pause, self._wait, self._shell, self._skipped]
        leaves += [self._events, self._child, self._spoiled]
        inner = [self._do, self._for, self._fork, self._caught, self._retried, self._switch]
        make = self._random.choice(leaves + inner if depth else leaves)
        return {f"s{self._names}": make(depth - 1)}

    def _set(self, depth: int) -> Any:
        return {"set": {"n": f"${{ .n * {self._random.randint(2, 9)} % 1000003 }}"}}

    def _double(self, depth: int) -> Any:
        return {"call": "python:kitchen_functions:double", "with": {"n": "${ .n }"}}

    def _pause(self, depth: int) -> Any:
        seconds = self._random.choice([0.0, 0.01, 0.05])
        return {"call": "python:kitchen_functions:pause", "with": {"n": "${ .n }", "seconds": seconds}}

    def _wait(self, depth: int) -> Any:
        return {"wait": {"milliseconds": self._random.choice([1, 20, 60])}}

    def _shell(self, depth: int) -> Any:
        shell = {"command": 'echo "{\\"n\\": $(( $1 + 7 ))}"', "arguments": ["${ .n }"]}
        return {"run": {"shell": shell}, "output": {"as": "fromjson"}}

    def _events(self, depth: int) -> Any:
        """One branch listens for what the other sends; both name the run and the visit, so that no other run hears it."""
        self._names += 1
        kind, subject = f"kitchen.{self._names}", '${ "\\($workflow.id) \\($input.n)" }'
        wanted = {"with": {"type": kind, "subject": subject}}
        hear = {"listen": {"to": {"one": wanted}}, "output": {"as": ".[0]"}}
        sent = {"type": kind, "subject": subject, "data": {"n": "${ .n * 5 % 1000003 }"}}
        tell = {"emit": {"event": {"with": sent}}, "output": {"as": ".data"}}
        return {
            "fork": {"branches": [{f"hear{self._names}": hear}, {f"tell{self._names}": tell}]},
            "output": {"as": "{n: (map(.n) | add % 1000003)}"},
        }

    def _child(self, depth: int) -> Any:
        workflow = {"namespace": "default", "name": "sous-chef", "version": "1.0.0", "input": {"n": "${ .n }"}}
        return {"run": {"workflow": workflow}}

    def _spoiled(self, depth: int) -> Any:
        self._names += 1
        workflow = {"namespace": "default", "name": "spoiled", "version": "1.0.0", "input": {"n": "${ .n }"}}
        handler = {f"h{self._names}": {"set": {"n": "${ .n + $caught.status }"}}}
        return {
            "try": [{f"c{self._names}": {"run": {"workflow": workflow}}}],
            "catch": {"errors": {"with": {"status": 418}}, "as": "caught", "do": [handler]},
        }

    def _skipped(self, depth: int) -> Any:
        return {"if": ".n < 0", "set": {"n": -1}}

    def _do(self, depth: int) -> Any:
        return {"do": self._list(depth)}

    def _for(self, depth: int) -> Any:
        items = [self._random.randint(1, 9) for _ in range(self._random.randint(0, 3))]
        self._names += 1
        add = {f"a{self._names}": {"set": {"n": "${ (.n + $each * ($at + 1)) % 1000003 }"}}}
        return {"for": {"each": "each", "at": "at", "in": f"${{ {items} }}"}, "do": [add, self._step(depth)]}

    def _fork(self, depth: int) -> Any:
        branches = [self._step(depth) for _ in range(self._random.randint(2, 4))]
        return {"fork": {"branches": branches}, "output": {"as": "{n: (map(.n) | add % 1000003)}"}}

    def _caught(self, depth: int) -> Any:
        self._names += 1
        error = {"type": "https://kitchen.example/burnt", "status": 418, "title": "Burnt"}
        boom = {f"r{self._names}": {"raise": {"error": error}}}
        handler = {f"h{self._names}": {"set": {"n": "${ .n + $caught.status }"}}}
        return {
            "try": [self._step(depth), boom],
            "catch": {"errors": {"with": {"status": 418}}, "as": "caught", "do": [handler]},
        }

    def _retried(self, depth: int) -> Any:
        self._names += 1
        error = {"type": "https://kitchen.example/raw", "status": 425}
        boom = {f"r{self._names}": {"raise": {"error": error}}}
        handler = {f"h{self._names}": {"set": {"n": "${ .n + 1 }"}}}
        retry = {"delay": {"milliseconds": 5}, "backoff": {"linear": {}}, "limit": {"attempt": {"count": 2}}}
        return {"try": [self._step(depth), boom], "catch": {"retry": retry, "do": [handler]}}

    def _switch(self, depth: int) -> Any:
        self._names += 1
        odd, even, after = (f"{kind}{self._names}" for kind in ("odd", "even", "after"))
        judge = {
            f"j{self._names}": {"switch": [{"odd": {"when": ".n % 2 == 1", "then": odd}}, {"even": {"then": even}}]}
        }
        return {
            "do": [
                judge,
                {odd: {"set": {"n": "${ .n + 1 }"}, "then": after}},
                {even: self._step(depth).popitem()[1]},
                {after: {"set": {"n": "${ .n }"}}},
            ]
        }
