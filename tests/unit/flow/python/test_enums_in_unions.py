"""An enum among other types of a union."""

from __future__ import annotations

import enum

from interlock.flow.python.values import Coder


class Colour(enum.Enum):
    RED = "red"


def test_member_of_a_union_is_the_enum_that_it_was() -> None:
    coder = Coder(Colour | int)
    assert coder.decode(coder.encode(Colour.RED)) is Colour.RED
    assert coder.decode(coder.encode(3)) == 3
