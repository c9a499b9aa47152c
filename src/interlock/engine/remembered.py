"""What a run remembers of the calls of its function, and how far the function, called anew, has come in that."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.flow.python import raised
from interlock.model.json import Json
from interlock.model.memo import Memo
from interlock.model.payload import Payload


class Remembered:
    """The calls of one function, by their identities: name and key, and a number for each more that has the same.

    `memos`: those that have ended. `open`: those that were open before this process had the run.
    """

    def __init__(self, memos: Iterable[Memo], open: Iterable[str]) -> None:
        self._memos = sorted(memos, key=lambda memo: memo.number)
        self._by_call = {memo.call: memo for memo in self._memos}
        self._used: set[int] = set()
        self._next = 0
        """The place in `_memos` of the first that was not used yet."""
        self._open = set(open)
        """Calls that were not made again yet."""
        self._counts: dict[str, int] = {}
        self.is_live = False
        """Whether the function has come to where it waits for what has not happened yet."""

    def identity(self, name: str, key: str) -> str:
        """Give the identity of a call that is made now."""
        base = f"{name}({key})" if key else name
        number = self._counts[base] = self._counts.get(base, 0) + 1
        return base if number == 1 else f"{base}#{number}"

    def of(self, identity: str) -> Memo | None:
        """Give the result of a call, None where there is none yet."""
        return self._by_call.get(identity)

    def noted(self, identity: str) -> Payload | None:
        """Give what was noted under an identity: it is used by that."""
        memo = self._by_call.get(identity)
        if memo is None:
            return None
        self._used.add(memo.number)
        assert memo.output is not None
        return memo.output

    def kept(self, identity: str, value: Payload) -> Memo:
        """Give the memo of a result that was found elsewhere: nobody else is to be given it."""
        memo = Memo(number=-len(self._by_call) - 1, call=identity, at=0.0, output=value)
        self._used.add(memo.number)
        return memo

    def end(self, memo: Memo, *, is_asked: bool) -> None:
        """Note that a call has ended. `is_asked`: the function waits for it; else it is found when somebody asks."""
        self._used.add(memo.number)
        self._open.discard(memo.call)
        if is_asked:
            self.is_live = True
        else:
            self._by_call[memo.call] = memo

    def use(self, memo: Memo) -> None:
        """Note that the function is given a result."""
        self._used.add(memo.number)

    def is_used(self, memo: Memo) -> bool:
        return memo.number in self._used

    def is_new(self, identity: str) -> bool:
        """Say whether a call was never made: it has no result, and was not open before."""
        return identity not in self._by_call and identity not in self._open

    def asks_again(self, identity: str) -> bool:
        """Note that a call is made; True: it was open before."""
        if identity not in self._open:
            return False
        self._open.discard(identity)
        return True

    @property
    def unasked(self) -> set[str]:
        """The open calls that the function, as far as it came, did not make again."""
        return set(self._open)

    @property
    def unused(self) -> list[Memo]:
        """The results that the function, as far as it came, did not ask for."""
        return [memo for memo in self._memos if memo.number not in self._used]

    @property
    def replays(self) -> bool:
        """Whether the function is still at what it did before: results, or calls that were open, wait to be asked for.

        Those that changed code asks for no more do not count: where it waits for what is new, it is past them.
        """
        if self.is_live:
            return False
        while self._next < len(self._memos) and self._memos[self._next].number in self._used:
            self._next += 1
        return self._next < len(self._memos) or bool(self._open)


def value_of(memo: Memo) -> Json:
    """Give what a call gave. Raises what it failed with."""
    if memo.failed is None:
        return None if memo.output is None else memo.output.value
    failed = memo.failed
    error = raised.rebuilt(failed.fault.raised, failed.fault, step=memo.call, kind=failed.failure)
    raise raised.marked(error, memo)
