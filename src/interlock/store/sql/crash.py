"""INTERLOCK_FAULT=commit:<n>:before|after: die at the n-th group transaction of this process, to test recovery."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from interlock import errors


@dataclass(frozen=True, slots=True)
class Crash:
    """When this process is to die: at the group transaction `number` (None: never), before or after it is durable."""

    number: int | None = None
    after: bool = False

    def die_if_told(self, transactions: int, *, after: bool) -> None:
        """End this process without a last word when its moment has come."""
        if transactions == self.number and after is self.after:
            os.kill(os.getpid(), signal.SIGKILL)


def told(environ: Mapping[str, str]) -> Crash:
    """Read INTERLOCK_FAULT, which is honoured only with INTERLOCK_TESTING=1. Raises InvalidSettings."""
    text = environ.get("INTERLOCK_FAULT")
    if not text or environ.get("INTERLOCK_TESTING") != "1":
        return Crash()
    try:
        kind, number, moment = text.split(":")
        if kind != "commit" or moment not in ("before", "after"):
            raise ValueError(text)
        return Crash(int(number), moment == "after")
    except ValueError:
        raise errors.InvalidSettings(f"INTERLOCK_FAULT={text} is not commit:<n>:before or commit:<n>:after") from None
