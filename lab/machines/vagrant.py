"""Machines that Vagrant makes out of the Vagrantfile, driven over ssh.

They have the verbs of every machine of the lab. Under libvirt a machine is saved once and put
back for every scenario (`save`, `put_back`), so that each finds it as nobody used it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab import box
from lab.bake.roots import PROJECT_AT
from lab.bake.store import TOP, locked
from lab.cells import Cell, cells
from lab.machines import golden as goldens
from lab.machines import libvirt
from lab.machines.accelerator import Accelerator
from lab.machines.base import Finished, MachineError, Verbs
from lab.machines.channel import Gone, Late, wake
from lab.machines.vagrantcli import PROVIDER, UP, VERB, Vagrant, needed
from lab.paths import PROJECT, RUN
from lab.shell import alive

_RUNNING = RUN / "vagrant"
_BOXES = TOP / "vagrant"
"""Where Vagrant keeps the boxes of the machines that this driver makes.

The rest of its home is each machine's own: two at work in the same lose each other's notes.
"""

_IMAGE = "/var/lib/lading-lab/project.erofs"
_SAVED = "lading"
_LOST = 255
"""How ssh ends when it is ssh that failed."""


def missing(cell: Cell) -> str:
    """Why the cell can not be had within minutes, in one sentence; "" when it can."""
    if other_box(cell):
        return ""
    if reason := goldens.missing(cell):
        return reason
    if PROVIDER != "libvirt":
        return (
            f"the lab packs boxes for libvirt only: name one for {PROVIDER} in LADING_BOX, or "
            "leave VAGRANT_DEFAULT_PROVIDER out"
        )
    return ""


def other_box(cell: Cell) -> str:
    """The box that the Vagrantfile is told to use instead of the cell's own."""
    own = os.environ.get(f"LADING_BOX_{cell.name.upper().replace('-', '_')}")
    return own or os.environ.get("LADING_BOX", "")


def _of_its_own(cell: Cell, place: Path, accelerator: Accelerator) -> Vagrant:
    """Vagrant on a machine that nobody else knows, whose files are in `place`."""
    settings = {
        "VAGRANT_HOME": str(place / "home"),
        "VAGRANT_DOTFILE_PATH": str(place / "vagrant"),
        "LADING_PREFIX": _prefix(place),
        "LADING_CONSOLE": str(place / "console.log"),
        "LADING_ACCELERATOR": accelerator.name,
    }
    return Vagrant(cell, settings)


def _prefix(place: Path) -> str:
    return f"lading-{place.name}-"


def _nobody(_machine: VagrantMachine) -> None:
    """Who watches a machine that one thread makes and uses."""


class VagrantMachine(Verbs):
    """A machine of its own, that Vagrant makes and destroys.

    `watch` is given it before it is up, to `cut` it from another thread.
    """

    def __init__(
        self, cell: Cell, engine: str = "", watch: Callable[[VagrantMachine], None] = _nobody
    ) -> None:
        needed()
        if reason := missing(cell):
            raise MachineError(reason)
        self.cell, self.engine = cell, engine
        self.parts = goldens.parts(cell)
        packed = None if other_box(cell) else box.pack(cell)
        _RUNNING.mkdir(parents=True, exist_ok=True)
        self._closing, self._warm = threading.Lock(), False
        self.directory = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=_RUNNING))
        self.vagrant = _of_its_own(cell, self.directory, self.parts.accelerator)
        try:
            watch(self)
            if PROVIDER == "libvirt":
                libvirt.up()
            _clear_dead()
            self._home(packed)
            self.start()
        except BaseException:
            # What stays in spite of this is destroyed by the next that makes a machine.
            with suppress(MachineError):
                self.close()
            raise

    @property
    def console(self) -> Path:
        """What the machine wrote on its console."""
        return self.directory / "console.log"

    @property
    def host(self) -> Any:
        """The machine, seen from outside through testinfra."""
        from lab.machines.outside import host

        return host(self)

    def run(self, command: str, *, seconds: float = 60, stdin: bytes = b"") -> Finished:
        """Run a command as root to its end. Raises Late, or Gone: the machine does not answer."""
        code, out, err = self._ssh(command, seconds, stdin)
        texts = (data.decode(errors="replace") for data in (out, err))
        return Finished(code, *texts)

    def ask(self, what: str, limit: float, /, **arguments: Any) -> dict[str, Any]:
        """Have the agent's code do something in the machine. Raises MachineError."""
        words = shlex.join([*goldens.environment(self.parts), "/usr/bin/python3"])
        request = json.dumps({"do": what, **arguments}).encode()
        code, out, err = self._ssh(f"{words} -m lab.agent.once", limit, request)
        try:
            answer = json.loads(out)
        except ValueError:
            told = err.decode(errors="replace").strip().splitlines() or [f"it ended with {code}"]
            raise MachineError(f"{self.cell.name}: the agent's {what}: {told[-1]}") from None
        if "error" in answer:
            raise MachineError(f"{self.cell.name}: in the machine: {answer['error']}")
        found: dict[str, Any] = answer["ok"]
        return found

    def copy_to(self, source: Path, target: str) -> None:
        """Copy a file into the machine, with its mode."""
        try:
            data, mode = source.read_bytes(), source.stat().st_mode & 0o7777
        except OSError as error:
            raise MachineError(f"{source} can not be read: {error.strerror}") from None
        path = shlex.quote(target)
        done = self.run(f"cat > {path} && chmod {mode:o} {path}", seconds=VERB, stdin=data)
        if done.code:
            raise MachineError(f"{self.cell.name}: {target}: {done.err.strip()}")

    def copy_from(self, source: str, target: Path) -> None:
        """Copy a file out of the machine."""
        code, out, err = self._ssh(f"cat {shlex.quote(source)}", VERB)
        if code:
            raise MachineError(f"{self.cell.name}: {source}: {err.decode().strip()}")
        target.write_bytes(out)

    def crash(self) -> None:
        """Cut the power: what was not flushed to the disk is lost. `start` boots it again."""
        self._hang_up()
        self._warm = False
        if PROVIDER == "libvirt":
            self._virsh("destroy")
        else:
            self.vagrant.run("halt", "--force", self.cell.name)

    def start(self) -> None:
        """Boot it, from its own disk when it has one."""
        self.vagrant.run("up", self.cell.name, f"--provider={PROVIDER}", seconds=UP)
        text = self.vagrant.run("ssh-config", self.cell.name)
        (self.directory / "ssh-config").write_text(text)
        self.run(goldens.booted(self.cell), seconds=VERB)
        self._bring_project()

    def reboot(self) -> None:
        """Shut it down in order, and boot it again."""
        self._hang_up()
        self._warm = False
        self.vagrant.run("halt", self.cell.name)
        self.start()

    def freeze(self) -> None:
        """Stop its time until `unfreeze`."""
        self.vagrant.run("suspend", self.cell.name)

    def unfreeze(self) -> None:
        """Let its time go on."""
        self.vagrant.run("resume", self.cell.name)

    def disconnect_network(self) -> None:
        """Refuse: the cable is what Vagrant drives the machine over."""
        raise MachineError(
            f"{self.cell.name}: Vagrant drives the machine over its cable: use the driver qemu"
        )

    def connect_network(self) -> None:
        """Do nothing: it is connected."""

    def run_scenario(self, scenario: str, *, seconds: float = 600) -> dict[str, Any]:
        """Run a scenario on the machine's engine; what `pytest --result` writes."""
        if not self.engine:
            raise MachineError(f"{self.cell.name}: this machine has no engine to run scenarios on")
        self.warm()
        found = self.ask("scenario", seconds + 60, scenario=scenario, seconds=seconds)
        if found.get("late"):
            raise Late(f"{self.cell.name}: {scenario} took more than {seconds:.0f} s")
        return found

    def warm(self) -> None:
        """Start the engine and the runner of scenarios, unless they are up. Raises MachineError."""
        if not self._warm:
            goldens.start_runner(self, self.parts, self.engine)
            self._warm = True

    def save(self) -> None:
        """Keep the machine as it is now, to be put back. Raises MachineError."""
        self.run("sync")
        self._hang_up()
        self.vagrant.run("snapshot", "save", "--force", self.cell.name, _SAVED)

    def put_back(self) -> None:
        """Have the machine as it was when it was saved, with the time of now."""
        self._hang_up()
        if PROVIDER == "libvirt":
            self._virsh("snapshot-revert", _SAVED, "--running", "--force")
        else:
            self.vagrant.run("snapshot", "restore", "--no-provision", self.cell.name, _SAVED)
        wake(self, 120)

    def close(self) -> None:
        """Throw the machine away, whatever happens in it."""
        with self._closing:
            if not self.directory.exists():
                return
            self._hang_up()
            try:
                _destroy(_of_its_own(self.cell, self.directory, self.parts.accelerator))
            finally:
                libvirt.down()

    def cut(self) -> None:
        """End what is under way, from whatever thread; who waits for it is told that it ended."""
        self.vagrant.work.end()

    def _home(self, packed: box.Box | None) -> None:
        """Make Vagrant's home, with the box in it that was packed last and no older one of it."""
        home = Path(self.vagrant.settings["VAGRANT_HOME"])
        _BOXES.mkdir(parents=True, exist_ok=True)
        home.mkdir()
        (home / "boxes").symlink_to(_BOXES)
        if packed is None:
            return
        place = _BOXES / packed.name.replace("/", "-VAGRANTSLASH-")
        with locked("boxes of Vagrant"):
            for path in place.glob("*.*"):
                if path.name != packed.version:
                    shutil.rmtree(path, ignore_errors=True)
            if not (place / packed.version).exists():
                words = ("add", str(packed.catalog), f"--provider={PROVIDER}")
                self.vagrant.run("box", *words, seconds=UP)

    def _bring_project(self) -> None:
        """Put the project where other machines of the lab have it, as they have it."""
        with open(self.parts.project.files["project"], "rb") as image:
            self.run(f"cat > {_IMAGE}", seconds=VERB, stdin=image.read())
        lines = (
            f"mkdir -p {PROJECT_AT}",
            f"mount -t erofs -o ro,loop {_IMAGE} {PROJECT_AT}",
            # Images of the lab are made of the host's busybox, whose bytes decide their digests.
            f"mount --bind {PROJECT_AT}/bin/busybox /usr/bin/busybox",
        )
        done = self.run(" && ".join(lines))
        if done.code:
            raise MachineError(f"{self.cell.name}: the project can not be used: {done.err.strip()}")

    def _ssh(self, command: str, seconds: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run a line for sh as root. Raises Late or Gone."""
        inner = f"sudo -n -H timeout --signal=KILL {seconds + 5:.0f} sh -c {shlex.quote(command)}"
        words = [*self._ssh_words(), self.cell.name, inner]
        try:
            code, out, err = self.vagrant.work.run(words, seconds, stdin, cwd=PROJECT)
        except subprocess.TimeoutExpired:
            raise Late(f"{self.cell.name}: `{command}` took more than {seconds:.0f} s") from None
        if code < 0 or (code == _LOST and not self._answers()):
            told = err.decode(errors="replace").strip().splitlines() or ["it ended"]
            raise Gone(f"{self.cell.name}: the machine does not answer: {told[-1]}")
        return code, out, err

    def _answers(self) -> bool:
        words = [*self._ssh_words(), self.cell.name, "true"]
        return subprocess.run(words, capture_output=True).returncode == 0

    def _ssh_words(self) -> Sequence[str]:
        """One connection serves all commands: under emulation it takes seconds to make."""
        return [
            *libvirt.enter(), "ssh", "-F", str(self.directory / "ssh-config"),
            "-o", "ControlMaster=auto", "-o", "ControlPersist=yes",
            "-o", f"ControlPath={self.directory}/line", "-o", "ConnectTimeout=20",
            "-o", "ConnectionAttempts=20", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
        ]  # fmt: skip

    def _hang_up(self) -> None:
        if (self.directory / "line").exists():
            words = [*self._ssh_words(), "-O", "exit", self.cell.name]
            subprocess.run(words, capture_output=True)
            (self.directory / "line").unlink(missing_ok=True)

    def _virsh(self, verb: str, *words: str) -> None:
        """A verb of libvirt's that Vagrant has not, or takes longer for. Raises MachineError."""
        domain = f"{_prefix(self.directory)}{self.cell.name}"
        command = [
            *libvirt.enter(),
            "virsh",
            "--quiet",
            "--connect",
            libvirt.uri(),
            verb,
            domain,
            *words,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise MachineError(f"{self.cell.name}: virsh {verb}: {done.stderr.strip()}")


def _destroy(vagrant: Vagrant) -> None:
    """Destroy a machine of this driver, and forget it. Raises MachineError."""
    place = Path(vagrant.settings["VAGRANT_DOTFILE_PATH"]).parent
    if (place / "vagrant").exists():
        vagrant.run("destroy", "--force", vagrant.cell.name)
    shutil.rmtree(place, ignore_errors=True)


def clear_all() -> None:
    """Remove what this driver keeps, and what was left of its machines by who was killed."""
    if PROVIDER == "libvirt" and any(_RUNNING.glob("*-*")):
        libvirt.up()
    _clear_dead()
    shutil.rmtree(_BOXES, ignore_errors=True)
    with suppress(OSError):
        _RUNNING.rmdir()


def _clear_dead() -> None:
    """Destroy what processes that were killed left of their machines."""
    for place in _RUNNING.glob("*-*"):
        with suppress(ValueError, MachineError):
            if not alive(int(place.name.partition("-")[0])):
                _clear(place)


def _clear(place: Path) -> None:
    for name, cell in cells().items():
        if any((place / "vagrant" / "machines" / name).glob("*/id")):
            _destroy(_of_its_own(cell, place, Accelerator("tcg", "emulated")))
    shutil.rmtree(place, ignore_errors=True)
