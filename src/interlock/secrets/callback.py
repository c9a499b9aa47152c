"""What an effect is given so that somebody else can report how its step ended: the text of a token, and where to send it.

Both are made when the effect begins and stand in no row; what comes of the effect has them hidden.
"""

from __future__ import annotations

from typing import Final

import msgspec

PUBLIC_URL: Final = "http://127.0.0.1:7070"
"""Where a server of this store is reached unless the settings say otherwise."""
PATH: Final = "/api/v1/tokens/"
BY_SOCKET: Final = "http://localhost"
"""What a server that listens on a Unix socket alone is called in URLs: the name is not looked up."""
SEALED: Final = "callback"
"""What the address of a caller is sealed for, besides its namespace and its run."""


class Callback(msgspec.Struct, frozen=True):
    """The right to report for one step. `socket`: the path of a Unix socket where reports are taken too; "" for none."""

    token: str
    url: str
    socket: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Give it as a process finds it. INTERLOCK_URL: the server alone. INTERLOCK_SOCKET: only where there is one."""
        server = self.url.partition(PATH)[0]
        given = {"INTERLOCK_TOKEN": self.token, "INTERLOCK_CALLBACK": self.url, "INTERLOCK_URL": server}
        return given | ({"INTERLOCK_SOCKET": self.socket} if self.socket else {})

    @property
    def headers(self) -> dict[str, str]:
        """Give it as the receiver of a request finds it."""
        return {"Interlock-Token": self.token, "Interlock-Callback": self.url}


def callback(token: str, public_url: str, socket: str = "") -> Callback:
    """Give the callback of a token by its text."""
    return Callback(token, public_url.rstrip("/") + PATH + token, socket)


_SHOWN: Final = 20


def shortened(text: str) -> str:
    """Give as much of a token as may be shown: its first 20 characters, and never more than half of it."""
    return text[: min(_SHOWN, len(text) // 2)] + "…"
