"""Git worktrees that attempts work in: leased, cleaned, returned exactly once, and used again.

    free --lease--> leased --release--> free          (diff taken, branch let go, files cleaned or kept to look at)
                    leased --holder dies--> orphaned --adopt--> leased
                                            orphaned --lease, once nobody works in it--> leased by another attempt

Who leases a worktree holds an flock on a file of the pool's folder from `lease` to `release`; nothing else says that it is
taken, so a process that is killed leaves nothing to undo. The record in that file is for those who come after: what was
worked on here, and where the worktree is registered.

What is not done here. Submodules are not checked out, and what an attempt puts into them is thrown away and is no part of
the diff. Objects of Git LFS are not fetched: such files are pointers, unless the repository's filters fetch them. A
worktree is no jail: configuration, branches and objects are the repository's, and an attempt can change them. No lock
reaches over machines: each has a folder of its own. Nothing is pushed.
"""

from interlock.pool.workspaces.pool import Clean, Returned, Slot, Workspace, WorkspacePool
from interlock.pool.workspaces.repository import BranchTaken

__all__ = ["BranchTaken", "Clean", "Returned", "Slot", "Workspace", "WorkspacePool"]
