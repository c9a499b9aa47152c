"""The repository that worktrees belong to: its commits and branches, and who may have which."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from interlock import errors
from interlock.pool.workspaces import git
from interlock.pool.workspaces.claim import Claim

WAIT_SECONDS: Final = 60.0
"""How long to wait for others that register worktrees and branches at the moment: each takes milliseconds."""
_BRANCHES: Final = "refs/heads/"
_LOCK_FILE: Final = "interlock-workspaces.lock"


class BranchTaken(errors.Conflict):
    """A branch is checked out elsewhere, or is there though it must not be."""


class Repository:
    """`common`: its own folder (`.git`), shared by all worktrees; `seconds`: how long one git command may take."""

    def __init__(self, common: Path, seconds: float) -> None:
        self.common = common
        self.seconds = seconds

    @classmethod
    async def find(cls, folder: Path, seconds: float) -> Repository:
        """Give the repository of a folder: a checkout, a worktree or a bare one. Raises Invalid."""
        try:
            found = await git.text(
                "rev-parse", "--path-format=absolute", "--git-common-dir", folder=folder, seconds=seconds
            )
        except git.GitFailed as error:
            raise errors.Invalid(f"{folder} is no git repository: {error}") from error
        return cls(Path(found).resolve(), seconds)

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Keep out everybody else who gives branches to worktrees: git itself would let two take one at once."""
        return Claim.waited_for(self.common / _LOCK_FILE, WAIT_SECONDS)

    async def check_name(self, branch: str) -> None:
        """Raise Invalid for what is no name of a branch."""
        try:
            is_itself = "\0" not in branch and await self._git("check-ref-format", "--branch", branch) == branch
        except (git.GitFailed, UnicodeEncodeError):
            detail = "see `git help check-ref-format` for what it may hold"
            raise errors.Invalid(f"{branch!r} is no name for a branch; {detail}") from None
        if not is_itself:
            raise errors.Invalid(f"{branch!r} is no name for a branch: it stands for another one")

    async def commit(self, name: str) -> str:
        """Give the id of a commit. Raises Invalid when there is none."""
        unknown = errors.Invalid(f"{self.common} has no commit {name!r}; name one that it has, or fetch it")
        if not name or "\0" in name:
            raise unknown
        try:
            return await self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except (git.GitFailed, UnicodeEncodeError):
            raise unknown from None

    async def tip(self, branch: str) -> str | None:
        """Give the commit of a branch; None when it is gone."""
        try:
            return await self.commit(_BRANCHES + branch)
        except errors.Invalid:
            return None

    async def claim_branch(self, branch: str, base_commit: str, *, go_on: bool) -> tuple[str, bool]:
        """Make a branch, or see that one that is there may be gone on with; give its tip, and whether it was made.

        Call it within `locked`. Raises BranchTaken.
        """
        name = _BRANCHES + branch
        listing = await self._git("for-each-ref", "--format=%(refname) %(objectname) %(worktreepath)", name)
        found = next((line for line in listing.splitlines() if line.startswith(f"{name} ")), None)  # not those below it
        if found is None:
            return await self._made(branch, base_commit), True
        _, tip, where = found.split(" ", 2)
        if where:
            raise BranchTaken(f"the branch {branch!r} is checked out in {where}; wait for that, or name another branch")
        if not go_on:
            raise BranchTaken(f"the branch {branch!r} is there already, at {tip}; name another one, or go on with it")
        return tip, False

    async def unmake_branch(self, branch: str, commit: str) -> None:
        """Remove a branch that nobody has used: it still stands where it was made."""
        await self._git("update-ref", "-d", _BRANCHES + branch, commit)

    async def _made(self, branch: str, commit: str) -> str:
        making = asyncio.ensure_future(self._git("update-ref", _BRANCHES + branch, commit, ""))
        try:
            await asyncio.shield(making)
        except git.GitFailed as error:
            raise BranchTaken(f"the branch {branch!r} cannot be made: {error}; name another one") from error
        except (
            asyncio.CancelledError
        ):  # a command that is killed may have made it: so it ends, and nobody has the branch
            await asyncio.wait({making}, timeout=self.seconds)
            if making.done() and making.exception() is None:
                await self.unmake_branch(branch, commit)
            raise
        return commit

    async def _git(self, *arguments: str) -> str:
        return await git.text(*arguments, folder=self.common, seconds=self.seconds)
