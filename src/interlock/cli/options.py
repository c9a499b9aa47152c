"""The options that stand before the command. Light: the shell asks for completions while somebody types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Options:
    """`store` and `namespace` None: as the settings, and any namespace. `server`: instead of a store."""

    store: str | None = None
    server: str | None = None
    namespace: str | None = None
    debug: bool = False


options: Final = Options()
"""Those of this process, set once before the command begins."""
