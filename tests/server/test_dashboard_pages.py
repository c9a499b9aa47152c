"""Pages of the dashboard, as a browser without JavaScript gets them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from browser import samples
from browser.board import CSRF, Board, mounted
from interlock import errors
from interlock.model.access import Principal, Role
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.server.dashboard import rendering, states, times, values
from interlock.server.dashboard.pages import runs

T = 1_900_000_000.0  # 2030-03-17 17:46:40 UTC


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with mounted(tmp_path) as board:
        yield board


@pytest.fixture
async def http(board: Board) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(board.app), base_url="http://test") as client:
        yield client


class Page(HTMLParser):
    """What a browser makes of a page: its elements and texts. Fails for what a policy without inline code refuses."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert not [name for name in given if name.startswith("on") or name == "style"], (tag, given)
        assert tag != "style"
        assert tag != "script" or given.get("src", "").startswith("/ui/static/")
        self.elements.append((tag, given))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str]:
        return [given["href"] for tag, given in self.elements if tag == "a" and "href" in given]

    def posts(self) -> list[str]:
        return [given["action"] for tag, given in self.elements if tag == "form" and given.get("method") == "post"]


async def page(http: httpx.AsyncClient, path: str, status: int = 200) -> Page:
    answer = await http.get(path)
    assert answer.status_code == status, answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    return Page(answer.text)


# -- the list --------------------------------------------------------------------------------------------------------


async def test_empty_list_names_the_command_that_fills_it(http: httpx.AsyncClient) -> None:
    found = await page(http, "/ui/runs")
    assert "interlock run FILE" in found.text
    assert "No run fits" in (await page(http, "/ui/runs?status=faulted")).text
    assert (await http.get("/ui")).headers["location"] == "/ui/runs"


async def test_list_shows_each_run_with_its_state_as_a_word_and_filters_by_the_address(
    board: Board, http: httpx.AsyncClient
) -> None:
    await samples.make(board.session)
    everything = await page(http, "/ui/runs")
    for word in ("completed", "faulted", "waiting", "suspended", "cancelled"):
        assert word in everything.text
    assert "Exited with 7: no answer" in everything.text
    faulted = await page(http, "/ui/runs?status=faulted")
    assert [link for link in faulted.links() if link.startswith("/ui/runs/")] == [
        "/ui/runs/shop/restock-5",
        "/ui/runs/shop/refund-31",
    ]
    both = await page(http, "/ui/runs?status=faulted&workflow=refund&namespace=shop")
    assert [link for link in both.links() if link.startswith("/ui/runs/")] == ["/ui/runs/shop/refund-31"]
    assert "/ui/runs?namespace=shop&workflow=refund" in both.links(), "the filter can be lifted again"


async def test_pages_follow_each_other_without_a_gap(
    board: Board, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PAGE", 2)
    for number in range(5):
        await samples.start(board.session, samples.SLEEPER, f"s{number}")
    seen: list[str] = []
    path = "/ui/runs?workflow=settle"
    while path:
        found = await page(http, path)
        seen += [link.rpartition("/")[2] for link in found.links() if link.startswith("/ui/runs/")]
        path = next((given["href"] for tag, given in found.elements if given.get("rel") == "next"), "")
    assert sorted(seen) == ["s0", "s1", "s2", "s3", "s4"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status=done", "'done' is no status of a run"),
        ("where=x", "'x' is not NAME=VALUE"),
        ("where=a=1&status=stranded", "cannot be combined"),
        ("workflow=" + "x" * 301, "more than 300 characters"),
        ("workflow=%00", "cannot be written"),
        ("&".join(f"where=a{n}=1" for n in range(6)), "up to 5 attributes"),
    ],
)
async def test_address_that_makes_no_sense_is_explained(http: httpx.AsyncClient, query: str, said: str) -> None:
    assert said in (await page(http, f"/ui/runs?{query}", 400)).text


def test_address_reads_and_writes_the_same() -> None:
    pairs = [("status", "running"), ("namespace", "shop"), ("where", "a=1"), ("where", "b=x y&z"), ("before", "r1")]
    wanted = runs.asked([*pairs, ("status", "running"), ("workflow", " ")])
    assert wanted == runs.Asked(namespace="shop", status=("running",), where=("a=1", "b=x y&z"), before="r1")
    assert dict(httpx.QueryParams(wanted.query)) == dict(httpx.QueryParams(pairs))
    assert runs.attribute("n=7") == ("n", 7)
    assert runs.attribute("n=[7]") == ("n", "[7]")


# -- a run -----------------------------------------------------------------------------------------------------------


async def test_run_page_tells_structure_timeline_history_log_input_and_output(
    board: Board, http: httpx.AsyncClient
) -> None:
    await samples.start(board.session, samples.order(), "order-1")
    await samples.settled(board.session, "order-1", RunStatus.COMPLETED)
    found = await page(http, "/ui/runs/shop/order-1")
    for word in ("reserve", "step.completed", "credit of ann is fine", "limit is near", '"lamp"', '"shipped": true'):
        assert word in found.text, word
    nodes = {given["aria-label"] for tag, given in found.elements if "node" in given.get("class", "").split()}
    assert {"reserve: completed", "credit: completed", "ship: completed", "wrap: completed"} <= nodes
    bars = [given for tag, given in found.elements if tag == "rect" and "span" in given.get("class", "").split()]
    assert len(bars) >= 9
    assert all(float(bar["x"]) >= 0 and float(bar["x"]) + float(bar["width"]) <= 1000.1 for bar in bars)
    assert found.posts() == [], "nothing can be done about a run that is completed"


async def test_step_is_selected_by_the_address(board: Board, http: httpx.AsyncClient) -> None:
    await samples.start(board.session, samples.order(), "order-1")
    await samples.settled(board.session, "order-1", RunStatus.COMPLETED)
    found = await page(http, "/ui/runs/shop/order-1?step=/do/2/check/fork/branches/0/credit")
    assert "Step credit" in found.text
    assert "in the pool local: done" in found.text
    assert [
        given["aria-label"]
        for tag, given in found.elements
        if "node" in given.get("class", "") and "aria-current" in given
    ] == ["credit: completed"]
    unknown = await page(http, "/ui/runs/shop/order-1?step=/do/9/<b>none</b>")
    assert "The run has no step /do/9/<b>none</b>." in unknown.text


async def test_long_log_is_shown_in_pages(
    board: Board, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.server.dashboard.pages.run.LOG_PAGE", 1)
    await samples.start(board.session, samples.PLAIN_FAILING, "r")
    await samples.settled(board.session, "r", RunStatus.FAULTED)
    first = await page(http, "/ui/runs/shop/r")
    assert "asking the supplier" in first.text
    (more,) = [link for link in first.links() if link.endswith("#log")]
    second = await page(http, more)
    log = second.text.partition("Log")[2].partition("History")[0]
    assert "no answer" in log
    assert "asking" not in log


async def test_head_says_where_the_run_is_and_leads_there(board: Board, http: httpx.AsyncClient) -> None:
    text = """
document: {dsl: 1.0.3, namespace: shop, name: apart, version: 1.0.0}
do:
  - done: {set: {x: 1}}
  - parts:
      fork:
        branches: [a: {wait: {hours: 1}}, b: {do: [inner: {wait: {hours: 1}}]}, c: {wait: {hours: 2}}, d: {wait: {hours: 3}}]
"""
    await samples.start(board.session, text, "p")
    await samples.settled(board.session, "p", RunStatus.WAITING)
    found = await page(http, "/ui/runs/shop/p")
    places = [given["href"] for tag, given in found.elements if given.get("class") == "place"]
    branches = "/ui/runs/shop/p?step=/do/1/parts/fork/branches"
    assert places == [f"{branches}/0/a#step", f"{branches}/1/b/do/0/inner#step", f"{branches}/2/c#step"]
    assert "and 1 more" in found.text


async def test_run_of_a_rollback_and_one_that_failed_say_what_happened(board: Board, http: httpx.AsyncClient) -> None:
    await samples.start(board.session, samples.FAILING, "refund")
    await samples.start(board.session, samples.PLAIN_FAILING, "restock")
    for id in ("refund", "restock"):
        await samples.settled(board.session, id, RunStatus.FAULTED)
    undone = await page(http, "/ui/runs/shop/refund")
    assert "1 undone" in undone.text
    assert undone.posts() == [], "what was undone cannot go on"
    failed = await page(http, "/ui/runs/shop/restock")
    assert failed.posts() == ["/ui/runs/shop/restock/retry"]
    assert "/ui/runs/shop/restock?step=/do/1/orderMore#step" in failed.links()


async def test_names_and_values_that_mean_harm_are_text(board: Board, http: httpx.AsyncClient) -> None:
    await samples.make(board.session)
    listed = await page(http, "/ui/runs?workflow=harm")
    (link,) = [link for link in listed.links() if link.startswith("/ui/runs/")]
    found = await page(http, link)
    for each in (listed, found):
        assert len([1 for tag, _ in each.elements if tag == "script"]) == 1
    assert "<script>alert(1)</script>\\\"'&\u202egnp.exe" in found.text
    assert '<script>alert(2)</script>"' in found.text
    step = next(link for link in found.links() if "step=" in link)
    assert "Step <script>alert(2)" in (await page(http, step)).text


async def test_store_that_is_away_is_said_on_a_page(board: Board, http: httpx.AsyncClient) -> None:
    board.gateway.close()
    for path in ("/ui/runs", "/ui/runs/shop/order", "/ui/stream/runs"):
        assert "The store cannot be reached" in (await page(http, path, 503)).text
    assert (await http.get(rendering.asset("live.js"))).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"csrf=\xff", "form"), (b"csrf=%FF", "form"), (b"a=1&" * 21, "form"), (b"x" * 300_000, "form"), (b"{}", "json")],
)
async def test_form_that_cannot_be_read_is_refused(http: httpx.AsyncClient, body: bytes, kind: str) -> None:
    media_type = {"form": "application/x-www-form-urlencoded", "json": "application/json"}[kind]
    answer = await http.post("/ui/runs/shop/o/cancel", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 400
    assert "This cannot be asked" in answer.text


async def test_page_of_an_error_needs_nobody(board: Board, http: httpx.AsyncClient) -> None:
    """Static files are served to whoever asks."""
    board.principal = None
    assert "There is nothing here" in (await page(http, "/ui/static/x.css", 404)).text


@pytest.mark.parametrize(
    "path", ["/ui/runs/shop/nothing", "/ui/runs/nowhere/order", "/ui/static/../routes.py", "/ui/static/x.css"]
)
async def test_what_is_not_there_is_said_on_a_page(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404
    assert "Interlock" in answer.text or path.startswith("/ui/static/..")


# -- who may do what -------------------------------------------------------------------------------------------------


async def post(http: httpx.AsyncClient, path: str, csrf: str = CSRF, **fields: str) -> httpx.Response:
    return await http.post(path, data={"csrf": csrf, **fields})


async def test_actions_are_done_once_the_form_proves_its_session(board: Board, http: httpx.AsyncClient) -> None:
    await samples.start(board.session, samples.SLEEPER, "s")
    await samples.settled(board.session, "s", RunStatus.WAITING, namespace="bank")
    path = "/ui/runs/bank/s"
    assert (await page(http, path)).posts() == [f"{path}/suspend", f"{path}/cancel"]
    for csrf in ("", "other", "é"):
        assert (await post(http, f"{path}/cancel", csrf)).status_code == 403
    assert (await http.post(f"{path}/cancel", json={"csrf": CSRF})).status_code == 400
    done = await post(http, f"{path}/suspend")
    assert (done.status_code, done.headers["location"]) == (303, f"{path}?done=suspend")
    await samples.settled(board.session, "s", RunStatus.SUSPENDED, namespace="bank")
    assert "asked to rest" in (await page(http, done.headers["location"])).text
    assert (await page(http, path)).posts() == [f"{path}/resume", f"{path}/cancel"]
    assert (await post(http, f"{path}/resume")).status_code == 303
    await samples.settled(board.session, "s", RunStatus.WAITING, namespace="bank")
    assert (await post(http, f"{path}/cancel", reason="  enough  ")).status_code == 303
    await samples.settled(board.session, "s", RunStatus.CANCELLED, namespace="bank")
    assert "enough" in (await page(http, path)).text
    assert (await post(http, f"{path}/cancel")).status_code == 409
    assert (await post(http, f"{path}/explode")).status_code == 404


async def test_retry_goes_on_from_the_step_that_failed(board: Board, http: httpx.AsyncClient) -> None:
    await samples.start(board.session, samples.PLAIN_FAILING, "r")
    await samples.settled(board.session, "r", RunStatus.FAULTED)
    assert (await post(http, "/ui/runs/shop/r/retry")).status_code == 303
    async with asyncio.timeout(60):
        while (await board.session.find("shop", "r")).epoch < 2:
            await asyncio.sleep(0.02)
    await samples.settled(board.session, "r", RunStatus.FAULTED)


async def test_viewer_sees_no_buttons_and_is_refused(board: Board, http: httpx.AsyncClient) -> None:
    await samples.start(board.session, samples.SLEEPER, "s")
    board.principal = Principal("vic", Role.VIEWER, None)
    assert (await page(http, "/ui/runs/bank/s")).posts() == []
    refused = await post(http, "/ui/runs/bank/s/cancel")
    assert refused.status_code == 403
    assert "vic has the role viewer" in refused.text


async def test_who_is_limited_to_a_namespace_sees_no_other(board: Board, http: httpx.AsyncClient) -> None:
    await samples.start(board.session, samples.SLEEPER, "s")
    await samples.start(board.session, samples.order(), "o")
    board.principal = Principal("sue", Role.OPERATOR, ("shop", "stock"))
    listed = await page(http, "/ui/runs")
    assert [link for link in listed.links() if link.startswith("/ui/runs/")] == ["/ui/runs/shop/o"]
    assert [given["value"] for tag, given in listed.elements if tag == "option"] == ["shop", "stock"]
    assert (await page(http, "/ui/runs?namespace=stock")).links().count("/ui/runs/shop/o") == 0
    for path in (
        "/ui/runs?namespace=bank",
        "/ui/runs/bank/s",
        "/ui/stream/runs?namespace=bank",
        "/ui/stream/runs/bank/s",
    ):
        assert (await http.get(path)).status_code == 404, path
    assert (await post(http, "/ui/runs/bank/s/cancel")).status_code == 404
    assert (await board.session.find("bank", "s")).status is not RunStatus.CANCELLED


# -- how things look -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"), (0.9, "now"), (12, "12 s ago"), (300, "5 m ago"), (7200, "2 h ago"), (100 * 3600, "4 d ago"),
        (-30, "in 30 s"), (-7300, "in 2 h"),
    ],
)  # fmt: skip
def test_moments_are_told_relative_to_now(seconds: float, text: str) -> None:
    found = times.moment(T - seconds, T)
    assert found is not None
    assert found.relative == text
    assert times.moment(None, T) is None
    assert times.moment(T, T + 5) == times.Moment(
        relative="5 s ago", exact="2030-03-17 17:46:40 UTC", iso="2030-03-17T17:46:40.000Z", at=T
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "< 1 ms"), (0, "< 1 ms"), (0.043, "43 ms"), (3.14, "3.1 s"), (245, "4 m 05 s")]
)
def test_durations_take_little_room(seconds: float, text: str) -> None:
    assert times.took(seconds) == text


def test_values_are_bounded_and_masked() -> None:
    assert values.payload(None) is None
    assert values.payload(Payload(digest="d", size=70_000)) == values.Shown(text="(70,000 bytes, stored apart)")
    assert values.shown({"a": "é"}) == values.Shown(text='{\n  "a": "é"\n}')
    assert values.shown("x" * 20_007).left_out == 7
    assert values.summary("a\n b" + "c" * 200) == "a b" + "c" * 116 + "…"
    assert values.summary([1, None]) == "[1, null]"


def test_template_that_names_what_is_not_there_fails() -> None:
    with pytest.raises(Exception, match="undefined"):
        rendering.render("error.html")


async def test_assets_are_kept_for_ever_under_their_digest(http: httpx.AsyncClient) -> None:
    address = rendering.asset("style.css")
    found = await http.get(address)
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in found.headers["cache-control"]
    assert (await http.get("/ui/static/style.css?v=old")).headers["cache-control"] == "no-cache"
    assert (await http.get(address, headers={"If-None-Match": found.headers["etag"]})).status_code == 304
    assert sum(len(body) for body, _ in rendering.assets().values()) < 150_000


@pytest.mark.parametrize("state", [*runs.STATUSES, "compensating", "interlock", "<svg>"])
async def test_each_state_has_an_icon(http: httpx.AsyncClient, state: str) -> None:
    found = await http.get(f"/ui/icon/{state}.svg")
    assert found.headers["content-type"] == "image/svg+xml"
    assert found.text == states.icon(state)
    assert "<svg>" not in found.text


def test_every_state_has_a_colour_in_the_stylesheet() -> None:
    css = rendering.assets()["style.css"][0].decode()
    for state in states.GLYPHS:
        assert re.search(rf"\.s-{state}\b[^{{]*{{ --state", css), state


def test_who_may_see_nothing_in_a_namespace_is_not_told_whether_it_is_there() -> None:
    with pytest.raises(errors.NotFound, match="'bank' that sue may see"):
        runs.visible(Principal("sue", Role.ADMIN, ("shop",)), runs.Asked(namespace="bank"))


# -- steps that wait for somebody ------------------------------------------------------------------------------------


async def test_step_that_waits_for_an_answer_asks_its_question_and_takes_it(
    board: Board, http: httpx.AsyncClient
) -> None:
    await samples.start(board.session, samples.ASKING, "r")
    await samples.settled(board.session, "r", RunStatus.WAITING)
    path = "/ui/runs/shop/r"
    found = await page(http, f"{path}?step=/do/1/approve")
    assert "Ship <b>shop/web:812</b> to everybody?" in found.text
    assert "expires" in found.text
    assert found.posts()[-3:] == [f"{path}/complete", f"{path}/complete", f"{path}/fail"]
    refused = await post(http, f"{path}/complete", step="/do/1/approve", result='"perhaps"')
    assert refused.status_code == 400
    assert (await post(http, f"{path}/complete", step="/do/1/approve", result="{")).status_code == 400
    assert (await post(http, f"{path}/complete", step="/do/0/build", result="true")).status_code == 404
    assert (await post(http, f"{path}/complete", "", step="/do/1/approve", result="true")).status_code == 403
    board.principal = Principal("vic", Role.VIEWER, None)
    assert (await page(http, f"{path}?step=/do/1/approve")).posts() == []
    assert (await post(http, f"{path}/complete", step="/do/1/approve", result="true")).status_code == 403
    board.principal = Principal("ann", Role.OPERATOR, None)
    assert (await post(http, f"{path}/complete", step="/do/1/approve", result="true")).status_code == 303
    assert (await post(http, f"{path}/complete", step="/do/1/approve", result="true")).status_code == 303
    other = await post(http, f"{path}/complete", step="/do/1/approve", result="false")
    assert other.status_code == 409, "of two answers the first counts"


async def test_step_that_waits_for_a_report_can_be_completed_with_any_value_and_failed(
    board: Board, http: httpx.AsyncClient
) -> None:
    path = "/ui/runs/shop"
    for id in ("one", "two"):
        await samples.start(board.session, samples.ASKING, id)
        await samples.settled(board.session, id, RunStatus.WAITING)
        assert (await post(http, f"{path}/{id}/complete", step="approve", result="true")).status_code == 303
        await asks(board, http, f"{path}/{id}?step=/do/2/measure")
    assert (await post(http, f"{path}/one/complete", step="/do/2/measure", result='{"size": 3}')).status_code == 303
    await samples.settled(board.session, "one", RunStatus.COMPLETED)
    assert (await post(http, f"{path}/two/fail", step="/do/2/measure", message=" too <i>big</i> ")).status_code == 303
    await samples.settled(board.session, "two", RunStatus.FAULTED)
    assert "too <i>big</i>" in (await page(http, f"{path}/two")).text


async def asks(board: Board, http: httpx.AsyncClient, path: str) -> None:
    """Wait until a step asks for a report."""
    async with asyncio.timeout(60):
        while "Waits for a report" not in (await page(http, path)).text:
            await asyncio.sleep(0.02)
