"""YAML 1.2 and JSON become plain values with positions."""

import pytest

from interlock.flow import yaml

_SCALARS = [
    ("null", None), ("~", None), ("", None), ("Null", None), ("true", True), ("False", False), ("TRUE", True),
    ("on", "on"), ("yes", "yes"), ("No", "No"), ("y", "y"), ("nUll", "nUll"), ("1", 1), ("-17", -17), ("+5", 5),
    ("010", 10), ("0o17", 15), ("0x1F", 31), ("0b1", "0b1"), ("1_000", "1_000"), ("0o9", "0o9"), ("1.5", 1.5),
    (".5", 0.5), ("1.", 1.0), ("-1e3", -1000.0), ("1.0.3", "1.0.3"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"),
    ("12345678901234567890123", 12345678901234567890123), ("'1'", "1"), ('"on"', "on"), ("+", "+"), (".", "."),
    ("!!str 5", "5"), ("! 5", "5"), ("!!int 5", 5), ("!!float 5", 5.0), ("!!float 5.5", 5.5), ("!!bool true", True),
    ("!!null ''", None), ("<<", "<<"), ("!!map {a: 1}", {"a": 1}), ("!!seq [1]", [1]),
]  # fmt: skip


@pytest.mark.parametrize(("written", "value"), _SCALARS, ids=[written for written, _ in _SCALARS])
def test_scalars_mean_what_the_core_schema_says(written, value):
    """YAML 1.2.2, section 10.3.2"""
    source = yaml.read(f"a: {written}")

    assert source.value == {"a": value}
    assert type(source.value["a"]) is type(value)


def test_keys_are_the_text_as_written():
    source = yaml.read("on: 1\n1: 2\ntrue: 3\n1.0: 4\n~: 5\n'': 6\n<<: {x: 7}\n&k named: *k\n")

    assert source.value == {"on": 1, "1": 2, "true": 3, "1.0": 4, "~": 5, "": 6, "<<": {"x": 7}, "named": "named"}
    assert not source.flaws


def test_json_is_read_with_its_surrogate_pairs():
    source = yaml.read('{"a": "\\ud83d\\ude00 \\\\ud83d\\\\ude00 \\/",\t"b": [1.5, null]}')

    assert source.value == {"a": "😀 \\ud83d\\ude00 /", "b": [1.5, None]}


@pytest.mark.parametrize("text", ['a: "\\ud83d\\ude00"', '{"a": "\\ud83d"}', '{"a": "\\ud83d\\ude00 \\ud83d"}'])
def test_lone_surrogates_and_pairs_outside_json_are_refused(text):
    assert [flaw.code for flaw in yaml.read(text).flaws] == ["yaml-syntax"]


def test_aliases_are_copies_and_anchors_may_be_used_again():
    source = yaml.read("a: &x {b: [1]}\nc: *x\nd: &x 5\ne: *x\nf: &y text\n*y : 1\n")

    assert source.value == {"a": {"b": [1]}, "c": {"b": [1]}, "d": 5, "e": 5, "f": "text", "text": 1}
    assert source.value["a"] is not source.value["c"]
    assert source.position("/c/b/0") == source.position("/a/b/0") == (1, 12)
    assert not source.flaws


_FLAWS = [
    ("? {a: 1}\n: 2", "key-not-text", "a key must be text"),
    ("? : 1", "key-not-text", "a key must be text"),
    ("a: &x [1]\n*x : 1", "key-not-text", "`*x` is not text"),
    ("{? : 1}", "key-not-text", "a key is missing"),
    ("a: .nan", "not-json", "quote it"),
    ("a: 1e999", "not-json", "beyond the numbers"),
    ("a: -1e999", "not-json", "beyond the numbers"),
    (f"a: {'9' * 5000}", "not-json", "5,000 digits"),
    ("a: !!int x", "unknown-tag", "`x` is not a int"),
    ("a: !!binary x", "unknown-tag", "`!!binary` means nothing"),
    ("a: !x {b: 1}", "unknown-tag", "`!x` means nothing"),
    ("a: !!set [b]", "unknown-tag", "`!!set` means nothing"),
    ("%YAML 3.0\n---\na: 1", "yaml-syntax", "cannot begin with `%`"),
    ("a: [1, 2", "yaml-syntax", "did not find expected ',' or ']'"),
    ("\ufeffa: \x00", "yaml-syntax", "U+0000"),
    ("a: \ud800", "yaml-syntax", "U+D800"),
    ("- " * 500, "too-deep", "nested deeper than 100 levels"),
]


@pytest.mark.parametrize(("text", "code", "message"), _FLAWS, ids=[text[:20] for text, *_ in _FLAWS])
def test_a_flaw_says_what_is_wrong(text, code, message):
    (flaw,) = yaml.read(text).flaws

    assert flaw.code == code
    assert message in flaw.message


def test_reading_goes_on_after_flaws_that_leave_a_value():
    source = yaml.read("a: .inf\nb: !x 1\na: 2\n")

    assert [(flaw.code, flaw.line, flaw.column, flaw.path) for flaw in source.flaws] == [
        ("not-json", 1, 4, "/a"),
        ("unknown-tag", 2, 4, "/b"),
        ("duplicate-key", 3, 1, "/a"),
    ]
    assert source.value == {"a": 2, "b": "1"}
    assert source.is_complete


def test_positions_count_lines_and_characters_from_one():
    source = yaml.read("a:\n  ü/~: [x, {b: 1.10}]\n  c: |\n    text\n")

    assert source.position("/a/ü~1~0/1/b") == (2, 16)
    assert source.key_position("/a/ü~1~0/1/b") == (2, 13)
    assert source.key_position("/a/ü~1~0/0") == (2, 9)
    assert source.position("/a/c") == (3, 6)
    assert source.position("") == source.key_position("") == (1, 1)
    assert source.written("/a/ü~1~0/1/b") == "1.10"


@pytest.mark.parametrize(("path", "place"), [("/a/x", (1, 4)), ("/a/9/b", (1, 4)), ("/a/0/b", (1, 5)), ("/b", (1, 1))])
def test_the_position_of_what_is_not_there_is_that_of_its_parent(path, place):
    assert yaml.read("a: [x]").position(path) == place


def test_a_text_without_a_value_has_no_places():
    source = yaml.read("# nothing\n")

    assert source.value is None
    assert source.position("/a") == source.key_position("/a") == (1, 1)
    assert source.written("/a") == "#"
    assert yaml.read("").written("") == ""
