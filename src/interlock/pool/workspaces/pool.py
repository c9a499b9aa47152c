"""The pool: which worktree an attempt gets, on which branch, and what becomes of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

import msgspec

from interlock import errors, telemetry
from interlock.pool.workspaces import claim, git
from interlock.pool.workspaces.claim import Claim, Record
from interlock.pool.workspaces.repository import WAIT_SECONDS, Repository
from interlock.pool.workspaces.worktree import Worktree, finished

DIFF_BYTES: Final = 64 * 1024 * 1024  # what a step's result may have at most
_GIT_SECONDS: Final = 120.0
_ADOPT_SECONDS: Final = 5.0
"""How long to wait for somebody who looks whether the worktree of a dead holder is free."""
_NAME: Final = "workspace-{}"
_OWNER_FILE: Final = "repository"


class Clean(StrEnum):
    """When the files of a returned worktree are cleaned; if they are not, it is done when it is leased again."""

    ALWAYS = "always"
    ON_SUCCESS = "on-success"
    NEVER = "never"


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt left behind.

    `head`: the commit it ended on; None when it left none. `diff`: a patch for what its branch does not hold, or, without
    a branch, for all that it changed since the base commit; None when it could not be taken, for which `problem` says why.
    `is_kept`: the files are as the attempt left them, until the worktree is leased again.
    """

    head: str | None
    diff: bytes | None
    is_kept: bool
    problem: str | None = None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """How a place of the pool stands: available, allocated, cleaning or error (it is repaired when it is leased)."""

    path: Path
    state: str
    attempt: str
    branch: str | None
    base_commit: str
    is_kept: bool


class WorkspacePool:
    """Worktrees of `repository` in `folder`, at most `size` of them, for all processes of this machine together.

    `clean`: when the files of a returned worktree are cleaned. `orphan_grace_seconds`: for how long the worktree of a dead
    holder waits for `adopt`, from when it was first found; where there is /proc, it is given to nobody else either while a
    process works in it. `diff_bytes`: how long a diff may be.
    """

    def __init__(
        self,
        repository: Path,
        folder: Path,
        *,
        size: int,
        clean: Clean | str = Clean.ALWAYS,
        orphan_grace_seconds: float = 0.0,
        diff_bytes: int = DIFF_BYTES,
        git_seconds: float = _GIT_SECONDS,
    ) -> None:
        """Raises InvalidSettings. Nothing is made before the first lease."""
        if size < 1:
            raise errors.InvalidSettings(f"a pool of workspaces needs a size of at least 1, not {size}")
        try:
            self._clean = Clean(clean)
        except ValueError:
            known = ", ".join(Clean)
            raise errors.InvalidSettings(f"workspaces are cleaned {known}; {clean!r} is none of these") from None
        self.repository: Final = repository
        self._folder = folder
        self._size = size
        self._grace_seconds = orphan_grace_seconds
        self._diff_bytes = diff_bytes
        self._seconds = git_seconds
        self._found: Repository | None = None

    async def lease(
        self, attempt: str, branch: str | None = None, base: str = "HEAD", *, go_on: bool = True
    ) -> Workspace | None:
        """Lease a clean worktree; None when all are taken: the attempt has to wait (RU-01).

        `branch` is made at `base`; None: no branch is checked out, and commits that the attempt leaves without one are
        found by their names only. A branch that is there is gone on with, from its own tip and whatever `base` says, so
        that a second attempt finds the commits of the first; with `go_on=False` it is refused.

        Raises Invalid for what is no branch name or no commit, BranchTaken for a branch that is checked out elsewhere or
        refused, Environment when git fails or no worktree can be made.
        """
        repository = await self._open()
        if branch is not None:
            await repository.check_name(branch)
        base_commit = await repository.commit(base)
        wanted = Record(state="leased", attempt=attempt, branch=branch, base_commit=base_commit, pid=os.getpid())
        broken: Exception | None = None
        are_all_broken = True
        for place in self._by_merit(branch):
            taken: Claim | None = None
            try:
                taken = Claim.take(place.lock)
                if taken is None or self._is_worked_in(place, taken):
                    are_all_broken = False
                    continue
                workspace = await self._prepared(repository, place, taken, wanted, go_on=go_on)
                taken = None
                return workspace
            except (git.GitFailed, OSError) as error:
                telemetry.emit("workspace.broken", path=str(place.path), attempt=attempt, error=error)
                broken = error
            finally:
                if taken is not None:
                    taken.let_go()
        if broken is not None and are_all_broken:
            raise errors.Environment(f"no workspace in {self._folder} can be made for {attempt}: {broken}") from broken
        return None

    async def adopt(self, attempt: str) -> Workspace | None:
        """Take over the worktree of an attempt whose process is gone, as it is; None when it is not to be had any more."""
        repository = await self._open()
        deadline = time.monotonic() + _ADOPT_SECONDS
        for place in self._places():
            while claim.read(place.lock).attempt == attempt and claim.read(place.lock).state == "leased":
                if taken := Claim.take(place.lock):
                    record = claim.read(place.lock)
                    worktree = Worktree(repository.common, place.path, self._seconds)
                    if record.attempt == attempt and record.state == "leased" and worktree.admin() is not None:
                        taken.write(msgspec.structs.replace(record, pid=os.getpid(), dead_since=None))
                        return Workspace(self, place, taken, worktree, record)
                    taken.let_go()
                    return None
                if time.monotonic() > deadline:
                    return None
                await asyncio.sleep(0.01)
        return None

    def slots(self) -> list[Slot]:
        """Say how the places of the pool stand. For people: it may be old news, and a dead holder is not noticed."""
        states = {"free": "available", "leased": "allocated", "cleaning": "cleaning", "error": "error"}
        return [
            Slot(
                path=place.path,
                state=states[place.record.state],
                attempt=place.record.attempt,
                branch=place.record.branch,
                base_commit=place.record.base_commit,
                is_kept=place.record.is_kept,
            )
            for place in self._places()
        ]

    async def take_back(self, workspace: Workspace, place: _Place, taken: Claim, succeeded: bool) -> Returned:
        """Take the diff, let the branch go, clean, and free the place, whatever of that fails. Called once."""
        record = msgspec.structs.replace(claim.read(place.lock), state="cleaning")
        problems: list[str] = []
        head, diff, is_clean = None, None, False
        try:
            with _noted(problems, workspace):
                taken.write(record)
                head = await workspace.worktree.head()
                diff = await self._left(workspace)
            with _noted(problems, workspace):
                await workspace.worktree.detach(head or workspace.base_commit)
                if not problems and (self._clean is Clean.ALWAYS or (self._clean is Clean.ON_SUCCESS and succeeded)):
                    await workspace.worktree.clean()
                    is_clean = True
            with _noted(problems, workspace):
                state: Literal["free", "error"] = "error" if problems else "free"
                taken.write(msgspec.structs.replace(record, state=state, is_kept=not is_clean))
        finally:
            taken.let_go()
        return Returned(head=head, diff=diff, is_kept=not is_clean, problem="; ".join(problems) or None)

    async def diff(self, workspace: Workspace) -> bytes:
        return await workspace.worktree.diff(workspace.base_commit, self._diff_bytes)

    async def _left(self, workspace: Workspace) -> bytes:
        """Give what the branch of a workspace does not hold."""
        against = None
        if workspace.branch is not None:
            against = await (await self._open()).tip(workspace.branch)
        return await workspace.worktree.diff(against or workspace.base_commit, self._diff_bytes)

    async def _open(self) -> Repository:
        """Find the repository, and make the pool's folder. Raises Invalid when one is not what it should be."""
        if self._found is not None:
            return self._found
        found = await Repository.find(self.repository, self._seconds)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = self._folder.resolve()
        async with Claim.waited_for(self._folder / "lock", WAIT_SECONDS):
            owner = self._folder / _OWNER_FILE
            if not owner.exists():
                (self._folder / ".gitignore").write_text("*\n")  # for a pool within a checkout
                owner.write_bytes(os.fsencode(found.common))
            elif owner.read_bytes() != os.fsencode(found.common):
                whose = os.fsdecode(owner.read_bytes())
                raise errors.InvalidSettings(
                    f"{self._folder} holds workspaces of {whose}, not of {found.common}; give each repository its own"
                )
        self._found = found
        return found

    async def _prepared(
        self, repository: Repository, place: _Place, taken: Claim, wanted: Record, *, go_on: bool
    ) -> Workspace:
        """Make a place ready whose lock is held: repaired if need be, on its branch, clean."""
        worktree = Worktree(repository.common, place.path, self._seconds)
        record = msgspec.structs.replace(wanted, admin=claim.read(place.lock).admin)
        made: str | None = None
        taken.write(msgspec.structs.replace(record, state="cleaning"))  # whoever worked here finds nothing to adopt
        try:
            await finished(asyncio.to_thread(worktree.forget_diffs))
            is_sound = worktree.admin() is not None
            while True:
                async with repository.locked():
                    is_sound = is_sound and await worktree.is_detached(wanted.base_commit)
                    if not is_sound:
                        await worktree.remake(wanted.base_commit, record.admin)
                    tip = wanted.base_commit
                    if wanted.branch is not None:
                        may_be = go_on or made is not None
                        tip, is_made = await repository.claim_branch(wanted.branch, wanted.base_commit, go_on=may_be)
                        made = wanted.branch if is_made else made
                        await worktree.attach(wanted.branch)
                admin = worktree.admin()
                record = msgspec.structs.replace(record, base_commit=tip, admin=admin.name if admin else "")
                taken.write(record)
                try:
                    await worktree.clean()
                    return Workspace(self, place, taken, worktree, record)
                except (git.GitFailed, OSError) as error:
                    if not is_sound:  # it is new, and nothing better is to be had
                        raise
                    telemetry.emit("workspace.remade", path=str(place.path), attempt=wanted.attempt, error=error)
                    is_sound = False
        except BaseException:
            await finished(self._undone(repository, worktree, taken, record, made))
            raise

    async def _undone(
        self, repository: Repository, worktree: Worktree, taken: Claim, record: Record, made: str | None
    ) -> None:
        """Let go of the branch of a lease that failed, and remove it when that made it."""
        try:
            taken.write(msgspec.structs.replace(record, state="error"))
            await worktree.detach(record.base_commit)
            if made is not None:
                await repository.unmake_branch(made, record.base_commit)
            taken.write(msgspec.structs.replace(record, state="free", branch=None))
        except (git.GitFailed, OSError) as error:
            telemetry.emit("workspace.broken", path=str(worktree.path), attempt=record.attempt, error=error)

    def _is_worked_in(self, place: _Place, taken: Claim) -> bool:
        """Say whether the place of a dead holder has to wait: for somebody who adopts the attempt, or for its end."""
        record = claim.read(place.lock)
        if record.state != "leased":
            return False
        now = time.time()
        if record.dead_since is None or record.dead_since > now:
            record = msgspec.structs.replace(record, dead_since=now)
            taken.write(record)
        assert record.dead_since is not None
        return now - record.dead_since < self._grace_seconds or _has_processes(place.path)

    def _places(self) -> Iterator[_Place]:
        folder = self._folder.resolve()
        for number in range(self._size):
            path = folder / _NAME.format(number)
            yield _Place(path)

    def _by_merit(self, branch: str | None) -> list[_Place]:
        """Give the places in the order in which to try them.

        First where the branch was last, since its dead holder may still have it; then those that were used, the one that
        was returned first before the others, so that kept files stay long; broken and new ones last.
        """

        def merit(place: _Place) -> tuple[bool, bool, bool, float]:
            record = place.record
            is_another = branch is None or record.branch != branch
            return is_another, not record.admin, record.state == "error" or record.is_kept, record.changed_at

        return sorted(self._places(), key=merit)


class Workspace:
    """A worktree that an attempt has to itself until `release`."""

    def __init__(self, pool: WorkspacePool, place: _Place, taken: Claim, worktree: Worktree, record: Record) -> None:
        self.path = place.path
        self.repository = pool.repository
        self.attempt = record.attempt
        self.branch = record.branch
        self.base_commit = record.base_commit
        self.worktree = worktree
        self._pool = pool
        self._place = place
        self._claim = taken
        self._return: asyncio.Task[Returned] | None = None
        self._is_left = False

    async def diff(self) -> bytes:
        """Give a patch for all that changed since the base commit: commits, changes and new files, but none that is ignored.

        Raises Conflict after the release, Environment when git fails or the patch is too long.
        """
        if self._return is not None or self._is_left:
            raise errors.Conflict(
                f"the workspace {self.path} of {self.attempt} was returned; its diff is what release gave"
            )
        return await self._pool.diff(self)

    async def release(self, *, succeeded: bool = True) -> Returned:
        """Return the worktree: exactly once, however often this is called; all callers get what the first one got.

        It never raises for what is wrong with the worktree. Whoever is cancelled meanwhile leaves when it is done. Raises
        Conflict for one that was left to others.
        """
        if self._is_left:
            raise errors.Conflict(f"the workspace {self.path} of {self.attempt} was left to whoever adopts that")
        if self._return is None:
            taking_back = self._pool.take_back(self, self._place, self._claim, succeeded)
            self._return = asyncio.create_task(taking_back, name=f"return {self.path.name}")
        return await finished(_given(self._return))

    def leave(self) -> None:
        """Let the worktree go as it is, as if this process had died: who adopts the attempt goes on in it."""
        if self._return is None:
            self._is_left = True
            self._claim.let_go()


class _Place:
    """One worktree's place in the pool's folder, with what its record said a moment ago."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path.with_name(f"{path.name}.lock")
        self.record = claim.read(self.lock)


async def _given(task: asyncio.Task[Returned]) -> Returned:
    return await task


@contextlib.contextmanager
def _noted(problems: list[str], workspace: Workspace) -> Iterator[None]:
    """Note what goes wrong with a worktree that is returned, and go on: the place must be free in the end."""
    try:
        yield
    except (errors.Environment, OSError) as error:
        telemetry.emit("workspace.broken", path=str(workspace.path), attempt=workspace.attempt, error=error)
        problems.append(str(error))


def _has_processes(folder: Path) -> bool:
    """Say whether a process that we may look at works in a folder. Never where there is no /proc."""
    below = f"{folder}/"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{(process / 'cwd').readlink()}/".startswith(below):
                return True
        except OSError:  # it ended, or is somebody else's
            continue
    return False
