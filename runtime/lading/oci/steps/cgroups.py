"""Steps that make the container's cgroup, limit it, and put processes into it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from lading.errors import InvalidParameter
from lading.kernel import cgroups
from lading.kernel.cgroups import Cgroup
from lading.kernel.errors import KernelError
from lading.oci.spec_linux import LinuxResources
from lading.oci.steps.base import Context, Step


def _cgroup_of(ctx: Context) -> Cgroup:
    if ctx.cgroup is None:
        raise InvalidParameter("the container has no cgroup: the host mounts no cgroup file system")
    return ctx.cgroup


class CreateCgroup(Step, frozen=True):
    """Make the container's cgroup in every hierarchy."""

    path: str

    def describe(self) -> str:
        """Say where."""
        return f"create the cgroup {self.path}"

    def execute(self, ctx: Context) -> None:
        """Make it; its descriptor lets the process start inside."""
        cgroup = _cgroup_of(ctx)
        cgroup.create()
        ctx.cgroup_fd = cgroup.open()

    def undo(self, ctx: Context) -> None:
        """Kill what is left in it, and remove it."""
        cgroup = _cgroup_of(ctx)
        cgroup.kill()
        cgroup.delete()


class ApplyLimits(Step, frozen=True):
    """Set the limits of the cgroup."""

    resources: LinuxResources

    def describe(self) -> str:
        """Name what is limited."""
        given = [
            name
            for name in ("memory", "cpu", "pids", "block_io", "hugepage_limits", "unified")
            if getattr(self.resources, name)
        ]
        if self.resources.devices:
            given.append(f"{len(self.resources.devices)} device rules")
        return f"limit the cgroup: {', '.join(given) or 'nothing'}"

    def execute(self, ctx: Context) -> None:
        """Write them; a limit that the host cannot enforce becomes a warning."""
        ctx.warnings += _cgroup_of(ctx).apply(self.resources)


class EnterCgroup(Step, frozen=True):
    """Move the container's process into its cgroup, by itself."""

    def describe(self) -> str:
        """Say so."""
        return "enter the cgroup"

    def execute(self, ctx: Context) -> None:
        """Enter what clone3 did not put it into already."""
        _cgroup_of(ctx).enter()


class EnterCgroupOf(Step, frozen=True):
    """Move an exec'd process into the cgroup; into that of PID 1 where only that one can be."""

    pid: int

    def describe(self) -> str:
        """Say so."""
        return "enter the container's cgroup"

    def execute(self, ctx: Context) -> None:
        """Enter; a cgroup that hands controllers to children (v2) holds no processes itself."""
        try:
            _cgroup_of(ctx).enter()
        except KernelError as error:
            if error.errno != errno.EBUSY:
                raise
            with open(f"/proc/{self.pid}/cgroup", encoding="utf-8") as file:
                unified = [line for line in file.read().splitlines() if line.startswith("0::")]
            if not unified:
                raise
            cgroups.at(unified[0][3:]).enter()


class AddToCgroup(Step, frozen=True):
    """Move the container's process into its cgroup, from outside."""

    def describe(self) -> str:
        """Say so."""
        return "put the process into the cgroup"

    def execute(self, ctx: Context) -> None:
        """Add it: in a user namespace of its own it may not enter by itself."""
        _cgroup_of(ctx).add(ctx.pid)


def close_cgroup(ctx: Context) -> None:
    """Close the descriptor that clone3 needed."""
    if ctx.cgroup_fd is not None:
        with suppress(OSError):
            os.close(ctx.cgroup_fd)
        ctx.cgroup_fd = None
