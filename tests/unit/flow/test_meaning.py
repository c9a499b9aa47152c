"""What is allowed by the second stage, and the edges of its limits. The refusals are in problems.yaml."""

import pytest

from interlock import config
from interlock.flow import check, pointer
from interlock.flow.meaning import cron, limits
from interlock.flow.meaning.limits import Limits

_HEADER = "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}\n"


def _problems(text: str, **kwargs):
    return [(problem.code, problem.path) for problem in check.load(_HEADER + text, **kwargs).problems]


def _codes(text: str, **kwargs):
    return [code for code, _ in _problems(text, **kwargs)]


_REACHED = [
    # `if` is passed over; a switch without a match goes on; errors go where `catch` says; loops lead backwards
    "do:\n  - a: {if: .x, raise: {error: {type: http://x, status: 400}}, then: end}\n  - b: {set: {x: 1}}\n",
    "do:\n  - a: {switch: [{c: {when: .x, then: end}}]}\n  - b: {set: {x: 1}}\n",
    "do:\n  - a: {switch: [{c: {when: .x, then: end}}, {d: {then: continue}}]}\n  - b: {set: {x: 1}}\n",
    "do:\n  - a: {try: [{t: {set: {x: 1}}}], catch: {then: c}, then: end}\n  - c: {set: {x: 1}}\n",
    "do:\n  - a: {try: [{t: {set: {x: 1}}}], catch: {}, then: c}\n  - b: {set: {x: 1}, then: end}\n"
    "  - c: {set: {x: 1}, then: b}\n",
    "do:\n  - a: {set: {x: 1}, then: c}\n  - b: {set: {x: 1}, then: exit}\n  - c: {set: {x: 1}, then: b}\n",
    "do:\n  - a: {fork: {branches: [{b: {set: {x: 1}, then: exit}}, {c: {set: {x: 1}, then: end}}]}}\n",
    "do:\n  - catch: {set: {x: 1}, then: switch}\n  - switch: {set: {x: 1}, then: catch}\n",
    "do:\n  - a: {try: [{catch: {set: {x: 1}, then: d}}, {d: {set: {x: 1}}}], catch: {then: end}}\n",
    "do:\n  - a/b: {set: {x: 1}, then: c~d}\n  - c~d: {set: {x: 1}, then: a/b}\n",
]


@pytest.mark.parametrize("text", _REACHED)
def test_tasks_that_something_leads_to_are_fine(text):
    assert _problems(text) == []


_NOT_REACHED = [
    ("do:\n  - a: {try: [{t: {set: {x: 1}}}], catch: {then: end}, then: end}\n  - b: {set: {x: 1}}\n", "/do/1/b"),
    ("do:\n  - a: {do: [{b: {set: {x: 1}, then: exit}}, {c: {set: {x: 1}}}]}\n", "/do/0/a/do/1/c"),
    (
        "do:\n  - a: {switch: [{x: {when: .x, then: end}}, {y: {then: c}}]}\n  - b: {set: {x: 1}}\n"
        "  - c: {set: {x: 1}, then: d}\n  - d: {set: {x: 1}}\n",
        "/do/1/b",
    ),
]


@pytest.mark.parametrize(("text", "path"), _NOT_REACHED)
def test_a_task_that_nothing_leads_to_is_named(text, path):
    assert _problems(text) == [("unreachable", path)]


def test_reach_is_not_judged_while_targets_are_unknown():
    assert _codes("do:\n  - a: {set: {x: 1}, then: ende}\n  - b: {set: {x: 1}}\n") == ["unknown-target"]


def test_names_that_are_defined_are_found():
    assert (
        _problems(
            "do:\n  - a: {call: f, timeout: t, with: {x: 1}}\n  - b: {call: 'python:shop.orders:Order.make'}\n"
            "  - c: {call: 'approval:1.0.0@default'}\n  - d: {call: g}\n"
            "  - e: {try: [{x: {raise: {error: e}}}], catch: {retry: r}}\n"
            "  - f: {call: http, with: {method: get, endpoint: {uri: http://x, authentication: {use: a}}}}\n"
            "use:\n  authentications: {a: {bearer: {token: x}}}\n  errors: {e: {type: http://x, status: 400}}\n"
            "  functions: {f: {call: g}, g: {call: h}, h: {set: {x: '${ $anything }'}}}\n"
            "  retries: {r: {when: $failure.status == 503}}\n  secrets: [s, t]\n  timeouts: {t: {after: PT1S}}\n"
        )
        == []
    )


def test_functions_that_call_a_circle_are_not_blamed_for_it():
    problems = _problems(
        "do:\n  - a: {call: f}\nuse:\n"
        "  functions: {f: {call: g}, g: {do: [{x: {call: h}}, {y: {call: h}}]}, h: {call: g}}\n"
    )

    assert problems == [("circular-function", "/use/functions/g")]


_SCOPED = [
    "do:\n  - a: {for: {each: pet, in: .x, at: n}, while: $pet.ok and $n < 3, do: [{b: {set: '${ $pet }'}}]}\n",
    "do:\n  - a: {for: {in: .x}, do: [{b: {set: '${ [$item, $index] }'}}]}\n",
    "do:\n  - a: {try: [{b: {set: {x: 1}}}], catch: {as: e, when: $e.status == 400, do: [{c: {set: '${ $e }'}}]}}\n",
    "do:\n  - a: {try: [{b: {set: {x: 1}}}], catch: {retry: {when: $error.status == 400}}}\n",
    "do:\n  - a: {set: '${ $context + $input + $secrets + $task + $workflow + $runtime + $authorization }'}\n",
    "do:\n  - a: {set: {x: 1}, export: {as: '$context + {a: $output}'}}\n",
    "do:\n  - a: {set: {x: '${ .y as $y | [$y, $__loc__] }'}}\n",
]


@pytest.mark.parametrize("text", _SCOPED)
def test_expressions_read_the_names_of_their_scopes(text):
    assert _problems(text) == []


@pytest.mark.parametrize(
    ("foreach", "codes"),
    [
        ("{listen: {to: {any: []}}, foreach: {item: e, at: i, do: [{b: {set: '${ [$e, $i] }'}}]}}", []),
        (
            "{call: asyncapi, with: {document: {endpoint: http://x}, operation: o, subscription: "
            "{consume: {amount: 1}, foreach: {item: e, do: [{b: {set: '${ [$e, $index] }'}}]}}}}",
            ["not-executable-yet"],
        ),
    ],
)
def test_events_are_read_by_the_names_of_their_loop(foreach, codes):
    assert _codes(f"do:\n  - a: {foreach}\n") == codes


@pytest.mark.parametrize(
    "text",
    [
        "do:\n  - a: {for: {each: pet, in: $pet.x}, do: [{b: {set: {x: 1}}}]}\n  - b: {set: '${ $pet }'}\n",
        "do:\n  - a: {try: [{b: {set: '${ $error }'}}], catch: {}}\n",
    ],
)
def test_a_name_is_not_defined_outside_of_its_scope(text):
    assert _codes(text) == ["unknown-variable"]


def test_templates_are_looked_at_in_every_depth():
    problems = _problems("do:\n  - a: {set: {x: [{y: '${ . + }'}, 5, null, '${ .ok }']}}\n")

    assert problems == [("expression", "/do/0/a/set/x/0/y")]


def test_loose_mode_says_nothing_about_texts_that_may_be_expressions():
    assert _codes("do:\n  - a: {set: {x: .y}}\nevaluate: {mode: loose}\n") == []


def test_loose_mode_knows_the_secrets_that_texts_read():
    text = "use: {secrets: [s, t]}\ndo:\n  - a: {set: {x: $secrets.s, y: '$secrets.u', z: not jq}}\nevaluate: {mode: loose}\n"

    assert _codes(text) == ["unknown-secret"]


def test_plain_texts_and_scripts_are_not_taken_for_expressions():
    assert (
        _problems(
            "do:\n  - a: {set: {x: ., y: ./path, z: $5, w: a.b, v: ...}}\n"
            "  - b: {run: {script: {language: js, code: 'console.log(`${x}`)'}}}\n"
            "  - c: {run: {shell: {command: 'echo $HOME $(date) $1'}}}\n"
            "  - d: {run: {shell: {command: '${ .command }'}}}\n"
        )
        == []
    )


def test_the_caret_stands_below_the_first_wrong_character_of_a_long_program():
    program = " + ".join(f".field{n}" for n in range(40)) + " ++ 1 + " + " + ".join(["1"] * 40)
    (error,) = check.load(f"{_HEADER}do:\n  - a: {{set: {{x: '${{ {program} }}'}}}}\n").errors

    line, caret = error.excerpt.split("\n")
    assert line[caret.index("^")] == "+"
    assert line.startswith("...")
    assert len(line) <= 100


def test_the_caret_stands_in_its_line_of_a_program_of_several():
    loaded = check.load(f"{_HEADER}do:\n  - a:\n      set: |\n        ${{ .a\n          | .b ++ 1\n          | .c }}\n")

    assert loaded.errors[0].excerpt == "  | .b ++ 1\n        ^"


@pytest.mark.parametrize("program", ["{ .a ", "{ .a + }"])
def test_braces_that_are_not_doubled_are_not_taken_for_it(program):
    (error,) = check.load(f"{_HEADER}do:\n  - a: {{if: '{program}', set: {{x: 1}}}}\n").errors

    assert "braces" not in error.message


# -- limits ----------------------------------------------------------------------------------------------------------


def _steps(count: int) -> str:
    return "do:\n" + "".join(f"  - t{n}: {{set: {{x: 1}}}}\n" for n in range(count))


def _branches(count: int) -> str:
    branches = ", ".join(f"{{b{n}: {{set: {{x: 1}}}}}}" for n in range(count))
    return f"do:\n  - a: {{fork: {{branches: [{branches}]}}}}\n"


def _retries(count: int) -> str:
    policy = f"{{limit: {{attempt: {{count: {count}}}}}}}"
    return f"do:\n  - a: {{try: [{{b: {{set: {{x: 1}}}}}}], catch: {{retry: {policy}}}}}\n"


def _budget(count: int) -> str:
    return f"do:\n  - a: {{set: {{x: 1}}, metadata: {{interlock: {{retry: {{application: {count}}}}}}}}}\n"


def _timeout(written: str) -> str:
    return f"do:\n  - a: {{set: {{x: 1}}, timeout: {{after: {written}}}}}\n"


def _delay(written: str) -> str:
    return f"do:\n  - a: {{try: [{{b: {{set: {{x: 1}}}}}}], catch: {{retry: {{delay: {written}}}}}}}\n"


def _name(length: int) -> str:
    return f"do:\n  - {'n' * length}: {{set: {{x: 1}}}}\n"


_EDGES = [
    (_steps(100), None), (_steps(101), "too-many-steps"), (_steps(1), None), (_branches(20), None),
    (_branches(21), "too-many-branches"), (_branches(1), None), (_retries(10), None), (_retries(0), None),
    (_retries(11), "too-many-retries"), (_retries(-1), "out-of-range"), (_budget(10), None), (_budget(0), None),
    (_budget(11), "too-many-retries"), (_budget(-1), "invalid-metadata"), (_timeout("PT0.001S"), None),
    (_timeout("{milliseconds: 1}"), None), (_timeout("PT0.0009S"), "timeout-too-short"), (_timeout("P366D"), None),
    (_timeout("P367D"), "timeout-too-long"), (_timeout("'${ .x }'"), None), (_delay("P1D"), None),
    (_delay("PT86401S"), "retry-delay-too-long"), (_name(255), None), (_name(256), "name-too-long"),
    (_delay("{days: 36601}"), "out-of-range"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), _EDGES, ids=[f"{n} {code}" for n, (_, code) in enumerate(_EDGES)])
def test_limits_hold_at_their_edges(text, code):
    """WF-04"""
    codes = _codes(text)

    assert codes == [] if code is None else code in codes


def test_limits_count_nested_and_reusable_tasks():
    """WF-04"""
    text = (
        "do:\n  - a: {do: [{b: {set: {x: 1}}}, {c: {try: [{d: {set: {x: 1}}}], catch: {do: [{e: {call: f}}]}}}]}\n"
        "use: {functions: {f: {set: {x: 1}}}}\n"
    )

    assert _codes(text, allowed=Limits(max_steps=6)) == []
    assert _codes(text, allowed=Limits(max_steps=5)) == ["too-many-steps"]


def test_limits_are_settings():
    """WF-04"""
    wide = Limits(max_steps=500, max_branches=50, max_retries=50)

    assert [_codes(text, allowed=wide) for text in (_steps(500), _branches(50), _retries(50), _budget(50))] == [[]] * 4


# -- our own keys, cron ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "{isolated: true}",
        "{compensate: {call: http, with: {method: delete, endpoint: 'https://x.example/{id}'}}}",
        "{compensate: {if: .made, do: [{l: {for: {in: .x}, do: [{m: {set: {x: '${ $item }'}, then: exit}}]}}]}}",
        "{compensate: {do: [{b: {set: {x: 1}, metadata: {interlock: {on_error: continue, retry: {timeout: 9}}}}}]}}",
        "{on_error: continue}",
        "{on_error: fail}",
        "{idempotency_key: '${ .order.id }'}",
        "{idempotency_key: .order.id}",
        "{max_interval: PT5M}",
        "{max_interval: 30}",
        "{retry: {application: 3, timeout: 0, lost: 1, preempted: 10, out_of_memory: 1, launch: 3, invalid: 0}}",
    ],
)
def test_built_keys_of_our_metadata_are_taken(content):
    assert (
        _problems(f"do:\n  - a: {{set: {{x: 1}}, metadata: {{interlock: {content}, other: {{any: thing}}}}}}\n") == []
    )


@pytest.mark.parametrize(
    "task",
    [
        "{run: {shell: {command: x}}, metadata: {interlock: {pool: local}}}",
        "{run: {shell: {command: x}}, metadata: {interlock: {pool: gpu, requires: {}}}}",
        "{run: {script: {language: python, code: x}}, metadata: {interlock: {pool: gpu-2, requires: {skills: [a, b]}}}}",
        "{call: 'python:a:b', metadata: {interlock: {pool: gpu, requires: {region: eu, type: t, cpu: 2, memory: 0.5}}}}",
        "{run: {container: {image: x}}, metadata: {interlock: {pool: docker, requires: {cpu: 2}}}}",
        "{run: {container: {image: x}}, metadata: {interlock: {requires: {memory: 512}}}}",
    ],
)
def test_tasks_that_go_through_the_queue_may_name_a_pool(task):
    assert _problems(f"do:\n  - a: {task}\n") == []


@pytest.mark.parametrize(
    ("task", "content", "place", "complaint"),
    [
        ("run: {shell: {command: x}}", "pool: 1", "pool", "the name of a pool"),
        ("run: {shell: {command: x}}", "pool: 'a b'", "pool", "the name of a pool"),
        ("run: {shell: {command: x}}", "pool: in-process", "pool", "leave `pool` out"),
        ("set: {x: 1}", "pool: gpu", "pool", "the node itself performs this task"),
        ("call: 'tax:1.0.0@default'", "pool: gpu", "pool", "the node itself performs this task"),
        ("run: {workflow: {namespace: a, name: b, version: 1.0.0}}", "pool: gpu", "pool", "the node itself"),
        ("call: 'python:a:b'", "pool: gpu, isolated: true", "isolated", "leave `isolated` out"),
        ("run: {shell: {command: x}}", "requires: {region: eu}", "requires", "interlock worker --pool workers"),
        ("run: {shell: {command: x}}", "pool: local, requires: {cpu: 1}", "requires", "interlock worker"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: 1", "requires", "must be a map of skills, region"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {skills: rust}", "requires/skills", "a list of texts"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {skills: ['']}", "requires/skills", "a list of texts"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {region: 7}", "requires/region", "a text"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {cpu: -1}", "requires/cpu", "0 or more"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {memory: true}", "requires/memory", "0 or more"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {skils: [a]}", "requires/skils", "did you mean `skills`?"),
        ("run: {shell: {command: x}}", "pool: gpu, requires: {zzz: 1}", "requires/zzz", "it knows skills, region"),
    ],
)
def test_pool_or_requirement_that_means_nothing_is_refused(task, content, place, complaint):
    text = f"{_HEADER}do:\n  - a: {{{task}, metadata: {{interlock: {{{content}}}}}}}\n"

    ours = [problem for problem in check.load(text).problems if "/metadata/" in problem.path]
    assert [problem.path for problem in ours] == [f"/do/0/a/metadata/interlock/{place}"]
    assert complaint in ours[0].message


@pytest.mark.parametrize("key", ["priority", "concurrency", "rate", "cache"])
def test_keys_that_are_not_built_yet_are_warned_about(key):
    problems = _problems(f"do:\n  - a: {{set: {{x: 1}}, metadata: {{interlock: {{{key}: 1}}}}}}\n")

    assert problems == [("not-executable-yet", f"/do/0/a/metadata/interlock/{key}")]


@pytest.mark.parametrize(
    "expression",
    ["* * * * *", "*/5 0 1,15 * 1-5", "0 0 * jan-mar MON,fri", "59 23 31 12 7", "0-30/10 8-18 * * 0", "5 4 * * sun"],
)
def test_cron_expressions_are_taken(expression):
    assert cron.flaw(expression) is None


@pytest.mark.parametrize(
    ("expression", "flaw"),
    [
        ("* * * *", "has 5 fields"),
        ("60 * * * *", "`60` is no minute"),
        ("* 24 * * *", "`24` is no hour"),
        ("* * 0 * *", "`0` is no day of the month"),
        ("* * * 13 *", "`13` is no month"),
        ("* * * * 8", "`8` is no day of the week"),
        ("5-3 * * * *", "`5-3` is no minute"),
        ("*/0 * * * *", "`*/0` is no minute"),
        ("1-x * * * *", "`1-x` is no minute"),
        ("a * * * *", "`a` is no minute"),
        ("1,,2 * * * *", "`1,,2` is no minute"),
        ("٣ * * * *", "`٣` is no minute"),
    ],
)
def test_cron_expressions_that_are_none_are_answered(expression, flaw):
    assert flaw in cron.flaw(expression)


def test_schemas_in_other_formats_are_left_to_those_who_read_them():
    assert _problems("do:\n  - a: {set: {x: 1}}\ninput: {schema: {format: avro, document: {type: record}}}\n") == []
    assert _problems("do:\n  - a: {set: {x: 1}}\ninput: {schema: {format: 'json:2020-12', document: true}}\n") == []


def test_a_text_is_no_schema_even_when_it_would_be_read_as_one():
    problems = _problems("do:\n  - a: {set: {x: 1}}\ninput: {schema: {document: '{}'}}\n")

    assert problems == [("invalid-schema", "/input/schema/document")]


def test_the_catalog_that_is_ours_may_be_configured():
    assert _problems("do:\n  - a: {set: {x: 1}}\nuse: {catalogs: {default: {endpoint: http://x}}}\n") == []


def test_pointers_escape_their_keys():
    """RFC 6901"""
    path = pointer.child(pointer.child("", "a/b~c"), 0)

    assert path == "/a~1b~0c/0"
    assert pointer.parts(path) == ["a/b~c", "0"]
    assert pointer.last(pointer.parent(path)) == "a/b~c"
    assert (pointer.last(""), pointer.parent("")) == ("", "")


def test_limits_follow_the_settings_and_do_not_bind_what_was_accepted():
    """WF-04"""
    allowed = limits.configured(config.Limits(max_steps=1, max_branches=2, max_retries=3))
    assert (allowed.max_steps, allowed.max_branches, allowed.max_retries) == (1, 2, 3)
    assert allowed.max_name_length == Limits().max_name_length
    text = "do: [{a: {set: {x: 1}}}, {b: {set: {x: 1}}}]"
    assert _codes(text, allowed=allowed) == ["too-many-steps"]
    assert _codes(text, allowed=limits.ACCEPTED) == []
