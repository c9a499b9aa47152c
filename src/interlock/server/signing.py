"""Signing in to the dashboard: by the link that the server prints, or by an API key in a form; and who looks at a page."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import RedirectResponse, Response

from interlock import errors
from interlock.app.actor import act_as
from interlock.server.access import Access, actor
from interlock.server.dashboard.rendering import render
from interlock.server.problems import Refused
from interlock.server.sessions import LOCAL

_HOME: Final = "/ui/runs"
_SIGN_IN: Final = "/ui/sign-in"
_OPEN: Final = ("/ui/static/", "/ui/icon/")
_LONGEST_FORM: Final = 4096
_LONGEST_PLACE: Final = 2000
_HEADERS: Final = {"Referrer-Policy": "same-origin", "Cache-Control": "no-store"}

router = APIRouter(include_in_schema=False)


class SignInFirst(Exception):
    """Nobody is signed in; the page is shown after it."""


def install(app: FastAPI) -> None:
    """Let pages that need somebody lead to the sign-in, and back."""

    async def lead(request: Request, _error: Exception) -> Response:
        place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        wanted = f"?next={quote(place, safe='')}" if request.method == "GET" and len(place) < _LONGEST_PLACE else ""
        return RedirectResponse(_SIGN_IN + wanted, 303, headers=_HEADERS)

    app.add_exception_handler(SignInFirst, lead)


async def visitor(request: Request) -> None:
    """Note who looks at a page, and what proves that a change comes from one. Raises SignInFirst."""
    if request.url.path.startswith(_OPEN):
        return
    access: Access = request.app.state.access
    try:
        principal = await access.principal(request)
    except Refused as refused:
        if refused.status != 401:
            raise
        raise SignInFirst from None
    request.app.state.rates.take(actor(principal))
    session = access.sessions.found(request)
    request.state.principal = principal
    request.state.csrf = access.sessions.csrf(session)
    act_as(actor(principal))


@router.get(_SIGN_IN)
async def sign_in_page(request: Request, code: str = "", next: str = "") -> Response:
    """Show the form, or use the code of the link that the server printed."""
    access: Access = request.app.state.access
    if not code:
        return _page("", next)
    if not access.sessions.redeem(code):
        return _page(
            "This link was used before, or is older than ten minutes. Restart the server for another one.", next
        )
    response = RedirectResponse(_safe(next), 303, headers=_HEADERS)
    access.sessions.sign_in(response, LOCAL)
    return response


@router.post(_SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Sign in by an API key. A page of another place cannot: it would sign the browser in as somebody else."""
    access: Access = request.app.state.access
    access.check_origin(request)
    request.app.state.rates.take(f"sign-in of {request.client.host if request.client else 'socket'}")
    form = await _form(request)
    key = form.get("key", "").strip()
    id = await access.keys().id_of(key)
    if id is None:
        return _page("This key is unknown, revoked or expired.", form.get("next", ""), 401)
    response = RedirectResponse(_safe(form.get("next", "")), 303, headers=_HEADERS)
    access.sessions.sign_in(response, id)
    return response


@router.post("/ui/sign-out")
async def sign_out(request: Request) -> Response:
    access: Access = request.app.state.access
    access.check_origin(request)
    response = RedirectResponse(_SIGN_IN, 303, headers=_HEADERS)
    access.sessions.sign_out(response)
    return response


def _safe(place: str) -> str:
    """Give where to go on: a page of ours, whatever a link says."""
    is_ours = place.startswith("/ui/") and "\\" not in place and "//" not in place and place.isprintable()
    return place if is_ours and place.isascii() else _HOME


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            raise errors.Invalid(f"the form has more than {_LONGEST_FORM} bytes")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=5, errors="strict"))
    except ValueError:
        raise errors.Invalid("the form cannot be read") from None


def _page(problem: str, next: str, status: int = 200) -> Response:
    html = render("sign-in.html", problem=problem, next=next)
    return Response(html, status, headers=_HEADERS, media_type="text/html")
