"""Drawings: what they show, that Mermaid can read one and XML the other, and that nothing lies on something else."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import ows_kit
from interlock.flow import check, compile, diagram, document, pointer
from interlock.flow.diagram import outline
from interlock.flow.diagram.flowchart import escaped
from interlock.flow.diagram.layout import layout
from interlock.flow.diagram.outline import Flow, Place
from interlock.flow.diagram.shapes import Block, Box, Frame, Label, Line, Pill, text_width
from interlock.flow.diagram.shapes import Path as Way

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"
REPOSITORY = Path(__file__).resolve().parents[3]

EVERYTHING = """
use: {retries: {often: {delay: PT1S}}, timeouts: {soon: {after: PT1S}}}
do:
  - poll:
      if: '${ .id != null and "x" != "}" }'
      call: http
      with: {method: get, endpoint: 'https://example.com/jobs/{id}?a="b"&c=<d>'}
  - check:
      if: .ready
      switch:
        - done: {when: '.state == "done"', then: collect}
        - failed: {when: .failed, then: give up}
        - lost: {when: '${ .lost }', then: give up}
        - gone: {when: .gone, then: end}
        - left: {when: .left, then: exit}
        - waiting: {then: pause}
  - pause: {wait: {seconds: 5, milliseconds: 1}, then: poll}
  - give up: {raise: {error: {type: https://example.com/errors/failed, status: 500}}}
  - collect:
      fork:
        compete: true
        branches:
          - list:
              do:
                - a: {set: {x: 1}}
                - b: {switch: [{again: {when: .x < 3, then: a}}, {stop: {when: .x > 9, then: end}}]}
                - c: {set: '${ . }'}
          - second: {run: {shell: {command: 'echo "1. hi" | cat'}}}
          - third:
              listen: {to: {any: [{with: {type: a.b}}, {with: {source: 'http://c.d'}}], until: .full}}
              foreach: {item: e, do: [{s: {set: {y: 1}}}]}
          - fourth: {listen: {to: {any: []}}}
          - fifth: {set: {x: 1}, then: end}
  - guard:
      if: .x
      try:
        - risky: {run: {script: {language: python, code: print()}}}
        - inner:
            for: {each: i, in: [{n: 1}]}
            while: .ok
            do: [{w: {wait: PT1S}}, {e: {emit: {event: {with: {type: done.v1, source: 'https://a.b'}}}}}]
        - each: {for: {in: '${ .list }'}, do: [{p: {call: 'python:m:f'}}]}
      catch:
        errors: {with: {type: https://serverlessworkflow.io/spec/1.0.0/errors/communication, status: 503}}
        retry: {delay: PT1S, backoff: {exponential: {}}, limit: {attempt: {count: 3}}}
        do: [{note: {set: {failed: true}}}, {again: {set: {z: 1}}}]
        then: poll
  - plain: {try: [{x: {raise: {error: {type: http://x.y/, status: 400}}}}], catch: {retry: often, exceptWhen: .a, do: [{h: {set: {q: 2}}}]}}
  - bare: {try: [{x: {call: openapi, with: {document: {endpoint: http://x.y}, operationId: o}}}], catch: {when: .b, then: last}}
  - rest:
      do:
        - m: {call: mcp, with: {method: tools/list, transport: {stdio: {command: c}}}}
        - n: {run: {container: {image: alpine}}}
        - o: {run: {workflow: {namespace: n, name: w, version: 1.0.0}}}
  - none: {try: [], catch: {}}
  - worse: {try: [{x: {set: {x: 1}}}], catch: {do: [{y: {raise: {error: {type: http://x.y/, status: 400}}}}]}}
  - nothing: {do: []}
  - last: {set: {'1. style: x;': 2, '#quot; <b>': 3}}
  - 日本語の名前: {set: {x: 1}, then: guard}
"""


def workflow(text: str) -> document.Workflow:
    return check.load(HEADER + textwrap.dedent(text)).required()


def _documents() -> Iterator[tuple[str, document.Workflow]]:
    for path in sorted((REPOSITORY / "examples").glob("*.yaml")):
        yield path.stem, check.load(path.read_text("utf-8")).required()
    for name, text in ows_kit.texts("examples").items():
        yield name, check.load(text).required()
    yield "everything", workflow(EVERYTHING)


_DOCUMENTS = [pytest.param(found, id=name) for name, found in _documents()]


# -- what a drawing shows --------------------------------------------------------------------------------------------


def _flow(source: int, target: outline.Target, label: str = "", *, caught: bool = False) -> Flow:
    return Flow(source=source, target=target, label=label, caught=caught)


def test_flows_are_those_of_the_language() -> None:
    found = outline.flows(
        workflow(
            """
            do:
              - a: {set: {x: 1}, then: c}
              - b: {switch: [{p: {when: .p, then: a}}, {q: {when: .q, then: a}}, {r: {when: .r, then: exit}}], then: end}
              - c: {if: .x, set: {x: 1}, then: b}
              - d: {if: .x, raise: {error: {type: http://x.y, status: 400}}}
              - e: {try: [{t: {set: {x: 1}}}], catch: {then: d}, then: continue}
              - f: {switch: [{p: {when: .p, then: continue}}, {q: {then: a}}]}
            """
        ).do
    )
    assert found == [
        _flow(0, 2),
        _flow(1, 0, ".p / .q"),
        _flow(1, Place.EXIT, ".r"),
        _flow(1, Place.END, "otherwise"),
        _flow(2, 1),
        _flow(2, 3, "skipped"),
        _flow(3, 4, "skipped"),
        _flow(4, 5),
        _flow(4, 3, caught=True),
        _flow(5, Place.EXIT, ".p"),
        _flow(5, 0, "otherwise"),
    ]


def test_captions_say_kind_and_what_is_special() -> None:
    found: dict[str, str] = {}

    def visit(tasks: document.TaskList) -> None:
        for named in tasks:
            caption = outline.caption(named)
            found[caption.name] = f"{caption.kind} {caption.detail}".strip()
            for section in outline.sections(named.task):
                visit(section.tasks)

    visit(workflow(EVERYTHING).do)
    assert found == {
        "poll": 'call http GET https://example.com/jobs/{id}?a="b"&c=<…',
        "check": "switch",
        "pause": "wait 5 seconds 1 milliseconds",
        "give up": "raise failed 500",
        "collect": "fork the first to finish wins",
        "list": "do",
        "a": "set x",
        "b": "switch",
        "c": "set .",
        "second": 'run shell echo "1. hi" | cat',
        "third": "listen any of a.b, event, until .full",
        "s": "set y",
        "fourth": "listen any of all events",
        "fifth": "set x",
        "guard": "try",
        "risky": "run script python",
        "inner": 'for each i in [{"n": 1}], while .ok',
        "w": "wait PT1S",
        "e": "emit done.v1",
        "each": "for each item in .list",
        "p": "call python:m:f",
        "note": "set failed",
        "again": "set z",
        "plain": "try",
        "x": "set x",
        "h": "set q",
        "bare": "try",
        "rest": "do",
        "m": "call mcp tools/list",
        "n": "run container alpine",
        "o": "run workflow n/w:1.0.0",
        "none": "try",
        "worse": "try",
        "y": "raise x.y 400",
        "nothing": "do",
        "last": "set 1. style: x;, #quot; <b>",
        "日本語の名前": "set x",
    }


@pytest.mark.parametrize(
    ("catch", "titles"),
    [
        ("{}", ("try", "catch any error")),
        ("{retry: {}}", ("try, retry", "catch any error")),
        (
            "{retry: {limit: {attempt: {count: 2}}, backoff: {linear: {}}}}",
            ("try, retry 2 times linear", "catch any error"),
        ),
        ("{errors: {with: {status: 404}}, when: .a}", ("try", "catch 404 when .a")),
        ("{errors: {with: {title: t}}, exceptWhen: '${ .b }'}", ("try", "catch any error unless .b")),
    ],
)
def test_title_of_a_try_says_what_is_caught_and_retried(catch: str, titles: tuple[str, str]) -> None:
    task = workflow(f"do: [{{a: {{try: [{{b: {{set: {{x: 1}}}}}}], catch: {catch}}}}}]").do[0].task
    assert tuple(section.title for section in outline.sections(task)) == titles


def test_raise_of_a_named_error_shows_the_name() -> None:
    text = "use: {errors: {tea: {type: http://x.y, status: 418}}}\ndo: [{a: {raise: {error: tea}}}]"
    assert outline.caption(workflow(text).do[0]).detail == "tea"


# -- Mermaid ---------------------------------------------------------------------------------------------------------

_NODE = re.compile(
    r'(\w+)(?:\[\["[^"]*"\]\]|\[/"[^"]*"/\]|\(\["[^"]*"\]\)|\(\("[^"]*"\)\)|\{\{"[^"]*"\}\}'
    r'|\["[^"]*"\]|\{"[^"]*"\}|>"[^"]*"\]|\("[^"]*"\))'
)
_SUBGRAPH = re.compile(r'subgraph (\w+)\["[^"]*"\]')
_EDGE = re.compile(r'(\w+) (?:-->|-\.->)(?:\|"[^"]+"\|)? (\w+)')


@pytest.mark.parametrize("found", _DOCUMENTS)
def test_mermaid_is_sound(found: document.Workflow) -> None:
    first, *lines = diagram.mermaid(found).splitlines()
    assert first == "flowchart TD"
    inside: list[str] = []
    around: dict[str, tuple[str, ...]] = {}
    edges: list[tuple[str, str]] = []
    for line in map(str.strip, lines):
        if line == "end":
            inside.pop()
        elif match := _SUBGRAPH.fullmatch(line) or _NODE.fullmatch(line):
            assert match[1] not in around, f"{match[1]} twice"
            around[match[1]] = tuple(inside)
            if line.startswith("subgraph "):
                inside.append(match[1])
        else:
            edge = _EDGE.fullmatch(line)
            assert edge is not None, line
            edges.append((edge[1], edge[2]))
    assert inside == []
    assert "end" not in around
    for source, target in edges:
        assert source not in around[target], f"{target} lies within {source}"
        assert target not in around[source], f"{source} lies within {target}"
    boxes = {name for name in around if not any(name in outer for outer in around.values())}
    entered = {target for _, target in edges} | {inner for inner, outer in around.items() if outer}
    assert boxes - entered == {"start"}


def test_mermaid_of_a_small_workflow_is_this() -> None:
    text = """
    do:
      - a: {switch: [{yes: {when: .x, then: b}}, {no: {then: end}}]}
      - b: {for: {in: .list}, do: [{c: {set: {x: 1}}}]}
      - d: {if: .y, try: [{e: {wait: PT1S}}], catch: {}}
    """
    assert diagram.mermaid(workflow(text)) == textwrap.dedent(
        """\
        flowchart TD
          start(["tested 1.0.0"])
          n1{"a<br/>switch"}
          subgraph n2["b: for"]
            n3{{"each item in .list"}}
            n4["c<br/>set x"]
          end
          subgraph n5["d: try<br/>if .y"]
            subgraph n6["try"]
              n7("e<br/>wait PT1S")
            end
            n8["catch any error"]
          end
          finish(["end"])
          n3 --> n4
          n4 -->|"next item"| n3
          n6 -.->|"error"| n8
          n1 -->|".x"| n3
          n1 -->|"otherwise"| finish
          n3 -->|"done"| n7
          start --> n1
          n7 --> finish
          n8 -.-> finish
        """
    )


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('say "hi"', "say #34;hi#34;"),
        ("#quot; &amp; <b>", "#35;quot#59; #38;amp#59; #60;b>"),
        ("`code` *b* ~~s~~", "#96;code#96; #42;b#42; #126;#126;s#126;#126;"),
        ("two\n lines", "two lines"),
        ("- item", "#45; item"),
        ("1. item", "1#46; item"),
        ("v1.0.0 is 2. best", "v1.0.0 is 2. best"),
        ("_a_ read_log", "#95;a#95; read_log"),
        ("$$x$$", "#36;$x#36;$"),
        ("%%{init}%%", "#37;%{init}#37;%"),
        ("restyle: a", "re#115;tyle: a"),
        ("[a](b) {c} |d|", "[a](b) {c} |d|"),
    ],
)
def test_text_is_shown_by_mermaid_as_it_is(text: str, label: str) -> None:
    assert escaped(text) == label
    assert '"' not in label


# -- SVG -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", _DOCUMENTS)
def test_svg_is_well_formed_and_fetches_nothing(found: document.Workflow) -> None:
    text = diagram.svg(found)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "image", "use", "foreignObject"}
    assert not re.search(r"href|url\((?!#)|@import", text)


@pytest.mark.parametrize("found", _DOCUMENTS)
def test_shapes_name_the_steps_as_the_engine_does(found: document.Workflow) -> None:
    shown = [shape.path for shape in layout(found).shapes if isinstance(shape, Box | Frame)]
    named = [path for path in shown if path]
    assert len(set(named)) == len(named)
    assert set(named) == set(_paths(found.do, "/do"))


def _paths(tasks: document.TaskList, path: str, first: int = 0) -> Iterator[str]:
    for number, named in enumerate(tasks, first):
        own = pointer.child(f"{path}/{number}", named.name)
        yield own
        for section in outline.sections(named.task):
            yield from _paths(section.tasks, own + section.pointer, section.first)


def test_paths_of_the_picture_are_those_of_the_graph() -> None:
    loaded = check.load(NESTED)
    drawn = {each.path for each in layout(loaded.required()).shapes if isinstance(each, Box | Frame) and each.path}
    assert drawn == set(compile.compile(loaded.required(), loaded.value, {}).nodes)


NESTED = """
document: {dsl: 1.0.3, namespace: d, name: nested, version: 1.0.0}
do:
  - a/b~c: {do: [x: {set: {y: 1}}]}
  - each: {for: {each: i, in: '${ . }'}, do: [x: {set: {y: 1}}]}
  - parts: {fork: {branches: [l: {set: {y: 1}}, r: {do: [x: {set: {y: 1}}]}]}}
  - guard: {try: [x: {set: {y: 1}}], catch: {do: [h: {set: {y: 1}}]}}
  - hear: {listen: {to: {any: []}}, foreach: {do: [x: {set: {y: 1}}]}}
"""


@pytest.mark.parametrize("found", _DOCUMENTS)
def test_nothing_lies_on_something_else(found: document.Workflow) -> None:
    block = layout(found)
    solid = [shape for shape in block.shapes if isinstance(shape, Box | Frame | Pill)]
    for left, right in itertools.combinations(solid, 2):
        is_apart = (
            left.x + left.width <= right.x
            or right.x + right.width <= left.x
            or left.y + left.height <= right.y
            or right.y + right.height <= left.y
        )
        is_nested = (isinstance(left, Frame) and _holds(left, right)) or (
            isinstance(right, Frame) and _holds(right, left)
        )
        assert is_apart or is_nested, f"{left}\n{right}"


def _holds(outer: Frame, inner: Box | Frame | Pill) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


@pytest.mark.parametrize("found", _DOCUMENTS)
def test_everything_lies_within_the_picture(found: document.Workflow) -> None:
    block = layout(found)
    for x, y in _points(block):
        assert -1 <= x <= block.width + 1
        assert -1 <= y <= block.height + 1


def _points(block: Block) -> Iterator[tuple[float, float]]:
    for shape in block.shapes:
        match shape:
            case Way():
                yield from shape.points
            case Label():
                half = text_width(shape.text, 11.0) / 2
                yield from ((shape.x - half, shape.y), (shape.x + half, shape.y))
            case Box() | Frame() | Pill():
                yield from ((shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height))
            case _:
                yield from ((shape.x, shape.y), (shape.x + shape.width, shape.y))


def test_sequence_runs_downwards_and_branches_lie_side_by_side() -> None:
    text = """
    do:
      - a: {set: {x: 1}}
      - b: {fork: {branches: [{p: {set: {x: 1}}}, {q: {wait: PT1S}}]}}
      - c: {set: {x: 1}}
    """
    boxes = {shape.caption.name: shape for shape in layout(workflow(text)).shapes if isinstance(shape, Box)}
    assert boxes["a"].y < boxes["p"].y == boxes["q"].y < boxes["c"].y
    assert boxes["p"].x + boxes["p"].width < boxes["q"].x
    assert boxes["a"].x + boxes["a"].width / 2 == pytest.approx(boxes["c"].x + boxes["c"].width / 2)


def test_way_back_runs_at_the_side_with_its_label() -> None:
    text = """
    do:
      - a: {set: {x: 1}}
      - b: {switch: [{again: {when: .more, then: a}}, {on: {then: continue}}]}
      - c: {switch: [{p: {when: .p, then: d}}, {q: {then: e}}]}
      - d: {set: {x: 1}, then: b}
      - e: {set: {x: 1}, then: c}
    """
    block = layout(workflow(text))
    back = [shape for shape in block.shapes if isinstance(shape, Way) and shape.line is Line.BACK]
    boxes = [shape for shape in block.shapes if isinstance(shape, Box)]
    assert len(back) == 3
    lanes = {way.points[len(way.points) // 2][0] for way in back}
    assert len(lanes) == 3
    left, right = min(box.x for box in boxes), max(box.x + box.width for box in boxes)
    assert all(not left <= lane <= right for lane in lanes)
    assert ".more" in {shape.text for shape in block.shapes if isinstance(shape, Label)}


def test_way_back_from_the_middle_of_a_layer_runs_through_the_gaps() -> None:
    text = """
    do:
      - a: {switch: [{p: {when: .p, then: p}}, {q: {when: .q, then: q}}, {r: {then: r}}]}
      - p: {set: {x: 1}, then: s}
      - q: {set: {x: 1}, then: t}
      - r: {set: {x: 1}, then: u}
      - s: {set: {x: 1}, then: exit}
      - t: {set: {x: 1}, then: q}
      - u: {set: {x: 1}, then: exit}
    """
    block = layout(workflow(text))
    (back,) = (shape for shape in block.shapes if isinstance(shape, Way) and shape.line is Line.BACK)
    boxes = {shape.caption.name: shape for shape in block.shapes if isinstance(shape, Box)}
    for box in boxes.values():
        for (x, y), (other_x, other_y) in itertools.pairwise(back.points):
            is_beside = max(x, other_x) <= box.x or min(x, other_x) >= box.x + box.width
            is_above_or_below = max(y, other_y) <= box.y or min(y, other_y) >= box.y + box.height
            assert is_beside or is_above_or_below, box.caption.name


def test_workflow_that_only_fails_has_no_end() -> None:
    failing = workflow("do: [{a: {raise: {error: {type: http://x.y, status: 400}}}}]")
    assert "finish" not in diagram.mermaid(failing)
    assert [shape.text for shape in layout(failing).shapes if isinstance(shape, Pill)] == ["tested 1.0.0"]


def test_text_is_escaped_and_what_xml_forbids_is_replaced() -> None:
    text = diagram.svg(
        check.load(
            'document: {dsl: 1.0.3, namespace: n, name: w, version: 1.0.0, title: "A & <b> \\x07"}\n'
            'do: [{"</text>": {set: {"\\x01&": 1}}}]'
        ).required()
    )
    root = ElementTree.fromstring(text)
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith(("}text", "}title"))]
    assert texts == ["A & <b> \ufffd", "w 1.0.0", "</text>", "set\ufffd&", "end"]


def test_picture_is_for_light_and_dark() -> None:
    text = diagram.svg(workflow("do: [{a: {set: {x: 1}}}]"))
    assert "prefers-color-scheme: dark" in text
    assert 'aria-labelledby="title"' in text
