"""Whether KVM works here, which is found by starting a kernel on it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.bake.store import TOP, Baked
from lab.machines.qemu import QEMU, build, dies_with_us

_PATIENCE = 10
_PROOF = "lading: the kernel runs"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What runs machines: `name` is QEMU's, `how` for people."""

    name: str
    how: str


def choose(kernel: Baked, device: Path = Path("/dev/kvm")) -> Accelerator:
    """KVM where a kernel comes up on it, else emulation; the answer is kept until the next boot."""
    if not device.exists():
        return Accelerator("tcg", f"emulated ({device} is not there)")
    note = TOP / "accelerator.json"
    asked = [_BOOT.read_text().strip(), build(), kernel.digests["vmlinux"]]
    try:
        known = json.loads(note.read_text())
        if known["asked"] == asked:
            return _answer(works=known["works"])
    except (OSError, ValueError, KeyError):
        pass
    works = _starts(kernel)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"asked": asked, "works": works}))
    return _answer(works=works)


def _answer(*, works: bool) -> Accelerator:
    if works:
        return Accelerator("kvm", "KVM")
    return Accelerator("tcg", "emulated (a kernel does not start on this host's KVM)")


def _starts(kernel: Baked) -> bool:
    with tempfile.TemporaryDirectory(prefix="lading-kvm-") as directory:
        console = Path(directory) / "console"
        words = [
            QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512",
            "-kernel", str(kernel.files["vmlinux"]), "-initrd", str(kernel.files["initrd"]),
            "-append", "console=ttyS0 panic=-1 lading.probe",
            "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        ]  # fmt: skip
        process = subprocess.Popen(
            dies_with_us(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        return console.exists() and _PROOF in console.read_text(errors="replace")
