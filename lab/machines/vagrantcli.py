"""Vagrant's command line: how it is called, what it needs here, and what it complains of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.cells import Cell
from lab.machines import libvirt
from lab.machines.base import MachineError
from lab.machines.channel import Gone, Late
from lab.paths import PROJECT

PROVIDER = os.environ.get("VAGRANT_DEFAULT_PROVIDER", "libvirt")
"""What makes the machines; boxes of the lab are for libvirt."""

UP, VERB = 900, 300
"""The seconds that it may take to boot a machine, and to do anything else."""

_SETTINGS = {
    "VAGRANT_CWD": str(PROJECT),
    "VAGRANT_DEFAULT_PROVIDER": PROVIDER,
    "VAGRANT_CHECKPOINT_DISABLE": "yes",
    "VAGRANT_NO_COLOR": "yes",
}


def needed() -> None:
    """Raise MachineError unless Vagrant and what it needs here are installed."""
    programs = {"vagrant": "vagrant", "ssh": "openssh-client", "setpriv": "util-linux"}
    if PROVIDER == "libvirt":
        programs |= {
            "virsh": "libvirt-clients",
            "qemu-system-x86_64": "qemu-system-x86",
            "dnsmasq": "dnsmasq-base",
        }
        if os.environ.get("LIBVIRT_DEFAULT_URI") is None:
            programs["libvirtd"] = "libvirt-daemon-system"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    lacking = [pack for name, pack in programs.items() if shutil.which(name, path=path) is None]
    if lacking:
        if PROVIDER == "libvirt" and "vagrant" in lacking:
            lacking.insert(1, "vagrant-libvirt")
        raise MachineError(
            f"the driver vagrant wants what is not installed: `apt-get install {' '.join(lacking)}`"
        )


class Work:
    """Programs under way, which another thread may end at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._over = False

    def run(
        self, words: Sequence[str], seconds: float, stdin: bytes = b"", **options: Any
    ) -> tuple[int, bytes, bytes]:
        """Run a program to its end: its code, output and complaint.

        Raises subprocess.TimeoutExpired, or Gone: all was ended.
        """
        pipe = subprocess.PIPE
        with self._lock:
            if self._over:
                raise Gone("the lab is closing")
            process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, **options)
            self._processes.add(process)
        with process:
            try:
                out, err = process.communicate(stdin, seconds)
            except BaseException:
                process.kill()
                raise
            finally:
                self._processes.discard(process)
        return process.returncode, out, err

    def end(self) -> None:
        """End all that is under way, and let nothing more begin."""
        with self._lock:
            self._over = True
            for process in self._processes:
                process.kill()


@dataclass(frozen=True, slots=True)
class Vagrant:
    """Vagrant on one cell's machine; `settings` are what it finds in its environment besides."""

    cell: Cell
    settings: Mapping[str, str]
    work: Work = field(default_factory=Work)

    def run(self, verb: str, *words: str, seconds: float = VERB) -> str:
        """Run a verb such as `up`; its output.

        Raises MachineError with the first sentence of Vagrant's complaint, or Late.
        """
        # One that outlived the lab would keep its machine from being destroyed by the next.
        command = ["setpriv", "--pdeathsig=KILL", "--", *libvirt.enter(), "vagrant", verb, *words]
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        environment = {**os.environ, "PATH": path, **_SETTINGS, **self.settings}
        try:
            code, out, err = self.work.run(command, seconds, env=environment, cwd=PROJECT)
        except subprocess.TimeoutExpired:
            raise Late(f"`vagrant {verb}` took more than {seconds:.0f} s") from None
        if code < 0:
            raise Gone(f"vagrant {verb} was ended")
        if code:
            raise MachineError(
                f"vagrant {verb}: {complaint((err or out).decode(errors='replace'))}"
            )
        return out.decode(errors="replace")


def complaint(text: str) -> str:
    """The first sentence of what Vagrant wrote when it failed; it wraps and explains at length."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", plain.strip())]
    first = next((part for part in paragraphs if part), "it gave no reason")
    # What libvirt said comes after Vagrant's own introduction.
    if first.endswith(":") and len(paragraphs) > 1:
        first = f"{first} {paragraphs[1]}"
    return re.split(r"(?<=[a-z'\"])\.\s", first, maxsplit=1)[0].removesuffix(".")
