"""Runs git: no shell, no hooks, no prompts, no maintenance; in bounded time, with bounded output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from interlock import errors

OUTPUT_BYTES: Final = 1024 * 1024
"""Of an answer that is no diff."""
_COMPLAINT_BYTES: Final = 4096
_CHUNK_BYTES: Final = 65536
_INHERITED: Final = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR")
_VARIABLES: Final = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "GIT_OPTIONAL_LOCKS": "0"}
_SETTINGS: Final = tuple(
    part
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.sparseCheckout=false",  # an attempt may have set it
        "gc.auto=0",
        "maintenance.auto=false",
        "submodule.recurse=false",
    )
    for part in ("-c", setting)
)


class GitFailed(errors.Environment):
    """A git command failed, or did not end in time."""


class TooMuch(errors.Environment):
    """A git command printed more than was to be taken."""


async def output(
    *arguments: str,
    folder: Path,
    seconds: float,
    variables: Mapping[str, str] | None = None,
    limit_bytes: int = OUTPUT_BYTES,
) -> bytes:
    """Give what a git command prints; once this returns or raises, the command has ended.

    Raises GitFailed, and TooMuch over `limit_bytes`.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    command = f"git {' '.join(arguments)}"
    try:
        process = await asyncio.create_subprocess_exec(
            "git", *_SETTINGS, *arguments,
            cwd=folder, env=inherited | _VARIABLES | dict(variables or {}), start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise GitFailed(
            f"`{command}` cannot be started in {folder}: {error}; install git, or look at the folder"
        ) from error
    try:
        async with asyncio.timeout(seconds):
            printed, complaint = await asyncio.gather(
                _taken(process, process.stdout, limit_bytes), _taken(None, process.stderr, _COMPLAINT_BYTES)
            )
            code = await process.wait()
    except TimeoutError:
        raise GitFailed(f"`{command}` in {folder} did not end within {seconds:g} s and was killed") from None
    finally:
        if process.returncode is None:
            _kill(process)
            await asyncio.shield(process.wait())
    if len(printed) > limit_bytes:
        raise TooMuch(f"`{command}` in {folder} gives more than {limit_bytes} bytes")
    if code != 0:
        detail = complaint[:_COMPLAINT_BYTES].decode("utf-8", "replace").strip()
        raise GitFailed(f"`{command}` in {folder} exited with {code}: {detail or 'it said nothing'}")
    return printed


async def text(*arguments: str, folder: Path, seconds: float, variables: Mapping[str, str] | None = None) -> str:
    """Give what a git command prints, as text without the last line end."""
    printed = await output(*arguments, folder=folder, seconds=seconds, variables=variables)
    return printed.decode("utf-8", "surrogateescape").rstrip("\n")


async def _taken(
    process: asyncio.subprocess.Process | None, stream: asyncio.StreamReader | None, limit_bytes: int
) -> bytes:
    """Read a stream to its end and give its beginning, one byte over the limit at most; `process` is killed then."""
    assert stream is not None
    kept = bytearray()
    while data := await stream.read(_CHUNK_BYTES):
        if len(kept) <= limit_bytes:
            kept += data[: limit_bytes + 1 - len(kept)]
            if process is not None and len(kept) > limit_bytes:
                _kill(process)
    return bytes(kept)


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
