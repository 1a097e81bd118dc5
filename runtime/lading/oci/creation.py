"""Creating a container: its first process, in two phases, and its start."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import Conflict, InvalidParameter, LadingError
from lading.kernel import cgroups, process
from lading.kernel.errors import KernelError
from lading.oci import state
from lading.oci.channel import AwaitHooks, Failed, Ready, Start, Starting, Terminal
from lading.oci.launch import Launch
from lading.oci.managed import CONFIG_COPY, Container
from lading.oci.plan import Plan, cgroup_path, plan
from lading.oci.spec import OCI_VERSION, encode
from lading.oci.state import CREATED, CREATING, RUNNING, Record, State
from lading.oci.steps.base import Context, StepFailed, Timing

if TYPE_CHECKING:
    from lading.kernel.cgroups import Cgroup, Hierarchy
    from lading.oci.spec import Spec

CACHE_NAME = ".seccomp"
"""The cache of compiled filters, beside the state directories of all containers."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """The caller's descriptors that become 0, 1 and 2 of the process; they stay open in the caller.

    Not used when the process asks for a terminal.
    """

    stdin: int
    stdout: int
    stderr: int

    def triple(self) -> tuple[int, int, int]:
        """Give them in order."""
        return self.stdin, self.stdout, self.stderr


@dataclass(frozen=True, slots=True)
class Readiness:
    """The master side of the terminal, for the caller to close, or None: what `ready` tells."""

    terminal: int | None


class Created:
    """A container being created: its process exists, in its namespaces, and is setting itself up.

    `pidfd` and the connection are closed by `close`; neither outlives an exec of the caller's.
    """

    def __init__(self, launch: Launch, container: Container) -> None:
        self._launch = launch
        self._terminal: int | None = None
        self.container = container
        self.warnings = launch.ctx.warnings

    @property
    def pid(self) -> int:
        """Give the host's pid of the first process."""
        return self._launch.ctx.pid

    @property
    def pidfd(self) -> int:
        """Give the descriptor of the first process."""
        return self._launch.ctx.pidfd

    @property
    def plan(self) -> Plan:
        """Give the plan that is being carried out."""
        return self._launch.plan

    def fileno(self) -> int:
        """Give the connection to the process: readable when `ready` has something to do."""
        return self._launch.ctx.link().fileno()

    def ready(self) -> Readiness:
        """Wait until the process waits for the start. Raises StepFailed with all undone."""
        link = self._launch.ctx.link()
        while True:
            message, descriptor = link.receive()
            match message:
                case Terminal():
                    self._terminal = descriptor
                case AwaitHooks():
                    self._run_hooks()
                case Ready():
                    break
                case Failed():
                    self._undo()
                    raise StepFailed(message.message, step=message.step, errno=message.errno)
                case _:
                    raise self._lost()
        self._launch.report(message.timings)
        terminal, self._terminal = self._terminal, None
        return Readiness(terminal)

    def _run_hooks(self) -> None:
        try:
            self._launch.run_hooks()
        except LadingError:
            self._undo()
            raise

    def timings(self) -> tuple[Timing, ...]:
        """Give what each step took that is known by now, in order; takes some 0.2 ms itself."""
        return self._launch.timings()

    def start(self) -> None:
        """Let it run; returns when it executes its program.

        A program that the kernel then refuses is the container's own failure: it says so on its
        stderr and exits with 255. Raises StepFailed, with all undone, for a step before that.
        """
        link = self._launch.ctx.link()
        with suppress(OSError):  # gone already: the next lines tell
            link.send(Start())
        is_starting = False
        while True:
            message, _ = link.receive()
            match message:
                case Starting():
                    self._launch.report(message.timings)
                    self.container.mark(RUNNING)  # which execve(2) takes longer than
                    is_starting = True
                case Failed():
                    self._undo()
                    raise StepFailed(message.message, step=message.step, errno=message.errno)
                case _ if is_starting:
                    break
                case _:
                    raise self._lost()
        link.close()
        self.warnings += self.container.run_hooks("poststart")

    def abort(self) -> None:
        """Kill the process, reap it, and undo the creation."""
        self._undo()

    def close(self) -> None:
        """Close the connection and the pidfd; a started container runs on."""
        self._launch.close()

    def _undo(self) -> process.Exit | None:
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None
        ended = self._launch.abandon()
        self.warnings += self.container.run_hooks("poststop")
        self.container.forget()
        return ended

    def _lost(self) -> StepFailed:
        """Undo, and say how the process ended that did not tell why."""
        killed_for_memory = False
        with suppress(KernelError):
            cgroup = self.container.cgroup
            killed_for_memory = cgroup is not None and cgroup.oom_kill_count() > 0
        ended = self._undo()
        if killed_for_memory:
            text = "container init was OOM-killed (memory limit too low?)"
        elif ended is not None and ended.signal:
            text = f"the container's process was ended by signal {ended.signal} while being set up"
        else:
            text = "the container's process ended while being set up"
        return StepFailed(text, step=type(self._launch.plan.clone).__name__)


def create(
    bundle: Path,
    spec: Spec,
    *,
    container_id: str,
    state_dir: Path,
    stdio: Stdio | None = None,
    sibling: bool = False,
    exec_fifo: bool = False,
    pivot: bool = True,
    preserve_fds: int = 0,
    keep_config: bool = False,
) -> Created:
    """Clone the container's first process; returns when its namespaces (and id maps) exist.

    *state_dir* gets state.json; it may be the bundle itself. Without *stdio* the caller's own
    0, 1 and 2 are passed on. As a *sibling* the process is the child of the caller's parent, which
    reaps it. With *exec_fifo* another process does the `Container.start`; the connection ends at
    `ready` then. *preserve_fds* passes descriptors 3 … 2+N on, too. With
    *keep_config* the spec is copied into *state_dir*, for bundles that change or go away.
    Raises InvalidParameter for a spec that cannot be, Conflict when state_dir has a container,
    StepFailed when a step fails; all that was done is undone then.
    """
    hierarchy = _hierarchy()
    root = os.path.realpath(bundle)
    steps = plan(
        spec,
        container_id=container_id,
        bundle=root,
        hierarchy=hierarchy,
        exec_fifo=exec_fifo,
        pivot=pivot,
        preserve_fds=preserve_fds,
    )
    rootfs = _rootfs(root, spec)
    record = Record(
        id=container_id,
        status=CREATING,
        bundle=root,
        annotations=spec.annotations,
        created=_now(),
        cgroup=cgroup_path(spec, container_id) if hierarchy is not None else "",
        exec_fifo=exec_fifo,
        own_config=keep_config,
    )
    if spec.hooks is not None:
        record.poststart, record.poststop = spec.hooks.poststart, spec.hooks.poststop
    record.made_directory = _make_directory(state_dir)
    container = Container(state_dir, record, spec)
    _claim(container)
    try:
        if keep_config:
            (state_dir / CONFIG_COPY).write_bytes(encode(spec))
        launch = Launch(steps, _context(container, rootfs, hierarchy, stdio, sibling=sibling))
        launch.begin()
    except BaseException:
        container.forget()
        raise
    return _take_note(launch, container)


def _claim(container: Container) -> None:
    """Put the container on record before there is anything of it: then a crash can be mended."""
    try:
        state.claim(container.directory, container.record)
    except FileExistsError:
        message = f"container with given ID already exists: {container.id}"
        raise Conflict(message) from None
    except OSError as error:
        raise LadingError(f"cannot write {container.directory}: {error.strerror}") from error


def _take_note(launch: Launch, container: Container) -> Created:
    """Put the new process on record; without a record it must not live."""
    record = container.record
    record.pid = launch.ctx.pid
    record.status = CREATED
    try:
        record.start_time = process.start_time(record.pid)
        state.write(container.directory, record)
    except OSError as error:
        launch.abandon()
        container.forget()
        raise StepFailed(
            f"cannot write the container's state: {error}",
            step="WriteState",
            errno=error.errno or 0,
        ) from error
    return Created(launch, container)


def _context(
    container: Container,
    rootfs: str,
    hierarchy: Hierarchy | None,
    stdio: Stdio | None,
    *,
    sibling: bool,
) -> Context:
    record = container.record
    cgroup: Cgroup | None = None
    if hierarchy is not None:
        cgroup = cgroups.at(record.cgroup, hierarchy)
        container.cgroup = cgroup
    ctx = Context(
        container_id=record.id,
        bundle=record.bundle,
        rootfs=rootfs,
        cgroup=cgroup,
        state=State(
            oci_version=OCI_VERSION,
            id=record.id,
            status=CREATING,
            bundle=record.bundle,
            annotations=record.annotations,
        ),
        cache=str(container.directory.parent / CACHE_NAME),
        directory=str(container.directory),
        stdio=stdio.triple() if stdio is not None else (0, 1, 2),
        sibling=sibling,
    )
    if hierarchy is None and container.spec.linux is not None and container.spec.linux.resources:
        ctx.warnings.append("The host mounts no cgroup file system. Limits discarded.")
    return ctx


def _hierarchy() -> Hierarchy | None:
    found = cgroups.detect()
    return found if found.mounts or found.unified is not None else None


def _rootfs(bundle: str, spec: Spec) -> str:
    assert spec.root is not None
    path = os.path.realpath(os.path.join(bundle, spec.root.path))
    if not os.path.isdir(path):
        raise InvalidParameter(f"the root file system {path} is not a directory")
    return path


def _make_directory(path: Path) -> bool:
    """Make the state directory; others may pass through it to the start fifo."""
    try:
        path.mkdir(mode=0o711, parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise LadingError(f"cannot make the state directory {path}: {error.strerror}") from error
    return True


def _now() -> str:
    """Give the time in RFC 3339 with nanoseconds, UTC."""
    nanoseconds = time.time_ns()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
    return f"{whole}.{nanoseconds % 10**9:09d}Z"
