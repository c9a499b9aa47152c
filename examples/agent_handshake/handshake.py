"""A step hands work to an agent in another process, which dies, is replaced, and completes it with curl.

    python examples/agent_handshake/handshake.py

Four processes: `interlock up`; this program, which starts a run and keeps the agents' desk; and two agents, a shell script
that knows nothing but curl. The desk answers the step at once, so nothing waits for the agent: neither a thread nor a
connection. The token that was handed out stays good for the second agent: it belongs to the step, not to who holds it.
"""

# ruff: noqa: T201 (an example tells what happens)
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from interlock.sync import Client

HERE = Path(__file__).parent
INTERLOCK = str(Path(sys.executable).with_name("interlock"))
FILES = ["model.py", "store.py", "server.py"]
SECONDS = 60.0

began = time.monotonic()


def tell(text: str) -> None:
    print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)


class Desk(BaseHTTPRequestHandler):
    """Where agents get their work: takes a task with its callback, and answers before anybody has begun with it."""

    def do_POST(self) -> None:
        task = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        threading.Thread(target=work, args=(task["files"], self.headers["Interlock-Callback"]), daemon=True).start()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        tell("the desk has the task, and has answered")

    def log_message(self, format: str, *arguments: object) -> None:
        """Tell nothing: the path of a callback holds a token."""


def work(files: list[str], callback: str) -> None:
    """Let an agent do the work, and another one when that dies."""
    for life in (1, 2):
        environment = {"PATH": os.environ["PATH"], "CALLBACK": callback, "FILES": " ".join(files), "LIFE": str(life)}
        agent = subprocess.run([str(HERE / "agent.sh")], env=environment, capture_output=True, check=False)
        if agent.returncode == 0:
            tell(f"agent {life} has completed the task")
            return
        tell(f"agent {life} died in the middle ({agent.returncode}); another one is started")


def main() -> int:
    desk = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    threading.Thread(target=desk.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")},
            "INTERLOCK_HTTP_ALLOW_PRIVATE": "127.0.0.1",  # the desk is on this machine
        }
        server = subprocess.Popen(
            [INTERLOCK, "up", "--listen", "127.0.0.1:0"],
            cwd=folder,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            url = server.stderr.readline().rpartition("url=")[2].strip()
            threading.Thread(target=server.stderr.read, daemon=True).start()
            with Client(url) as client:
                review(client, f"http://127.0.0.1:{desk.server_port}/")
        finally:
            server.terminate()
            server.wait(SECONDS)
    desk.shutdown()
    return 0


def review(client: Client, desk: str) -> None:
    client.publish((HERE / "review.yaml").read_text())
    client.start("default/review", {"desk": desk, "files": FILES}, id="review-7")
    tell("the run is started")
    for happened in client.follow("review-7"):
        if happened.type in ("step.awaited-token", "step.completed"):
            tell(f"{happened.type} {happened.event.get('path', '')}")
    tell(f"the run is done: {client.result('review-7', timeout=SECONDS)['verdict']}")


if __name__ == "__main__":
    raise SystemExit(main())
