"""Worktrees for the attempts of a node: one pool of them for every repository, leased before a runner begins."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from interlock import errors
from interlock.model.json import Json
from interlock.model.task import Done, Outcome
from interlock.model.task_graph import WorkspaceTerms
from interlock.pool.workspaces import BranchTaken, Workspace, WorkspacePool
from interlock.store.ports import ClaimedTask

_DIFF: Final = "diff"


class Workspaces:
    """`folder`: where the worktrees are, one folder below it for each repository; `size`: worktrees of one repository.

    The folder of a graph is its repository, or stands in it.
    """

    def __init__(self, folder: Path, *, size: int, orphan_grace_seconds: float) -> None:
        self._folder = folder
        self._size = size
        self._grace_seconds = orphan_grace_seconds
        self._pools: dict[tuple[str, str], WorkspacePool] = {}

    async def have(self, task: ClaimedTask, terms: WorkspaceTerms, *, adopting: bool) -> Workspace | None:
        """Lease a worktree for an attempt, or take over that of one that is adopted; None when all are taken.

        Raises Invalid for a folder that is in no repository, a commit or branch that cannot be; Environment when git fails.
        """
        pool = self._pool(task.folder, terms.clean)
        attempt = f"{task.task}.{task.fence}"
        if adopting:
            return await pool.adopt(attempt)
        try:
            return await pool.lease(attempt, terms.branch or None, terms.base)
        except BranchTaken:
            return None  # another attempt works on it: this one waits its turn

    async def give_back(self, workspace: Workspace, outcome: Outcome) -> Outcome:
        """Return a worktree; gives the outcome with what the attempt left in it: the commit, the branch and the diff."""
        returned = await workspace.release(succeeded=isinstance(outcome, Done))
        if not isinstance(outcome, Done):
            return outcome
        left: dict[str, Json] = {"branch": workspace.branch, "head": returned.head, "base": workspace.base_commit}
        if returned.diff:
            left[_DIFF] = returned.diff.decode("utf-8", "replace")
        value = outcome.value if isinstance(outcome.value, dict) else {"result": outcome.value}
        return msgspec.structs.replace(outcome, value={**value, "workspace": left})

    def _pool(self, folder: str, clean: str) -> WorkspacePool:
        repository = _repository(Path(folder))
        key = (str(repository), clean)
        if key not in self._pools:
            name = hashlib.sha256(str(repository).encode("utf-8", "surrogatepass")).hexdigest()[:16]
            self._pools[key] = WorkspacePool(
                repository,
                self._folder / f"{repository.name}-{name}",
                size=self._size,
                clean=clean,
                orphan_grace_seconds=self._grace_seconds,
            )
        return self._pools[key]


def workspace_of(workspace: Workspace) -> Json:
    """Give what a program is told of its worktree."""
    return {"path": str(workspace.path), "branch": workspace.branch, "base": workspace.base_commit}


def _repository(folder: Path) -> Path:
    """Give the repository that a folder is in. Raises Invalid."""
    for place in (folder, *folder.parents):
        if (place / ".git").exists():
            return place
    raise errors.Invalid(
        f"the folder {folder} is in no git repository, so there is no worktree of it; set `repository`"
    )
