"""The addresses of the dashboard. Who asks is in `request.state.principal`, what proves a change in `request.state.csrf`:
whoever mounts the router sees to both.

    GET  /ui/runs                                  the list; filters and the page in the address
    GET  /ui/runs/{namespace}/{id}                 a run; `step` selects one of its steps
    POST /ui/runs/{namespace}/{id}/{action}        what a form asks for, see `acting`
    GET  /ui/stream/runs, /ui/stream/runs/{namespace}/{id}     how those pages change, as server-sent events
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from interlock import errors
from interlock.app.session import Session
from interlock.model.access import Principal, Right
from interlock.server import streams
from interlock.server.dashboard import acting, live, states
from interlock.server.dashboard.pages import run, runs
from interlock.server.dashboard.pages.graph import Drawings
from interlock.server.dashboard.pages.run import Watched
from interlock.server.dashboard.rendering import MEDIA_TYPES, assets, render
from interlock.server.gateway import Gateway
from interlock.server.sessions import COOKIE
from interlock.store.ports import RunRow

THEME: Final = "interlock_theme"
_THEMES: Final = ("light", "dark")
_FOREVER: Final = "public, max-age=31536000, immutable"
_LARGEST: Final = 2**62

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATUS: Final[tuple[tuple[type[errors.InterlockError], int, str], ...]] = (
    (errors.NotFound, 404, "There is nothing here"),
    (errors.Invalid, 400, "This cannot be asked"),
    (errors.Conflict, 409, "This is not possible now"),
    (errors.Environment, 503, "The store cannot be reached"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is around every page. `theme`: light or dark, empty for that of the system."""

    section: str
    who: str
    role: str
    theme: str
    can_sign_out: bool = False
    message: str = ""


class _Page(APIRoute):
    """A route whose errors are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except acting.Forbidden as error:
                return _problem(request, 403, "This is not allowed", str(error))
            except errors.InterlockError as error:
                status, title = next(
                    ((status, title) for kind, status, title in _STATUS if isinstance(error, kind)),
                    (500, "Something went wrong"),
                )
                return _problem(request, status, title, str(error))

        return handle


def router(gateway: Gateway) -> APIRouter:
    """Give the dashboard of a server."""
    routes = APIRouter(route_class=_Page, include_in_schema=False)
    drawings = Drawings()

    @routes.get("/ui/")
    @routes.get("/ui")
    async def home() -> Response:
        return RedirectResponse("/ui/runs", 303)

    @routes.get("/ui/runs")
    async def list_of_runs(request: Request) -> Response:
        wanted = runs.visible(_principal(request), runs.asked(request.query_params.multi_items()))
        page = await runs.page(gateway.session, wanted)
        own = _principal(request).namespaces or ()
        return _html("runs.html", frame=_frame(request, "runs"), page=page, namespaces=own)

    @routes.get("/ui/runs/{namespace}/{id:path}")
    async def page_of_run(request: Request, namespace: str, id: str) -> Response:
        watched = Watched(gateway.session, await _run(gateway.session, request, Right.READ, namespace, id))
        await watched.read()
        page = await run.page(gateway.session, drawings, watched, _principal(request), _asked(request))
        message = acting.DONE.get(request.query_params.get("done", ""), "")
        return _html("run.html", frame=_frame(request, "runs", message), page=page, csrf=request.state.csrf)

    @routes.post("/ui/runs/{namespace}/{id:path}/{action}")
    async def act(request: Request, namespace: str, id: str, action: str) -> Response:
        form = await acting.form(request)
        acting.prove(form, request.state.csrf)
        row = await _run(gateway.session, request, Right.OPERATE, namespace, id)
        await acting.act(gateway.session, row, action, form)
        return RedirectResponse(f"{runs.href(row.namespace, row.id)}?done={action}", 303)

    @routes.get("/ui/stream/runs")
    async def stream_of_runs(request: Request) -> Response:
        wanted = runs.visible(_principal(request), runs.asked(request.query_params.multi_items()))
        changes = live.of_runs(gateway.session, wanted, request.query_params.get("seen", ""))
        return streams.stream(gateway, changes, request)

    @routes.get("/ui/stream/runs/{namespace}/{id:path}")
    async def stream_of_run(request: Request, namespace: str, id: str) -> Response:
        watched = Watched(gateway.session, await _run(gateway.session, request, Right.READ, namespace, id))
        changes = live.of_run(
            gateway.session,
            drawings,
            watched,
            _principal(request),
            _asked(request),
            csrf=request.state.csrf,
            seq=_number(request, "seq"),
            grows=request.query_params.get("grows") == "1",
        )
        return streams.stream(gateway, changes, request)

    @routes.get("/ui/icon/{state}.svg")
    async def icon(state: str) -> Response:
        return Response(
            states.icon(state), media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"}
        )

    @routes.get("/ui/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in assets():
            raise errors.NotFound(f"there is no file {name!r}")
        body, digest = assets()[name]
        kept = _FOREVER if request.query_params.get("v") == digest else "no-cache"
        media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        headers = {"Cache-Control": kept, "ETag": f'"{digest}"', "X-Content-Type-Options": "nosniff"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    return routes


# -- what was asked ----------------------------------------------------------------------------------------------------


def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


async def _run(session: Session, request: Request, right: Right, namespace: str, id: str) -> RunRow:
    """Give the run of an address, by its whole id. Raises NotFound also for what somebody may not see."""
    principal = _principal(request)
    if principal.may(Right.READ, namespace):
        row = await session.find(namespace, id)
        if not principal.may(right, namespace):
            raise acting.Forbidden(f"{principal.name} has the role {principal.role}, which has no right to {right}.")
        return row
    raise errors.NotFound(f"there is no run {id!r} in the namespace {namespace!r}; the list shows those there are")


def _asked(request: Request) -> run.Asked:
    """Give what the address of a run asks for; a stream that was interrupted goes on after the last piece it gave."""
    log = streams.resumed(request, _number(request, "log"))
    return run.Asked(step=request.query_params.get("step", ""), log=log)


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(_LARGEST)) else 0


# -- answers -----------------------------------------------------------------------------------------------------------


def _frame(request: Request, section: str, message: str = "") -> Frame:
    principal: Principal | None = getattr(
        request.state, "principal", None
    )  # nobody in particular asks for a static file
    theme = request.cookies.get(THEME, "")
    return Frame(
        section=section,
        who="" if principal is None else principal.name,
        role="" if principal is None else str(principal.role),
        theme=theme if theme in _THEMES else "",
        can_sign_out=COOKIE in request.cookies,
        message=message,
    )


def _html(template: str, status: int = 200, **values: Any) -> Response:
    return Response(render(template, **values), status, headers=_HEADERS, media_type="text/html")


def _problem(request: Request, status: int, title: str, detail: str) -> Response:
    return _html("error.html", status, frame=_frame(request, ""), title=title, detail=detail)
