"""Settings: what can be set, and where values come from.

Weakest first: the default, `interlock.toml` in the user's config folder, `interlock.toml` in the working folder, the
environment (`INTERLOCK_SECTION_KEY`), flags of the command line. A list or a map is replaced whole, never merged.
`${VAR}` in a file is replaced from the environment; `$${` stands for `${`. Unknown keys are refused: a misspelt limit
that silently does nothing is worse than no start. Secrets are no settings.
"""

from interlock.config.settings import (
    Artifacts,
    Dispatcher,
    Engine,
    Expressions,
    Http,
    Limits,
    Logs,
    Node,
    Payload,
    Python,
    Retention,
    Secrets,
    Server,
    Settings,
    Store,
    Tokens,
)
from interlock.config.sources import RESERVED, Setting, explain, files, load

__all__ = [
    "RESERVED", "Artifacts", "Dispatcher", "Engine", "Expressions", "Http", "Limits", "Logs", "Node", "Payload", "Python",
    "Retention", "Secrets", "Server", "Setting", "Settings", "Store", "Tokens", "explain", "files", "load",
]  # fmt: skip
