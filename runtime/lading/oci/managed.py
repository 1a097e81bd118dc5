"""A container that exists, found by its state directory: state, signals, limits, deletion."""

from __future__ import annotations

import errno
import os
import select
import signal as signals
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lading.errors import Conflict, LadingError, Unavailable
from lading.kernel import cgroups
from lading.kernel.errors import KernelError
from lading.kernel.process import pidfd_open, pidfd_send_signal
from lading.oci import channel, spec, state
from lading.oci.plan_resources import with_default_devices
from lading.oci.state import CREATED, CREATING, PAUSED, RUNNING, STOPPED, Record, State
from lading.oci.steps.base import StepFailed
from lading.oci.steps.sync import START_FIFO

if TYPE_CHECKING:
    from lading.kernel.cgroups import Cgroup, Stats
    from lading.oci.spec import LinuxResources, Spec

CONFIG_COPY = "config.json"
_KILL_PATIENCE = (
    10.0  # seconds that a killed process gets to end: far more than a live kernel needs
)
_REPORT_SIZE = 1 << 16


class Container:
    """A container that exists: its state directory, its spec, its cgroup, its first process."""

    def __init__(self, directory: Path, record: Record, config: Spec | None = None) -> None:
        self.directory = directory
        self.record = record
        if config is not None:
            self.spec = config

    @classmethod
    def load(cls, state_dir: Path) -> Container:
        """Find a container again by the directory of its state.json. Raises NotFound."""
        return cls(state_dir, state.read(state_dir))

    @property
    def id(self) -> str:
        """Give its id."""
        return self.record.id

    @property
    def pid(self) -> int:
        """Give the host's pid of its first process, which may have ended."""
        return self.record.pid

    @property
    def bundle(self) -> Path:
        """Give its bundle."""
        return Path(self.record.bundle)

    @cached_property
    def spec(self) -> Spec:
        """Read the spec it was created from."""
        own = self.record.own_config
        return spec.load(self.directory if own else self.bundle)

    @cached_property
    def cgroup(self) -> Cgroup | None:
        """Give its cgroup, None where the host mounts none."""
        return cgroups.at(self.record.cgroup) if self.record.cgroup else None

    def status(self) -> str:
        """Tell "creating", "created", "running", "paused" or "stopped", as it is now."""
        if self.record.status == CREATING:
            return CREATING
        if not state.is_alive(self.record):
            return STOPPED
        if self.record.status == CREATED:
            return CREATED
        with suppress(KernelError):
            if self.cgroup is not None and self.cgroup.frozen():
                return PAUSED
        return RUNNING

    def state(self) -> State:
        """Tell the OCI state as it is now."""
        record = self.record
        return State(
            oci_version=record.oci_version,
            id=record.id,
            status=self.status(),
            pid=record.pid,
            bundle=record.bundle,
            annotations=record.annotations,
        )

    def require(self, *statuses: str, to: str) -> None:
        """Raise Conflict unless the container is in one of *statuses*."""
        current = self.status()
        if current not in statuses:
            raise Conflict(f"cannot {to} container {self.id}: it is {current}")

    def mark(self, status: str) -> None:
        """Note *status* on disk."""
        self.record = msgspec.structs.replace(self.record, status=status)
        state.write(self.directory, self.record)

    def start(self) -> None:
        """Let a container created with `exec_fifo` run; returns when it executed its program.

        Raises Conflict when it is not waiting, StepFailed when a last step failed.
        """
        self.require(CREATED, to="start")
        fifo = self.directory / START_FIFO
        # Before the fifo is opened, which lets the process go on and perhaps end.
        pidfd = self._pidfd()
        try:
            reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            os.close(pidfd)
            raise Conflict(f"cannot start container {self.id}: it was started already") from None
        try:
            report = _hear(reader, pidfd)
        finally:
            os.close(reader)
            os.close(pidfd)
        fifo.unlink(missing_ok=True)
        if not report.startswith(b"0"):
            raise Conflict(f"cannot start container {self.id}: it ended before it was started")
        if report[1:]:
            failed = msgspec.json.decode(report[1:], type=channel.Failed)
            raise StepFailed(failed.message, step=failed.step, errno=failed.errno)
        self.started()

    def started(self) -> list[str]:
        """Note that it runs, and run the poststart hooks; a failing one becomes a warning."""
        self.mark(RUNNING)
        return self.run_hooks("poststart")

    def kill(self, signal: int, *, everyone: bool = False) -> None:
        """Signal PID 1, or all processes of the cgroup. Raises Conflict when it is not running."""
        if everyone and self.cgroup is not None:
            self._signal_all(self.cgroup, signal)
            return
        if self.status() == STOPPED:
            raise Conflict(f"container {self.id} is not running")
        self._signal_first(signal)

    def _signal_first(self, signal: int) -> None:
        pidfd = self._pidfd()
        try:
            pidfd_send_signal(pidfd, signal)
        except KernelError as error:
            if error.errno == errno.ESRCH:
                raise Conflict(f"container {self.id} is not running") from error
            raise LadingError(str(error)) from error
        finally:
            os.close(pidfd)

    def _signal_all(self, cgroup: Cgroup, signal: int) -> None:
        if signal == signals.SIGKILL:
            cgroup.kill()
            return
        for pid in cgroup.pids(recursive=True):
            with suppress(KernelError):
                pidfd = pidfd_open(pid)
                try:
                    pidfd_send_signal(pidfd, signal)
                finally:
                    os.close(pidfd)

    def _pidfd(self) -> int:
        """Open the first process; what has its pid by now may be another one."""
        try:
            pidfd = pidfd_open(self.pid)
        except KernelError as error:
            raise Conflict(f"container {self.id} is not running") from error
        if not state.is_alive(self.record):
            os.close(pidfd)
            raise Conflict(f"container {self.id} is not running")
        return pidfd

    def delete(self, *, force: bool = False) -> list[str]:
        """Remove the cgroup and the state, and run the poststop hooks, whose failures it gives.

        A container that was never started is killed; a running one only with *force*. The caller
        reaps the process if it is its child. Raises Conflict while it runs.
        """
        status = self.status()
        if status not in (STOPPED, CREATING, CREATED) and not force:
            raise Conflict(f"cannot delete container {self.id} that is not stopped: {status}")
        if status not in (STOPPED, CREATING):
            self._end()
        if self.cgroup is not None:
            self.cgroup.kill()
            self.cgroup.delete()
        self.record = msgspec.structs.replace(self.record, status=STOPPED)
        warnings = self.run_hooks("poststop")
        self.forget()
        return warnings

    def _end(self) -> None:
        """Kill the first process and wait until it has ended."""
        try:
            pidfd = self._pidfd()
        except Conflict:
            return
        try:
            if self.cgroup is not None:
                self.cgroup.kill()
            with suppress(KernelError):
                pidfd_send_signal(pidfd, signals.SIGKILL)
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            if not poller.poll(_KILL_PATIENCE * 1000):
                raise LadingError(f"container {self.id} does not end, though it was killed")
        finally:
            os.close(pidfd)

    def forget(self) -> None:
        """Remove what creating it put into the state directory."""
        names = [state.STATE_FILE, START_FIFO]
        if self.record.own_config:
            names.append(CONFIG_COPY)
        for name in names:
            (self.directory / name).unlink(missing_ok=True)
        if self.record.made_directory:
            with suppress(OSError):
                self.directory.rmdir()

    def run_hooks(self, point: str) -> list[str]:
        """Run the hooks of "poststart" or "poststop"; gives what failed: nothing ends by it."""
        hooks = self.record.poststart if point == "poststart" else self.record.poststop
        if not hooks:
            return []
        from lading.oci.steps.hooks import run

        state_then = self.state()
        state_then.status = RUNNING if point == "poststart" else STOPPED
        document = state_then.document()
        warnings = []
        for hook in hooks:
            try:
                run(point, [hook], document)
            except LadingError as error:
                warnings.append(error.message)
        return warnings

    def pause(self) -> None:
        """Freeze all processes. Raises Conflict unless it runs."""
        self.require(RUNNING, to="pause")
        self.require_cgroup().freeze()

    def resume(self) -> None:
        """Let them go on. Raises Conflict unless it is paused."""
        self.require(PAUSED, to="resume")
        self.require_cgroup().thaw()

    def update(self, resources: LinuxResources) -> list[str]:
        """Set limits of the cgroup; gives a warning for each that the host lacks."""
        return self.require_cgroup().apply(with_default_devices(resources) or resources)

    def pids(self) -> list[int]:
        """Give the host pids of all processes."""
        return [] if self.cgroup is None else self.cgroup.pids(recursive=True)

    def stats(self) -> Stats:
        """Read the counters of the cgroup."""
        return self.require_cgroup().stats()

    def require_cgroup(self) -> Cgroup:
        """Give the cgroup. Raises Unavailable where there is none."""
        if self.cgroup is None:
            raise Unavailable(
                f"container {self.id} has no cgroup: the host mounts no cgroup file system"
            )
        return self.cgroup


def _hear(reader: int, pidfd: int) -> bytes:
    """Read the start fifo to its end, or until the process is gone."""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    poller.register(pidfd, select.POLLIN)
    heard = b""
    while True:
        ready = [descriptor for descriptor, _ in poller.poll()]
        if reader in ready:
            part = os.read(reader, _REPORT_SIZE)
            if not part:
                return heard
            heard += part
        elif pidfd in ready:
            return heard
