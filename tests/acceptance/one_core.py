"""The command line, on a machine of which it may use one core."""

from __future__ import annotations

import os

from interlock.cli.main import main

if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
