"""What a tree says, as documents of the Open Workflow Specification: each step takes `{n: ...}` and gives `{n: ...}`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from simulation.plan import Work
from simulation.tree import BURNT, MODULUS, Tree, walk

Step = dict[str, Any]
_BURNT: Final = {"type": "https://simulated.example/burnt", "status": BURNT, "title": "Burnt"}
_HARDY: Final = {"lost": 10}
"""Retries of a step whose process died: a world may crash more often than the three times that it survives by default."""
_LOSABLE: Final = {"initial_interval": "500ms", "lost": 100, "launch": 100, "preempted": 100}
_RETRY: Final = {"delay": {"milliseconds": 50}, "backoff": {"linear": {}}, "limit": {"attempt": {"count": 4}}}


def document(work: Work) -> str:
    return _document(work.id, work.tree["inner"], fails=work.tree["do"] == "saga")


def children(work: Work) -> list[str]:
    """Give the documents that others start, to be published before. Sagas run as children only, since they fail as a whole."""
    found = []
    for tree in walk(work.tree):
        if tree["do"] == "child":
            found.append(_document(_name(tree), tree["inner"], fails=False))
        if tree["do"] == "spoiled":
            found.append(_document(_name(tree), tree["inner"][0]["inner"], fails=True))
    return found


def _document(name: str, inner: list[Tree], *, fails: bool) -> str:
    header = {"dsl": "1.0.3", "namespace": "default", "name": name, "version": "1.0.0"}
    maker = _Maker(undo=fails)
    steps = maker.steps(inner, ())
    if fails:
        steps.append({"fail": {"raise": {"error": _BURNT}}})
    return json.dumps({"document": header, "do": steps})


def _name(tree: Tree) -> str:
    return "child-" + tree["at"].replace(".", "-")


class _Maker:
    """Makes the steps of one document. `undo`: each effect says how it is undone."""

    def __init__(self, *, undo: bool) -> None:
        self._undo = undo
        self._names = 0

    def steps(self, inner: Iterable[Tree], loops: tuple[str, ...]) -> list[Step]:
        return [self._named(self._step(each, loops)) for each in inner]

    def _named(self, step: Step) -> Step:
        self._names += 1
        return {f"s{self._names}": step}

    def _step(self, tree: Tree, loops: tuple[str, ...]) -> Step:
        match tree["do"]:
            case "add":
                return {"set": {"n": _added(tree["k"])}}
            case "sleep":
                return {"wait": {"milliseconds": int(tree["seconds"] * 1000)}}
            case "event":
                heard = {"listen": {"to": {"one": {"with": {"type": f"simulated.{tree['at']}"}}}}}
                return heard | {"output": {"as": f"{{n: (($input.n + .[0].k) % {MODULUS})}}"}}
            case "token":
                return self._awaiting(tree, loops)
            case "unheard":
                never = {"listen": {"to": {"one": {"with": {"type": f"never.{tree['at']}"}}}}}
                return self._in_time(never, tree["seconds"])
            case "late":
                return self._in_time(self._call(tree, loops), 0.5)
            case "list":
                return {"do": self.steps(tree["inner"], loops)}
            case "fork":
                branches = self.steps(tree["inner"], loops)
                return {"fork": {"branches": branches}, "output": {"as": f"{{n: (map(.n) | add % {MODULUS})}}"}}
            case "loop":
                at = f"at{len(loops)}"
                each = {"each": f"each{len(loops)}", "at": at, "in": f"${{ {list(range(tree['times']))} }}"}
                return {"for": each, "do": self.steps(tree["inner"], (*loops, at))}
            case "caught":
                return self._caught([*self.steps(tree["inner"], loops), self._named({"raise": {"error": _BURNT}})])
            case "child":
                return self._child(tree, loops)
            case "spoiled":
                return self._caught([self._named(self._child(tree, loops))])
            case "local":
                return self._shell(tree, loops)
            case "graph":
                return self._graph(tree, loops)
            case "flaky":
                return {"try": [self._named(self._call(tree, loops))], "catch": {"retry": _RETRY}}
            case _:
                return self._call(tree, loops)

    def _in_time(self, step: Step, seconds: float) -> Step:
        """Give a step that takes longer than it may, and what goes on then."""
        timed = step | {"timeout": {"after": {"milliseconds": int(seconds * 1000)}}}
        handler = self._named({"set": {"n": _added(1)}})
        return {"try": [self._named(timed)], "catch": {"errors": {"with": {"status": 408}}, "do": [handler]}}

    def _caught(self, steps: list[Step]) -> Step:
        handler = self._named({"set": {"n": _added(BURNT)}})
        return {"try": steps, "catch": {"errors": {"with": {"status": BURNT}}, "do": [handler]}}

    def _child(self, tree: Tree, loops: tuple[str, ...]) -> Step:
        given = {"n": "${ .n }", "round": _label("", loops)}
        workflow = {"namespace": "default", "name": _name(tree), "version": "1.0.0", "input": given}
        return {"run": {"workflow": workflow}}

    def _call(self, tree: Tree, loops: tuple[str, ...]) -> Step:
        label = _label(tree["at"], loops)
        given = {"at": label, "n": "${ .n }", "k": tree["k"], "seconds": tree["seconds"], "fails": tree.get("fails", 0)}
        call: Step = {"call": "python:simulation.programs:made", "with": given}
        call["metadata"] = {"interlock": {"retry": _HARDY}}
        if self._undo:
            undo = {"call": "python:simulation.programs:unmade", "with": {"at": label, "seconds": tree["seconds"]}}
            call["metadata"]["interlock"]["compensate"] = undo
        return call

    def _awaiting(self, tree: Tree, loops: tuple[str, ...]) -> Step:
        """Give a step whose effect hands its token on, and which ends when somebody reports."""
        call: Step = {"call": "python:simulation.programs:handed_on", "with": {"at": _label(tree["at"], loops)}}
        hardy = {"interlock": {"retry": _HARDY, "await": "token"}}
        return call | {"output": {"as": f"{{n: (($input.n + .) % {MODULUS})}}"}, "metadata": hardy}

    def _graph(self, tree: Tree, loops: tuple[str, ...]) -> Step:
        """Give a step that loads a task graph, of what would be a command, and waits for its end."""
        shell = self._shell(tree, loops)["run"]["shell"]
        run = {"shell": shell["command"], "arguments": shell["arguments"]}
        task = {"id": "a", "run": run, "retry": _LOSABLE}
        call: Step = {"call": "tasks:1.0.0@default", "with": {"graph": {"tasks": [task]}}}
        return call | {
            "output": {"as": "{n: (.tasks.a.output.stdout | tonumber)}"},
            "metadata": {"interlock": {"retry": _HARDY}},
        }

    def _shell(self, tree: Tree, loops: tuple[str, ...]) -> Step:
        arguments = [_label(tree["at"], loops), "${ .n | tostring }", str(tree["k"]), str(tree["seconds"])]
        shell = {"command": "simulated", "arguments": arguments}
        hardy = {"interlock": {"retry": _HARDY}}
        return {"run": {"shell": shell}, "output": {"as": "{n: tonumber}"}, "metadata": hardy}


def _added(k: int) -> str:
    return f"${{ (.n + {k}) % {MODULUS} }}"


def _label(at: str, loops: tuple[str, ...]) -> str:
    """Give the expression of an effect's label: with the rounds of the loops around the run, and of those within it."""
    within = "".join(f"/\\(${at})" for at in loops)
    return f'${{ "{at}\\($workflow.input.round){within}" }}'
