"""`invoke bench.start`: container starts, the command line, and memory, beside Docker."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab.bench.memory import children, parent, taken
from lab.bench.sides import Row, both, client, daemons, in_turns, report, row
from lab.engine import Engine
from lab.lading import Lading
from lab.paths import program
from lab.reference import Reference

_TARGETS = {
    "API, no network": 0.15,
    "API, bridge": 0.15,
    "docker run --rm, no network": 0.25,
    "docker run --rm, bridge": 0.25,
    "version": 3.0,
    "idle memory": 0.5,
    "shim memory": 0.4,
}


class Api:
    """One kept connection to an engine, as a client library has it."""

    def __init__(self, path: Path) -> None:
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(str(path))

    def call(self, method: str, path: str, body: object = None) -> bytes:
        """One request; raises RuntimeError for an answer of 400 and above."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        self._connection.request(method, f"/v1.47{path}", data, headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {text.decode()}")
        return text

    def cycle(self, network: str) -> None:
        """Create, start, wait for and remove a container that runs `true`."""
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": network}}
        ident = json.loads(self.call("POST", "/containers/create", body))["Id"]
        self.call("POST", f"/containers/{ident}/start")
        self.call("POST", f"/containers/{ident}/wait")
        self.call("DELETE", f"/containers/{ident}")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def run(rounds: int) -> list[Row]:
    """Measure, print the table, and save it as results/bench-start.json."""
    others = len(daemons())
    with both() as (lading, docker):
        rows = [
            _api("API, no network", "none", lading, docker, rounds),
            _api("API, bridge", "bridge", lading, docker, rounds),
            _whole("docker run --rm, no network", "none", lading, docker, rounds),
            _whole("docker run --rm, bridge", "bridge", lading, docker, rounds),
            _version(lading, docker, rounds),
            *_memory(lading, docker),
        ]
    report("start", rows, rounds, others)
    if others:
        print(f"{others} other engines run here: times are longer than on a quiet machine")
    return rows


def _row(name: str, unit: str, medians: list[float]) -> Row:
    return row(name, unit, medians, _TARGETS[name])


def _api(name: str, network: str, lading: Engine, docker: Engine, rounds: int) -> Row:
    ours, theirs = Api(lading.socket), Api(docker.socket)
    medians = in_turns(rounds, lambda: ours.cycle(network), lambda: theirs.cycle(network))
    ours.close()
    theirs.close()
    return _row(name, "ms", medians)


def _whole(name: str, network: str, lading: Engine, docker: Engine, rounds: int) -> Row:
    def once(engine: Engine) -> None:
        words = [*client(engine), "run", "--rm", "--network", network, "busybox", "true"]
        subprocess.run(words, check=True, capture_output=True)

    return _row(name, "ms", in_turns(rounds, lambda: once(lading), lambda: once(docker)))


def _version(lading: Engine, docker: Engine, rounds: int) -> Row:
    ours = [program("lading"), "--host", f"unix://{lading.socket}", "version"]
    theirs = [*client(docker), "version"]

    def once(words: list[str]) -> None:
        subprocess.run(words, check=True, capture_output=True)

    return _row("version", "ms", in_turns(rounds, lambda: once(ours), lambda: once(theirs)))


def _memory(lading: Lading, docker: Reference) -> Iterator[Row]:
    idle = [_processes(engine) for engine in (lading, docker)]
    yield _row("idle memory", "MiB", [taken(pids, pids) for pids in idle])
    shims: list[float] = []
    for engine in (lading, docker):
        words = [*client(engine), "run", "--detach", "busybox", "sleep", "600"]
        container = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        shims.append(taken([parent(_pid(engine, container))], _processes(engine)))
        words = [*client(engine), "rm", "--force", container]
        subprocess.run(words, check=True, capture_output=True)
    yield _row("shim memory", "MiB", shims)


def _pid(engine: Engine, container: str) -> int:
    words = [*client(engine), "inspect", "--format", "{{.State.Pid}}", container]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def _processes(engine: Lading | Reference) -> list[int]:
    """The daemon, its children, and its shims, which have left it."""
    found = {engine.pid, *children(engine.pid)}
    mark = str(engine.run_directory).encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if mark in words and int(name) != os.getpid() and b"docker\0--host" not in words:
            found.add(int(name))
    return sorted(found)
