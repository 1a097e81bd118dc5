"""The libvirt that Vagrant's machines run under: the host's, or one of the lab's own.

Where libvirt answers it is used. Where none runs, as on hosts without systemd, the lab starts a
`libvirtd` in a network and a mount namespace of its own: its bridge, its DHCP server, its state
and its storage are not the host's, and end with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

from lab.bake.store import TOP, locked
from lab.files import held
from lab.machines.base import MachineError
from lab.paths import PROJECT, RUN
from lab.shell import alive, end, wait_until

_RUN = RUN / "libvirt"
_STATE = TOP / "libvirt"
_PID = _RUN / "libvirtd.pid"
_NAMESPACE = _RUN / "namespace"
_MADE = _RUN / "made"
_LOG = _RUN / "libvirtd.log"
_PLACES = {
    "/run/libvirt": _RUN / "run",
    "/etc/libvirt": _RUN / "etc",
    "/var/log/libvirt": _RUN / "log",
    "/var/cache/libvirt": _RUN / "cache",
    "/var/lib/libvirt": _STATE,
}
"""libvirt's directories, and what it has there in its own namespace."""

_DAEMON = 'unix_sock_group = "root"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
_QEMU = """user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""


def up() -> None:
    """Have a libvirt, starting the lab's own where none answers. Raises MachineError."""
    if _hosts_own_answers():
        return
    if os.geteuid():
        raise MachineError(
            "no libvirt answers here: start the host's (`systemctl start libvirtd`), or run this "
            "as root, and the lab brings up one of its own"
        )
    with locked("libvirt"):
        if not _running():
            _stop()
            _start()
        _hold()


def down() -> None:
    """End the lab's own libvirt and remove its state, unless somebody else needs it."""
    if not _RUN.exists():
        return
    with locked("libvirt"):
        _release()
        if _running() and (held(_RUN / "users") or _virsh("list", "--all", "--name").strip()):
            return
        _stop()


def enter() -> list[str]:
    """The words before a command that is to reach libvirt and its machines; none on the host's."""
    if not _running():
        return []
    return ["nsenter", f"--target={_pid()}", "--net", "--mount", f"--wd={PROJECT}", "--"]


def _pid() -> int:
    with suppress(OSError, ValueError):
        return int(_PID.read_text())
    return 0


def _running() -> bool:
    return bool(_pid()) and alive(_pid())


_holding: list[IO[bytes]] = []
"""What tells other processes that this one has or makes a machine: a file with a shared lock."""


def _hold() -> None:
    if not _holding:
        _holding.append(open(_RUN / "users", "ab"))  # noqa: SIM115  open as long as it is held
        fcntl.flock(_holding[0], fcntl.LOCK_SH)


def _release() -> None:
    while _holding:
        _holding.pop().close()


def uri() -> str:
    """Which libvirt Vagrant uses, as virsh(1) names it."""
    return os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system")


def _hosts_own_answers() -> bool:
    command = ["virsh", "--quiet", "--connect", uri(), "uri"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _virsh(*words: str) -> str:
    command = [*enter(), "virsh", "--quiet", "--connect", "qemu:///system", *words]
    return subprocess.run(command, capture_output=True, text=True).stdout


def _start() -> None:
    for place in _PLACES.values():
        place.mkdir(parents=True, exist_ok=True)
    etc = _PLACES["/etc/libvirt"]
    (etc / "libvirtd.conf").write_text(_DAEMON)
    (etc / "qemu.conf").write_text(_QEMU)
    script = [
        "set -e",
        *(f"mount --bind {ours} {place}" for place, ours in _PLACES.items()),
        # Interfaces of this network namespace, and no cgroups: libvirt leaves those alone.
        "mount -t sysfs sysfs /sys",
        "ip link set lo up",
        "exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid",
    ]
    made = [place for place in _PLACES if not Path(place).exists()]
    _MADE.write_text("\n".join(made))
    for mounted_on in made:
        Path(mounted_on).mkdir(parents=True)
    words = ["unshare", "--net", "--mount", "--propagation=private", "--"]
    with open(_LOG, "wb") as log:
        process = subprocess.Popen(
            [*words, "sh", "-c", "\n".join(script)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _PID.write_text(f"{process.pid}\n")
    try:
        wait_until(lambda: _answers_or_ended(process), 30, "an answer of libvirtd")
        _NAMESPACE.write_text(os.readlink(f"/proc/{process.pid}/ns/net"))
    except BaseException:
        end(process.pid)
        _PID.unlink(missing_ok=True)
        raise


def _answers_or_ended(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        lines = _LOG.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise MachineError(f"libvirtd does not start: {lines[-1]}")
    return bool(_virsh("uri"))


def _stop() -> None:
    """End it and what it started, also what is left of one that was killed."""
    if _running():
        for name in _virsh("net-list", "--all", "--name").split():
            # Its DHCP server goes with it.
            _virsh("net-destroy", name)
        end(_pid())
    with suppress(OSError):
        for pid in _inside():
            end(pid, 2)
        # One that another namespace has something mounted on would lose that: only our own.
        for made in _MADE.read_text().split():
            Path(made).rmdir()
    for place in (_RUN, _STATE):
        shutil.rmtree(place, ignore_errors=True)


def _inside() -> list[int]:
    """What runs in the namespace of the lab's own libvirt: nobody else's is there."""
    namespace = _NAMESPACE.read_text()
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.readlink(f"/proc/{name}/ns/net") == namespace:
                found.append(int(name))
    return found
