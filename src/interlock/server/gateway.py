"""What the routes reach the application through: the open session, as long as there is one."""

from __future__ import annotations

import asyncio
from typing import Final

from interlock import errors
from interlock.app.readiness import Readiness
from interlock.app.session import Session
from interlock.config import Settings
from interlock.service import Clock, SystemClock


class Gateway:
    """Holds the session of a server. It comes and goes with the store; the server stays.

    `closing` is set when the server is about to stop, so that streams end by themselves.
    """

    def __init__(self, settings: Settings, readiness: Readiness, clock: Clock | None = None) -> None:
        self.settings: Final = settings
        self.readiness: Final = readiness
        self.clock: Final[Clock] = clock or SystemClock()
        self.closing: Final = asyncio.Event()
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The open store. Raises StoreUnavailable while there is none."""
        if self._session is None:
            raise errors.StoreUnavailable("the store is not there at this moment; try again in a second")
        return self._session

    @property
    def is_open(self) -> bool:
        return self._session is not None

    def open(self, session: Session) -> None:
        self._session = session

    def close(self) -> None:
        self._session = None
