"""Renders templates. Everything that a template writes is escaped; a name that it does not know is an error."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any, Final

import jinja2

from interlock.server.dashboard import states

MEDIA_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("interlock.server.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {"asset": asset, "glyphs": states.GLYPHS}
    return environment


def render(template: str, **values: Any) -> str:
    """Give a template filled in. `Any`: what a template takes is its own to say."""
    return _environment().get_template(template).render(values)


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Give every static file by name: what is in it, and its digest."""
    folder = resources.files("interlock.server.dashboard") / "static"
    found = {
        entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.rpartition(".")[2] in MEDIA_TYPES
    }
    return {name: (body, hashlib.sha256(body).hexdigest()[:16]) for name, body in found.items()}


def asset(name: str) -> str:
    """Give the address of a static file, which changes with what is in it, so that browsers may keep it for ever."""
    return f"/ui/static/{name}?v={assets()[name][1]}"
