"""Data to hand through."""

from __future__ import annotations

import base64
import random


def text(size: int) -> str:
    """Give a text of `size` characters that does not compress, the same at every call."""
    return base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()  # noqa: S311 (data, no secret)
