"""Which kinds of tasks an extension applies to (OWS 1.0.3, "Extension")."""

from __future__ import annotations

from typing import Final

from interlock.flow import document as doc

_CALLS: Final = (doc.CallHttp, doc.CallOpenApi, doc.CallProtocol, doc.CallFunction)
_RUNS: Final = (doc.RunContainer, doc.RunScript, doc.RunShell, doc.RunWorkflow)
_KINDS: Final[dict[str, tuple[type[doc.TaskBase], ...]]] = {
    "call": _CALLS,
    "composite": (doc.Do, doc.Fork),
    "emit": (doc.Emit,),
    "for": (doc.For,),
    "listen": (doc.Listen,),
    "raise": (doc.Raise,),
    "run": _RUNS,
    "set": (doc.Set,),
    "switch": (doc.Switch,),
    "try": (doc.Try,),
    "wait": (doc.Wait,),
    "all": (doc.TaskBase,),
}
"""`composite`: those that only hold others."""


def applies(extension: doc.Extension, task: doc.Task) -> bool:
    """Say whether an extension is for tasks of this kind; its condition is another matter."""
    return isinstance(task, _KINDS[extension.extend])
