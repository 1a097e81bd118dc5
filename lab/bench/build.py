"""`invoke bench build`: builds beside Docker's classic builder, by the API and by `docker build`.

The context is packed once, so that what is measured by the API is the engine's part alone.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from lab.bench.sides import Row, both, client, daemons, in_turns, report, row
from lab.engine import Engine

_CACHED = 0.3
_COLD = 0.2
_COPY = 0.7
_MTIME = 1704067200


def run(rounds: int) -> list[Row]:
    """Measure, print the table, and save it as results/bench-build.json.

    What is cached has `rounds` rounds, and what is built anew a quarter of them.
    """
    others, few = len(daemons()), max(3, rounds // 4)
    large = {"Dockerfile": _thirty(), **_tree(2_000, 40)}
    many = {"Dockerfile": "FROM busybox\nCOPY files /files\n", **_tree(20_000, 200)}
    runs = {"Dockerfile": _twenty()}
    with both() as (lading, docker):
        sides = (lading, docker)
        rows = [
            _by_api("API, 30 instructions cached", sides, large, rounds, _CACHED, cache=True),
            _by_command("docker build, the same", sides, large, rounds),
            _by_api("API, 20 RUNs, cold", sides, runs, few, _COLD, cache=False),
            _by_api("API, COPY of 20,000 files", sides, many, few, _COPY, cache=False),
        ]
    report("build", rows, rounds, others)
    return rows


def _thirty() -> str:
    """A Dockerfile of thirty instructions, as an application has them."""
    lines = ["FROM busybox", "WORKDIR /app"]
    for number in range(9):
        lines += [
            f"ENV key_{number}=value",
            f"COPY files/{number} /app/part-{number}",
            f"RUN echo {number} > /made-{number}",
        ]
    return "\n".join([*lines, "COPY . /app", ""])


def _twenty() -> str:
    return "\n".join(["FROM busybox", *(f"RUN echo {number} > /{number}" for number in range(20))])


def _tree(files: int, folders: int) -> dict[str, str]:
    """Files of about a kilobyte by name, in as many folders."""
    return {f"files/{number % folders}/{number}": f"{number}\n" * 200 for number in range(files)}


def _pack(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(text), _MTIME
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _build(engine: Engine, context: bytes, cache: bool) -> None:
    """`POST /build`; raises RuntimeError with the engine's words when it fails."""
    query = urlencode({"t": "lading-bench", "rm": 1, "nocache": int(not cache)})
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(engine.socket))
        headers = {"Content-Type": "application/x-tar"}
        connection.request("POST", f"/v1.47/build?{query}", context, headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    last = json.loads(text.splitlines()[-1])
    if answer.status != 200 or "error" in last:
        raise RuntimeError(f"the build by {engine.name} failed: {last}")


def _by_api(
    name: str,
    sides: tuple[Engine, Engine],
    files: Mapping[str, str],
    rounds: int,
    target: float,
    *,
    cache: bool,
) -> Row:
    context = _pack(files)
    ours, theirs = sides
    medians = in_turns(
        rounds,
        lambda: _build(ours, context, cache),
        lambda: _build(theirs, context, cache),
        warm=1,
    )
    return row(name, "ms", medians, target)


def _by_command(
    name: str, sides: tuple[Engine, Engine], files: Mapping[str, str], rounds: int
) -> Row:
    with tempfile.TemporaryDirectory(prefix="lading-bench-") as place:
        for path, text in files.items():
            target = Path(place) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}

        def once(engine: Engine) -> None:
            words = [*client(engine), "build", "--quiet", place]
            subprocess.run(words, check=True, capture_output=True, env=environment)

        ours, theirs = sides
        medians = in_turns(rounds, lambda: once(ours), lambda: once(theirs))
    return row(name, "ms", medians, _CACHED)
