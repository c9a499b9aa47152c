"""What a run exchanges with others in its commits: events that it sends and listens for, and ends that others are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from interlock import telemetry
from interlock.engine import cause as causes
from interlock.engine.cause import Occurred, Settled
from interlock.engine.live import LiveRun
from interlock.engine.state import Frame, RunState
from interlock.flow.graph import Graph, ListenWork, Strategy
from interlock.model import fault, json
from interlock.model.call import EventCall
from interlock.model.event import Event, Expiring
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.states import RunStatus
from interlock.model.task import Done, Failed, FailureClass, Outcome, Place
from interlock.store.ports import NewEvent, NewSubscription, Post

_ANY: Final = ""


def sent(namespace: str, envelope: dict[str, Json]) -> NewEvent:
    """Give an event as the store delivers it."""
    return NewEvent(
        namespace=namespace,
        id=envelope["id"],
        source=envelope["source"],
        type=envelope["type"],
        body=json.encode(envelope),
        cause=causes.encode(Occurred(envelope)),
    )


def listeners(live: LiveRun) -> frozenset[int]:
    """Give the listeners of a run that takes events now."""
    if live.state is None or live.graph is None or not (live.graph.listens or live.graph.program):
        return frozenset()
    return frozenset(live.state.listeners)


def wanted(live: LiveRun, new: Iterable[int]) -> list[NewSubscription]:
    """Give the subscriptions of listeners that the store does not know yet."""
    if live.state is None or live.graph is None:
        return []
    return subscriptions(live.graph, live.state, new)


def subscriptions(graph: Graph, state: RunState, numbers: Iterable[int]) -> list[NewSubscription]:
    """Give what these listeners of a run want to hear."""
    found = state.listeners
    return [
        NewSubscription(namespace=state.namespace, listener=number, type=type_, source=source)
        for number in sorted(numbers)
        for type_, source in sorted(_kinds(graph, found[number]))
    ]


def _kinds(graph: Graph, frame: Frame) -> set[tuple[str, str]]:
    if isinstance(frame.call, EventCall):
        return {(frame.call.kind or _ANY, frame.call.source or _ANY)}
    work = graph.nodes[frame.path].work
    assert isinstance(work, ListenWork)
    strategies = [work.strategy] + ([work.until] if isinstance(work.until, Strategy) else [])
    kinds = {(fitting.type or _ANY, fitting.source or _ANY) for strategy in strategies for fitting in strategy.filters}
    return {(_ANY, _ANY)} if any(not strategy.filters for strategy in strategies) else kinds


def settled(run: str, effect: int, outcome: Outcome) -> Post:
    """Give the end of an effect, for the inbox of its run."""
    return Post(run=run, cause_id=f"effect:{effect}", cause=causes.encode(Settled(effect, outcome)))


def warn(place: Place, news: Iterable[Event]) -> None:
    """Tell whoever watches that the time of tokens runs out."""
    for event in news:
        if isinstance(event, Expiring):
            telemetry.emit(
                "token.expiring",
                run=place.run,
                namespace=place.namespace,
                step=event.path,
                token=event.token,
                expires=event.expires,
            )


def outcome(state: RunState) -> Done | Failed:
    """Give how a child run ended, as the outcome of the step that waits for it."""
    match state.status:
        case RunStatus.COMPLETED:
            return Done(None if state.output is None else state.output.value)
        case RunStatus.FAULTED:
            assert state.fault is not None
            error = state.fault
            detail = (
                f"the run {state.id} faulted at {error.instance or '/'}: {error.detail or error.title or error.type}"
            )
            return Failed(
                FailureClass.APPLICATION,
                Fault(type=error.type, status=error.status, title=error.title, detail=detail, code=error.code),
            )
        case _:
            return Failed(
                FailureClass.APPLICATION,
                Fault(type=fault.RUNTIME, status=500, title="Cancelled", detail=f"the run {state.id} was cancelled"),
            )
