"""A machine of the driver qemu: a clone of a golden one, with all its verbs."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from lab.bake.store import TOP, clear_dead, room
from lab.machines.base import Finished, MachineError, Verbs
from lab.machines.channel import Late, put, wake
from lab.machines.golden import (
    TREE,
    Golden,
    environment,
    reason,
    settle,
    share_ignored,
    start_runner,
)
from lab.machines.qemu import launch, new_disk

_RUNNING = TOP / "running"
_RESTORE, _BOOT, _HALT = 60, 600, 180
_NEED = 1 << 30


class QemuMachine(Verbs):
    """A clone of a golden machine; with `state`, one that was kept, from its own disk and state."""

    def __init__(
        self, golden: Golden, *, disk: Path | None = None, state: Path | None = None
    ) -> None:
        self.cell, self.golden = golden.parts.cell, golden
        _RUNNING.mkdir(parents=True, exist_ok=True)
        room(_RUNNING, _NEED)
        clear_dead(_RUNNING, "lading")
        name = f"lading-{os.getpid()}-"
        self.directory = Path(tempfile.mkdtemp(prefix=name, dir=_RUNNING))
        self._warm = bool(golden.engine)
        try:
            new_disk(self.directory / "disk.qcow2", disk or golden.disk)
            hardware = golden.parts.hardware(self.directory, golden.ram)
            self.process = launch(hardware, self.directory, incoming=True)
            self._restore(state or golden.state)
        except BaseException:
            self.close()
            raise

    def _restore(self, state: Path) -> None:
        monitor = self.process.monitor
        try:
            share_ignored(monitor.command)
            monitor.command("migrate-incoming", uri=f"exec:cat {shlex.quote(str(state))}")
            monitor.migration(_RESTORE)
            monitor.command("cont")
            wake(self.process.agent, 30)
        except MachineError as error:
            raise self._failure(error) from None

    @property
    def console(self) -> Path:
        """What the machine wrote on its console since it was cloned."""
        return self.directory / "console.log"

    @property
    def shell_line(self) -> socket.socket:
        """The line of a shell that `open_shell` starts."""
        return self.process.shell

    @property
    def host(self) -> Any:
        """The machine, seen from outside through testinfra."""
        from lab.machines.outside import host

        return host(self)

    def run(self, command: str, *, seconds: float = 60, stdin: bytes = b"") -> Finished:
        """Run a command to its end. Raises MachineError: it took longer, or the machine ended."""
        data = base64.b64encode(stdin).decode()
        found = self._ask("run", seconds + 30, command=command, stdin=data, seconds=seconds)
        if found.get("late"):
            raise Late(f"{self.cell.name}: `{command}` took more than {seconds:.0f} s")
        return Finished(found["code"], found["out"], found["err"])

    def copy_to(self, source: Path, target: str) -> None:
        """Copy a file into the machine, with its mode."""
        put(self.process.agent, source, target)

    def copy_from(self, source: str, target: Path) -> None:
        """Copy a file out of the machine."""
        target.write_bytes(self.process.agent.read(source))

    def crash(self) -> None:
        """Cut the power: memory is lost, and of the disk what was not flushed."""
        self.process.kill()
        self._warm = False

    def start(self) -> None:
        """Boot a machine whose power was cut, from its own disk."""
        if self.process.running:
            raise MachineError(f"{self.cell.name}: the machine runs already")
        ram = self.directory / "ram"
        ram.unlink(missing_ok=True)
        hardware = self.golden.parts.hardware(self.directory, ram)
        self.process = launch(hardware, self.directory)
        try:
            self.process.agent.hello(_BOOT)
            settle(self.process.agent, self.cell)
        except MachineError as error:
            raise self._failure(error) from None

    def reboot(self) -> None:
        """Shut it down in order, and boot it again."""
        self.run("(sleep 0.2; reboot) > /dev/null 2>&1 &")
        if not self.process.wait(_HALT):
            raise MachineError(f"{self.cell.name}: the machine did not shut down in {_HALT} s")
        self.crash()
        self.start()

    def freeze(self) -> None:
        """Stop its time until `unfreeze`."""
        self.process.monitor.command("stop")

    def unfreeze(self) -> None:
        """Let its time go on."""
        self.process.monitor.command("cont")

    def disconnect_network(self) -> None:
        """Pull its network cable."""
        self.process.monitor.command("set_link", name="cable", up=False)

    def connect_network(self) -> None:
        """Put its network cable back."""
        self.process.monitor.command("set_link", name="cable", up=True)

    def run_scenario(self, scenario: str, *, seconds: float = 600) -> dict[str, Any]:
        """Run a scenario on the engine that the machine was saved with.

        Gives what `pytest --result` writes. After a power cut the runner is started again first.
        """
        if not self.golden.engine:
            raise MachineError(f"{self.cell.name}: this machine has no engine to run scenarios on")
        if not self._warm:
            start_runner(self.process.agent, self.golden.parts, self.golden.engine)
            self._warm = True
        found = self._ask("scenario", seconds + 30, scenario=scenario, seconds=seconds)
        if found.get("late"):
            raise Late(f"{self.cell.name}: {scenario} took more than {seconds:.0f} s")
        return found

    def start_engine(self) -> str:
        """Start the machine's engine on what is on its disk, unless it runs; where it answers.

        Raises CommandFailed: it does not start.
        """
        words = f"-m lab.agent.engine {self.golden.engine} {self.cell.engine}"
        return self.succeed(f"{self.in_project} /usr/bin/python3 {words}", seconds=300)

    @property
    def in_project(self) -> str:
        """What comes before a command that runs the project's Python."""
        return f"cd {TREE} && {shlex.join(environment(self.golden.parts))}"

    def open_shell(self, rows: int, columns: int, term: str) -> None:
        """Start a shell in the machine on `shell_line`."""
        self._ask("shell", 30, rows=rows, columns=columns, term=term)

    def save(self, directory: Path) -> None:
        """Stop the machine for good, and keep its disk and state. Raises MachineError."""
        monitor = self.process.monitor
        monitor.command("stop")
        monitor.command("migrate", uri=f"exec:cat > {shlex.quote(str(directory / 'state'))}")
        monitor.migration(120)
        monitor.command("quit")
        self.process.wait(30)
        shutil.move(self.directory / "disk.qcow2", directory / "disk.qcow2")

    def cut(self) -> None:
        """End it at once, from whatever thread; who uses it is told that the machine ended."""
        self.process.cut()

    def close(self) -> None:
        """Throw the machine away, whatever happens in it."""
        if hasattr(self, "process"):
            self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _ask(self, what: str, limit: float, /, **arguments: Any) -> dict[str, Any]:
        try:
            return self.process.agent.ask(what, limit, **arguments)
        except MachineError as error:
            raise self._failure(error) from None

    def _failure(self, error: MachineError) -> MachineError:
        """The same failure with what the console or QEMU says of it."""
        text = reason(error, self.directory, self.process)
        return type(error)(
            f"{self.cell.name}: {text}" if not text.startswith(self.cell.name) else text
        )
