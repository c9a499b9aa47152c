"""`python -m interlock`: the command line of the interpreter at hand."""

from __future__ import annotations

from interlock.cli.main import main

if __name__ == "__main__":
    main()
