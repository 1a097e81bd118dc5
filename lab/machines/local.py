"""This host as a machine: what it can do without being a machine of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from lab.cells import Cell
from lab.machines.base import Finished, MachineError, Verbs
from lab.machines.channel import Late
from lab.matrix.lanes import host_cell
from lab.paths import PROJECT, program


class LocalMachine(Verbs):
    """This host. Its power is not cut and its cable not pulled: those verbs raise MachineError."""

    def __init__(self, engine: str = "lading", cell: Cell | None = None) -> None:
        self.cell, self._engine = cell or host_cell(), engine

    def run(self, command: str, *, seconds: float = 60, stdin: bytes = b"") -> Finished:
        """Run a command to its end."""
        words = ["/bin/sh", "-c", command]
        try:
            done = subprocess.run(words, input=stdin, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Late(f"`{command}` took more than {seconds:.0f} s") from None
        out, err = (data.decode(errors="replace") for data in (done.stdout, done.stderr))
        return Finished(done.returncode, out, err)

    def copy_to(self, source: Path, target: str) -> None:
        """Copy a file, with its mode."""
        shutil.copy(source, target)

    def copy_from(self, source: str, target: Path) -> None:
        """Copy a file."""
        shutil.copyfile(source, target)

    def _refuse(self, what: str) -> NoReturn:
        raise MachineError(f"this host {what}: use a cell of the driver qemu")

    def crash(self) -> None:
        """Refuse."""
        self._refuse("keeps its power")

    def start(self) -> None:
        """Refuse."""
        self._refuse("runs already")

    def reboot(self) -> None:
        """Refuse."""
        self._refuse("is not booted for a test")

    def freeze(self) -> None:
        """Refuse."""
        self._refuse("does not stop its time")

    def unfreeze(self) -> None:
        """Refuse."""
        self._refuse("does not stop its time")

    def disconnect_network(self) -> None:
        """Refuse."""
        self._refuse("keeps its network")

    def connect_network(self) -> None:
        """Refuse."""
        self._refuse("keeps its network")

    def run_scenario(self, scenario: str, *, seconds: float = 600) -> dict[str, Any]:
        """Run a scenario with an engine of its own; what `pytest --result` writes."""
        with tempfile.TemporaryDirectory(prefix="lading-local-") as directory:
            result = Path(directory) / "result.json"
            words = [
                program("pytest"), f"scenarios/{scenario}", "-p", "no:cacheprovider", "--quiet",
                f"--engine={self._engine}", f"--result={result}",
            ]  # fmt: skip
            done = subprocess.run(
                words, cwd=PROJECT, capture_output=True, text=True, timeout=seconds
            )
            try:
                found: dict[str, Any] = json.loads(result.read_text())
            except (OSError, ValueError):
                raise MachineError(f"{scenario} gave no result: {done.stdout[-400:]}") from None
            return found

    def close(self) -> None:
        """Leave this host as it is."""
