"""Between a run in memory and its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from interlock.engine import fold
from interlock.engine import state as states
from interlock.engine.state import ROOT, Gone, Head, Rollback, RunState, Scope
from interlock.model import payload
from interlock.model.event import Event
from interlock.model.fault import Fault
from interlock.model.memo import Memo
from interlock.model.payload import Codec, Payload
from interlock.model.states import RunStatus
from interlock.store.ports import Batch, HistoryRow, Journal, MemoRow, NewCached, NewMemo, RevokedToken, StoredRun

_FEW: Final = 4  # scopes that may stand in the run's own row,
_FEW_IN_ROWS: Final = 2  # and down to how many those that have rows must come, so that they do not go to and fro
_SMALL_BYTES: Final = 4096  # of a head with scopes in it: it is written anew with every commit

_show = msgspec.json.Encoder()
_fault = msgspec.json.Decoder(Fault)


class Rows:
    """Encodes and decodes the rows of runs; texts above `inline_bytes` are stored by reference."""

    def __init__(self, inline_bytes: int = payload.INLINE_BYTES) -> None:
        self._head: Codec[Head] = Codec(Head, inline_bytes)
        self._scope: Codec[Scope] = Codec(Scope, inline_bytes)
        self._events: Codec[Sequence[Event]] = Codec(list[Event], inline_bytes)
        self._payload: Codec[Payload] = Codec(Payload, inline_bytes)
        self._memo: Codec[Memo] = Codec(Memo, inline_bytes)

    # -- out -----------------------------------------------------------------------------------------------------

    def batch(self, state: RunState, events: Sequence[Event], *, epoch: int, seq: int, at: float, **more: Any) -> Batch:
        """Give the commit of what changed in `state` since the last one, and note that it is written."""
        large: dict[str, bytes] = {}
        head, scopes = self._head_and_scopes(state, large)
        history = _collect(self._events.encode(events), large) if events else b""
        output = None if state.output is None else _collect(self._payload.encode(state.output), large)
        memos = [
            NewMemo(
                number=memo.number,
                call=memo.call,
                body=_collect(self._memo.encode(memo), large),
                undo=memo.undo is not None,
            )
            for memo in state.memos
        ]
        state.touched.clear()
        state.removed.clear()
        forgotten, state.renewed = state.renewed, False
        shown = _show.encode(state.head.shown) if state.shows else None
        attributes, state.attributes, state.shows = state.attributes, {}, False
        gone, state.tokens = state.tokens, []
        cached = [
            NewCached(
                namespace=state.namespace,
                name=kept.name,
                key=kept.key,
                body=b'{"value":' + kept.value.text + b"}",
                expires_at=kept.until,
            )
            for kept in state.cached
        ]
        state.cached.clear()
        state.memos.clear()
        state.status = state.live_status()
        return Batch(
            run=state.run,
            epoch=epoch,
            seq=seq,
            at=at,
            history=history,
            status=state.status,
            wake_at=state.wake_at(),
            head=head,
            scopes=scopes,
            large=large,
            memos=memos,
            # Those of a run that ends are revoked with all that it has, and told why.
            revoked_tokens=[] if state.ended else [_revoked(each) for each in gone],
            cached=cached,
            forget_memos=forgotten,
            shown=shown,
            attributes=attributes,
            output=output,
            fault=None if state.fault is None else msgspec.json.encode(state.fault),
            partial=state.head.partial,
            started_at=state.head.started_at or None,
            ended=state.ended,
            **more,
        )

    def _head_and_scopes(self, state: RunState, large: dict[str, bytes]) -> tuple[bytes, dict[str, bytes | None]]:
        """Give the head, and the rows of scopes to write, or (None) to delete; note which scopes have rows then."""
        head = state.head
        head.root = state.scopes.get(ROOT)
        others = [scope for scope in state.scopes.values() if scope.id != ROOT]
        if len(others) <= (_FEW_IN_ROWS if state.in_rows else _FEW):
            head.others = others
            body, more = self._head.encode(head)
            if len(body) <= _SMALL_BYTES or not others:
                large |= more
                gone: dict[str, bytes | None] = dict.fromkeys(state.in_rows)
                state.in_rows = set()
                return body, gone
        head.others = []
        rows: dict[str, bytes | None] = dict.fromkeys(state.removed & state.in_rows)
        for scope in others:
            if scope.id in state.touched or scope.id not in state.in_rows:
                rows[scope.id] = _collect(self._scope.encode(scope), large)
        state.in_rows = {scope.id for scope in others}
        return _collect(self._head.encode(head), large), rows

    def input(self, value: Payload) -> tuple[bytes, dict[str, bytes]]:
        """Give the row text of a run's input, and the large text it may refer to."""
        text, large = self._payload.encode(value)
        return text, dict(large)

    # -- in ------------------------------------------------------------------------------------------------------

    async def load(self, stored: StoredRun, journal: Journal) -> RunState:
        """Give the state of a stored run; its large values are read too."""
        references: dict[str, list[Payload]] = {}
        input_ = _wanted(self._payload.decode(stored.input), references)
        head = _wanted(self._head.decode(stored.head), references) if stored.head else Head()
        scopes = {}
        if head.root is not None:
            scopes[ROOT] = head.root
        for scope in head.others:
            scopes[scope.id] = scope
        for scope_id, body in stored.scopes.items():
            scopes[scope_id] = _wanted(self._scope.decode(body), references)
        output = None if stored.output is None else _wanted(self._payload.decode(stored.output), references)
        await _resolve(stored.run, references, journal)
        state = states.new(stored.run, stored.namespace, stored.id, input_)
        state.status, state.head, state.scopes, state.output = stored.status, head, scopes, output
        state.in_rows = set(stored.scopes)
        state.fault = None if stored.fault is None else _fault.decode(stored.fault)
        if head.failed_scope is not None:
            state.status = RunStatus.FAULTED  # until its `reopen`, which waits in the inbox, is applied
        if not state.ended:
            state.effects = _effects(scopes.values())
        return state

    def rollback(self, stored: StoredRun) -> Rollback | None:
        """Give how far the rollback of a stored run came, None when none has begun."""
        return self._head.decode(stored.head)[0].rollback if stored.head else None

    async def events(self, run: str, rows: Iterable[HistoryRow], journal: Journal) -> list[Event]:
        """Give the events of history rows, with their large values."""
        references: dict[str, list[Payload]] = {}
        events: list[Event] = []
        for row in rows:
            events += _wanted(self._events.decode(row.events), references)
        await _resolve(run, references, journal)
        return events

    async def value(self, run: str, text: bytes, journal: Journal) -> Payload:
        """Give the payload of a row text such as a run's output."""
        references: dict[str, list[Payload]] = {}
        found: Payload = _wanted(self._payload.decode(text), references)
        await _resolve(run, references, journal)
        return found

    async def memos(self, run: str, rows: Iterable[MemoRow], journal: Journal) -> list[Memo]:
        """Give what memo rows say, with their large values."""
        references: dict[str, list[Payload]] = {}
        memos = [_wanted(self._memo.decode(row.body), references) for row in rows]
        await _resolve(run, references, journal)
        return memos

    def folded(self, state: RunState, events: Iterable[Event]) -> tuple[bytes, dict[str, bytes]]:
        """Give the head and the scopes that `events` lead to from a fresh state; for checks against `apart`."""
        fold.fold(state, events)
        state.head.root = state.scopes.get(ROOT)
        head = self._head.encode(state.head)[0]
        return head, {key: self._scope.encode(scope)[0] for key, scope in state.scopes.items() if key != ROOT}

    def apart(self, head: bytes, scopes: Mapping[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
        """Give the rows of a stored run as `folded` does: the head without scopes in it, and every scope by itself."""
        decoded = self._head.decode(head)[0]
        others, decoded.others = decoded.others, []
        return self._head.encode(decoded)[0], {
            **scopes,
            **{scope.id: self._scope.encode(scope)[0] for scope in others},
        }


def _collect(encoded: tuple[bytes, Mapping[str, bytes]], large: dict[str, bytes]) -> bytes:
    large |= encoded[1]
    return encoded[0]


def _wanted(decoded: tuple[Any, Mapping[str, list[Payload]]], references: dict[str, list[Payload]]) -> Any:
    for digest, payloads in decoded[1].items():
        references.setdefault(digest, []).extend(payloads)
    return decoded[0]


async def _resolve(run: str, references: dict[str, list[Payload]], journal: Journal) -> None:
    if references:
        payload.resolve(references, await journal.texts(run, list(references)))


def _effects(scopes: Iterable[Scope]) -> dict[int, str]:
    found: dict[int, str] = {}
    for scope in scopes:
        if scope.frames:
            frame = scope.frames[-1]
            if frame.effect:
                found[frame.effect] = scope.id
            if frame.ticket is not None:
                found[frame.ticket.number] = scope.id
    return found


def _revoked(gone: Gone) -> RevokedToken:
    return RevokedToken(token=gone.token, reason=gone.reason, superseded=gone.superseded)
