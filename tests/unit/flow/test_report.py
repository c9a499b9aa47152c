"""Problems read well in a terminal, and completely in JSON."""

import json

from interlock.flow import check, report

ORDER = """\
document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.2.0}
do:
  - reserve:
      call: http
      with: {method: post, url: https://stock.example/reserve}
  - price:
      switch:
        - large: {when: .order.total >> 1000, then: aprove}
        - small: {then: ship}
  - approve: {set: {message: "Hello ${ .name }"}}
  - ship: {run: {shell: {command: ./ship}}}
"""

EXPECTED = """\
order.yaml:5:28  unknown-property   /do/0/reserve/with/url
    `call: http` has no `url`; did you mean `endpoint`?
order.yaml:8:25  expression         /do/1/price/switch/0/large/when
    .order.total >> 1000
                  ^ unexpected `>`
order.yaml:8:53  unknown-target     /do/1/price/switch/0/large/then
    no task `aprove` in this scope; did you mean `approve`?
order.yaml:10:30 embedded-expression (warning) /do/2/approve/set/message
    `${ }` inside longer text is not evaluated; make the whole text one expression: ${ "... \\(.name) ..." }
3 errors, 1 warning
"""


def test_all_problems_are_told_at_once_in_the_layout_of_the_contract():
    assert report.text(check.load(ORDER, "order.yaml").problems) == EXPECTED


def test_no_problems_are_no_text():
    assert report.text(()) == ""
    assert report.summary(()) == "no problems"


def test_long_messages_are_wrapped_and_a_text_without_a_name_is_a_definition():
    loaded = check.load(
        "document: {dsl: 1.0.3, namespace: a, name: b, version: 1.0.0}\ndo: [{a: {try: [], catch: {}, colour: 1}}]\n"
    )

    lines = report.text(loaded.errors).splitlines()
    assert lines[0] == "definition:2:31 unknown-property   /do/0/a/colour"
    assert len(lines) == 4
    assert all(line.startswith("    ") and len(line) <= 118 for line in lines[1:3])
    assert lines[3] == "1 error"


def test_json_holds_every_field_that_is_given():
    problems = json.loads(report.json(check.load(ORDER, "order.yaml").problems))

    assert problems[0] == {
        "severity": "error",
        "code": "unknown-property",
        "message": "`call: http` has no `url`; did you mean `endpoint`?",
        "path": "/do/0/reserve/with/url",
        "line": 5,
        "column": 28,
        "file": "order.yaml",
        "found": "url",
        "expected": "method, endpoint, headers, body, query, output, redirect",
        "nearest": "endpoint",
    }
    assert problems[1]["excerpt"] == ".order.total >> 1000\n              ^"
    assert [problem["severity"] for problem in problems] == ["error", "error", "error", "warning"]
