"""One worktree of a repository: made, checked, cleaned, compared, and made anew when it is broken.

Git is never left to find the repository: in a folder whose `.git` file is gone it would find one above, and clean that.
The index of the clean state is kept beside the worktree and put back before each cleaning. So whatever an attempt told
git not to look at is looked at again, and files that nobody touched are not even read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from interlock.pool.workspaces import git

_ADMIN_FILES: Final = {"gitdir", "commondir", "HEAD", "index", "logs"}
"""Of what git keeps on a worktree, all that an attempt may leave behind; the rest is a merge, a lock, settings, ..."""
_GITLINK: Final = b"160000 "

_T = TypeVar("_T")


class Worktree:
    """`common`: the repository's own folder (`.git`); `seconds`: how long one git command may take."""

    def __init__(self, common: Path, path: Path, seconds: float) -> None:
        self.path = path
        self._common = common
        self._seconds = seconds
        self._clean_index = path.with_name(f"{path.name}.index")
        self._diffs = f"{path.name}.diff-"

    def admin(self) -> Path | None:
        """Give the folder where the repository keeps what it knows of this worktree; None when one of both is broken."""
        pointer = self.path / ".git"
        if self.path.is_symlink() or not self.path.is_dir() or pointer.is_symlink():
            return None
        try:
            admin = Path(pointer.read_text().removeprefix("gitdir: ").rstrip("\n"))
            is_ours = Path((admin / "gitdir").read_text().rstrip("\n")) == pointer
            is_whole = (admin / "HEAD").is_file() and (admin / "commondir").is_file() and not admin.is_symlink()
        except (OSError, ValueError):
            return None
        return admin if is_ours and is_whole and admin.parent == self._common / "worktrees" else None

    async def remake(self, commit: str, formerly: str) -> None:
        """Remove what there is and register the worktree anew, without files. The repository's lock must be held.

        `formerly`: the name under which it was registered; "" for unknown.
        """
        await finished(asyncio.to_thread(self._remove, formerly))
        await git.output(
            "worktree", "add", "--force", "--force", "--detach", "--no-checkout", str(self.path), commit,
            folder=self._common, seconds=self._seconds,
        )  # fmt: skip

    async def clean(self) -> None:
        """Make the files those of HEAD, and nothing else. Raises GitFailed or OSError when it must be made anew."""
        admin = self._sound_admin()
        if (admin / "modules").exists():
            raise git.GitFailed(f"submodules were checked out in {self.path}")
        await finished(asyncio.to_thread(self._tidy, admin))
        await self._git("reset", "--hard", "--quiet")
        await self._git("clean", "-ffdx", "--quiet")
        if (self.path / ".gitmodules").exists():
            await self._empty_gitlinks()
        shutil.copy2(
            admin / "index", self._clean_index
        )  # with its time: git trusts no file that is as new as its index

    async def head(self) -> str | None:
        """Give the commit that is checked out; None when there is none."""
        try:
            return await self._git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except git.GitFailed:
            return None

    async def attach(self, branch: str) -> None:
        """Have a branch checked out, without touching files. The repository's lock must be held."""
        await self._git("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    async def detach(self, commit: str) -> None:
        """Have no branch checked out, but a commit, without touching files."""
        await self._git("update-ref", "--no-deref", "HEAD", commit)

    async def is_detached(self, commit: str) -> bool:
        """Detach, and say whether it could be done: it cannot when git was killed here, or HEAD is nonsense."""
        try:
            await self.detach(commit)
        except git.GitFailed:
            return False
        return True

    async def diff(self, against: str, limit_bytes: int) -> bytes:
        """Give the patch from a commit to the files as they are, for `git apply`; files that are ignored are left out.

        Neither index nor objects of the repository change. Raises TooMuch.
        """
        head = await self.head()
        with tempfile.TemporaryDirectory(prefix=self._diffs, dir=self.path.parent) as folder:
            index = Path(folder, "index")
            objects = Path(folder, "objects")
            objects.mkdir()
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(self._clean_index, index)
            variables = {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._common / "objects"),
            }
            await self._git("read-tree", *(("-i", "-m", head) if head else ("--empty",)), variables=variables)
            await self._git("add", "--all", "--", ".", variables=variables)
            return await git.output(
                *self._here(), "diff", "--cached", "--binary", "--full-index", "--no-renames", "--no-color",
                "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/",
                against, "--",
                folder=self.path, seconds=self._seconds, variables=variables, limit_bytes=limit_bytes,
            )  # fmt: skip

    def forget_diffs(self) -> None:
        """Remove what processes left that were killed as they took a diff; call it when nobody takes one."""
        for left in self.path.parent.glob(f"{self._diffs}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _sound_admin(self) -> Path:
        admin = self.admin()
        if admin is None:
            raise git.GitFailed(f"{self.path} is no worktree of {self._common} any more")
        return admin

    def _here(self) -> tuple[str, str]:
        return f"--git-dir={self._sound_admin()}", f"--work-tree={self.path}"

    async def _git(self, *arguments: str, variables: dict[str, str] | None = None) -> str:
        return await git.text(
            *self._here(), *arguments, folder=self.path, seconds=self._seconds, variables=variables
        )  # fmt: skip

    def _tidy(self, admin: Path) -> None:
        """Forget what an attempt was in the middle of, and put the index of the clean state back."""
        for name in os.listdir(admin):
            if name not in _ADMIN_FILES:
                _remove(admin / name)
        if self._clean_index.exists():
            shutil.copy2(self._clean_index, admin / "index")

    async def _empty_gitlinks(self) -> None:
        listing = await git.output(
            *self._here(), "ls-files", "--stage", "-z",
            folder=self.path, seconds=self._seconds, limit_bytes=1 << 30,
        )  # fmt: skip
        for entry in listing.split(b"\0"):
            if entry.startswith(_GITLINK):
                gitlink = self.path / os.fsdecode(entry.partition(b"\t")[2])
                await finished(asyncio.to_thread(_empty, gitlink))

    def _remove(self, formerly: str) -> None:
        _remove(self._clean_index)
        _remove(self.path)
        registered = self._common / "worktrees"
        for admin in self._registered(registered, formerly):
            _remove(admin)

    def _registered(self, registered: Path, formerly: str) -> Iterable[Path]:
        """Give where this path is registered. `git worktree prune` would remove worktrees of others as well: those on a
        disk that is not there at the moment."""
        for admin in list(registered.glob("*")):
            try:
                target = (admin / "gitdir").read_text().rstrip("\n")
            except (OSError, ValueError):
                target = ""
            if target == str(self.path / ".git") or (not target and admin.name == formerly):
                yield admin


async def finished(work: Coroutine[Any, Any, _T]) -> _T:
    """Wait for work that must have ended before anything else happens, even when the caller is cancelled meanwhile.

    The work has a bound of its own: timeouts, or the size of a folder.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(folder: Path) -> None:
    """Let the owner of folders remove what is in them."""
    folder.chmod(stat.S_IRWXU)
    for parent, names, _ in os.walk(folder):
        for name in names:
            if not os.path.islink(place := os.path.join(parent, name)):
                os.chmod(place, stat.S_IRWXU)


def _empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        for entry in folder.iterdir():
            _remove(entry)
