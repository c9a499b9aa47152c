"""What a courier asks of those who speak to callers, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from interlock.handshake.outcome import Letter

C = TypeVar("C", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The caller has it. `status`: what it answered, as a word."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It will never take it."""

    status: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """Nobody knows whether it has it, or it said to come again. `after_seconds`: not before; None where it said nothing."""

    status: str
    detail: str
    after_seconds: float | None = None


Answer: TypeAlias = Accepted | Refused | Postponed


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """It heard the heartbeat. `cancel`: it asks for the run to be cancelled."""

    cancel: bool = False


class Sender(Protocol[C]):
    """Speaks to callers of one kind. Never raises for what may go wrong there."""

    async def send(self, letter: Letter, callback: C) -> Answer: ...

    async def beat(self, id: str, callback: C) -> Alive | Refused | Postponed:
        """Say that the run `id` lives."""
        ...

    async def close(self) -> None: ...
