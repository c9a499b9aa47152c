"""Where values of secrets come from: the environment, a folder of files, a command, asked in this order.

A value that is a JSON object is structured (`$secrets.db.password`), everything else is text.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from interlock import config, errors
from interlock.model import json
from interlock.model.json import Json

PREFIX: Final = "INTERLOCK_SECRET_"
_COMMAND_SECONDS: Final = 10.0
_LARGEST_BYTES: Final = 1024 * 1024  # a key chain fits; a data set is no secret
_FILE_NAME: Final = re.compile(r"(?!\.)[^/\\\0]{1,255}\Z")


class Sources:
    """The places of one node that hold secrets. Reading blocks: call it in a thread."""

    def __init__(self, settings: config.Secrets, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._folder = Path(settings.folder) if settings.folder else None
        self._command = settings.command

    def read(self, name: str) -> Json:
        """Give the value of a secret. Raises NotFound, which says where it was looked for, without any value."""
        looked: list[str] = []
        for text in (self._from_environment(name, looked), self._from_folder(name, looked)):
            if text is not None:
                return _value(text)
        text = self._from_command(name, looked)
        if text is not None:
            return _value(text)
        advice = "" if self._folder or self._command else "; or set secrets.folder or secrets.command"
        raise errors.NotFound(f"the secret {name!r} was not found; looked for {' and '.join(looked)}{advice}")

    def _from_environment(self, name: str, looked: list[str]) -> str | None:
        exact = PREFIX + name
        usual = PREFIX + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        looked.append(f"the variable {usual}")
        return self._environ.get(exact, self._environ.get(usual))

    def _from_folder(self, name: str, looked: list[str]) -> str | None:
        if self._folder is None or not _FILE_NAME.match(name):
            return None
        file = self._folder / name
        try:
            with file.open("rb") as stream:
                return _text(stream.read(_LARGEST_BYTES + 1))
        except FileNotFoundError:
            looked.append(f"the file {file}")
        except (OSError, ValueError) as error:
            looked.append(f"the file {file} (which cannot be read: {getattr(error, 'strerror', None) or error})")
        return None

    def _from_command(self, name: str, looked: list[str]) -> str | None:
        if not self._command:
            return None
        program = self._command[0]
        try:
            done = subprocess.run(
                [*self._command, name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
            if done.returncode == 0:
                return _text(done.stdout)
            looked.append(f"the command {program} (which exited with {done.returncode}{_reason(done.stderr)})")
        except subprocess.TimeoutExpired:
            looked.append(f"the command {program} (which took longer than {_COMMAND_SECONDS:g} s)")
        except (OSError, ValueError) as error:
            looked.append(f"the command {program} (which failed: {getattr(error, 'strerror', None) or error})")
        return None


def _reason(stderr: bytes) -> str:
    """Give the last line that a command complained with: it says what is wrong, and the value goes to stdout."""
    lines = stderr.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:200]}" if last else ""


def _text(raw: bytes) -> str:
    if len(raw) > _LARGEST_BYTES:
        raise ValueError(f"it is larger than {_LARGEST_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:  # the error of the codec would quote the value
        raise ValueError("it is no UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _value(text: str) -> Json:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.decode(text.encode())
    except (msgspec.DecodeError, ValueError):
        return text
