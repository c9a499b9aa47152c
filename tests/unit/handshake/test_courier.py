"""The courier, on a clock that a test moves and with callers that answer as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock import config, errors, telemetry
from interlock.handshake.courier import AT_ONCE, CLAIM_SECONDS, Courier, pause
from interlock.handshake.outcome import Completed, Failed, Letter
from interlock.handshake.reconciler import Reconciler, reconcile
from interlock.handshake.sender import Accepted, Alive, Answer, Postponed, Refused
from interlock.model import callback
from interlock.model.states import RunStatus
from interlock.secrets.keeper import Keeper
from interlock.store.open import open_store
from interlock.store.ports import DeliveryRow, DeliveryState, NewDelivery, Store
from interlock.testing.clock import VirtualClock
from store.rows import accepting, batch, new_run

HOOK = callback.encode(callback.Webhook(url="https://caller.example/"))
AWAY = Postponed(status="unreachable", detail="nobody there")


class Caller:
    """Answers in turn, the last answer for ever; remembers what it was told. `gate`: holds every answer back."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [Accepted(status="200")]
        self.beats: list[Alive | Refused | Postponed] = [Alive()]
        self.letters: list[Letter] = []
        self.beaten: list[str] = []
        self.gate: asyncio.Event | None = None

    async def send(self, letter: Letter, callback: Any) -> Answer:
        self.letters.append(letter)
        if self.gate is not None:
            await self.gate.wait()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def beat(self, id: str, callback: Any) -> Alive | Refused | Postponed:
        self.beaten.append(id)
        return self.beats.pop(0) if len(self.beats) > 1 else self.beats[0]

    async def close(self) -> None: ...


class World:
    """A store, a clock, a caller and a courier whose rounds a test makes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.keeper = Keeper(
            "sqlite:///:memory:", config.Secrets(), self.clock, {"INTERLOCK_KEY": "the-key-of-this-test"}
        )
        self.caller = Caller()
        self.cancelled: list[tuple[str, str]] = []
        self.acts = True
        self.courier = self.another("n1")
        self.start = self.clock.now()

    def another(self, node: str) -> Courier:
        return Courier(
            node, self.store, self.clock, self.keeper, {"webhook": self.caller}, self._cancel, lambda: self.acts
        )

    async def _cancel(self, run: str, delivery: str) -> None:
        self.cancelled.append((run, delivery))

    async def begin(self, run: str = "r1", **more: Any) -> None:
        """Accept a run with a caller, whose delivery is `d-RUN`."""
        ring = await self.keeper.ring()
        new = NewDelivery(
            **{
                "delivery": f"d-{run}", "namespace": "default", "kind": "webhook", "target": "t", "receiver": run,
                "identity": run, "sealed": ring.seal(HOOK, "callback", "default", run), "deadline": self.start + 3600,
            } | more
        )  # fmt: skip
        given = accepting(run, at=self.start)
        import msgspec

        await self.store.journal.commit(msgspec.structs.replace(given, accept=new_run(run, callback=new)))

    async def end(self, run: str = "r1", seq: int = 1, **more: Any) -> None:
        given = {"ended": True, "status": RunStatus.COMPLETED, "output": b"[42]", "at": self.clock.now()} | more
        await self.store.journal.commit(batch(run, seq, **given))

    async def turn(self, courier: Courier | None = None) -> float:
        """Make a round, and wait until what it began is done."""
        courier = courier or self.courier
        seconds = await courier.round()
        if courier._sending:
            await asyncio.wait(courier._sending, timeout=5)
        return seconds

    async def at(self, seconds: float) -> None:
        """Move the clock to that long after the start, and make a round."""
        self.clock.move_to(self.start + seconds)
        await self.turn()

    async def row(self, run: str = "r1") -> DeliveryRow:
        found = await self.store.deliveries.get(f"d-{run}")
        assert found is not None
        return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = await open_store("sqlite:///:memory:")
    yield World(store)
    await store.close()


async def test_outcome_is_told_once_when_the_run_has_ended(world: World) -> None:
    """TK-04, TK-09."""
    await world.begin()
    await world.turn()
    assert world.caller.letters == []
    await world.end()
    await world.turn()
    await world.turn()
    (letter,) = world.caller.letters
    assert (letter.delivery, letter.id, letter.status, letter.outcome) == (
        "d-r1", "r1", "completed", Completed(output=42),
    )  # fmt: skip
    assert (await world.row()).state is DeliveryState.DELIVERED
    (sent,) = await world.store.deliveries.attempts("d-r1", 0, 9)
    assert (sent.number, sent.status) == (1, "200")


async def test_tries_grow_from_a_second_to_five_minutes(world: World) -> None:
    """TK-08."""
    pauses = [pause(number, world.clock) for number in range(1, 40)]
    for number, found in enumerate(pauses[:8]):
        assert 2**number <= found <= 2**number * 1.25
    assert max(pauses) == 300.0
    await world.begin()
    await world.end()
    world.caller.answers = [AWAY]
    sendings: list[float] = []
    while (row := await world.row()).state is DeliveryState.PENDING:
        world.clock.move_to(max(world.clock.now(), row.due_at))
        await world.turn()
        if len(world.caller.letters) > len(sendings):
            sendings.append(world.clock.now() - world.start)
    assert sendings[:3] == [0.0, pytest.approx(1.1, abs=0.2), pytest.approx(3.3, abs=0.6)]
    assert sendings[-1] == 3600.0
    assert (row.state, row.problem, row.attempts) == (DeliveryState.EXPIRED, "nobody there", len(sendings))
    assert {letter.delivery for letter in world.caller.letters} == {"d-r1"}


async def test_receiver_that_comes_back_is_told(world: World) -> None:
    """TK-08."""
    await world.begin()
    await world.end()
    world.caller.answers = [AWAY, AWAY, Accepted(status="200")]
    for seconds in (0, 2, 6):
        await world.at(seconds)
    row = await world.row()
    assert (row.state, row.attempts, row.problem) == (DeliveryState.DELIVERED, 3, None)


async def test_refusal_is_the_end_of_it_and_the_run_stays_as_it_ended(world: World) -> None:
    """TK-08, TK-09."""
    await world.begin()
    await world.end()
    world.caller.answers = [Refused(status="404", detail="gone")]
    await world.turn()
    await world.at(3000)
    assert len(world.caller.letters) == 1
    row = await world.row()
    assert (row.state, row.problem) == (DeliveryState.FAILED, "gone")
    ending = await world.store.deliveries.ending("r1")
    assert ending is not None
    assert (ending.status, ending.output) == (RunStatus.COMPLETED, b"[42]")


async def test_time_that_the_receiver_asks_for_is_given(world: World) -> None:
    await world.begin()
    await world.end()
    world.caller.answers = [Postponed(status="429", detail="busy", after_seconds=120.0), Accepted(status="200")]
    await world.turn()
    assert (await world.row()).due_at == world.start + 120
    await world.at(119)
    assert len(world.caller.letters) == 1
    await world.at(120)
    assert (await world.row()).state is DeliveryState.DELIVERED


async def test_next_try_is_never_after_the_deadline(world: World) -> None:
    await world.begin()
    world.clock.move_to(world.start + 3599.5)
    await world.end()
    world.caller.answers = [AWAY]
    await world.turn()
    assert (await world.row()).due_at == world.start + 3600
    await world.at(3600)
    assert (await world.row()).state is DeliveryState.EXPIRED


async def test_caller_whose_run_still_lives_at_its_deadline_is_told(world: World) -> None:
    """TK-10."""
    await world.begin()
    await world.at(3599)
    assert world.caller.letters == []
    await world.at(3600)
    (letter,) = world.caller.letters
    assert isinstance(letter.outcome, Failed)
    assert (letter.status, letter.outcome.type) == ("running", "deadline")
    row = await world.row()
    assert (row.state, row.problem) == (DeliveryState.EXPIRED, "the run had not ended at the deadline of its caller")
    await world.end()
    await world.at(3700)
    assert len(world.caller.letters) == 1


@pytest.mark.parametrize("answer", [AWAY, Refused(status="404", detail="gone")])
async def test_deadline_is_told_once_whatever_the_answer(world: World, answer: Answer) -> None:
    """TK-10."""
    await world.begin()
    world.caller.answers = [answer]
    await world.at(3600)
    await world.at(4000)
    assert len(world.caller.letters) == 1
    assert (await world.row()).state in (DeliveryState.EXPIRED, DeliveryState.FAILED)


async def test_heartbeats_come_in_their_time_while_the_run_lives(world: World) -> None:
    """TK-15."""
    await world.begin(beat_seconds=30.0)
    for seconds in (0, 10, 29, 30, 45, 60):
        await world.at(seconds)
    assert len(world.caller.beaten) == 3
    assert (await world.row()).attempts == 0
    await world.end()
    await world.turn()
    assert (len(world.caller.beaten), len(world.caller.letters)) == (3, 1)


async def test_cancellation_by_the_caller_reaches_the_run_with_the_next_heartbeat(world: World) -> None:
    """TK-15."""
    await world.begin(beat_seconds=30.0)
    await world.turn()
    world.caller.beats = [Alive(cancel=True)]
    await world.at(29)
    assert world.cancelled == []
    await world.at(30)
    assert world.cancelled == [("r1", "d-r1")]
    await world.end(status=RunStatus.CANCELLED, output=None)
    await world.turn()
    assert [letter.status for letter in world.caller.letters] == ["cancelled"]


async def test_heartbeat_that_nobody_knows_is_the_last(world: World) -> None:
    """TK-08."""
    await world.begin(beat_seconds=30.0)
    world.caller.beats = [Refused(status="NOT_FOUND", detail="over")]
    await world.turn()
    await world.end()
    await world.at(60)
    assert (len(world.caller.beaten), world.caller.letters) == (1, [])
    assert ((await world.row()).state, (await world.row()).problem) == (DeliveryState.FAILED, "over")


async def test_heartbeat_without_an_answer_is_given_again_in_its_time(world: World) -> None:
    await world.begin(beat_seconds=30.0)
    world.caller.beats = [AWAY, Alive()]
    await world.turn()
    assert ((await world.row()).problem, (await world.row()).due_at) == ("nobody there", world.start + 30)
    await world.at(30)
    assert ((await world.row()).problem, (await world.row()).state) == (None, DeliveryState.PENDING)


async def test_run_that_was_reopened_is_told_when_it_ends_again(world: World) -> None:
    await world.begin()
    await world.end(status=RunStatus.FAULTED, output=None, fault=b'{"type":"x","status":500}')
    (claimed,) = await world.store.deliveries.claim("n1", 9, world.clock.now(), world.clock.now())
    assert await world.store.journal.reopen("r1", "n1", "ann", world.clock.now())
    await world.courier._perform(claimed)
    assert world.caller.letters == []
    assert (await world.row()).due_at == world.start + 3600
    await world.end(epoch=2, seq=2)
    await world.turn()
    assert [letter.status for letter in world.caller.letters] == ["completed"]


async def test_what_a_dead_node_was_sending_is_sent_again_under_the_same_id(world: World) -> None:
    """TK-07."""
    await world.begin()
    await world.end()
    world.caller.gate = asyncio.Event()
    dying = world.another("n0")
    await dying.round()
    while not world.caller.letters:
        await asyncio.sleep(0)
    for task in tuple(dying._sending):
        task.cancel()
    await asyncio.wait(dying._sending)
    world.caller.gate = None
    await world.turn()
    assert len(world.caller.letters) == 1
    await reconcile(world.store, world.clock.now())
    await world.turn()
    assert [letter.delivery for letter in world.caller.letters] == ["d-r1", "d-r1"]
    attempts = await world.store.deliveries.attempts("d-r1", 0, 9)
    assert [(each.node, each.status) for each in attempts] == [("n0", None), ("n1", "200")]


async def test_claim_of_a_node_that_hangs_is_over_in_time(world: World) -> None:
    await world.begin()
    await world.end()
    now = world.clock.now()
    await world.store.deliveries.claim("n0", 9, now, now + CLAIM_SECONDS)
    await world.at(CLAIM_SECONDS - 1)
    assert world.caller.letters == []
    await world.at(CLAIM_SECONDS)
    assert len(world.caller.letters) == 1


async def test_node_without_its_lease_sends_nothing(world: World) -> None:
    await world.begin()
    await world.end()
    world.acts = False
    await world.turn()
    assert world.caller.letters == []
    now = world.clock.now()
    (claimed,) = await world.store.deliveries.claim("n1", 9, now, now)
    await world.courier._perform(claimed)
    assert world.caller.letters == []


async def test_courier_of_a_node_with_one_run_leaves_those_of_others_alone(world: World) -> None:
    await world.begin()
    await world.end()
    own = Courier(
        "n9", world.store, world.clock, world.keeper, {"webhook": world.caller}, world._cancel, lambda: True, own=True
    )
    assert await world.turn(own) == 1.0
    assert world.caller.letters == []
    await world.turn()
    assert len(world.caller.letters) == 1


async def test_slow_receivers_hold_up_nobody_else(world: World) -> None:
    """TK-18."""
    world.caller.gate = asyncio.Event()
    for number in range(AT_ONCE + 3):
        await world.begin(f"r{number:02}")
        await world.end(f"r{number:02}")
    await world.courier.round()
    while len(world.caller.letters) < AT_ONCE:
        await asyncio.sleep(0)
    await world.courier.round()
    assert len(world.caller.letters) == AT_ONCE
    world.caller.gate.set()
    await world.turn()
    await world.turn()
    assert sorted(letter.delivery for letter in world.caller.letters) == sorted(
        f"d-r{number:02}" for number in range(AT_ONCE + 3)
    )


async def test_sealed_callback_of_another_run_is_not_used(world: World) -> None:
    """TK-12, TK-14."""
    ring = await world.keeper.ring()
    await world.begin(sealed=ring.seal(HOOK, "callback", "default", "other"))
    await world.end()
    await world.turn()
    assert world.caller.letters == []
    assert (await world.row()).state is DeliveryState.FAILED
    (sent,) = await world.store.deliveries.attempts("d-r1", 0, 9)
    assert sent.status == "unreadable"


async def test_key_that_is_missing_here_may_come_back(world: World) -> None:
    from interlock.secrets.key import KeyRing

    await world.begin(sealed=KeyRing(["another-key-altogether"]).seal(HOOK, "callback", "default", "r1"))
    await world.end()
    await world.turn()
    row = await world.row()
    assert row.state is DeliveryState.PENDING
    assert row.problem is not None
    assert "not configured any more" in row.problem


async def test_removed_run_is_told_as_lost(world: World) -> None:
    """TK-06."""
    await world.begin()

    async def gone(transaction: Any) -> None:
        transaction._connection.execute("DELETE FROM runs")

    await world.store.database.write(gone)  # type: ignore[attr-defined]  # a SQLite store
    assert await reconcile(world.store, world.clock.now()) == 1
    await world.turn()
    (letter,) = world.caller.letters
    assert (letter.status, letter.outcome.type) == ("lost", "lost")  # type: ignore[union-attr]  # else it fails


async def test_courier_looks_by_itself_and_stops_with_what_is_under_way(world: World) -> None:
    await world.courier.start()
    await world.begin()
    await world.end()
    async with asyncio.timeout(60):
        while (await world.row()).state is DeliveryState.PENDING:
            await asyncio.sleep(0.01)
    await world.courier.stop()
    await world.courier.stop()
    await world.begin("r2")
    await world.end("r2")
    assert not world.courier.busy
    assert len(world.caller.letters) == 1


async def test_what_came_due_last_is_told_before_the_courier_leaves(world: World) -> None:
    await world.courier.start()
    await asyncio.sleep(0)
    await world.begin()
    await world.end()
    await world.courier.stop()
    assert len(world.caller.letters) == 1
    assert (await world.row()).state is DeliveryState.DELIVERED


async def test_what_is_being_claimed_when_the_courier_stops_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin()
    await world.end()
    claim, reached, go_on = world.store.deliveries.claim, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any, **more: Any) -> Any:
        taken = await claim(*given, **more)
        reached.set()
        await go_on.wait()
        return taken

    monkeypatch.setattr(world.store.deliveries, "claim", slow)
    await world.courier.start()
    await reached.wait()
    stopping = asyncio.create_task(world.courier.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert (await world.row()).state is DeliveryState.DELIVERED


async def test_receiver_that_hangs_is_left_behind_when_the_courier_stops(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.handshake.courier._STOP_SECONDS", 0.05)
    world.caller.gate = asyncio.Event()
    await world.begin()
    await world.end()
    await world.courier.start()
    await world.courier.stop()
    assert not world.courier.busy
    assert (await world.row()).state is DeliveryState.PENDING


async def test_courier_outlives_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    end = telemetry.attach(lambda name, fields: told.append(name))

    async def away() -> None:
        raise errors.StoreUnavailable("away")

    monkeypatch.setattr(world.store.deliveries, "next_due", away)
    await world.courier.start()
    async with asyncio.timeout(60):
        while "loop.failed" not in told:
            await asyncio.sleep(0.01)
    await world.courier.stop()
    end()
    assert "delivery.left" in told


async def test_what_happens_is_told_to_observers(world: World) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    end = telemetry.attach(lambda name, fields: told.append((name, fields)))
    await world.begin()
    await world.end()
    await world.at(7)
    end()
    names = [name for name, _ in told]
    assert names == ["delivery.sent", "delivery.delivered"]
    fields = told[1][1]
    assert (fields["delivery"], fields["kind"], fields["attempts"], fields["age_seconds"]) == (
        "d-r1",
        "webhook",
        1,
        7.0,
    )


async def test_reconciler_looks_for_what_was_forgotten(world: World) -> None:
    """TK-06."""
    await world.begin()
    await world.end()

    async def forget(transaction: Any) -> None:
        transaction._connection.execute("UPDATE deliveries SET waiting = 1, due_at = deadline")

    await world.store.database.write(forget)  # type: ignore[attr-defined]  # a SQLite store
    await world.turn()
    assert world.caller.letters == []
    assert not await Reconciler(world.store, world.clock).round()
    await world.turn()
    assert len(world.caller.letters) == 1
    assert await reconcile(world.store, world.clock.now()) == 0
