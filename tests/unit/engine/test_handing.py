"""What one run gives another one: values and errors with the taker's markers, or why it may not have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.engine.handing import Handing
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.task import Done, Failed, FailureClass
from interlock.secrets.bound import Bound
from interlock.secrets.key import KeyRing
from interlock.secrets.markers import Markers, Reference

RING = KeyRing(["the-key-of-this-store"])
SECRET = Reference("db", ("password",))
GIVEN = Markers(RING, "giver").make(SECRET)
TAKEN = Markers(RING, "taker").make(SECRET)
FORGED = Markers(KeyRing(["the-key-of-another"]), "giver").make(SECRET)


@dataclass
class World:
    """The graphs and the secrets of a node: the taker's definition declares `declared`."""

    declared: tuple[str, ...] = ()
    graph_error: Exception | None = None
    key_error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def graph(self, digest: str) -> Any:
        self.asked.append(digest)
        if self.graph_error is not None:
            raise self.graph_error
        return SimpleNamespace(secrets=self.declared)

    async def bound(self, run: str, names: tuple[str, ...]) -> Bound:
        raise AssertionError("values are not needed to hand markers over")

    async def markers(self, run: str) -> Markers:
        if self.key_error is not None:
            raise self.key_error
        return Markers(RING, run)

    async def value(self, value: Any) -> Payload | Failed:
        return await Handing(self, self).value(
            Payload(value), giver="giver", taker="taker", definition="digest", name="team/child:1.0.0"
        )

    async def outcome(self, outcome: Done | Failed) -> Done | Failed:
        return await Handing(self, self).outcome(
            outcome, giver="giver", taker="taker", definition="digest", name="the run x"
        )


def failed(detail: str | None, title: str | None = None) -> Failed:
    return Failed(FailureClass.APPLICATION, Fault(type="t:u", status=400, title=title, detail=detail))


async def test_declared_secret_gets_the_markers_of_the_taker() -> None:
    given = {"a": [GIVEN, f"key {GIVEN}"], "b": FORGED, "c": 1}
    assert await World(("other", "db")).value(given) == Payload({"a": [TAKEN, f"key {TAKEN}"], "b": FORGED, "c": 1})


@pytest.mark.parametrize("value", [None, {"a": "text"}, "~~secret.looks.like.one~~", FORGED])
async def test_value_without_a_secret_stays_as_it_is_and_needs_no_definition(value: Any) -> None:
    world = World()
    assert await world.value(value) == Payload(value)
    assert world.asked == []


async def test_secret_that_the_taker_does_not_declare_is_refused() -> None:
    refused = await World(("other",)).value({"a": GIVEN})
    assert isinstance(refused, Failed)
    assert (refused.failure, refused.fault.code, refused.fault.status) == (
        FailureClass.INVALID,
        "secret-not-declared",
        403,
    )
    assert "the secret 'db' would go to team/child:1.0.0, which does not declare it" in (refused.fault.detail or "")


async def test_what_looks_like_a_marker_is_text_where_there_was_never_a_key() -> None:
    world = World(key_error=errors.Invalid("no key"))
    assert await world.value({"a": GIVEN}) == Payload({"a": GIVEN})
    assert await world.outcome(failed(GIVEN)) == failed(GIVEN)


async def test_key_that_cannot_be_read_refuses_a_value_and_hides_in_an_error() -> None:
    world = World(("db",), key_error=errors.Environment("the vault is away"))
    refused = await world.value({"a": GIVEN})
    assert isinstance(refused, Failed)
    assert (refused.fault.code, refused.fault.detail) == ("no-secret", "the vault is away")
    assert await world.outcome(failed(f"no {GIVEN}", GIVEN)) == failed("no ***", "***")


async def test_definition_that_this_version_cannot_read_refuses_a_value_and_hides_in_an_error() -> None:
    world = World(("db",), graph_error=errors.InvalidDefinition("unknown kind", ()))
    refused = await world.value({"a": GIVEN})
    assert isinstance(refused, Failed)
    assert refused.fault.type == fault.CONFIGURATION
    assert await world.outcome(failed(GIVEN)) == failed("***")


async def test_store_that_is_away_is_for_the_caller_to_wait_for() -> None:
    with pytest.raises(errors.StoreUnavailable):
        await World(graph_error=errors.StoreUnavailable("away")).value(GIVEN)


async def test_output_is_handed_like_a_value() -> None:
    assert await World(("db",)).outcome(Done({"a": GIVEN})) == Done({"a": TAKEN})
    refused = await World().outcome(Done({"a": GIVEN}))
    assert isinstance(refused, Failed)
    assert "would go to the run x" in (refused.fault.detail or "")


async def test_error_keeps_declared_secrets_and_hides_others() -> None:
    assert await World(("db",)).outcome(failed(f"no {GIVEN}")) == failed(f"no {TAKEN}")
    assert await World().outcome(failed(f"no {GIVEN}")) == failed("no ***")
    assert await World().outcome(failed("plain")) == failed("plain")
    given = msgspec.structs.replace(failed(None), failure=FailureClass.TIMEOUT)
    assert await World().outcome(given) == given
