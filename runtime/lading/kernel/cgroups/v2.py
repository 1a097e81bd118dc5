"""Cgroups of version 2: one directory in the unified hierarchy.

Source: kernel documentation, admin-guide/cgroup-v2.
"""

from __future__ import annotations

import errno
import os

from lading.kernel.cgroups import devices_bpf, files, settings, v2_limits, v2_stats, waiting
from lading.kernel.cgroups.base import Cgroup, Hierarchy
from lading.kernel.cgroups.resources import DeviceRule, Resources
from lading.kernel.cgroups.stats import Stats
from lading.kernel.errors import Attempt, KernelError
from lading.kernel.syscalls import check, libc

_PATIENCE = 5.0  # seconds for processes to freeze or to leave: far more than a live kernel needs
_IN_MODIFY = 0x2
_CANNOT_ENABLE = (errno.EBUSY, errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL)


class CgroupV2(Cgroup):
    """A cgroup on a host that has the unified hierarchy only."""

    def __init__(self, path: str, hierarchy: Hierarchy) -> None:
        super().__init__(path, hierarchy)
        if hierarchy.unified is None:
            raise KernelError(errno.ENODEV, "use cgroup v2 for", path)
        self._root = hierarchy.unified
        self._directory = self._root + self.path

    def directories(self) -> dict[str, str]:
        """Give the one directory under the name of each controller, and under ""."""
        names = [*self.hierarchy.controllers, "cgroup", ""]
        return dict.fromkeys(names, self._directory)

    def create(self) -> None:
        """Make the directory and its parents, with all controllers enabled on the way down."""
        made: list[str] = []
        directory = self._root
        try:
            for part in self.path.strip("/").split("/"):
                self._enable(directory)
                directory = f"{directory}/{part}"
                with Attempt("make cgroup", directory):
                    try:
                        os.mkdir(directory)
                    except FileExistsError:
                        continue
                made.append(directory)
        except OSError:
            for path in reversed(made):
                waiting.remove_tree(path, 0, unified=True)
            raise

    def _enable(self, directory: str) -> None:
        """Enable for children every controller that *directory* has; usually all are already.

        A cgroup that holds processes may give no controllers to children (and would give its
        children no processes of their own if it got some of them), so it is left as it is: `apply`
        then warns of the limits. So does it of a controller that cannot be enabled.
        """
        available = set(files.read(directory, "cgroup.controllers").split())
        missing = available - set(files.read(directory, "cgroup.subtree_control").split())
        if not missing:
            return
        is_host_root = not os.path.exists(f"{directory}/cgroup.type")
        if not is_host_root and files.process_ids(directory):
            if directory != self._root:
                return
            self._clear_root()
        for controller in sorted(missing):
            try:
                files.write(directory, "cgroup.subtree_control", f"+{controller}")
            except KernelError as error:
                if error.errno not in _CANNOT_ENABLE:
                    raise

    def _clear_root(self) -> None:
        """Move the root's own processes to /init below it.

        A cgroup that gives controllers to children may hold no processes itself. The host's root
        is exempt, so this happens only when the mount's root is that of a cgroup namespace: Lading
        runs inside a container then, and the processes are those of this container.
        """
        leaf = f"{self._root}/init"
        with Attempt("make cgroup", leaf):
            os.makedirs(leaf, exist_ok=True)
        while pids := files.process_ids(self._root) - {0}:
            for pid in pids:
                try:
                    files.write(leaf, "cgroup.procs", str(pid))
                except KernelError as error:
                    if error.errno != errno.ESRCH:
                        raise

    def apply(self, resources: Resources) -> list[str]:
        """Set limits; values of `unified` last, so that they win."""
        enabled = files.read(self._directory, "cgroup.controllers").split()
        directories = dict.fromkeys([*enabled, "cgroup"], self._directory)
        warnings = settings.write_all(v2_limits.settings(resources), directories)
        if resources.devices:
            warnings += self.apply_devices(list(resources.devices))
        return warnings

    def apply_devices(self, rules: list[DeviceRule]) -> list[str]:
        """Attach the rules as a program, and detach earlier ones."""
        devices_bpf.replace(self._directory, rules)
        return []

    def add(self, pid: int) -> None:
        """Move the process into the cgroup."""
        files.write(self._directory, "cgroup.procs", str(pid))

    def open(self) -> int | None:
        """Open the directory, for clone3 to start a child in it."""
        with Attempt("open cgroup", self._directory):
            return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move the calling process, unless clone3 started it here."""
        if not files.in_unified(self.path):
            files.write(self._directory, "cgroup.procs", "0")

    def freeze(self) -> None:
        """Stop all processes, here and below, and wait for the kernel's event."""
        files.write(self._directory, "cgroup.freeze", "1")
        if not waiting.for_event(self._directory, "frozen", 1, _PATIENCE):
            files.write(self._directory, "cgroup.freeze", "0")
            raise KernelError(errno.EBUSY, "freeze cgroup", self.path)

    def thaw(self) -> None:
        """Let them go on."""
        files.write(self._directory, "cgroup.freeze", "0")

    def frozen(self) -> bool:
        """Tell whether all processes are stopped."""
        events = files.keyed(files.read_if_there(self._directory, "cgroup.events"))
        return events.get("frozen") == 1

    def pids(self, *, recursive: bool = False) -> list[int]:
        """Give the process ids, sorted."""
        return sorted(files.process_ids(self._directory, recursive=recursive))

    def kill(self) -> None:
        """Kill all at once by cgroup.kill; before Linux 5.14 until none is left."""
        if not self.exists() or files.write_if_there(self._directory, "cgroup.kill", "1"):
            return
        while pids := files.process_ids(self._directory, recursive=True):
            waiting.kill_each(pids)
            if not waiting.until_ended(pids, _PATIENCE):
                raise KernelError(errno.EBUSY, "kill all processes of cgroup", self.path)

    def delete(self) -> None:
        """Remove the directory and those below, once the kernel tells that they are empty."""
        waiting.remove_tree(self._directory, _PATIENCE, unified=True)

    def exists(self) -> bool:
        """Tell whether the cgroup is there."""
        return os.path.isdir(self._directory)

    def stats(self) -> Stats:
        """Read all counters."""
        return v2_stats.read(self._directory)

    def oom_kill_count(self) -> int:
        """Give how many processes the kernel killed here for lack of memory."""
        events = files.keyed(files.read_if_there(self._directory, "memory.events"))
        return events.get("oom_kill", 0)

    def watch_oom(self) -> int | None:
        """Watch memory.events with inotify: the kernel marks it modified at each event."""
        path = f"{self._directory}/memory.events"
        if not os.path.exists(path):
            return None
        flags = os.O_CLOEXEC | os.O_NONBLOCK
        watcher: int = check(libc.inotify_init1(flags), "inotify_init1")
        try:
            check(libc.inotify_add_watch(watcher, path.encode(), _IN_MODIFY), "watch", path)
        except OSError:
            os.close(watcher)
            raise
        return watcher
