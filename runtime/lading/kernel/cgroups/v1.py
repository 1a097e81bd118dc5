"""Cgroups of version 1, one directory in each hierarchy; hybrid: also one in cgroup2.

Where cgroup2 is mounted besides, every process is in the cgroup's directory there, too: it counts
no resources, but tells when the cgroup becomes empty and kills all of it at once.
"""

from __future__ import annotations

import errno
import os

from lading.kernel.cgroups import (
    devices_bpf,
    files,
    settings,
    v1_limits,
    v1_stats,
    v2_limits,
    waiting,
)
from lading.kernel.cgroups.base import Cgroup, Hierarchy
from lading.kernel.cgroups.resources import DeviceRule, Resources
from lading.kernel.cgroups.stats import Stats
from lading.kernel.errors import Attempt, KernelError

_PATIENCE = 5.0  # seconds for processes to freeze or to leave: far more than a live kernel needs


class CgroupV1(Cgroup):
    """A cgroup on a host whose limits are enforced by v1 controllers."""

    def __init__(self, path: str, hierarchy: Hierarchy) -> None:
        super().__init__(path, hierarchy)
        self._v1 = [mount + self.path for mount in hierarchy.mounts]
        self._unified = None if hierarchy.unified is None else hierarchy.unified + self.path
        self._by_controller = {
            name: found.mount_point + self.path
            for name, found in hierarchy.controllers.items()
            if found.version == 1
        }
        if self._unified is not None:
            self._by_controller[""] = self._unified

    def directories(self) -> dict[str, str]:
        """Give the cgroup's directory for each v1 controller; "" is that in cgroup2."""
        return dict(self._by_controller)

    def _all(self) -> list[str]:
        return self._v1 if self._unified is None else [*self._v1, self._unified]

    def _main(self) -> str:
        """Give the directory whose list of processes counts."""
        return self._unified or self._v1[0]

    def create(self) -> None:
        """Make the directories; a new cpuset gets its parent's CPUs, or it could hold nothing."""
        made: list[str] = []
        cpuset = self.hierarchy.controllers.get("cpuset")
        try:
            for mount in (*self.hierarchy.mounts, self.hierarchy.unified):
                if mount is None:
                    continue
                _make(mount, self.path, made)
                if cpuset is not None and cpuset.mount_point == mount:
                    _fill_cpuset(mount, self.path)
        except OSError:
            for directory in reversed(made):
                waiting.remove_tree(directory, 0, unified=False)
            raise

    def apply(self, resources: Resources) -> list[str]:
        """Set limits; huge pages through cgroup2 where hybrid hosts have that controller."""
        if resources.unified:
            keys = ", ".join(resources.unified)
            raise KernelError(errno.EINVAL, "on a cgroup v1 host, set the cgroup v2 values", keys)
        warnings = settings.write_all(v1_limits.settings(resources), self._by_controller)
        if resources.hugepage_limits:
            warnings += self._apply_hugepages(resources)
        if resources.devices:
            warnings += self.apply_devices(list(resources.devices))
        return warnings

    def _apply_hugepages(self, resources: Resources) -> list[str]:
        found = self.hierarchy.controllers.get("hugetlb")
        wanted = list(v2_limits.hugepages(resources.hugepage_limits))
        if found is None:
            return settings.write_all(wanted, {})
        directory = found.mount_point + self.path
        if found.version == 2:
            _enable_along(found.mount_point, self.path, "hugetlb")
        else:
            wanted = [
                settings.Setting(
                    s.controller,
                    s.file.removesuffix(".max") + ".limit_in_bytes",
                    "-1" if s.value == "max" else s.value,
                    s.without,
                )
                for s in wanted
            ]
        return settings.write_all(wanted, {"hugetlb": directory})

    def apply_devices(self, rules: list[DeviceRule]) -> list[str]:
        """Deny all, then write the rules in order; for a moment all devices are denied.

        Without a v1 devices controller the rules become a program on cgroup2.
        """
        directory = self._by_controller.get("devices")
        if directory is None:
            if self._unified is None:
                return [settings.DEVICES]
            devices_bpf.replace(self._unified, rules)
            return []
        files.write(directory, "devices.deny", "a")
        for rule in rules:
            name = "devices.allow" if rule.allow else "devices.deny"
            files.write(directory, name, v1_limits.device_line(rule))
        return []

    def add(self, pid: int) -> None:
        """Move the process into the directory of every hierarchy."""
        text = str(pid)
        for directory in self._all():
            files.write(directory, "cgroup.procs", text)

    def open(self) -> int | None:
        """Open the directory in cgroup2, if there is one."""
        if self._unified is None:
            return None
        with Attempt("open cgroup", self._unified):
            return os.open(self._unified, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move the calling thread: a move of itself is what v1 does without the slow lock."""
        for directory in self._v1:
            files.write(directory, "tasks", "0")
        if self._unified is not None and not files.in_unified(self.path):
            files.write(self._unified, "cgroup.procs", "0")

    def freeze(self) -> None:
        """Freeze by the v1 freezer, or by cgroup2 where only that is there."""
        directory = self._by_controller.get("freezer")
        if directory is None:
            self._freeze_unified(1)
            return
        files.write(directory, "freezer.state", "FROZEN")
        if not waiting.for_text(directory, "freezer.state", "FROZEN", _PATIENCE):
            files.write(directory, "freezer.state", "THAWED")
            raise KernelError(errno.EBUSY, "freeze cgroup", self.path)

    def thaw(self) -> None:
        """Let the processes go on."""
        directory = self._by_controller.get("freezer")
        if directory is None:
            self._freeze_unified(0)
            return
        files.write(directory, "freezer.state", "THAWED")

    def _freeze_unified(self, value: int) -> None:
        if self._unified is None:
            raise KernelError(errno.ENOTSUP, "freeze cgroup", self.path)
        files.write(self._unified, "cgroup.freeze", str(value))
        if not waiting.for_event(self._unified, "frozen", value, _PATIENCE):
            raise KernelError(errno.EBUSY, "freeze cgroup", self.path)

    def frozen(self) -> bool:
        """Tell whether all processes are stopped."""
        directory = self._by_controller.get("freezer")
        if directory is not None:
            return files.read_if_there(directory, "freezer.state") == "FROZEN"
        events = files.read_if_there(self._main(), "cgroup.events")
        return files.keyed(events).get("frozen") == 1

    def pids(self, *, recursive: bool = False) -> list[int]:
        """Give the process ids, sorted."""
        return sorted(files.process_ids(self._main(), recursive=recursive))

    def kill(self) -> None:
        """Kill all processes: at once by cgroup.kill where that is, else until none is left.

        A frozen v1 cgroup is thawed: its processes cannot die frozen.
        """
        main = self._main()
        killed = self._unified is not None and files.write_if_there(main, "cgroup.kill", "1")
        if killed:
            self._thaw_to_die()
            return
        while pids := files.process_ids(main, recursive=True):
            waiting.kill_each(pids)
            self._thaw_to_die()
            if not waiting.until_ended(pids, _PATIENCE):
                raise KernelError(errno.EBUSY, "kill all processes of cgroup", self.path)

    def _thaw_to_die(self) -> None:
        directory = self._by_controller.get("freezer")
        if directory is not None:
            files.write_if_there(directory, "freezer.state", "THAWED")

    def delete(self) -> None:
        """Remove the directories of every hierarchy, cgroup2's last: it tells of emptiness."""
        if self._unified is not None and self._v1 and os.path.isdir(self._unified):
            waiting.for_event(self._unified, "populated", 0, _PATIENCE)
        for directory in self._v1:
            waiting.remove_tree(directory, _PATIENCE, unified=False)
        if self._unified is not None:
            waiting.remove_tree(self._unified, _PATIENCE, unified=True)

    def exists(self) -> bool:
        """Tell whether the cgroup is there."""
        return os.path.isdir(self._main())

    def stats(self) -> Stats:
        """Read all counters."""
        return v1_stats.read(self._by_controller)

    def oom_kill_count(self) -> int:
        """Give how many processes were killed here for lack of memory; 0 without the controller."""
        directory = self._by_controller.get("memory")
        if directory is None:
            return 0
        return files.keyed(files.read_if_there(directory, "memory.oom_control")).get("oom_kill", 0)

    def watch_oom(self) -> int | None:
        """Have the kernel count OOMs into an eventfd."""
        directory = self._by_controller.get("memory")
        if directory is None:
            return None
        path = f"{directory}/memory.oom_control"
        with Attempt("open", path):
            control = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            try:
                files.write(directory, "cgroup.event_control", f"{event} {control}")
            except OSError:
                os.close(event)
                raise
        finally:
            os.close(control)
        return event


def _make(mount: str, path: str, made: list[str]) -> None:
    """Make *path* below *mount* with its parents; append what was made, parents first."""
    directory = mount + path
    try:
        os.mkdir(directory)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make(mount, os.path.dirname(path), made)
        with Attempt("make cgroup", directory):
            os.mkdir(directory)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, "make cgroup", directory) from error
    made.append(directory)


def _fill_cpuset(mount: str, path: str) -> None:
    """Give the cpuset and its parents the CPUs and memory nodes of the one above.

    A parent made by us has cgroup.clone_children, so that for all after it nothing is to do.
    """
    directory = mount + path
    # The memory nodes are written last: another process may have got no further than the CPUs.
    if path == "/" or files.read(directory, "cpuset.mems").strip():
        return
    parent = os.path.dirname(path)
    _fill_cpuset(mount, parent)
    above = mount + parent.rstrip("/")
    for name in ("cpuset.cpus", "cpuset.mems"):
        files.write(directory, name, files.read(above, name))
    files.write(directory, "cgroup.clone_children", "1")


def _enable_along(mount: str, path: str, controller: str) -> None:
    """Enable a cgroup2 controller for *path*, from the root down to its parent."""
    directory = mount
    for part in path.strip("/").split("/"):
        if controller not in files.read(directory, "cgroup.subtree_control").split():
            files.write(directory, "cgroup.subtree_control", f"+{controller}")
        directory = f"{directory}/{part}"
