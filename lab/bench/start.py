"""`invoke bench.start`: container starts, the command line, and memory, beside Docker.

Both engines have their turns one after the other in one run, so that a noisy moment hits both;
what counts is the ratio of the medians.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import images
from lab.bench.memory import children, parent, pss
from lab.dockercli import any_words as docker_words
from lab.engine import Engine
from lab.lading import Lading
from lab.paths import RESULTS, program
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


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: medians in milliseconds or MiB, and Lading's as a part of Docker's."""

    name: str
    unit: str
    lading: float
    docker: float
    ratio: float
    target: float

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return self.ratio <= self.target


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
    others = len(_daemons())
    with _both() as (lading, docker):
        rows = [
            _api("API, no network", "none", lading, docker, rounds),
            _api("API, bridge", "bridge", lading, docker, rounds),
            _whole("docker run --rm, no network", "none", lading, docker, rounds),
            _whole("docker run --rm, bridge", "bridge", lading, docker, rounds),
            _version(lading, docker, rounds),
            *_memory(lading, docker),
        ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {
        "kernel": os.uname().release,
        "rounds": rounds,
        "others": others,
        "cli": docker_words()[-1],
        "rows": [asdict(row) for row in rows],
    }
    (RESULTS / "bench-start.json").write_text(json.dumps(document, indent=1) + "\n")
    for line in table(rows):
        print(line)
    if others:
        print(f"{others} other engines run here: memory that they share is counted in part only")
    return rows


def table(rows: list[Row]) -> Iterator[str]:
    """The measurements as lines for people."""
    yield f"{'':<28} {'Lading':>9} {'Docker':>9} {'':<4} {'ratio':>6} {'target':>7}"
    for row in rows:
        mark = "✓" if row.reached else "✗"
        yield (
            f"{row.name:<28} {row.lading:>9.1f} {row.docker:>9.1f} {row.unit:<4} "
            f"{row.ratio:>6.3f} {row.target:>7.2f} {mark}"
        )


@contextmanager
def _both() -> Iterator[tuple[Lading, Reference]]:
    lading, docker = Lading("bench"), Reference(name="bench")
    try:
        for engine in (lading, docker):
            engine.up()
            _load(engine)
        yield lading, docker
    finally:
        lading.down()
        docker.down()


def _load(engine: Engine) -> None:
    words = [*_docker(engine), "load", "--quiet", "--input", str(images.busybox())]
    subprocess.run(words, check=True, capture_output=True)


def _daemons() -> list[int]:
    """The daemons of both engines that run on this host."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if any(word.rpartition(b"/")[2] in (b"dockerd", b"ladingd") for word in words[:2]):
                found.append(int(name))
    return found


def _docker(engine: Engine) -> list[str]:
    return [*docker_words(), "--host", f"unix://{engine.socket}"]


def _in_turns(rounds: int, one: Callable[[], object], other: Callable[[], object]) -> list[float]:
    """The medians of two things in milliseconds, done in turns."""
    for warm in (one, other):
        warm()
        warm()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for action, times in ((one, taken[0]), (other, taken[1])):
            begun = time.perf_counter()
            action()
            times.append((time.perf_counter() - begun) * 1000)
    return [statistics.median(times) for times in taken]


def _row(name: str, unit: str, medians: list[float]) -> Row:
    ours, theirs = medians
    return Row(name, unit, ours, theirs, ours / theirs, _TARGETS[name])


def _api(name: str, network: str, lading: Engine, docker: Engine, rounds: int) -> Row:
    ours, theirs = Api(lading.socket), Api(docker.socket)
    medians = _in_turns(rounds, lambda: ours.cycle(network), lambda: theirs.cycle(network))
    ours.close()
    theirs.close()
    return _row(name, "ms", medians)


def _whole(name: str, network: str, lading: Engine, docker: Engine, rounds: int) -> Row:
    def once(engine: Engine) -> None:
        words = [*_docker(engine), "run", "--rm", "--network", network, "busybox", "true"]
        subprocess.run(words, check=True, capture_output=True)

    return _row(name, "ms", _in_turns(rounds, lambda: once(lading), lambda: once(docker)))


def _version(lading: Engine, docker: Engine, rounds: int) -> Row:
    ours = [program("lading"), "--host", f"unix://{lading.socket}", "version"]
    theirs = [*_docker(docker), "version"]

    def once(words: list[str]) -> None:
        subprocess.run(words, check=True, capture_output=True)

    return _row("version", "ms", _in_turns(rounds, lambda: once(ours), lambda: once(theirs)))


def _memory(lading: Lading, docker: Reference) -> Iterator[Row]:
    yield _row("idle memory", "MiB", [pss(_processes(engine)) for engine in (lading, docker)])
    shims: list[float] = []
    for engine in (lading, docker):
        words = [*_docker(engine), "run", "--detach", "busybox", "sleep", "600"]
        container = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        shims.append(pss([parent(_pid(engine, container))]))
        words = [*_docker(engine), "rm", "--force", container]
        subprocess.run(words, check=True, capture_output=True)
    yield _row("shim memory", "MiB", shims)


def _pid(engine: Engine, container: str) -> int:
    words = [*_docker(engine), "inspect", "--format", "{{.State.Pid}}", container]
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
