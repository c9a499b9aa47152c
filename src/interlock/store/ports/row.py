"""What every value that crosses a port is: a frozen record with named fields."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    pass
