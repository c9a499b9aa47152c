"""Checksums and an archive by processes of this machine, and words counted in containers where a Docker engine answers.

    python examples/pools/local_and_docker/run.py [FOLDER]

EXAMPLE_IMAGE names another image than busybox; DOCKER_HOST another engine than /var/run/docker.sock.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from desk import Desk, tell  # what starts the node, and brings the texts

HOST = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
IMAGE = "docker.io/library/busybox:stable"


def engine_answers() -> bool:
    """Ask a Docker engine on this machine whether it is there."""
    if not HOST.startswith("unix://"):
        return False
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(HOST.removeprefix("unix://"))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    desk = Desk(Path(__file__).parent)
    has_docker = engine_answers()
    if has_docker:
        pools = (desk.folder / "with-docker.yaml").read_text().replace(IMAGE, os.environ.get("EXAMPLE_IMAGE") or IMAGE)
        (desk.folder / "agent-pools.yaml").write_text(pools)
    with desk:
        count = len(desk.texts)
        desk.interlock("tasks", "load", "local.yaml")
        local = desk.done("local")
        tell(f"{count} texts have checksums; their archive has {(desk.folder / 'texts.tar.gz').stat().st_size} bytes")
        verified = (desk.folder / "verified").read_text().count(": OK")
        tell(
            f"verify ran in the pool {local['verify']['pool']}: {verified} of {count} came out of the archive as they were"
        )
        if not has_docker:
            tell(f"no Docker engine answers at {HOST}: the part with containers is left out")
            return 0 if verified == count else 1
        desk.interlock("tasks", "load", "contained.yaml")
        contained = desk.done("contained")
        words = sum(len(text.read_bytes().split()) for text in desk.texts)
        told = int((desk.folder / "words").read_text())
        longest = reversed((desk.folder / "longest").read_text().split())
        tell(f"words ran in the pool {contained['words']['pool']}: {told} words in {count} texts")
        tell(f"longest ran in the pool {contained['longest']['pool']}: {' '.join(longest)} lines")
    return 0 if (told, verified) == (words, count) else 1


if __name__ == "__main__":
    raise SystemExit(main())
