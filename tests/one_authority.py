"""Has every client of HTTP, of this process and of those that it starts, load one certificate authority instead of all.

No test asks a server of the world, and reading the hundred authorities of `certifi` costs 30 ms for each client: for every command
that asks a server, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import certifi

_VARIABLE = "SSL_CERT_FILE"
_END = "-----END CERTIFICATE-----"


class OneAuthority:
    """The file that names the one, from `install` to `remove`, in place of what the environment names."""

    def install(self) -> None:
        self._before = os.environ.get(_VARIABLE)
        self._folder = tempfile.mkdtemp(prefix="interlock-authority-")
        first, end, _ = certifi.contents().partition(_END)
        path = Path(self._folder, "one.pem")
        path.write_text(f"{first}{end}\n", encoding="ascii", errors="replace")
        os.environ[_VARIABLE] = str(path)

    def remove(self) -> None:
        if self._before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = self._before
        shutil.rmtree(self._folder)
