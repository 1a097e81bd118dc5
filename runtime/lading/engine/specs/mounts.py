"""A container's mounts in order: its root, the default ones, its own files, the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lading.engine.model import Container, MountRecord
from lading.engine.mountspecs import tmpfs_words
from lading.engine.specs.process import INIT_PATH
from lading.oci import defaults
from lading.oci.spec import Mount

_STAYS_WRITABLE = frozenset({"/proc", "/dev", "/dev/shm", "/dev/mqueue", "/dev/pts"})
"""Default mounts that a read-only root leaves as they are."""


@dataclass(frozen=True, slots=True)
class MountPlan:
    """What mounts depend on besides the record.

    `overlay` are the options of the root's overlay; `sources` gives the host path of each of the
    record's mounts, in their order; `images` the options of image mounts, by destination; `shm` is
    the directory of a shared /dev/shm, if it is shared.
    """

    overlay: Sequence[str]
    sources: Sequence[str]
    images: Mapping[str, list[str]] = field(default_factory=dict)
    shm: str = ""
    init_path: str = ""
    writable_cgroups: bool = False


def mounts_of(record: Container, plan: MountPlan) -> list[Mount]:
    """List all mounts, the root first; the user's take the place of default ones."""
    wanted = [
        _user_mount(mount, source, plan.images)
        for mount, source in zip(record.mounts, plan.sources, strict=True)
    ]
    wanted += _tmpfs_mounts(record)
    taken = {mount.destination for mount in wanted}
    found = [
        mount
        for mount in _default_mounts(record, plan)
        if mount.destination not in taken
        and not ("/dev" in taken and mount.destination.startswith("/dev/"))
    ]
    if record.host_config.readonly_rootfs:
        for mount in found:
            if mount.destination not in _STAYS_WRITABLE and "ro" not in mount.options:
                mount.options.append("ro")
    own = [mount for mount in _own_files(record, plan) if mount.destination not in taken]
    later = sorted(wanted + own, key=lambda mount: mount.destination.count("/"))
    root = Mount(destination="/", type="overlay", source="overlay", options=list(plan.overlay))
    return [root, *found, *later]


def _default_mounts(record: Container, plan: MountPlan) -> list[Mount]:
    host = record.host_config
    shared = bool(plan.shm) or host.ipc_mode == "none"
    found = defaults.mounts(
        privileged=host.privileged,
        writable_cgroups=plan.writable_cgroups,
        shm_size=None if shared else host.shm_size,
    )
    if plan.shm:
        found.append(_bind(plan.shm, "/dev/shm", ["rw", "nosuid", "noexec", "nodev"]))
    return found


def _own_files(record: Container, plan: MountPlan) -> list[Mount]:
    """Bind the files that the engine keeps for a container, and its init."""
    access = "ro" if record.host_config.readonly_rootfs else "rw"
    found = [
        _bind(source, destination, [access])
        for source, destination in (
            (record.resolv_conf_path, "/etc/resolv.conf"),
            (record.hostname_path, "/etc/hostname"),
            (record.hosts_path, "/etc/hosts"),
        )
        if source
    ]
    if plan.init_path:
        found.append(_bind(plan.init_path, INIT_PATH, ["ro"]))
    return found


def _bind(source: str, destination: str, options: list[str]) -> Mount:
    return Mount(
        destination=destination,
        type="bind",
        source=source,
        options=["rbind", "rprivate", *options],
    )


def _user_mount(mount: MountRecord, source: str, images: Mapping[str, list[str]]) -> Mount:
    point, detail = mount.point, mount.detail
    if point.type == "image":
        options = [*images[point.destination], point.propagation]
        return Mount(
            destination=point.destination, type="overlay", source="overlay", options=options
        )
    if point.type == "tmpfs":
        return Mount(
            destination=point.destination, type="tmpfs", source="tmpfs", options=detail.options
        )
    options = ["bind" if detail.non_recursive else "rbind", point.propagation or "rprivate"]
    if not point.rw:
        plain = detail.non_recursive or detail.read_only_non_recursive
        options.append("ro" if plain else "rro")
    return Mount(destination=point.destination, type="bind", source=source, options=options)


def _tmpfs_mounts(record: Container) -> list[Mount]:
    return [
        Mount(destination=destination, type="tmpfs", source="tmpfs", options=tmpfs_words(options))
        for destination, options in (record.host_config.tmpfs or {}).items()
    ]
