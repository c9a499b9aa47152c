"""Completion tokens over HTTP. The token in the path is the right; no key is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from interlock.app.tokens import Tokens
from interlock.server.bodies import answer, read
from interlock.server.documented import documented
from interlock.server.routes.asking import NamespaceQuery, Server
from interlock.wire import tokens as wire

router = APIRouter(prefix="/api/v1/tokens/{token}", tags=["tokens"])

TokenPath = Annotated[str, Path(min_length=1, max_length=1000, description="The token, whole.")]
