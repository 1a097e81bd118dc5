"""`invoke demo`: the main job on this host, by `docker` and by `lading`, layer by layer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab import images
from lab.demodaemon import SOCKET, DemoDaemon
from lab.dockercli import any_words as docker_words
from lab.hoststate import left_behind, snapshot
from lab.paths import program
from lab.shell import LabError, alive, wait_until
from lab.terminal import on_terminal

_NGINX = ("nginx-light", "procps")
_CONFIG = {
    "Cmd": ["nginx", "-g", "daemon off;"],
    "ExposedPorts": {"80/tcp": {}},
    "StopSignal": "SIGQUIT",
}
_LINKS = {"var/log/nginx/access.log": "/dev/stdout", "var/log/nginx/error.log": "/dev/stderr"}
_OURS = ("lading-demo", "setting left", "interface left behind: veth")
_PORT = 8080
_URL = f"http://127.0.0.1:{_PORT}/"


def run() -> None:
    """Go through the main job; LabError names the step that did not do what it should."""
    before = snapshot()
    with ExitStack() as stack:
        daemon = stack.enter_context(_daemon())
        _title("An image with nginx, from Debian's packages, without a registry")
        archive = images.debian("nginx", "bookworm", _NGINX, _CONFIG, _LINKS)
        for path in (archive, images.busybox()):
            _docker.run("load", "--input", str(path))
        for client in (_docker, _lading):
            _title(f"A web server, by the {client.name} command")
            _serve(client)
            _title(f"Limits, by the {client.name} command")
            _limits(client)
        _title("The daemon is killed; containers go on")
        _survive(daemon)
        _title("A bundle made by hand, by lading-oci")
        _bundle()
    # Only what can be the demonstration's: other engines may be busy on this machine.
    traces = [
        trace for trace in left_behind(before, snapshot()) if any(mark in trace for mark in _OURS)
    ]
    _check(not traces, f"this machine is not as it was before: {'; '.join(traces)}")
    print("\nAll of it worked, and this machine is as it was before.")


class Client:
    """A command line, bound to the demonstration's daemon; what it does is shown."""

    def __init__(self, name: str, words: Callable[[], list[str]]) -> None:
        self.name = name
        self._words = words

    def command(self, *words: str) -> list[str]:
        """The words as they are executed."""
        return [*self._words(), "--host", f"unix://{SOCKET}", *words]

    def run(self, *words: str) -> str:
        """Run it, show the command and its output, and give the output. Raises LabError."""
        output = self.ask(*words, shown=True)
        if output:
            print(output)
        return output

    def ask(self, *words: str, shown: bool = False) -> str:
        """Run it and give its output. Raises LabError: it fails."""
        return _command(self.command(*words), [self.name, *words] if shown else None)

    def on_terminal(self, *words: str) -> str:
        """Run it on a terminal. Raises LabError: it fails."""
        _show([self.name, *words])
        code, output = on_terminal(self.command(*words))
        _check(code == 0, f"{self.name} {' '.join(words)} ended with {code}: {output.strip()}")
        print(output.rstrip())
        return output

    def state(self, container: str) -> dict[str, object]:
        """The container's state by inspect."""
        found: dict[str, object] = json.loads(self.ask("inspect", container))[0]["State"]
        return found


_docker = Client("docker", docker_words)
_lading = Client("lading", lambda: [program("lading")])


def _command(command: list[str], shown: list[str] | None) -> str:
    if shown:
        _show(shown)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(shown or command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def _serve(client: Client) -> None:
    container = client.run("run", "--detach", "--publish", f"127.0.0.1:{_PORT}:80", "nginx")
    try:
        wait_until(lambda: "nginx" in _page(), 20, "nginx's page")
        _show(["curl", "--silent", _URL])
        print(next(line for line in _page().splitlines() if "<h1>" in line))
        _inside_and_outside(client, container)
        _layers(container)
        log = _followed(client, container)
        _check('"GET / HTTP/1.1" 200' in log, "the log does not show the request")
        exit_code = client.state(container)["ExitCode"]
        _check(exit_code == 0, f"nginx ended with {exit_code}, not gracefully")
    finally:
        client.run("rm", "--force", "--volumes", container)
    _check(client.ask("ps", "--all", "--quiet") == "", "the container is still listed")


def _followed(client: Client, container: str) -> str:
    """What `logs --follow` shows until the container is stopped."""
    words = ("logs", "--follow", container)
    _show([client.name, *words, "&"])
    with subprocess.Popen(
        client.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as follow:
        client.run("stop", container)
        log, _ = follow.communicate(timeout=30)
    print(log.rstrip())
    return log


def _inside_and_outside(client: Client, container: str) -> None:
    inside = client.on_terminal("exec", "-it", container, "ps", "-o", "pid,args", "1")
    _check("nginx: master" in inside, "nginx is not PID 1 in its container")
    pid = client.state(container)["Pid"]
    print(f"on the host it is PID {pid}: {Path(f'/proc/{pid}/comm').read_text().strip()}")


def _layers(container: str) -> None:
    """Tell what every layer of the engine did for this container."""
    found = json.loads(_lading.ask("inspect", container))[0]
    pid = found["State"]["Pid"]
    print("  storage: upper directory", found["GraphDriver"]["Data"]["UpperDir"])
    network = found["NetworkSettings"]["Networks"]["bridge"]
    print(f"  network: {network['IPAddress']}/{network['IPPrefixLen']} by {network['Gateway']}")
    for kind in ("pid", "net", "mnt", "ipc", "uts"):
        print(f"  kernel:  {kind} namespace", os.readlink(f"/proc/{pid}/ns/{kind}"))
    _lading.run("explain", container)


def _limits(client: Client) -> None:
    words = ("--memory=100m", "--cpus=0.5", "busybox", "sleep", "60")
    container = client.run("run", "--detach", *words)
    try:
        config = json.loads(client.ask("inspect", container))[0]
        limits = config["HostConfig"]
        _check(limits["Memory"] == 100 << 20, "inspect does not show the memory limit")
        _check(limits["NanoCpus"] == 500_000_000, "inspect does not show the CPU limit")
        print(f"inspect: Memory {limits['Memory']}, NanoCpus {limits['NanoCpus']}")
        for controller, names, value in (
            ("memory", ("memory.limit_in_bytes", "memory.max"), str(100 << 20)),
            ("cpu", ("cpu.cfs_quota_us", "cpu.max"), "50000"),
        ):
            path = _cgroup_file(config["State"]["Pid"], controller, names)
            content = path.read_text().strip()
            _check(content.split()[0] == value, f"{path} has {content}, not {value}")
            print(f"{path}: {content}")
    finally:
        client.run("rm", "--force", container)


def _cgroup_file(pid: int, controller: str, names: tuple[str, ...]) -> Path:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        for base in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
            for name in names:
                candidate = base / path.lstrip("/") / name
                if (controller in controllers.split(",") or not controllers) and candidate.exists():
                    return candidate
    raise LabError(f"process {pid} has no {controller} limit in a cgroup")


def _survive(daemon: DemoDaemon) -> None:
    container = _docker.run("run", "--detach", "--interactive", "busybox", "cat")
    try:
        pid = int(_docker.ask("inspect", "--format", "{{.State.Pid}}", container))
        _show(["kill", "-9", str(daemon.pid)])
        daemon.kill()
        _check(alive(pid), "the container died with the daemon")
        print(f"the daemon is gone, the container's process {pid} is not; the next daemon:")
        daemon.start()
        _docker.run("ps", "--format", "{{.ID}} {{.Image}} {{.Status}}")
        said = _docker.run("exec", container, "echo", "the next daemon talks to it")
        _check(said == "the next daemon talks to it", "exec gave something else")
        _docker.run("stop", "-t", "1", container)
    finally:
        _docker.run("rm", "--force", container)


def _bundle() -> None:
    with tempfile.TemporaryDirectory(prefix="lading-demo-", dir="/var/tmp") as name:
        bundle = Path(name)
        (bundle / "rootfs" / "bin").mkdir(parents=True)
        for directory in ("proc", "sys", "dev"):
            (bundle / "rootfs" / directory).mkdir()
        shutil.copy("/bin/busybox", bundle / "rootfs" / "bin" / "busybox")
        oci = program("lading-oci")
        subprocess.run([oci, "spec"], cwd=bundle, check=True, capture_output=True)
        config = bundle / "config.json"
        spec = json.loads(config.read_text())
        spec["process"]["terminal"] = False
        spec["process"]["args"] = ["/bin/busybox", "sh", "-c", "echo I am PID $$ of this bundle"]
        config.write_text(json.dumps(spec))
        words = ["run", "--bundle", str(bundle), f"lading-demo-{os.getpid()}"]
        output = _command([oci, *words], ["lading-oci", *words])
        _check(output == "I am PID 1 of this bundle", f"the bundle said {output!r}")
        print(output)


@contextmanager
def _daemon() -> Iterator[DemoDaemon]:
    _title("The daemon")
    daemon = DemoDaemon()
    try:
        daemon.up()
        _docker.run("version", "--format", "{{.Server.Version}}, API {{.Server.APIVersion}}")
        yield daemon
    finally:
        daemon.down()


def _page() -> str:
    return subprocess.run(["curl", "-s", "-m", "5", _URL], capture_output=True, text=True).stdout


def _show(words: list[str]) -> None:
    print(f"\033[36m$ {' '.join(words)}\033[0m", flush=True)


def _title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m", flush=True)


def _check(fine: bool, complaint: str) -> None:
    if not fine:
        raise LabError(complaint)
