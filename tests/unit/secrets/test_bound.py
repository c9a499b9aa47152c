"""What expressions give is stored with markers; effects get the values; what comes back is masked."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from interlock import errors
from interlock.model.fault import RUNTIME, Fault
from interlock.model.task import Cancelled, Done, Failed, FailureClass, HttpTarget, ShellTarget
from interlock.secrets import revealed
from interlock.secrets.bound import Bound, SecretInData
from interlock.secrets.form import PATTERN
from interlock.secrets.key import KeyRing
from interlock.secrets.markers import Markers, Reference

KEYS = KeyRing(["the-key-of-this-store"])
MARKERS = Markers(KEYS, "run-1")
VALUES: dict[str, Any] = {
    "token": "t0p s3cret/+",
    "db": {"user": "sa", "password": "hunter2", "port": 5432, "hosts": ["h.one", "h.two"], "tls": True, "none": None},
}
BOUND = Bound(MARKERS, VALUES, {"gone": "the secret 'gone' was not found"})


def concealed(value: Any, *, goes_out: bool = False) -> Any:
    return BOUND.concealed(value, None, goes_out=goes_out)


def shown(value: Any) -> Any:
    return revealed.reveal(HttpTarget(method="GET", uri="", body=value), MARKERS, VALUES).value.body


def marker(name: str, *path: str, form: str = "r") -> str:
    return MARKERS.make(Reference(name, path, form))


# -- markers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        Reference("token"),
        Reference("db", ("password",), "u"),
        Reference("a.b~c%d", ("", "ü/ x", "0"), "b"),
        Reference("~", ("~~", ".r.")),
    ],
)
def test_marker_is_read_as_what_it_was_made_for_and_survives_uris(reference: Reference) -> None:
    made = MARKERS.make(reference)
    match = PATTERN.fullmatch(made)
    assert match is not None
    assert MARKERS.read(match) == reference
    assert not set(made) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def test_marker_of_another_run_store_or_secret_is_text() -> None:
    own = marker("token")
    forged = [
        Markers(KEYS, "run-2").make(Reference("token")),
        Markers(KeyRing(["the-key-of-another"]), "run-1").make(Reference("token")),
        own.replace(".token.", ".db.password."),
        own.replace(".r.", ".u."),
        own[:-3] + ("0" if own[-3] != "0" else "1") + "~~",
        "~~secret.token.r.00000000.00000000000000000000000000000000~~",
    ]
    assert [shown(text) for text in forged] == forged
    assert shown(own) == VALUES["token"]


# -- concealing --------------------------------------------------------------------------------------------------------


def test_whole_values_become_markers_and_come_back_as_they_were() -> None:
    value = {"a": VALUES["token"], "b": [VALUES["db"], 5432, 5432.0, True, None, "x"]}
    stored = concealed(value)
    assert stored["a"] == marker("token")
    assert stored["b"][0] == {
        "user": marker("db", "user"),
        "password": marker("db", "password"),
        "port": marker("db", "port"),
        "hosts": [marker("db", "hosts", "0"), marker("db", "hosts", "1")],
        "tls": True,
        "none": None,
    }
    assert shown(stored) == value


def test_secret_in_a_longer_text_goes_out_and_is_not_stored() -> None:
    stored = concealed(["user=sa;pw=hunter2", "h.one,h.two"], goes_out=True)
    assert stored == [
        f"user=sa;pw={marker('db', 'password')}",
        f"{marker('db', 'hosts', '0')},{marker('db', 'hosts', '1')}",
    ]
    assert shown(stored) == ["user=sa;pw=hunter2", "h.one,h.two"]
    with pytest.raises(SecretInData, match=r"the secret 'db\.password' inside a longer text"):
        concealed({"x": ["pw=hunter2"]})


@pytest.mark.parametrize("key", ["hunter2", "my hunter2"])
def test_secret_in_the_name_of_a_property_is_refused(key: str) -> None:
    with pytest.raises(SecretInData, match="name of a property"):
        concealed({key: 1}, goes_out=True)


def test_encoded_values_are_recognised() -> None:
    encoded = {"u": "t0p%20s3cret%2F%2B", "b": base64.b64encode(b"hunter2").decode()}
    stored = concealed(encoded)
    assert stored == {"u": marker("token", form="u"), "b": marker("db", "password", form="b")}
    assert shown(stored) == encoded


def test_marker_that_was_there_stays_whatever_is_in_it() -> None:
    bound = Bound(MARKERS, {"s": "secret", "t": "token"}, {})
    text = f"Bearer {marker('token')}"
    assert bound.concealed(text, None, goes_out=True) == text
    assert bound.concealed(marker("token"), None, goes_out=False) == marker("token")


def test_only_the_secrets_that_were_read_are_looked_for() -> None:
    assert BOUND.concealed("hunter2", frozenset({"token"}), goes_out=False) == "hunter2"
    assert BOUND.concealed("hunter2", frozenset({"db", "unheard"}), goes_out=False) == marker("db", "password")


def test_problem_names_what_is_missing() -> None:
    assert BOUND.problem(frozenset({"token"})) is None
    assert BOUND.problem(frozenset({"token", "gone"})) == "the secret 'gone' was not found"
    assert BOUND.problem(None) == "the secret 'gone' was not found"


def test_texts_for_people_hide_every_secret() -> None:
    assert BOUND.masked("cannot index hunter2 and h.one") == "cannot index *** and ***"
    assert BOUND.masked("sa") == "***"
    assert Bound(MARKERS, {}, {}).masked("hunter2") == "hunter2"


def test_expanded_uri_stands_for_the_encoded_value() -> None:
    uri = f"https://x.example/{marker('token')}/{marker('token', form='b')}/~~secret.x.r.00000000.{'0' * 32}~~"
    encoded = MARKERS.encoded(uri)
    assert marker("token", form="u") in encoded
    assert str(shown(encoded)).startswith("https://x.example/t0p%20s3cret%2F%2B/")
    assert MARKERS.encoded("https://x.example") == "https://x.example"


# -- revealing ---------------------------------------------------------------------------------------------------------


def test_number_of_a_secret_is_text_where_only_texts_go() -> None:
    target = ShellTarget(command="x", arguments=(marker("db", "port"), f"p={marker('db', 'port')}"))
    found = revealed.reveal(target, MARKERS, VALUES).value
    assert found.arguments == ("5432", "p=5432")


def test_part_that_is_gone_is_named() -> None:
    for reference in (Reference("db", ("colour",)), Reference("db", ("hosts", "7")), Reference("token", ("x",))):
        with pytest.raises(errors.NotFound, match=f"{reference.name!r} has no {reference.path[-1]!r} any more"):
            shown(MARKERS.make(reference))


def test_what_comes_back_is_masked() -> None:
    value = {"header": marker("token"), "user": marker("db", "user"), "pw": f"x{marker('db', 'password')}"}
    out = revealed.reveal(HttpTarget(method="GET", uri="", body=value), MARKERS, VALUES)
    back = out.masked(Done({"echo": VALUES["token"], "in": "got hunter2 from sa", "sa": "sa", "hunter2": [1, None]}))
    assert back == Done({"echo": marker("token"), "in": "got *** from sa", "sa": "sa", "***": [1, None]})
    fault = Fault(type=RUNTIME, status=500, title="no hunter2", detail="hunter2 is wrong")
    assert out.masked(Failed(FailureClass.INVALID, fault)) == Failed(
        FailureClass.INVALID, Fault(type=RUNTIME, status=500, title="no ***", detail="*** is wrong")
    )
    assert out.masked(Cancelled()) == Cancelled()
    assert revealed.Revealed(None, {}).masked(Done("hunter2")) == Done("hunter2")


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        (["pw hunter2!\n"], "pw ***!\n"),
        (["pw hun", "ter2!\n"], "pw ***!\n"),
        ([*"a hunter2 hunt"], "a *** hunt"),
        (["hunhunter2"], "hun***"),
        (["t0p-t"], "***"),
        (["t0p-t", " and t0", "p-t"], "*** and ***"),
        (["see hunter2", "-and-more!"], "see ***!"),
        (["> abcdefghij\n", "> klmnopqrst\n"], "> ***\n> ***\n"),
        (["abcdefghij\n", "klmnopqrst\n"], "***\n"),
        (["hunter"], "hunter"),
    ],
)
def test_output_that_comes_in_pieces_is_masked(pieces: list[str], written: str) -> None:
    found: list[tuple[str, str]] = []
    out = revealed.Revealed(
        None, {"hunter2": "m", "hunter2-and-more": "o", "t0p-t": "p", "abcdefghij\nklmnopqrst": "n"}
    )
    stream = out.stream(lambda name, text: found.append((name, text)))
    for piece in pieces:
        stream.write("stdout", piece)
    stream.close()
    assert "".join(text for _, text in found) == written
    assert {name for name, _ in found} == {"stdout"}


def test_output_without_secrets_is_passed_on_at_once() -> None:
    found: list[str] = []
    stream = revealed.Revealed(None, {}).stream(lambda _, text: found.append(text))
    stream.write("stdout", "hunter")
    assert found == ["hunter"]
