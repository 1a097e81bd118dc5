"""Running a further process in a container: in its namespaces, root, cgroup, and confinement."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.errors import Conflict
from lading.kernel.errors import KernelError
from lading.kernel.process import pidfd_open
from lading.oci import state
from lading.oci.channel import Failed, Starting
from lading.oci.creation import CACHE_NAME
from lading.oci.launch import Launch
from lading.oci.plan_exec import foreign_namespaces, plan_exec
from lading.oci.state import PAUSED, RUNNING
from lading.oci.steps.base import Context, StepFailed, Timing

if TYPE_CHECKING:
    from lading.oci.creation import Stdio
    from lading.oci.managed import Container
    from lading.oci.spec import Process


@dataclass(frozen=True, slots=True)
class Executed:
    """A further process in the container, a child of the caller, at its execve(2).

    `terminal` is the master side of its terminal, or None; the caller closes it and the pidfd.
    """

    pid: int
    pidfd: int
    terminal: int | None
    launch: Launch

    def timings(self) -> tuple[Timing, ...]:
        """Give what each step took, in order."""
        return self.launch.timings()


def exec_process(
    container: Container,
    process: Process,
    *,
    stdio: Stdio | None = None,
    sibling: bool = False,
    preserve_fds: int = 0,
) -> Executed:
    """Run *process* in all namespaces, the root and the cgroup of *container*.

    As a *sibling* it is the child of the caller's parent, which reaps it.
    Returns when its program is executed (a few ms later); one that the kernel then refuses says
    so on its stderr and exits with 255. Raises Conflict when the container is not running,
    StepFailed for a step before that (errno ENOENT is the shell's 127, EACCES its 126).
    """
    status = container.status()
    if status == PAUSED:
        raise Conflict(f"container {container.id} is paused, resume it first")
    if status != RUNNING:
        raise Conflict(f"container {container.id} is not running")
    target = _open(container)
    try:
        plan = plan_exec(
            process,
            container.spec.linux,
            container_id=container.id,
            pid=container.pid,
            has_cgroup=container.cgroup is not None,
            kinds=foreign_namespaces(container.pid),
            preserve_fds=preserve_fds,
        )
    except BaseException:
        os.close(target)
        raise
    ctx = Context(
        container_id=container.id,
        bundle=container.record.bundle,
        rootfs="/",
        cgroup=container.cgroup,
        state=container.state(),
        cache=str(container.directory.parent / CACHE_NAME),
        directory=str(container.directory),
        stdio=stdio.triple() if stdio is not None else (0, 1, 2),
        sibling=sibling,
    )
    ctx.target = target
    if container.cgroup is not None:
        ctx.cgroup_fd = _cgroup_fd(container)
    launch = Launch(plan, ctx)
    launch.begin()
    return _await_exec(launch)


def _open(container: Container) -> int:
    """Open the first process, for the namespaces to be those of no other."""
    try:
        target = pidfd_open(container.pid)
    except KernelError as error:
        raise Conflict(f"container {container.id} is not running") from error
    if not state.is_alive(container.record):
        os.close(target)
        raise Conflict(f"container {container.id} is not running")
    return target


def _cgroup_fd(container: Container) -> int | None:
    """Open the cgroup for clone3, unless a v2 cgroup has its processes in others below it.

    It takes none itself then; `EnterCgroupOf` finds where to go.
    """
    assert container.cgroup is not None
    if container.cgroup.hierarchy.version == 2 and container.cgroup.pids() == []:
        return None
    return container.cgroup.open()


def _await_exec(launch: Launch) -> Executed:
    link = launch.ctx.link()
    starting = False
    while True:
        message, _ = link.receive()
        match message:
            case Starting():
                launch.report(message.timings)
                starting = True
            case Failed():
                launch.abandon()
                raise StepFailed(message.message, step=message.step, errno=message.errno)
            case _ if starting:
                break
            case _:
                ended = launch.abandon()
                how = f" by signal {ended.signal}" if ended is not None and ended.signal else ""
                text = f"the process was ended{how} while being set up"
                raise StepFailed(text, step=type(launch.plan.clone).__name__)
    link.close()
    ctx = launch.ctx
    terminal = ctx.master if ctx.master >= 0 else None
    return Executed(ctx.pid, ctx.pidfd, terminal, launch)
