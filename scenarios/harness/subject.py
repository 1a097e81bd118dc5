"""The engine that a scenario is about: its API, its command line, and the host's view of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import testinfra
from docker.models.containers import Container

from lab import cgroups, dockercli, images
from lab.engine import Engine
from lab.shell import PATIENCE, LabError, wait_until
from scenarios.harness.facts import ContainerFacts

BUSYBOX = "busybox:latest"
_PREDEFINED = frozenset({"bridge", "host", "none", "podman"})


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The output's lines."""
        return self.out.splitlines()


class Subject:
    """An engine under test, with verbs that read like the scenario."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name = engine.name
        self._charged: set[str] = set()

    @cached_property
    def client(self) -> docker.DockerClient:
        """docker-py, bound to the engine's socket."""
        return docker.DockerClient(base_url=f"unix://{self.engine.socket}", timeout=60 * PATIENCE)

    @cached_property
    def host(self) -> Any:
        """The host, seen through testinfra."""
        return testinfra.get_host("local://")

    def cli(self, *words: str, stdin: str | bytes | None = None) -> Result:
        """Run the real `docker` command line against the engine."""
        return self._finished(self.command(*words), stdin)

    def command(self, *words: str) -> list[str]:
        """The `docker` command line's words, for those who run it themselves."""
        return [*dockercli.words(), "--host", f"unix://{self.engine.socket}", *words]

    def succeed(self, *words: str, stdin: str | bytes | None = None) -> str:
        """Run the command line, which must end with 0; give its output without the last newline."""
        result = self.cli(*words, stdin=stdin)
        assert result.code == 0, f"docker {' '.join(words)} ended with {result.code}: {result.err}"
        return result.out.rstrip("\n")

    def fail(self, *words: str, stdin: str | bytes | None = None) -> Result:
        """Run the command line, which must not end with 0."""
        result = self.cli(*words, stdin=stdin)
        assert result.code != 0, f"docker {' '.join(words)} succeeded: {result.out}"
        return result

    def in_network(self, *words: str) -> Result:
        """Run a program of the host's in the engine's network namespace."""
        enter = [] if self.engine.netns is None else ["nsenter", f"--net={self.engine.netns}", "--"]
        return self._finished([*enter, *words], None)

    def run(self, *command: str, image: str = BUSYBOX, **options: Any) -> str:
        """Run a container to its end by the API and give its output, which must be all well."""
        output: bytes = self.client.containers.run(image, list(command), remove=True, **options)
        return output.decode().rstrip("\n")

    def start(self, *command: str, image: str = BUSYBOX, **options: Any) -> Container:
        """Start a container that stays."""
        return self.client.containers.run(image, list(command), detach=True, **options)

    def sleeper(self, **options: Any) -> Container:
        """Start a container that does nothing until it is told to end."""
        return self.start("sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait", **options)

    def facts(self, container: Container) -> ContainerFacts:
        """What the kernel says about a running container."""
        return ContainerFacts(self.inspect(container)["State"]["Pid"])

    def inspect(self, container: Container) -> dict[str, Any]:
        """`GET /containers/{id}/json`, asked for anew."""
        container.reload()
        attributes: dict[str, Any] = container.attrs
        return attributes

    def exec(self, container: Container, *command: str, **options: Any) -> Result:
        """Run a command in a running container."""
        done = container.exec_run(list(command), demux=True, **options)
        out, err = done.output
        return Result(done.exit_code, (out or b"").decode(), (err or b"").decode())

    def containers(self) -> list[Container]:
        """All containers, running or not; those that go away meanwhile are not among them."""
        found: list[Container] = self.client.containers.list(all=True, ignore_removed=True)
        return found

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        """Wait for something that the engine does on its own."""
        wait_until(condition, seconds, what)

    def load_base_images(self) -> None:
        """Bring busybox into the engine."""
        with open(images.busybox(), "rb") as archive:
            self.client.images.load(archive)

    def sweep(self) -> None:
        """Remove what a scenario left: containers, volumes, networks, images but the base's."""
        self._sweep_containers()
        for volume in self.client.volumes.list():
            volume.remove(force=True)
        for network in self.client.networks.list():
            if network.name not in _PREDEFINED:
                network.remove()
        self._sweep_images()
        if not self.client.images.list(name=BUSYBOX):
            self.load_base_images()

    def _sweep_containers(self) -> None:
        """Remove all; Podman's that share another's namespaces must go before that one."""
        left = self.containers()
        while left:
            refused: list[tuple[Container, docker.errors.APIError]] = []
            for container in left:
                try:
                    container.remove(force=True, v=True)
                except docker.errors.NotFound:
                    continue
                except docker.errors.APIError as error:
                    refused.append((container, error))
            if len(refused) == len(left):
                raise refused[0][1]
            left = [container for container, _error in refused]

    def _sweep_images(self) -> None:
        for image in self.client.images.list(all=True):
            for tag in image.tags:
                if tag.rpartition("/")[2] != BUSYBOX:
                    self.client.images.remove(tag, force=True)
        # What has no name goes with all it is built on: the last of each line is asked to go.
        while unnamed := [one for one in self.client.images.list(all=True) if not one.tags]:
            parents = {one.attrs["Parent"] for one in unnamed}
            for image in unnamed:
                if image.id not in parents:
                    with suppress(docker.errors.ImageNotFound):
                        self.client.images.remove(image.id, force=True)

    @contextmanager
    def daemon_killed(self) -> Iterator[None]:
        """`kill -9` the daemon; it is started again at the end."""
        self.engine.kill()
        try:
            yield
        finally:
            self.engine.start()

    def expect_nothing_left(self) -> None:
        """Wait until what is gone has left the host; each thing left is charged to one scenario.

        Raises AssertionError that names it.
        """
        with suppress(LabError):
            wait_until(lambda: not self.leftovers(), 20, "a clean host")
        found = self.leftovers()
        self._charged |= found
        assert not found, f"left behind: {', '.join(sorted(found))}"

    def leftovers(self) -> set[str]:
        """What containers that are gone left on the host since it was last asked for."""
        found = {f"process {pid}" for pid in filter(_counts, cgroups.processes(self.engine.cgroup))}
        found |= {f"cgroup {name}" for name in self._cgroups()}
        found |= {f"interface {name}" for name in self._interfaces()}
        found |= {f"mount {name}" for name in self._mounts()}
        return found - self._charged

    def _cgroups(self) -> list[str]:
        places = cgroups.places(self.engine.cgroup)
        children = [child for place in places for child in place.iterdir() if child.is_dir()]
        # Podman keeps the one for its helpers, whose processes are looked at, from the first on,
        # and Docker that of its BuildKit.
        return [str(child) for child in children if child.name not in ("conmon", "buildkit")]

    def _interfaces(self) -> list[str]:
        lines = self.in_network("ip", "-o", "link", "show", "type", "veth").lines
        names = [line.split(": ")[1].partition("@")[0] for line in lines]
        return [name for name in names if name != "eth0" and not name.startswith("lad-")]

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        # Where / is not shared, dockerd mounts its root on itself, for as long as it runs.
        return [line for line in lines if f"{self.engine.root}/" in line]

    def _finished(self, words: list[str], stdin: str | bytes | None) -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
        done = subprocess.run(
            words, input=data, capture_output=True, timeout=60 * PATIENCE, env=environment
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def _counts(pid: int) -> bool:
    """Whether a process is a container's: Podman's conmon stays for minutes after an exec."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() != "conmon"
    return False
