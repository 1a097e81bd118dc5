"""The step at which the container's process comes into being."""

from __future__ import annotations

import os
import socket

from lading.kernel import namespaces
from lading.kernel.errors import Attempt
from lading.kernel.namespaces import CloneFlag, Namespace
from lading.kernel.process import wait_pidfd
from lading.oci.steps.base import Context, Refused, Step

Join = tuple[str, str]
"""The kind of a namespace (OCI's word) and the path to join it by."""


class Clone(Step, frozen=True):
    """Make the process, in new namespaces and in those it joins.

    `joins` are entered by the runtime around the clone, and left again: the process is born in
    them. A user namespace (`user_path`) cannot be left again; a helper joins it and makes the
    process on the runtime's behalf, so that the new namespaces belong to that user namespace.
    """

    flags: int
    joins: tuple[Join, ...] = ()
    user_path: str = ""

    def describe(self) -> str:
        """Name the namespaces."""
        new = [kind.value for kind in Namespace if self.flags & kind.flag]
        text = f"clone a process in new namespaces: {', '.join(new) or 'none'}"
        joined = [*self.joins, ("user", self.user_path)] if self.user_path else self.joins
        if joined:
            text += "; joining " + ", ".join(f"{kind} ({path})" for kind, path in joined)
        return text

    def execute(self, ctx: Context) -> None:
        """Set pid and pidfd of the context; they are 0 and -1 in the new process."""
        if self.user_path:
            self._through_helper(ctx)
            return
        own = _enter(self.joins)
        is_child = False
        flags = self.flags | CloneFlag.PARENT if ctx.sibling else self.flags
        try:
            ctx.pid, ctx.pidfd = namespaces.clone3(flags, cgroup_fd=ctx.cgroup_fd)
            is_child = ctx.pid == 0
        finally:
            if not is_child:
                _leave(own)

    def _through_helper(self, ctx: Context) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper, helper_fd = namespaces.clone3()
        if helper == 0:
            ours.close()
            self._help(ctx, theirs)
            return
        theirs.close()
        try:
            data, descriptors, _, _ = socket.recv_fds(ours, 256, 1)
            wait_pidfd(helper_fd)
        finally:
            ours.close()
            os.close(helper_fd)
        if not descriptors:
            number, _, reason = data.decode().partition(" ")
            raise Refused(reason or "the helper process was killed", int(number or 0))
        os.set_inheritable(descriptors[0], False)  # recv_fds passes no flags on
        ctx.pid, ctx.pidfd = int(data), descriptors[0]

    def _help(self, ctx: Context, report: socket.socket) -> None:
        """Join the namespaces for good, make the process, tell the runtime, and end.

        Returns only in the new process.
        """
        is_new_process = False
        try:
            namespaces.enter(self.user_path, Namespace.USER)
            for kind, path in self.joins:
                namespaces.enter(path, Namespace(kind))
            flags = self.flags | CloneFlag.PARENT
            pid, pidfd = namespaces.clone3(flags, cgroup_fd=ctx.cgroup_fd)
            is_new_process = pid == 0
            if not is_new_process:
                socket.send_fds(report, [str(pid).encode()], [pidfd])
        except OSError as error:
            report.send(f"{error.errno or 0} {error}".encode())
        finally:
            if not is_new_process:
                os._exit(0)
        ctx.pid, ctx.pidfd = 0, -1
        report.close()


_Own = list[tuple[int, Namespace]]


def _enter(joins: tuple[Join, ...]) -> _Own:
    """Enter the namespaces of *joins*; give the way back."""
    own: _Own = []
    try:
        for name, path in joins:
            kind = Namespace(name)
            here = namespaces.path_of("self", kind)
            with Attempt("open namespace", here):
                descriptor = os.open(here, os.O_RDONLY | os.O_CLOEXEC)
            own.append((descriptor, kind))
            namespaces.enter(path, kind)
    except OSError:
        _leave(own)
        raise
    return own


def _leave(own: _Own) -> None:
    for descriptor, kind in reversed(own):
        namespaces.setns(descriptor, kind)
        os.close(descriptor)
