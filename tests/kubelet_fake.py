"""A kubelet that runs the container of every pod as a process of this machine, so that outputs and exit codes are real.

It does what the node of a cluster does with what a manifest says: variables from Secrets, `$(NAME)` in commands, Secrets as files,
the working folder, the deadline of the pod, the grace when it is deleted. The image is this machine, and a claim the path that it is
mounted at; only the folder of the attempt's Secret is another one, which is put into the command in its place.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
from pathlib import Path

from kubernetes_fake import FakeApi, Object
from pool.conftest import marked

_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_IMAGE = ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR")
_POD = "FAKE_KUBELET_POD"


class Kubelet:
    """Runs the pods of a fake API server."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        api.on_pod = self._begin
        api.on_pod_deleted = self._deleted

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in self._processes:
            _kill(name)

    def _begin(self, pod: Object) -> None:
        self._spawn(self._run(pod))

    def _deleted(self, pod: Object) -> None:
        self._spawn(self._end_deleted(pod))

    def _spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]  # a coroutine
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        [container] = pod["spec"]["containers"]
        while (missing := self._missing_secret(container)) is not None:
            self._api.state(
                pod, waiting={"reason": "CreateContainerConfigError", "message": f'secret "{missing}" not found'}
            )
            await asyncio.sleep(0.02)
        variables = self._variables(container)
        files = self._files(pod, container)
        words = [self._expanded(word, variables) for word in container.get("command", []) + container.get("args", [])]
        for path, local in files.items():
            words = [word.replace(path, local) for word in words]
        image = {key: os.environ[key] for key in _IMAGE if key in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=container.get("workingDir"),
                env=image | variables | {_POD: name},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            message = f'failed to create containerd task: exec: "{words[0]}": {error.strerror}'
            self._api.state(pod, terminated={"exitCode": 128, "reason": "StartError", "message": message})
            return
        self._processes[name] = process
        self._api.state(pod, running={"startedAt": "2026-01-01T00:00:00Z"})
        await self._see_through(pod, process)

    async def _see_through(self, pod: Object, process: asyncio.subprocess.Process) -> None:
        reading = asyncio.create_task(self._read(pod, process))
        self._tasks.add(reading)
        seconds = pod["spec"].get("activeDeadlineSeconds")
        is_late = False
        try:
            async with asyncio.timeout(seconds):
                await _exited(process)
        except TimeoutError:
            is_late = True
            await self._end(pod, process)
        _kill(pod["metadata"]["name"])  # what the process left behind ends with its namespace
        await reading
        code = (
            process.returncode
            if process.returncode is not None and process.returncode >= 0
            else 128 - (process.returncode or 0)
        )
        reason = "Completed" if code == 0 else "Error"
        if is_late:
            terminated = [{"name": "attempt", "state": {"terminated": {"exitCode": code, "reason": reason}}}]
            message = "Pod was active on the node longer than the specified deadline"
            self._api.set_status(
                pod, phase="Failed", reason="DeadlineExceeded", message=message, containerStatuses=terminated
            )
        else:
            self._api.state(pod, terminated={"exitCode": code, "reason": reason})

    async def _read(self, pod: Object, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(65536):
            self._api.print(pod, data)

    async def _end(self, pod: Object, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                async with asyncio.timeout(pod["spec"].get("terminationGracePeriodSeconds", 30)):
                    await _exited(process)
            except TimeoutError:
                _kill(pod["metadata"]["name"])
                await _exited(process)

    async def _end_deleted(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        process = self._processes.get(name)
        if process is not None:
            await self._end(pod, process)
            _kill(name)
            while "terminated" not in pod["status"]["containerStatuses"][0]["state"]:
                await asyncio.sleep(0.005)
        self._api.remove("pods", name)

    def _missing_secret(self, container: Object) -> str | None:
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                name = variable["valueFrom"]["secretKeyRef"]["name"]
                if name not in self._api.objects["secrets"]:
                    return str(name)
        return None

    def _variables(self, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for variable in container.get("env", []):
            if "value" in variable:
                found[variable["name"]] = self._expanded(variable["value"], found)
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self._api.secret_values(reference["name"])[reference["key"]]
        return found

    def _files(self, pod: Object, container: Object) -> dict[str, str]:
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        found = {}
        for mount in container.get("volumeMounts", []):
            secret = volumes[mount["name"]].get("secret")
            if secret is not None:
                local = self._folder / pod["metadata"]["name"]
                local.mkdir(parents=True, exist_ok=True)
                data = self._api.objects["secrets"][secret["secretName"]]["data"]
                for item in secret["items"]:
                    (local / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
                found[mount["mountPath"]] = str(local)
        return found

    @staticmethod
    def _expanded(text: str, variables: dict[str, str]) -> str:
        """Replace references as a kubelet does: `$$` is a `$`, and what is unknown stays as it is."""

        def replaced(match: re.Match[str]) -> str:
            return "$" if match[0] == "$$" else variables.get(match[1], match[0])

        return _REFERENCE.sub(replaced, text)


async def _exited(process: asyncio.subprocess.Process) -> None:
    """Wait for the process alone: asyncio's own way may wait for whoever else holds its output."""
    while process.returncode is None:
        await asyncio.sleep(0.005)


def _kill(pod: str) -> None:
    for pid in marked(f"{_POD}={pod}"):
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.kill(pid, signal.SIGKILL)
