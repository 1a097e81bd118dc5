"""`invoke demo`: the main job on this host, by `docker` and by `lading`, layer by layer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lab import images
from lab.dockercli import any_words as docker_words
from lab.http import ping
from lab.paths import program
from lab.shell import LabError, alive, end, wait_until

_ROOT = Path("/var/lib/lading-demo")
_RUN = Path("/run/lading-demo")
_SOCKET = _RUN / "lading.sock"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_NGINX = ("nginx-light", "procps")
_CONFIG = {
    "Cmd": ["nginx", "-g", "daemon off; error_log stderr;"],
    "ExposedPorts": {"80/tcp": {}},
    "StopSignal": "SIGQUIT",
}
_PORT = 8080


def run() -> None:
    """Go through the main job; LabError names the step that did not do what it should."""
    with ExitStack() as stack:
        stack.enter_context(_forwarding_restored())
        daemon = stack.enter_context(_daemon())
        _title("An image with nginx, from Debian's packages, without a registry")
        archive = images.debian("nginx", "bookworm", _NGINX, _CONFIG)
        for path in (archive, images.busybox()):
            print(_docker("load", "--input", str(path)))
        for name, client in (("docker", _docker), ("lading", _lading)):
            _title(f"A web server, by the {name} command")
            _serve(client)
            _title(f"Limits, by the {name} command")
            _limits(client)
        _title("The daemon is killed; containers go on")
        _survive(daemon)
        _title("A bundle made by hand, by lading-oci")
        _bundle()
    print("\nAll of it worked, and nothing is left behind.")


Client = Callable[..., str]


def _docker(*words: str) -> str:
    return _command([*docker_words(), "--host", f"unix://{_SOCKET}", *words], ["docker", *words])


def _lading(*words: str) -> str:
    return _command([program("lading"), "--host", f"unix://{_SOCKET}", *words], ["lading", *words])


def _command(command: list[str], shown: list[str]) -> str:
    print(f"\033[36m$ {' '.join(shown)}\033[0m", flush=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(shown)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def _serve(client: Client) -> None:
    container = client("run", "--detach", "--publish", f"127.0.0.1:{_PORT}:80", "nginx")
    try:
        url = f"http://127.0.0.1:{_PORT}/"
        follow = subprocess.Popen(
            [program("lading"), "--host", f"unix://{_SOCKET}", "logs", "--follow", container],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_until(lambda: "nginx" in _page(url), 20, "nginx's page")
        print(f"$ curl {url}\n{_page(url).splitlines()[3].strip()}")
        _inside_and_outside(client, container)
        _layers(container)
        print(client("stop", container))
        state = json.loads(client("inspect", container))[0]["State"]
        _check(state["ExitCode"] == 0, f"nginx ended with {state['ExitCode']}, not gracefully")
        assert follow.stdout is not None
        log = follow.stdout.read()
        _check("GET / " in log or "curl" in log or not log, "the log does not show the request")
        print("logs --follow showed:", *log.splitlines()[-2:], sep="\n  ")
    finally:
        client("rm", "--force", "--volumes", container)


def _inside_and_outside(client: Client, container: str) -> None:
    inside = client("exec", container, "ps", "-o", "pid,args", "1")
    print(inside)
    pid = json.loads(client("inspect", container))[0]["State"]["Pid"]
    _check("nginx" in inside.splitlines()[1], "nginx is not PID 1 in its container")
    print(f"on the host it is PID {pid}: {Path(f'/proc/{pid}/comm').read_text().strip()}")


def _layers(container: str) -> None:
    """Tell what every layer of the engine did for this container."""
    found = json.loads(_lading("inspect", container))[0]
    pid = found["State"]["Pid"]
    print("  storage: upper directory", found["GraphDriver"]["Data"]["UpperDir"])
    network = found["NetworkSettings"]["Networks"]["bridge"]
    print(f"  network: {network['IPAddress']}/{network['IPPrefixLen']} by {network['Gateway']}")
    for kind in ("pid", "net", "mnt", "ipc", "uts"):
        print(f"  kernel:  {kind} namespace", os.readlink(f"/proc/{pid}/ns/{kind}"))
    print(_lading("explain", container))


def _limits(client: Client) -> None:
    words = ("--memory=100m", "--cpus=0.5", "busybox", "sleep", "60")
    container = client("run", "--detach", *words)
    try:
        config = json.loads(client("inspect", container))[0]
        pid = config["State"]["Pid"]
        limits = config["HostConfig"]
        _check(limits["Memory"] == 100 << 20, "inspect does not show the memory limit")
        _check(limits["NanoCpus"] == 500_000_000, "inspect does not show the CPU limit")
        for controller, names in (
            ("memory", ("memory.limit_in_bytes", "memory.max")),
            ("cpu", ("cpu.cfs_quota_us", "cpu.max")),
        ):
            path = _cgroup_file(pid, controller, names)
            print(f"  {path}: {path.read_text().strip()}")
    finally:
        client("rm", "--force", container)


def _cgroup_file(pid: int, controller: str, names: tuple[str, ...]) -> Path:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        for base in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
            for name in names:
                candidate = base / path.lstrip("/") / name
                if (controller in controllers.split(",") or not controllers) and candidate.exists():
                    return candidate
    raise LabError(f"process {pid} has no {controller} limit in a cgroup")


def _survive(daemon: _Daemon) -> None:
    container = _docker("run", "--detach", "--interactive", "busybox", "cat")
    try:
        pid = int(_docker("inspect", "--format", "{{.State.Pid}}", container))
        daemon.kill()
        _check(alive(pid), "the container died with the daemon")
        print(f"the daemon is gone, process {pid} is not")
        daemon.start()
        print(_docker("ps", "--format", "{{.ID}} {{.Image}} {{.Status}}"))
        print(_docker("exec", container, "echo", "the next daemon talks to it"))
        _docker("kill", container)
    finally:
        _docker("rm", "--force", container)


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
        print(_command([oci, *words], ["lading-oci", *words]))


class _Daemon:
    """The daemon that the demonstration starts, kills and starts again."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [program("ladingd"), f"--root={_ROOT}", f"--run={_RUN}", "--bridge=lading-demo0",
                 "--cgroup-parent=/lading-demo", f"--host=unix://{_SOCKET}"]  # fmt: skip
        _RUN.mkdir(parents=True, exist_ok=True)
        with open(_RUN / "ladingd.log", "ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        self._process = process
        wait_until(lambda: ping(_SOCKET) or process.poll() is not None, 30, "ladingd")
        if process.poll() is not None:
            log_lines = (_RUN / "ladingd.log").read_text().strip().splitlines()
            raise LabError(f"ladingd did not start: {log_lines[-1] if log_lines else 'silently'}")

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            end(self._process.pid, 30)
            self._process.wait()


@contextmanager
def _daemon() -> Iterator[_Daemon]:
    _title("The daemon")
    daemon = _Daemon()
    try:
        daemon.start()
        print(_docker("version", "--format", "{{.Server.Version}}, API {{.Server.APIVersion}}"))
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(_RUN, ignore_errors=True)
        from lab import cgroups

        with suppress(LabError):
            cgroups.remove("lading-demo")


@contextmanager
def _forwarding_restored() -> Iterator[None]:
    """The daemon lets this host forward packets; put that back at the end."""
    before = _FORWARD.read_text()
    try:
        yield
    finally:
        if _FORWARD.read_text() != before:
            _FORWARD.write_text(before)


def _page(url: str) -> str:
    done = subprocess.run(["curl", "-s", "-m", "5", url], capture_output=True, text=True)
    return done.stdout


def _title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m")


def _check(fine: bool, complaint: str) -> None:
    if not fine:
        raise LabError(complaint)
