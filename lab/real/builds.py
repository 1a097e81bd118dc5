"""`invoke build.real`: real applications, built from Dockerfiles, run, and asked for a page.

They are made of what Debian's mirror, PyPI and npm have, on a base image out of Debian's archive,
so that a network is needed, and no image registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import images
from lab.bench.sides import client, load
from lab.engine import Engine
from lab.lading import Lading
from lab.reference import Reference
from lab.shell import LabError, require, wait_until

_PLACE = Path(__file__).parent
_PORT = 8000
_BASE = ("ca-certificates",)
_PATIENCE = 30
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The authorities this host trusts, which may be more than what Debian has."""

PAGES = {
    "c": "c says hello",
    "nginx": "nginx says hello",
    "python": "python says hello as user app",
    "node": "node says hello in production",
}
"""The applications, and what the page of each says."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an application fared: seconds of a first and of a repeated build, the image's bytes."""

    engine: str
    name: str
    cold: float
    cached: float
    size: int

    def line(self) -> str:
        """For people."""
        return (
            f"{self.name:<8} {self.engine:<8} built in {self.cold:6.1f} s, again in "
            f"{self.cached:5.2f} s, {self.size / 1e6:6.1f} MB, answers"
        )


def run(engines: Sequence[str], only: Sequence[str] = ()) -> list[Outcome]:
    """Build, run and ask every application on each engine (`lading`, `docker`), and tell.

    Raises LabError: an engine or application is unknown, a build fails, or one does not answer.
    """
    require("curl")
    for name in only:
        if name not in PAGES:
            raise LabError(f"there is no application {name}: there are {', '.join(PAGES)}")
    base = images.debian("debian", "bookworm", _BASE, {"Cmd": ["bash"]}, {})
    outcomes = []
    for name in engines:
        with _up(name) as engine:
            load(engine, base)
            for application in only or PAGES:
                outcome = _try(engine, application)
                print(outcome.line(), flush=True)
                outcomes.append(outcome)
    return outcomes


@contextmanager
def _up(name: str) -> Iterator[Engine]:
    if name not in ("lading", "docker"):
        raise LabError(f"there is no engine {name}: there are lading and docker")
    engine = Lading("real") if name == "lading" else Reference(name="real")
    try:
        engine.up()
        yield engine
    finally:
        engine.down()


def _try(engine: Engine, name: str) -> Outcome:
    image = f"lading-real-{name}"
    with tempfile.TemporaryDirectory(prefix="lading-real-") as place:
        context = Path(place) / name
        shutil.copytree(_PLACE / name, context, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(_CERTIFICATES, context / _CERTIFICATES.name)
        cold, cached = (_build(engine, image, context) for _ in range(2))
    page = _page(engine, image)
    if page.strip() != PAGES[name]:
        raise LabError(f"{name} on {engine.name} says {page!r}, and not {PAGES[name]!r}")
    size = json.loads(_command(engine, "image", "inspect", image))[0]["Size"]
    return Outcome(engine.name, name, cold, cached, size)


def _build(engine: Engine, image: str, context: Path) -> float:
    """Build, and give the seconds it took. Raises LabError with the end of the output."""
    begun = time.monotonic()
    words = [*client(engine), "build", "--tag", image, str(context)]
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise LabError(f"{image} could not be built by {engine.name}:\n{end}")
    return time.monotonic() - begun


def _page(engine: Engine, image: str) -> str:
    """What the application says when it runs."""
    container = _command(engine, "run", "--detach", "--env", f"PORT={_PORT}", image)
    try:
        networks = json.loads(_command(engine, "inspect", container))[0]["NetworkSettings"]
        address = networks["Networks"]["bridge"]["IPAddress"]
        enter = [] if engine.netns is None else ["nsenter", f"--net={engine.netns}"]
        words = [*enter, "curl", "--silent", "--max-time", "5", f"http://{address}:{_PORT}/"]
        answers: list[str] = []

        def answered() -> bool:
            done = subprocess.run(words, capture_output=True, text=True)
            answers.append(done.stdout)
            return done.returncode == 0

        wait_until(answered, _PATIENCE, f"the page of {image} on {engine.name}")
        return answers[-1]
    finally:
        _command(engine, "rm", "--force", "--volumes", container)


def _command(engine: Engine, *words: str) -> str:
    """Run the command line and give its output. Raises LabError: it fails."""
    done = subprocess.run([*client(engine), *words], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{engine.name}: docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()
