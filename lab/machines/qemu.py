"""One QEMU process: the same line of words for the machine that is saved and for its clones."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lab.cells import Cell
from lab.machines.base import MachineError
from lab.machines.channel import Channel
from lab.machines.qmp import Monitor

QEMU = "qemu-system-x86_64"
MEMORY = 1024
"""A machine's memory, in MiB."""

OVERHEAD = 320
"""What QEMU takes besides, in MiB: translated code, of which it keeps so much, and itself."""

_TRANSLATED = 256
_DISK = 8 << 30
_CGROUPS: Mapping[str, str] = {
    "v2": "systemd.unified_cgroup_hierarchy=1",
    "hybrid": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0 "
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
    "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 "
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
}
# QEMU dies with the thread that started it. This one ends with the interpreter.
_LAUNCHER = ThreadPoolExecutor(1, thread_name_prefix="lading-qemu")


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine is made of; `accelerator` is kvm or tcg.

    `disk` is its own, `ram` the file its memory is in: shared when it is to be saved, else the
    memory is a private copy of that file, page by page.
    """

    kernel: Path
    initrd: Path
    images: Mapping[str, Path]
    command_line: str
    accelerator: str
    disk: Path
    ram: Path
    shared: bool
    console: Path
    flushes: bool

    def words(self, agent: int, monitor: int, shell: int, *, incoming: bool) -> list[str]:
        """QEMU's command line; the numbers are those of inherited sockets."""
        tcg = f"tcg,thread=multi,tb-size={_TRANSLATED}"
        memory = {
            "qom-type": "memory-backend-file",
            "id": "ram",
            "size": MEMORY << 20,
            "mem-path": str(self.ram),
            "share": self.shared,
        }
        # One plain processor is emulated fastest: twice as fast as two with all that QEMU knows.
        cpu, count = ("Nehalem", "1") if self.accelerator == "tcg" else ("host,migratable=on", "2")
        words = [
            QEMU, "-name", "lading-lab", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-machine", "q35,memory-backend=ram,vmport=off",
            "-accel", tcg if self.accelerator == "tcg" else self.accelerator,
            "-cpu", cpu, "-smp", count, "-m", str(MEMORY),
            "-object", json.dumps(memory),
            "-kernel", str(self.kernel), "-initrd", str(self.initrd), "-append", self.command_line,
            "-chardev", f"file,id=console,path={self.console},append=on",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
            "-device", "virtio-serial-pci,id=serial",
            "-chardev", f"socket,id=agent,fd={agent}",
            "-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=lading.agent",
            "-chardev", f"socket,id=shell,fd={shell}",
            "-device", "virtserialport,bus=serial.0,nr=2,chardev=shell,name=lading.shell",
            "-netdev", "user,id=network,restrict=on",
            "-device", "virtio-net-pci,netdev=network,id=cable,romfile=,mac=52:54:00:12:34:56",
        ]  # fmt: skip
        for role, path in self.images.items():
            words += _disk(role, {"driver": "raw", "file": _file(path)}, read_only=True)
        words += _disk("store", {"driver": "qcow2", "file": _file(self.disk)}, self.flushes)
        return [*words, *(["-incoming", "defer"] if incoming else [])]


def _file(path: Path) -> dict[str, object]:
    return {"driver": "file", "filename": str(path)}


def _disk(
    role: str, block: dict[str, object], flushes: bool = True, *, read_only: bool = False
) -> list[str]:
    node = {
        "node-name": role,
        "read-only": read_only,
        "cache": {"direct": False, "no-flush": not flushes},
        "discard": "unmap",
        **block,
    }
    device = f"virtio-blk-pci,drive={role},serial={role},id=disk-{role}"
    return ["-blockdev", json.dumps(node), "-device", device]


def command_line(cell: Cell, *, first: bool = False) -> str:
    """The kernel's command line: what makes the cell what it is.

    With `first` its store is formatted before it is used.
    """
    words = [
        "console=ttyS0", "loglevel=4", "net.ifnames=0", "panic=-1", "random.trust_cpu=on",
        "mitigations=off",
        "systemd.show_status=no", "systemd.firstboot=off", f"lading.store={cell.store}",
        f"lading.firewall={cell.firewall}",
    ]  # fmt: skip
    if cell.init == "systemd":
        words.append(_CGROUPS[cell.cgroups])
    if cell.lsm == "selinux":
        words.append("security=selinux selinux=1 enforcing=0")
    if not cell.userns:
        words.append("sysctl.kernel.unprivileged_userns_clone=0")
    return " ".join([*words, *(["lading.format"] if first else [])])


@dataclass(slots=True, eq=False)
class Process:
    """A QEMU that runs, and its lines."""

    process: subprocess.Popen[bytes]
    agent: Channel
    monitor: Monitor
    shell: socket.socket
    errors: Path
    _closed: bool = field(default=False)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def cut(self) -> None:
        """End it at once, and leave its lines to the thread that uses them."""
        if self.running:
            self.process.kill()

    def kill(self) -> None:
        """End it at once, with its lines."""
        if self.running:
            self.process.kill()
        self.process.wait()
        if not self._closed:
            self._closed = True
            self.agent.close()
            self.monitor.close()
            self.shell.close()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return not self.running

    def complaint(self) -> str:
        """The last thing that QEMU itself said."""
        with suppress(OSError):
            lines = self.errors.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""


def launch(hardware: Hardware, directory: Path, *, incoming: bool = False) -> Process:
    """Start a QEMU that dies with us. Raises MachineError: there is none, or it does not start."""
    needed()
    pairs = [socket.socketpair() for _ in range(3)]
    theirs = [pair[1].fileno() for pair in pairs]
    errors = directory / "qemu.log"
    words = dies_with_us(*hardware.words(*theirs, incoming=incoming))

    def begin() -> subprocess.Popen[bytes]:
        with open(errors, "ab") as log:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=theirs
            )

    try:
        process = _LAUNCHER.submit(begin).result()
    except OSError as error:
        raise MachineError(f"{QEMU} can not be started: {error.strerror}") from None
    finally:
        for pair in pairs:
            pair[1].close()
    agent, monitor, shell = (pair[0] for pair in pairs)
    return Process(process, Channel(agent), Monitor(monitor), shell, errors)


def dies_with_us(*words: str) -> list[str]:
    """The words that start a program which is killed when this process ends, however it ends.

    It has one pid throughout. Its starter may have ended before the kernel was asked for that: the
    parent is looked at afterwards, so that nothing is started then.
    """
    look = f'[ "$PPID" = {os.getpid()} ] && exec "$@"'
    return ["setpriv", "--pdeathsig=KILL", "--", "sh", "-c", look, "sh", *words]


def needed() -> None:
    """Raise MachineError unless QEMU and what is used beside it are installed."""
    packages = {QEMU: "qemu-system-x86", "qemu-img": "qemu-utils", "setpriv": "util-linux"}
    lacking = [package for name, package in packages.items() if shutil.which(name) is None]
    if lacking:
        raise MachineError(
            f"the driver qemu wants what is not installed: `apt-get install {' '.join(lacking)}`"
        )


@cache
def build() -> str:
    """Names this QEMU: a saved machine can be restored by the same build only."""
    needed()
    done = subprocess.run([QEMU, "--version"], capture_output=True, text=True)
    return done.stdout.splitlines()[0] if done.returncode == 0 else "unknown"


def new_disk(path: Path, backing: Path | None = None) -> None:
    """Make a disk that is empty, or a copy on write of another. Raises MachineError."""
    words: Sequence[str] = [str(path), str(_DISK)]
    if backing is not None:
        words = ["-b", str(backing), "-F", "qcow2", str(path)]
    done = subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *words], capture_output=True, text=True
    )
    if done.returncode:
        raise MachineError(f"the disk {path} could not be made: {done.stderr.strip()}")
