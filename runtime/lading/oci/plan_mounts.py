"""Which steps make the container's file system: its root, its mounts, its /dev."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter
from lading.kernel.mounts import MountFlag, Propagation
from lading.oci import mount_options
from lading.oci.mount_options import Options
from lading.oci.steps.devices import BindNode, HidePath, MakeLink, MakeNode, ProtectPath
from lading.oci.steps.mounts import (
    BindMount,
    MountCgroupsV1,
    MountCgroupsV2,
    MountFileSystem,
    MountImage,
    OpenMountSource,
    RemountReadonly,
)
from lading.oci.steps.rootfs import (
    BindRoot,
    MakeParentPrivate,
    MakeWorkingDirectory,
    MountOverlay,
    MoveRoot,
    PivotRoot,
    ReadonlyRoot,
    SetRootPropagation,
    SpreadRoot,
)
from lading.oci.steps.terminal import BindConsole, OpenTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.kernel.cgroups import Hierarchy
    from lading.oci.spec import Mount, Spec
    from lading.oci.spec_linux import Linux, LinuxDevice, LinuxIDMapping
    from lading.oci.steps.base import Step
    from lading.oci.steps.namespaces import IdMap

_DEFAULT_NODES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
"""The nodes of every container (OCI runtime-spec, config-linux.md, "Default Devices")."""

_DEFAULT_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)
_KCORE = "/proc/kcore"


class RootPlanner:
    """Puts the steps for one spec's file system in order."""

    def __init__(
        self, spec: Spec, linux: Linux, bundle: str, hierarchy: Hierarchy | None, *, pivot: bool
    ) -> None:
        self.spec = spec
        self.linux = linux
        self.bundle = bundle
        self.hierarchy = hierarchy
        self.pivot = pivot
        kinds = {namespace.type for namespace in linux.namespaces}
        self.user_namespace = "user" in kinds
        self.cgroup_namespace = "cgroup" in kinds
        parsed = [(mount, mount_options.parse(mount.options)) for mount in spec.mounts]
        self.overlay = next((pair for pair in parsed if _is_root_overlay(pair[0])), None)
        self.mounts = [pair for pair in parsed if not _is_root_overlay(pair[0])]

    def opened_by_runtime(self) -> Iterator[Step]:
        """Give the steps that open what the process could not open itself."""
        for mount, options in self.mounts:
            if self._is_opened(mount, options):
                mapped = bool(options.id_map or mount.uid_mappings)
                yield OpenMountSource(
                    source=self._source(mount),
                    destination=_inside(mount.destination),
                    recursive=bool(options.flags & MountFlag.REC),
                    uids=id_map(mount.uid_mappings or self.linux.uid_mappings) if mapped else (),
                    gids=id_map(mount.gid_mappings or self.linux.gid_mappings) if mapped else (),
                    map_recursively=options.id_map == "ridmap",
                )

    def root(self) -> Iterator[Step]:
        """Give the steps up to a root that is a mount of its own."""
        asked = self.linux.rootfs_propagation
        yield SetRootPropagation(_propagation(asked) if asked else Propagation.RSLAVE)
        if asked and "shared" in asked:
            yield MakeParentPrivate()
        if self.overlay is None:
            yield BindRoot()
            return
        options = self.overlay[1]
        directory = options.own_value("chdir")
        flags = options.flags & ~MountFlag.RDONLY
        yield MountOverlay(options.data, directory, flags)

    def mount_all(self) -> Iterator[Step]:
        """Give the steps for the mounts, in the spec's order."""
        for mount, options in self.mounts:
            yield self._mount(mount, options)

    def _mount(self, mount: Mount, options: Options) -> Step:
        destination = _inside(mount.destination)
        if options.is_bind or mount.type == "bind":
            options = _with_flag(options, MountFlag.BIND)
            opened = self._is_opened(mount, options)
            return BindMount(self._source(mount), destination, options, opened)
        if not mount.type:
            raise InvalidParameter(f"the mount on {mount.destination} has neither type nor bind")
        if mount.type == "cgroup":
            return self._mount_cgroups(destination, options)
        if destination == "/dev":
            # /dev is filled after its mount, and made read-only then.
            options = _without_flag(options, MountFlag.RDONLY)
        if destination in ("/proc", "/sys") and mount.type not in ("proc", "sysfs"):
            raise InvalidParameter(f"the mount on {destination} is neither proc, sysfs nor a bind")
        if mount.type == "overlay" and (directory := options.own_value("chdir")):
            return MountImage(destination, options, directory, options.own_value("subpath"))
        options = self._labelled(mount, options)
        return MountFileSystem(destination, mount.type, mount.source, options)

    def _labelled(self, mount: Mount, options: Options) -> Options:
        """Give new file systems the container's SELinux label; the kernel's own ones have none."""
        label = self.linux.mount_label
        if not label or mount.type in ("proc", "sysfs", "mqueue"):
            return options
        data = ",".join(filter(None, (options.data, f'context="{label}"')))
        return _replace(options, data=data)

    def _mount_cgroups(self, destination: str, options: Options) -> Step:
        hierarchy = self.hierarchy
        if hierarchy is None:
            raise InvalidParameter(
                f"{destination} cannot show cgroups: the host mounts no cgroup file system"
            )
        if hierarchy.version == 2:
            return MountCgroupsV2(destination, options, hierarchy.unified or "")
        found = tuple(
            (
                point,
                tuple(c.name for c in hierarchy.controllers.values() if c.mount_point == point),
            )
            for point in hierarchy.mounts
        )
        return MountCgroupsV1(destination, options, found, self.cgroup_namespace)

    def _source(self, mount: Mount) -> str:
        return posixpath.join(self.bundle, mount.source)

    def _is_opened(self, mount: Mount, options: Options) -> bool:
        if not (options.is_bind or mount.type == "bind"):
            return False
        return self.user_namespace or bool(options.id_map or mount.uid_mappings)

    def devices(self) -> Iterator[Step]:
        """Give the steps that fill /dev, unless the spec brings a /dev of its own."""
        if self._brings_dev():
            return
        nodes = {
            path: MakeNode(path, "c", major, minor, 0o666) for path, major, minor in _DEFAULT_NODES
        }
        nodes.update((node.path, node) for node in map(_node, self.linux.devices))
        for path, node in nodes.items():
            if path == "/dev/ptmx":
                continue  # the container's own, below
            yield BindNode(path) if self.user_namespace and node.kind != "p" else node
        for path, target in _DEFAULT_LINKS:
            yield MakeLink(path, target)
        if os.path.exists(_KCORE):
            yield MakeLink("/dev/core", _KCORE)
        yield MakeLink("/dev/ptmx", "pts/ptmx", replace=True)

    def _brings_dev(self) -> bool:
        return any(_inside(m.destination) == "/dev" and o.is_bind for m, o in self.mounts)

    def terminal(self) -> Iterator[Step]:
        """Give the steps for the container's terminal, if its process has one."""
        process = self.spec.process
        if process is not None and process.terminal:
            size = process.console_size
            yield OpenTerminal(size.height if size else 0, size.width if size else 0)
            if not self._brings_dev():
                yield BindConsole()

    def protect(self) -> Iterator[Step]:
        """Give the steps that hide and protect paths, when all mounts are there."""
        for path in self.linux.readonly_paths:
            yield ProtectPath(path)
        for path in self.linux.masked_paths:
            yield HidePath(path)
        for mount, options in self.mounts:
            is_dev = _inside(mount.destination) == "/dev"
            if is_dev and options.readonly and not options.is_bind:
                yield RemountReadonly("/dev", options.flags)
        if self.spec.process is not None and self.spec.process.cwd != "/":
            yield MakeWorkingDirectory(self.spec.process.cwd)

    def enter(self) -> Iterator[Step]:
        """Give the steps that make the root the process's."""
        yield PivotRoot() if self.pivot else MoveRoot()
        asked = self.linux.rootfs_propagation
        if asked and self.pivot:
            yield SpreadRoot(_propagation(asked))
        if self.spec.root is not None and (
            self.spec.root.readonly or (self.overlay is not None and self.overlay[1].readonly)
        ):
            yield ReadonlyRoot()


def id_map(mappings: list[LinuxIDMapping]) -> IdMap:
    """Give *mappings* as (inside, outside, size)."""
    return tuple((m.container_id, m.host_id, m.size) for m in mappings)


def _is_root_overlay(mount: Mount) -> bool:
    return mount.type == "overlay" and _inside(mount.destination) == "/"


def _inside(destination: str) -> str:
    """Give the destination as an absolute, normal path; a relative one starts at the root."""
    return posixpath.normpath(posixpath.join("/", destination)).replace("//", "/")


def _propagation(name: str) -> Propagation:
    try:
        return Propagation(name)
    except ValueError as error:
        known = ", ".join(kind.value for kind in Propagation)
        raise InvalidParameter(f"rootfsPropagation {name!r} is none of {known}") from error


def _node(device: LinuxDevice) -> MakeNode:
    return MakeNode(
        path=_inside(device.path),
        kind=device.type,
        major=device.major,
        minor=device.minor,
        mode=0o666 if device.file_mode is None else device.file_mode & 0o7777,
        uid=device.uid or 0,
        gid=device.gid or 0,
    )


def _replace(options: Options, **changes: object) -> Options:
    from msgspec.structs import replace

    return replace(options, **changes)


def _with_flag(options: Options, flag: MountFlag) -> Options:
    return options if options.flags & flag else _replace(options, flags=options.flags | flag)


def _without_flag(options: Options, flag: MountFlag) -> Options:
    return _replace(options, flags=options.flags & ~flag) if options.flags & flag else options
