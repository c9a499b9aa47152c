"""What a marker looks like, and what people are shown in its place. Light: every command loads it, also `--help`."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
START: Final = "~~secret."
PATTERN: Final = re.compile(r"~~secret\.([A-Za-z0-9_~.-]+?)\.([rub])\.([0-9a-f]{8}\.[0-9a-f]{32})~~")


def hidden(text: str) -> str:
    """Give a text for people: `***` for everything that looks like a marker."""
    return PATTERN.sub(HIDDEN, text) if START in text else text
