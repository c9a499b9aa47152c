"""Worktrees for the attempts of a node: one pool of them for every repository, leased before a runner begins."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Final

import msgspec

from interlock import errors
from interlock.model.json import Json
from interlock.model.task import Done, Outcome
from interlock.model.task_graph import WorkspaceTerms
from interlock.pool.workspaces import BranchTaken, Returned, Workspace, WorkspacePool

_DIFF: Final = "diff"


class Workspaces:
    """`folder`: where the worktrees are, one folder below it for each repository; `size`: worktrees of one repository.

    `lease_seconds`: how long making one ready may take, before the task goes back; `release_seconds`: how long an outcome
    waits for one to be taken back, which then goes on behind it. The folder of a graph is its repository, or stands in it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size: int,
        lease_seconds: float,
        release_seconds: float,
        orphan_grace_seconds: float,
    ) -> None:
        self._folder = folder
        self._size = size
        self._lease_seconds = lease_seconds
        self._release_seconds = release_seconds
        self._returning: set[asyncio.Task[Returned]] = set()
        self._grace_seconds = orphan_grace_seconds
        self._pools: dict[tuple[str, str], WorkspacePool] = {}

    async def have(self, attempt: str, folder: str, terms: WorkspaceTerms, *, adopting: bool) -> Workspace | None:
        """Lease a worktree for an attempt, or take over that of one that is adopted; None when all are taken.

        `attempt`: its name, which no other one has; `folder`: of its graph. Raises Invalid for a folder that is in no
        repository, a commit or branch that cannot be; Environment when git fails.
        """
        pool = self._pool(folder, terms.clean)
        if adopting:
            return await pool.adopt(attempt)
        try:
            async with asyncio.timeout(self._lease_seconds):
                return await pool.lease(attempt, terms.branch or None, terms.base)
        except BranchTaken:
            return None  # another attempt works on it: this one waits its turn
        except TimeoutError:
            raise errors.Environment(f"no worktree was ready within {self._lease_seconds:g} s") from None

    async def give_back(self, workspace: Workspace, outcome: Outcome) -> Outcome:
        """Return a worktree; gives the outcome with what the attempt left in it: the commit, the branch and the diff."""
        returning = asyncio.create_task(workspace.release(succeeded=isinstance(outcome, Done)), name="return worktree")
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)
        await asyncio.wait({returning}, timeout=self._release_seconds)
        if not isinstance(outcome, Done) or not returning.done():
            return outcome
        returned = returning.result()
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
