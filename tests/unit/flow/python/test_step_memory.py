"""What a step keeps for shared memory until it ends."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.flow.python.step_memory import StepMemory
from interlock.model.task import MemoryWrite


def test_the_last_write_of_a_key_counts_and_the_order_is_that_of_the_last_writes() -> None:
    memory = StepMemory()
    memory.set("a", 1)
    memory.set("b", {"x": [1]}, space="tasks", ttl="5m")
    memory.set("a", 2, space="tasks")
    memory.set("a", 3)
    memory.delete("b", space="tasks")
    memory.delete("never")
    assert memory.writes == (
        MemoryWrite(key="a", space="tasks", value=2),
        MemoryWrite(key="a", space="global", value=3),
        MemoryWrite(key="b", space="tasks", deletes=True),
        MemoryWrite(key="never", space="global", deletes=True),
    )


def test_a_value_is_what_it_was_when_it_was_set() -> None:
    memory = StepMemory()
    value = [1]
    memory.set("a", value, ttl=2)  # type: ignore[arg-type]  # a list of ints is one of JSON
    value.append(2)
    assert memory.writes == (MemoryWrite(key="a", space="global", value=[1], ttl_seconds=2.0),)


@pytest.mark.parametrize(
    ("key", "space", "ttl", "message"),
    [
        ("", "global", None, "it is empty"),
        ("a/*", "global", None, "only patterns have"),
        ("a", "no space", None, "cannot be a space"),
        ("a", "global", "soon", "ttl"),
    ],
)
def test_what_no_cell_can_be_is_refused(key: str, space: str, ttl: str | None, message: str) -> None:
    memory = StepMemory()
    with pytest.raises(errors.Invalid, match=message):
        memory.set(key, 1, space, ttl=ttl)
    assert memory.writes == ()


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(errors.Misfit, match="shared memory holds JSON"):
        StepMemory().set("a", object())  # type: ignore[arg-type]  # what is refused


def test_a_step_writes_so_much_and_no_more() -> None:
    memory = StepMemory()
    memory.set("a", "x" * 1_000_000)
    with pytest.raises(errors.Invalid, match="more than the 1048576 of one commit"):
        memory.set("b", "x" * 100_000)
    memory.set("a", "x" * 1_000_000)  # in place of the one before
    memory.delete("a")
    memory.set("b", "x" * 1_000_000)
    assert [write.key for write in memory.writes] == ["a", "b"]


def test_a_step_writes_so_many_keys_and_no_more() -> None:
    memory = StepMemory()
    for number in range(1_000):
        memory.set(f"k{number}", number)
    memory.set("k0", 1)
    with pytest.raises(errors.Invalid, match="at most 1000 keys"):
        memory.set("one more", 1)
