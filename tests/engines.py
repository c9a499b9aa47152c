"""Real container engines for tests: a Docker and a Podman per test process, with an image made here, since no registry is near.

Both keep everything in a folder of their own and make no bridge and no firewall rule. They need root and the packages
docker.io or podman, runc and busybox-static; a test that insists on one by INTERLOCK_REQUIRE fails where it cannot start.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

IMAGE = "docker.io/library/interlock-test:1"
"""Busybox and the standard library of the Python that runs the tests, under the name that both engines give it."""
PYTHON = "/usr/bin/python3"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin"
_PROGRAMS = {"docker": ("dockerd", "containerd", "runc"), "podman": ("podman", "conmon", "runc")}
_WITHOUT = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages", "__pycache__")
_START_SECONDS = 60.0
_MEMORY = "/dev/shm"
_MEMORY_BYTES = 2 * 1024**3
_PODMAN = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
init_path = "{init}"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
init_path = "{init}"
"""


def present(kind: str) -> bool:
    """Say whether an engine can be started here."""
    return os.geteuid() == 0 and all(_program(name) for name in (*_PROGRAMS[kind], "busybox"))


class Engine:
    """A running engine; `host` is its address."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._folder = folder
        self._socket = folder / f"{kind}.sock"
        self.host = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # it ends with the test process, however that ends
                ["setpriv", "--pdeathsig", "TERM", *self._command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(),
                cwd=self._folder,  # where conmon notes that memory ran out
            )  # fmt: skip
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, or crash it with SIGKILL."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
            self._socket.unlink(missing_ok=True)
            for name in (
                "docker.pid",
                "exec/containerd/containerd.pid",
            ):  # of processes that may be nobody's children now
                (self._folder / name).unlink(missing_ok=True)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def pause(self) -> None:
        """Stop all of its threads, and come back when they have stopped: a signal alone leaves some time to answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """Give the end of what it has written about itself."""
        return (self._folder / "log").read_text("utf-8", "replace")[-4000:]

    def call(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """Ask it something past the pool."""
        connection = _Connection(str(self._socket))
        try:
            connection.request(method, f"/v1.41{path}", body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text!r}"
            return text
        finally:
            connection.close()

    def containers(self, **labels: str) -> list[str]:
        """Give the ids of its containers, running or not, that have such labels."""
        wanted = json.dumps({"label": [f"{name}={value}" for name, value in labels.items()]})
        found = json.loads(self.call("GET", f"/containers/json?all=1&filters={_quoted(wanted)}"))
        return [each["Id"] for each in found]

    def inspect(self, container: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.call("GET", f"/containers/{container}/json"))
        return found

    def load(self, archive: Path) -> None:
        """Import the file system of the image."""
        changes = "&".join(f"changes={_quoted(change)}" for change in ("ENV PATH=/usr/bin:/bin", 'CMD ["sh"]'))
        repository, _, tag = IMAGE.rpartition(":")
        with archive.open("rb") as file:
            told = self.call("POST", f"/images/create?fromSrc=-&{changes}", file.read(), "application/x-tar")
        image = json.loads(told.decode().splitlines()[-1])["status"]
        self.call("POST", f"/images/{image}/tag?repo={_quoted(repository)}&tag={tag}")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
            return bool(self.call("GET", "/_ping"))
        return False

    def _command(self) -> list[str]:
        folder = self._folder
        if self.kind == "docker":
            return [
                "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-H", self.host,
                "-p", f"{folder}/docker.pid", "--iptables=false", "--ip6tables=false", "--bridge=none",
                "--storage-driver", "overlay2", "--add-runtime", f"other={_program('runc')}",
            ]  # fmt: skip
        return [
            "podman", "--root", f"{folder}/data", "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp",
            "--storage-driver", "overlay", "system", "service", "--time=0", self.host,
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        settings = self._folder / "containers.conf"
        settings.write_text(_PODMAN.format(init=_program("docker-init") or _program("tini") or ""))
        return {"PATH": _PATH, "HOME": str(self._folder), "CONTAINERS_CONF": str(settings), "TMPDIR": str(self._folder)}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


@contextlib.contextmanager
def running(kind: str) -> Iterator[Engine]:
    """Give an engine that has the image; stopped at the end, with all of its containers, and removed."""
    folder = Path(tempfile.mkdtemp(prefix=f"interlock-{kind}-", dir=_fast_folder()))
    engine = Engine(kind, folder)
    try:
        engine.start()
        engine.load(archive())
        yield engine
        for container in engine.containers() if engine.is_running else ():
            engine.call("DELETE", f"/containers/{container}?force=1&v=1")
    finally:
        engine.stop()
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def shared(kind: str) -> Engine:
    """Give this test process's engine of a kind; started with the first test that needs it, by the main thread."""
    return _stack.enter_context(running(kind))


_stack = contextlib.ExitStack()


def close() -> None:
    """Stop the engines of this test process."""
    _stack.close()
    shared.cache_clear()
    archive.cache_clear()


@functools.cache
def archive() -> Path:
    """Give the tar of the image's file system."""
    folder = Path(_stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-image-")))
    root = folder / "root"
    for name in ("bin", "usr/bin", "etc", "tmp", "proc", "sys", "dev", "workspace"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    busybox = _program("busybox")
    assert busybox
    shutil.copy(busybox, root / "bin/busybox")
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if not (root / "bin" / name).exists():
            (root / "bin" / name).symlink_to("busybox")
    interpreter = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_paths()["stdlib"])
    home = root / str(interpreter.parent.parent)[1:]  # where it looks for its library
    (home / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(interpreter, home / "bin" / interpreter.name)
    shutil.copytree(library, root / str(library)[1:], symlinks=True, ignore=shutil.ignore_patterns(*_WITHOUT, "*.a"))
    (root / PYTHON[1:]).unlink(missing_ok=True)
    (root / PYTHON[1:]).symlink_to(interpreter)
    modules = [str(path) for path in (library / "lib-dynload").glob("*.so")]
    packages = Path(sysconfig.get_paths()["purelib"])  # mounted where functions of this checkout are called
    modules += [str(path) for name in ("msgspec", "yaml") for path in (packages / name).glob("*.so")]
    _add_libraries(root, [str(interpreter), *modules])
    subprocess.run(["ldconfig", "-r", str(root)], env={"PATH": _PATH}, check=False, capture_output=True)
    path = folder / "image.tar"
    with tarfile.open(path, "w") as file:
        file.add(root, arcname=".")
    shutil.rmtree(root)
    return path


def _add_libraries(root: Path, programs: list[str]) -> None:
    found = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    for word in set(found.split()):
        if word.startswith("/") and not word.endswith(":"):
            target = root / os.path.normpath(word)[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copy(os.path.realpath(word), target)


def _fast_folder() -> str:
    """Give where files are made fast: what these engines store need not last."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return "/tmp"


def _unmount(folder: Path) -> None:
    """Let go of what an engine that was killed left mounted."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in sorted((place for place in mounted if place.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def _program(name: str) -> str | None:
    return shutil.which(name, path=_PATH)


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
