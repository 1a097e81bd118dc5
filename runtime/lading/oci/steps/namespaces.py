"""Steps that put the process into its namespaces, and set those up."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct

from lading.kernel import namespaces
from lading.kernel.errors import Attempt, KernelError
from lading.kernel.namespaces import CloneFlag, Namespace
from lading.kernel.process import join_session_keyring
from lading.oci.steps.base import Context, Step

IdMap = tuple[tuple[int, int, int], ...]


class JoinMountNamespace(Step, frozen=True):
    """Enter an existing mount namespace."""

    path: str

    def describe(self) -> str:
        """Say which."""
        return f"join the mount namespace of {self.path}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Enter it; its root becomes ours."""
        namespaces.enter(self.path, Namespace.MOUNT)


class EnterContainer(Step, frozen=True):
    """Enter all namespaces of a running container at once, but that for process ids; and its root.

    The root of its mount namespace need not be its own: it is not where the runtime lived in a
    chroot, or could not pivot.
    """

    pid: int
    flags: int

    def describe(self) -> str:
        """Say which kinds."""
        kinds = [kind.value for kind in Namespace if self.flags & kind.flag]
        return (
            f"join the {', '.join(kinds) or 'same'} namespaces and the root of process {self.pid}"
        )

    def execute(self, ctx: Context) -> None:
        """Enter them by the pidfd of PID 1 that the runtime opened.

        A process that has its pid by now has not its pidfd, so this fails then.
        """
        path = f"/proc/{self.pid}/root"
        with Attempt("open", path):
            root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if self.flags:
            namespaces.setns(ctx.target, self.flags)
        with Attempt("enter the root of process", self.pid):
            os.fchdir(root)
            os.chroot(".")
            os.close(root)


class UnshareCgroupNamespace(Step, frozen=True):
    """Make the container's cgroup the root of those it sees."""

    def describe(self) -> str:
        """Say so."""
        return "make a new cgroup namespace, rooted at the container's cgroup"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Unshare it; the process is in its cgroup already."""
        namespaces.unshare(CloneFlag.NEWCGROUP)


class SetTimeOffsets(Step, frozen=True):
    """Make a time namespace with its own clocks, and enter it."""

    offsets: tuple[tuple[str, int, int], ...]

    def describe(self) -> str:
        """Say by how much which clock differs."""
        shifts = [f"{clock} by {secs}.{nanos:09d} s" for clock, secs, nanos in self.offsets]
        return f"make a new time namespace{', shifting ' + ', '.join(shifts) if shifts else ''}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Unshare, set the offsets while nobody is inside, then enter."""
        namespaces.unshare(CloneFlag.NEWTIME)
        if self.offsets:
            path = "/proc/self/timens_offsets"
            lines = "".join(f"{clock} {secs} {nanos}\n" for clock, secs, nanos in self.offsets)
            with Attempt("write", path), open(path, "w", encoding="ascii") as file:
                file.write(lines)
        namespaces.enter("/proc/self/ns/time_for_children", Namespace.TIME)


class WriteIdMaps(Step, frozen=True):
    """Say which ids on the host the ids in the new user namespace are."""

    uids: IdMap
    gids: IdMap

    def describe(self) -> str:
        """Give the maps as "0→100000+65536"."""
        maps = [
            f"{what} {', '.join(f'{inside}→{outside}+{size}' for inside, outside, size in lines)}"
            for what, lines in (("uids", self.uids), ("gids", self.gids))
        ]
        return f"map {' and '.join(maps)}"

    def execute(self, ctx: Context) -> None:
        """Write the maps of the new process."""
        namespaces.write_id_maps(ctx.pid, self.uids, self.gids)


class BecomeNamespaceRoot(Step, frozen=True):
    """Take user and group 0 of the user namespace, which owns what is made in it."""

    def describe(self) -> str:
        """Say so."""
        return "become root of the user namespace"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Change all ids; capabilities stay full, as those of a namespace's creator are."""
        with Attempt("become root of the user namespace"):
            os.setresgid(0, 0, 0)
            os.setgroups([])
            os.setresuid(0, 0, 0)


class JoinKeyring(Step, frozen=True):
    """Get a session keyring, so that no key of the runtime's leaks in."""

    keyring: str

    def describe(self) -> str:
        """Say its name."""
        return f"start a session keyring {self.keyring}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Join it; a kernel without keyrings, or a filter around us, has none to leak."""
        try:
            join_session_keyring(self.keyring)
        except KernelError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise


class SetHostname(Step, frozen=True):
    """Set the host name."""

    hostname: str

    def describe(self) -> str:
        """Say it."""
        return f"set the host name to {self.hostname}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        namespaces.sethostname(self.hostname)


class SetDomainname(Step, frozen=True):
    """Set the NIS domain name."""

    domainname: str

    def describe(self) -> str:
        """Say it."""
        return f"set the domain name to {self.domainname}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        namespaces.setdomainname(self.domainname)


class WriteSysctl(Step, frozen=True):
    """Set a kernel parameter of the container's namespaces."""

    key: str
    value: str

    def describe(self) -> str:
        """Give key and value."""
        return f"set sysctl {self.key} to {self.value}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Write it through the host's /proc, which the container has no hand in.

        The kernel acts on the namespaces of the process that writes.
        """
        path = "/proc/sys/" + sysctl_path(self.key)
        with Attempt(f"set sysctl {self.key} to", self.value):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, self.value.encode())
            finally:
                os.close(descriptor)


_SLASH_FOR_DOT = str.maketrans("./", "/.")


def sysctl_path(key: str) -> str:
    """Turn "net.ipv4.conf.eth0/1.forwarding" or the same with slashes into a path (sysctl(8))."""
    dot, slash = key.find("."), key.find("/")
    dotted = slash == -1 or -1 < dot < slash
    return key.translate(_SLASH_FOR_DOT) if dotted else key


class RaiseLoopback(Step, frozen=True):
    """Bring the loopback interface of a new network namespace up."""

    def describe(self) -> str:
        """Say so."""
        return "bring the loopback interface up"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set IFF_UP by ioctl (netdevice(7))."""
        get_flags, set_flags, up = 0x8913, 0x8914, 0x1
        with (
            Attempt("bring up the interface", "lo"),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket,
        ):
            answer = fcntl.ioctl(any_socket, get_flags, struct.pack("16sH14x", b"lo", 0))
            flags = struct.unpack("16sH14x", answer)[1] | up
            fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", flags))
