"""The steps of the sample workflow on repositories that the tests make, and the report they end in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import interlock.demo
from interlock import errors
from interlock.demo import charts, page, report
from interlock.flow import check, compile
from repositories import DAY, NOW, Repository

ROOT = Path(__file__).parents[3]
THRESHOLDS = {
    "churn": {"attention": 0.25, "alarm": 0.6},
    "concentration": {"attention": 0.4, "alarm": 0.7},
    "longest": {"attention": 10, "alarm": 100},
    "tests": {"attention": 0.3, "alarm": 0.05},
    "idle": {"attention": 180},
}
HOSTILE = "<script>alert(1)</script> & | `x`"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "shop")


def ran(repository: Path, output: Path) -> dict[str, Any]:
    """Call the steps as the workflow does, through JSON, and give all they said."""
    log = _json(report.read_log(repository=str(repository), output=str(output)))
    measured = _json(
        {
            "churn": report.churn(log=log),
            "authors": report.authors(log=log),
            "size": report.size(log=log),
            "tests": report.tests(log=log),
            "hotFiles": report.hot_files(log=log),
        }
    )
    weighed = _json(report.weigh(log=log, measured=measured, thresholds=THRESHOLDS))
    verdict = "alarm" if weighed["alarms"] else "attention" if weighed["warnings"] else "calm"
    files = [_json(report.inspect_file(log=log, path=each["path"])) for each in measured["hotFiles"]["files"]]
    judgement = {"verdict": verdict, "reasons": weighed["reasons"]}
    written = report.write_report(log=log, measured=measured, judgement=judgement, files=files)
    return {"log": log, "measured": measured, "judgement": judgement, "files": files, "written": written}


def _json(value: object) -> Any:
    return json.loads(json.dumps(value))


def parsed(path: str) -> ElementTree.Element:
    """Parse the page as XML, which it is after its first line: any name that was not escaped would break it."""
    return ElementTree.fromstring(Path(path).read_text("utf-8").removeprefix("<!doctype html>\n"))


@pytest.fixture
def worn(repository: Repository) -> Repository:
    """A repository of two years with several authors, tests, renames, a binary file and names that look like markup."""
    deep = "".join(f"{'    ' * n}if x{n}:\n" for n in range(1, 9)) + "    " * 9 + "pass\n"
    tall = deep + "".join(f"    if x{n} and y:\n        call({n})\n" for n in range(60))
    repository.commit({"src/shop/a.py": "a = 1\n", "README.md": "# x\n", "logo.png": b"\x00"}, days_ago=700)
    for number in range(12):
        body = f"def f():\n    n = {number}\n{tall}"
        repository.commit({"src/shop/hot.py": body, f"src/x{number}.go": "a\n"}, days_ago=100 - number, author="Grace")
    for number in range(7):
        repository.commit({"docs/x.md": f"{number}\n"}, days_ago=50, author=f"Author {number}")
    repository.commit({f"web/{HOSTILE[:8]}.js": "let a\n"}, days_ago=20, author=HOSTILE)
    repository.commit({"tests/test_a.py": "def test(): pass\n", "src/shop/a.py": "a = 2\n"}, days_ago=3)
    return repository


def test_a_worn_repository_is_reported_whole(worn: Repository, tmp_path: Path) -> None:
    said = ran(worn.folder, tmp_path / "out")

    assert said["log"]["name"] == "shop"
    assert (said["log"]["commits"], said["log"]["examined"], said["log"]["branch"]) == (22, 22, "main")
    assert said["measured"]["authors"]["authors"][0] == {
        "name": "Grace", "commits": 12, "share": 0.5455, "last": "2023-08-17",
    }  # fmt: skip
    assert said["measured"]["churn"]["activity"]["unit"] == "week"
    assert said["measured"]["hotFiles"]["files"][0]["path"] == "src/shop/hot.py"
    assert said["measured"]["tests"]["files"] == 1
    assert said["files"][0]["owners"] == [{"name": "Grace", "share": 1.0}]
    assert said["files"][0]["notes"] == ["one owner", "deep nesting", "many branches", "long function"]
    assert said["judgement"]["verdict"] == "alarm"
    levels = [(reason["measure"], reason["level"]) for reason in said["judgement"]["reasons"]]
    assert levels == [
        ("longest", "alarm"), ("tests", "alarm"), ("concentration", "attention"), ("idle", "attention"),
    ]  # fmt: skip
    body = parsed(said["written"]["html"])
    assert len(body.findall(".//svg")) == 5
    assert body.findtext("head/title") == "shop: repository report"
    assert Path(said["written"]["markdown"]).read_text().startswith("# shop: alarm\n")


def test_every_result_is_small_enough_to_be_kept_inline(worn: Repository, tmp_path: Path) -> None:
    for number in range(200):
        (worn.folder / f"src/long_{'x' * 100}_{number}.py").write_text("a\n" * 50)
    worn.commit({})

    said = ran(worn.folder, tmp_path / "out")

    for result in (said["log"], *said["measured"].values(), *said["files"], said["written"]):
        assert len(json.dumps(result)) < 65_536


def test_nothing_from_the_repository_becomes_markup(worn: Repository, tmp_path: Path) -> None:
    """OP-07"""
    said = ran(worn.folder, tmp_path / "out")

    html = Path(said["written"]["html"]).read_text()
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert "<script" not in Path(said["written"]["markdown"]).read_text().replace("\\<script", "")


def test_a_step_that_is_repeated_changes_nothing(worn: Repository, tmp_path: Path) -> None:
    """WF-19: every step may run twice after a crash."""
    said = ran(worn.folder, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    report.write_report(log=said["log"], measured=said["measured"], judgement=said["judgement"], files=said["files"])

    assert report.churn(log=said["log"]) == said["measured"]["churn"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_repository_without_commits_is_reported(repository: Repository, tmp_path: Path) -> None:
    said = ran(repository.folder, tmp_path / "out")

    assert said["log"]["head"] is None
    assert said["judgement"] == {"verdict": "calm", "reasons": []}
    assert said["files"] == []
    assert "Nothing to measure" in Path(said["written"]["html"]).read_text()
    assert "no commits yet" in Path(said["written"]["markdown"]).read_text()
    parsed(said["written"]["html"])


def test_a_repository_without_code_is_reported(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"notes.md": "a\n", "logo.png": b"\x00"})

    said = ran(repository.folder, tmp_path / "out")

    assert said["measured"]["tests"] == {"files": 0, "lines": 0, "code": 0, "ratio": 0.0}
    assert said["measured"]["hotFiles"]["concentration"] == 0.0
    assert "No code changed" in Path(said["written"]["html"]).read_text()
    parsed(said["written"]["html"])


def test_a_detached_shallow_clone_says_so(worn: Repository, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    worn.git("clone", "--quiet", "--depth", "2", f"file://{worn.folder}", str(clone))
    worn.git("-C", str(clone), "checkout", "--quiet", "--detach")

    said = ran(clone, tmp_path / "out")

    assert (said["log"]["branch"], said["log"]["shallow"]) == (None, True)
    html = Path(said["written"]["html"]).read_text()
    assert "detached at" in html
    assert "This is a shallow clone: older history is missing." in html
    assert "shallow clone" in Path(said["written"]["markdown"]).read_text()


def test_a_long_history_is_examined_in_part(worn: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_MAX_COMMITS", 5)

    said = ran(worn.folder, tmp_path / "out")

    assert (said["log"]["commits"], said["log"]["examined"]) == (22, 5)
    assert "The newest 5 of 22 commits were examined." in Path(said["written"]["html"]).read_text()


def test_the_default_folder_names_repository_and_day(
    worn: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    log = report.read_log(repository=os.path.relpath(worn.folder / "src", tmp_path))

    assert log["repository"] == str(worn.folder)
    assert Path(log["output"]).parent == tmp_path / ".interlock" / "reports"
    assert Path(log["output"]).name.startswith("shop-20")


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="not a git repository"):
        report.read_log(repository=str(tmp_path))


@pytest.mark.parametrize(
    ("measure", "value", "levels"),
    [
        ("churn", 0.25, []), ("churn", 0.26, ["attention"]), ("churn", 0.61, ["alarm"]),
        ("concentration", 0.5, ["attention"]), ("longest", 11, ["attention"]), ("longest", 101, ["alarm"]),
        ("tests", 0.3, []), ("tests", 0.29, ["attention"]), ("tests", 0.04, ["alarm"]),
        ("idle", 180, []), ("idle", 181, ["attention"]), ("idle", 5000, ["attention"]),
    ],
)  # fmt: skip
def test_measures_are_weighed_by_their_thresholds(measure: str, value: float, levels: list[str]) -> None:
    calm: dict[str, float] = {"churn": 0, "concentration": 0, "longest": 1, "tests": 1, "idle": 0}
    values = {**calm, measure: value}
    log = {"head": "c", "first": NOW - 4000 * DAY, "last": NOW - values["idle"] * DAY, "now": NOW}
    measured = {
        "churn": {"ratio": values["churn"]},
        "hotFiles": {"concentration": values["concentration"]},
        "size": {"longest": [{"path": "a{0}.py", "lines": values["longest"]}]},
        "tests": {"ratio": values["tests"], "code": 10},
    }

    weighed = report.weigh(log=log, measured=measured, thresholds=THRESHOLDS)

    assert [(reason["measure"], reason["level"]) for reason in weighed["reasons"]] == [
        (measure, level) for level in levels
    ]
    calmed = report.weigh(log=log, measured=measured, thresholds=THRESHOLDS, overrides={measure: {"attention": 1e9}})
    assert calmed["reasons"] == [] or measure == "tests"
    assert (weighed["alarms"], weighed["warnings"]) == (levels.count("alarm"), levels.count("attention"))


def test_a_young_project_is_not_blamed_for_changing(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a.py": "a\n"}, days_ago=30)
    repository.commit({"a.py": "b\n", "test_a.py": "c\n"})

    said = ran(repository.folder, tmp_path / "out")

    assert said["measured"]["churn"]["ratio"] == 1.0
    assert {reason["measure"] for reason in said["judgement"]["reasons"]} <= {"idle"}
    assert said["measured"]["churn"]["activity"]["unit"] == "day"


@pytest.mark.parametrize("unit", ["hour", "day", "week"])
def test_spans_are_labelled_where_something_begins(unit: str) -> None:
    seconds = {"hour": 3600, "day": DAY, "week": 7 * DAY}[unit]
    spans = [{"ends": NOW + n * seconds, "commits": n, "added": n, "deleted": 0} for n in range(52)]

    section = page._activity({"unit": unit, "spans": spans})

    expected = {"hour": ">06:00</text>", "day": ">20 Nov</text>", "week": ">Dec</text>"}[unit]
    assert expected in section
    assert "51 of 52" in section


def test_charts_without_anything_to_show_are_drawn() -> None:
    drawn = [
        charts.columns([], [], [], width=100, height=50, name="n"),
        charts.pairs([], width=100, name="n", sides=("a", "b")),
        charts.shares([], width=100, name="n"),
        charts.scatter([], width=100, height=50, name="n", axes=("a", "b"), named=3),
    ]

    assert all(ElementTree.fromstring(svg).tag == "svg" for svg in drawn)


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (9_999, "9,999"), (10_000, "10k"), (2_500_000, "2.5M")])
def test_large_numbers_are_shortened(number: int, text: str) -> None:
    assert f">{text}</text>" in charts.pairs([("a", number, 0)], width=300, name="n", sides=("a", "b"))


def test_the_example_is_the_workflow_that_is_shipped() -> None:
    shipped = Path(interlock.demo.__file__).with_name("repository-report.yaml")

    assert (ROOT / "examples" / "repository-report.yaml").read_bytes() == shipped.read_bytes()


def test_the_workflow_is_a_definition_without_problems() -> None:
    text = (ROOT / "examples" / "repository-report.yaml").read_text("utf-8")

    loaded = check.load(text)

    assert loaded.problems == ()
    graph = compile.compile(loaded.required(), loaded.value)
    steps = {node.work.function.rpartition(":")[2] for node in graph.nodes.values() if hasattr(node.work, "function")}
    assert steps == {
        "read_log", "churn", "authors", "size", "tests", "hot_files", "weigh", "inspect_file", "write_report",
    }  # fmt: skip
    assert all(callable(getattr(report, step)) for step in steps)
