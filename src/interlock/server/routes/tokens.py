"""Completion tokens over HTTP. The token in the path is the right; no key is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

router = APIRouter(prefix="/api/v1/tokens/{token}", tags=["tokens"])

TokenPath = Annotated[str, Path(min_length=1, max_length=1000, description="The token, whole.")]
