"""Finds or builds what the tests of this folder start: kube-apiserver and kube-controller-manager 1.20.2, and etcd.

`python tests/kubernetes/build.py` needs a Debian 12 with gcc and dpkg-dev, no root and no free port. Nothing of the system is changed:
packages are unpacked in ~/.cache/interlock-kubernetes (or INTERLOCK_KUBERNETES_CACHE), and the build, from Debian's source package
with everything it needs in its vendor tree, asks nobody for anything. It takes two
cores for 5 to 10 minutes when they have nothing else to do, once, and 3 GB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("INTERLOCK_KUBERNETES_CACHE") or Path.home() / ".cache" / "interlock-kubernetes")
SERVERS = ("kube-apiserver", "kube-controller-manager")
_PACKAGES = ("golang-1.19-go", "golang-1.19-src", "etcd-server")
_SOURCE = "kubernetes"


def found() -> dict[str, str] | None:
    """Give the paths of etcd and the servers, by name; None when something is missing."""
    paths = {name: shutil.which(name) or _built(name) for name in (*SERVERS, "etcd")}
    return None if None in paths.values() else {name: str(path) for name, path in paths.items()}


def _built(name: str) -> str | None:
    path = CACHE / "bin" / name
    return str(path) if os.access(path, os.X_OK) else None


def build() -> None:
    apt = _lists()
    tools = _unpacked(apt)
    (CACHE / "bin").mkdir(exist_ok=True)
    shutil.copy2(tools / "usr/bin/etcd", CACHE / "bin/etcd")
    tree = _source(apt)
    environment = {
        "PATH": f"{tools}/usr/lib/go-1.19/bin:{os.environ['PATH']}",
        "HOME": str(CACHE),
        "GOROOT": str(_root(tools)),
        "GOPATH": str(CACHE / "go"),
        "GOCACHE": str(CACHE / "go-build"),
        "GO111MODULE": "off",
        "GOFLAGS": "-buildvcs=false",
    }
    _generate(tree, environment)
    for name in SERVERS:
        if _built(name) is None:
            partial = CACHE / f"{name}.partial"  # a build that is ended in the middle leaves nothing that counts
            _run(["go", "build", "-o", str(partial), f"k8s.io/kubernetes/cmd/{name}"], tree, environment)
            partial.rename(CACHE / "bin" / name)


def _lists() -> list[str]:
    """Give options of apt under which it keeps lists of its own, of sources too."""
    parts, lists = CACHE / "apt/parts", CACHE / "apt/lists"
    for folder in (parts, lists / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    for path in Path("/etc/apt/sources.list.d").glob("*.sources"):
        (parts / path.name).write_text(path.read_text().replace("Types: deb\n", "Types: deb deb-src\n"))
    options = [
        "-o", f"Dir::Etc::sourcelist={CACHE}/apt/none", "-o", f"Dir::Etc::sourceparts={parts}",
        "-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={CACHE}/apt",
    ]  # fmt: skip
    _run(["apt-get", *options, "update"], CACHE)
    return options


def _unpacked(apt: list[str]) -> Path:
    """Give a folder with Go and etcd unpacked, not installed."""
    debs, tools = CACHE / "debs", CACHE / "tools"
    debs.mkdir(exist_ok=True)
    _run(["apt-get", *apt, "download", *_PACKAGES], debs)
    for deb in debs.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(deb), str(tools)], debs)
    return tools


def _root(tools: Path) -> Path:
    """Give a GOROOT: Debian spreads it over two folders and links them by paths of an installed system."""
    root = tools / "usr/lib/go-1.19"
    for link in root.iterdir():
        if link.is_symlink() and not link.exists():
            target = (
                tools / os.readlink(link).lstrip("/")
                if os.readlink(link).startswith("/")
                else tools / "usr/share/go-1.19" / link.name
            )
            link.unlink()
            link.symlink_to(target)
    return root


def _source(apt: list[str]) -> Path:
    tree = CACHE / "go/src/k8s.io/kubernetes"
    if not tree.exists():
        sources = CACHE / "sources"
        sources.mkdir(exist_ok=True)
        _run(["apt-get", *apt, "source", "--download-only", _SOURCE], sources)
        [description] = sources.glob("*.dsc")
        _run(["dpkg-source", "--no-check", "-x", str(description), str(CACHE / "unpacked")], sources)
        tree.parent.mkdir(parents=True)
        (CACHE / "unpacked").rename(tree)
    return tree


def _generate(tree: Path, environment: dict[str, str]) -> None:
    """Write what upstream's own build generates and the package does not hold: the descriptions of all types."""
    target = tree / "pkg/generated/openapi/zz_generated.openapi.go"
    if target.exists():
        return
    generator = CACHE / "openapi-gen"
    _run(
        ["go", "build", "-o", str(generator), "k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen"],
        tree,
        environment,
    )
    marked = subprocess.run(
        ["grep", "-rl", "--include=*.go", "-e", "+k8s:openapi-gen=true", "pkg", "staging/src/k8s.io"],
        cwd=tree, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    folders = {os.path.dirname(path) for path in marked if "/testdata/" not in path and "/testing" not in path}
    # the vendor tree links to the staged modules, and the build knows them by that path
    packages = ",".join(sorted(f"k8s.io/kubernetes/{folder.replace('staging/src/', 'vendor/')}" for folder in folders))
    header = tree / "hack/boilerplate/boilerplate.generatego.txt"
    if not header.exists():
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text("")
    _run(
        [str(generator), "-O", "zz_generated.openapi", "-h", str(header), "-i", packages,
         "-p", "k8s.io/kubernetes/pkg/generated/openapi", "-r", os.devnull],
        tree, environment,
    )  # fmt: skip


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    print("+", *command[:6], "..." if len(command) > 6 else "", flush=True)
    subprocess.run(["nice", "-n", "10", *command], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    if found() is None:
        CACHE.mkdir(parents=True, exist_ok=True)
        build()
    print(found())
    sys.exit(found() is None)
