"""Roots: a Debian release with its own Docker, the agent's service, and Lading's wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from lab.bake import archive, erofs, store
from lab.bake.store import Baked, Recipe, find, keep, locked, workshop
from lab.cells import Cell
from lab.paths import PROJECT
from lab.shell import LabError, require
from lab.trees import mirror

SITE = "/usr/lib/lading/site"
"""Where the wheels are in a root."""

PROJECT_AT = "/opt/lading"
"""Where the project's image is mounted in a machine."""

_VERSION = 3
"""Raised when the way a root is baked changes."""

_NEED = 2 << 30
_PACKAGES = (
    "apparmor", "btrfs-progs", "busybox-static", "ca-certificates", "curl", "docker-registry",
    "docker.io", "e2fsprogs", "iproute2", "iptables", "iputils-ping", "kmod", "libnftables1",
    "libseccomp2", "netbase", "nftables", "procps", "python3", "skopeo", "tini", "udev", "xfsprogs",
)  # fmt: skip
_INITS = {
    "systemd": ("systemd-sysv", "dbus"),
    "sysvinit": ("sysvinit-core", "initscripts"),
}
_OWN_CLIENT = ("trixie", "forky")
"""Releases that have the `docker` command in a package of its own."""

_FOR_SCENARIOS = ("docker>=7.1", "pytest>=8.2", "pytest-testinfra>=10.1")
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
_SPARE = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "containerd.service", "docker-registry.service",
    "docker.service", "docker.socket", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer", "getty@tty1.service", "ldconfig.service", "serial-getty@ttyS0.service",
    "systemd-firstboot.service", "systemd-tmpfiles-clean.timer", "systemd-timesyncd.service",
    "systemd-networkd.service", "xfs_scrub_all.timer", "systemd-pcrphase.service",
)  # fmt: skip
_UNIT = f"""[Unit]
Description=Agent of the lab
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service sysinit.target
Conflicts=shutdown.target
Before=shutdown.target

[Service]
ExecStart=/usr/bin/python3 -B {PROJECT_AT}/tree/lab/agent/agent.py
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Restart=always
KillMode=process
OOMScoreAdjust=-1000
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
"""
_INITTAB = f"""id:2:initdefault:
si::sysinit:/etc/init.d/rcS
~~:S:wait:/sbin/sulogin
l0:0:wait:/etc/init.d/rc 0
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/etc/init.d/rc 6
la:2:respawn:/usr/bin/python3 -B {PROJECT_AT}/tree/lab/agent/agent.py
"""

Tell = Callable[[str], None]


def recipe(cell: Cell) -> Recipe:
    """What the cell's root is made of."""
    name = cell.userland if cell.init == "systemd" else f"{cell.userland}-{cell.init}"
    inputs = {
        "recipe": _VERSION,
        "packages": _packages(cell),
        "wheels": _requirements(),
        "services": [_UNIT, _INITTAB, _MASKED],
    }
    return Recipe("root", name, inputs)


def bake(cell: Cell, tell: Tell = lambda _line: None, *, refresh: bool = False) -> Baked:
    """The cell's root, baked now unless it is there; `tell` hears how it goes. Raises LabError.

    Its file is `root`; its facts are `python`, `packages` and the archive's date, `epoch`.
    """
    made_of = recipe(cell)
    with locked(made_of.title):
        found = None if refresh else find(made_of)
        return found or _bake(cell, made_of, tell)


def _packages(cell: Cell) -> list[str]:
    own = ("docker-cli",) if cell.userland in _OWN_CLIENT else ()
    return sorted((*_PACKAGES, *_INITS[cell.init], *own))


def _requirements() -> list[str]:
    document = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    return sorted((*document["project"]["dependencies"], *_FOR_SCENARIOS))


def _bake(cell: Cell, made_of: Recipe, tell: Tell) -> Baked:
    require("mmdebstrap", "mkfs.erofs", "chroot")
    epoch = archive.release(cell.userland).date
    with workshop(_NEED) as directory:
        root, image = directory / "tree", directory / "root"
        _mmdebstrap(cell, root, epoch, tell)
        python = (root / "usr/bin/python3").readlink().name.removeprefix("python")
        tell(f"wheels for Python {python}")
        _wheels(root, python)
        _services(root, cell.init)
        _steady(root)
        tell("compiling Python")
        compile_all(root, "/usr/lib/python3", f"/usr/lib/python{python}", SITE)
        tell("packing")
        packages = _versions(root)
        erofs.pack(root, image, epoch)
        facts = {"python": python, "packages": packages, "epoch": epoch, "mirror": mirror()}
        return keep(made_of, {"root": image}, facts)


def _mmdebstrap(cell: Cell, target: Path, epoch: int, tell: Tell) -> None:
    command = [
        "mmdebstrap", "--mode=root", "--variant=minbase", "--components=main",
        "--keyring=/usr/share/keyrings",
        '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"',
        f"--include={','.join(_packages(cell))}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _SPARE),
        cell.userland, str(target), mirror(),
    ]  # fmt: skip
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                said.append(line)
                if line.startswith(("E:", "W:", "I:")):
                    tell(line[2:].strip())
        except BaseException:
            # Its mounts in the tree go with it when it is asked to end, not when it is killed.
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        log = store.TOP / "logs" / f"root-{cell.userland}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(said))
        raise LabError(
            f"the root {cell.userland} could not be made by mmdebstrap: {_reason(said)} (see {log})"
        )


def _reason(said: list[str]) -> str:
    """The first error: what apt says of one tells more than that mmdebstrap gave up after it."""
    errors = [line[2:].strip() for line in said if line.startswith("E:")]
    lines = errors or [line.strip() for line in said]
    return lines[0] if lines else "it gave no reason"


def _wheels(root: Path, python: str) -> None:
    platforms = [f"--platform={name}" for name in _PLATFORMS]
    target = root / SITE.lstrip("/")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", f"--target={target}",
        f"--python-version={python}", "--implementation=cp", "--only-binary=:all:",
        *platforms, *_requirements(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0] if errors else "pip gave no reason"
        raise LabError(f"the wheels for Python {python} could not be had: {reason}")
    for name in ("bin", "share"):
        shutil.rmtree(target / name, ignore_errors=True)
    for record in target.glob("*.dist-info/direct_url.json"):
        record.unlink()


def _services(root: Path, init: str) -> None:
    """The agent starts with the machine; what would disturb a scenario does not."""
    if init == "sysvinit":
        (root / "etc/inittab").write_text(_INITTAB)
        for link in root.glob("etc/rc?.d/S*docker*"):
            link.unlink()
        return
    units = root / "etc/systemd/system"
    (units / "lading-agent.service").write_text(_UNIT)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "lading-agent.service").symlink_to("/etc/systemd/system/lading-agent.service")
    for name in _MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    default = units / "default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/lib/systemd/system/multi-user.target")


def _steady(root: Path) -> None:
    """Take out what differs from one bake to the next, and make the places that are mounted on."""
    for pattern in (
        "var/cache/apt",
        "var/lib/apt/lists",
        "var/cache/ldconfig",
        "var/cache/debconf",
    ):
        shutil.rmtree(root / pattern, ignore_errors=True)
    for path in (root / "var/log").rglob("*"):
        if path.is_file():
            path.unlink()
    for path in root.rglob("*.pyc"):
        path.unlink()
    (root / "etc/machine-id").write_text("6c6164696e676c61626d616368696e65\n")
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 machine\n")
    resolv = root / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.write_text("nameserver 10.0.2.3\n")
    (root / "etc/fstab").write_text("")
    for name in (PROJECT_AT, "/usr/lib/modules"):
        (root / name.lstrip("/")).mkdir(parents=True, exist_ok=True)


def compile_all(root: Path, *paths: str) -> None:
    """Compile Python files by the root's own Python, for good: their times are not looked at."""
    command = [
        "chroot", str(root), "/usr/bin/python3", "-m", "compileall", "-q", "-f",
        "--invalidation-mode=unchecked-hash", *paths,
    ]  # fmt: skip
    # Files that are no Python of this version, such as templates, are left as they are.
    subprocess.run(
        command,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONHASHSEED": "0"},
        capture_output=True,
    )


def _versions(root: Path) -> dict[str, str]:
    stanzas = (root / "var/lib/dpkg/status").read_text().split("\n\n")
    found = {}
    for stanza in stanzas:
        name = re.search(r"^Package: (.+)$", stanza, re.MULTILINE)
        version = re.search(r"^Version: (.+)$", stanza, re.MULTILINE)
        if name and version:
            found[name[1]] = version[1]
    return found
