"""Mounts as a request gives them (`Binds`, `Mounts`, `Tmpfs`, `Volumes`), settled into one list.

Nothing is created here: volumes, and host directories that are missing, come at the creation
of the container. The words of refusals are Docker's.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field

from lading.engine.model import (
    BindOptions,
    ContainerConfig,
    HostConfig,
    Mount,
    MountDetail,
    MountPoint,
)
from lading.engine.subpaths import check_subpath
from lading.errors import InvalidParameter, LadingError

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LABELS = frozenset({"z", "Z"})


@dataclass(slots=True)
class WantedMount:
    """A mount before its volume or image exists: what inspect will show, and what a start needs.

    `copy` asks for the image's files in an empty volume; `volume_labels` and `volume_options` are
    for a volume to be made; `from_image` marks the VOLUME of an image.
    """

    point: MountPoint
    detail: MountDetail = field(default_factory=MountDetail)
    copy: bool = True
    volume_driver: str = ""
    volume_labels: dict[str, str] | None = None
    volume_options: dict[str, str] | None = None
    from_image: bool = False


def parse_bind(spec: str) -> WantedMount:
    """Read an element of `Binds`: `source:destination[:options]`, or `destination` alone.

    Raises LadingError `invalid volume specification: 'x'` (status 500, as Docker's), and
    InvalidParameter for a bad volume name.
    """
    parts = spec.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise LadingError(f"invalid volume specification: '{spec}'")
    mode = parts[2] if len(parts) == 3 else ""
    words = _mode_words(mode)
    source = parts[0] if len(parts) > 1 else ""
    kind = "bind" if source.startswith("/") else "volume"
    try:
        destination = _destination(parts[min(len(parts), 2) - 1])
        _refuse_foreign_words(kind, words)
    except InvalidParameter as error:
        raise LadingError(
            f"invalid volume specification: '{spec}': invalid mount config for type "
            f'"{kind}": {error}'
        ) from None
    if kind == "bind":
        return _bind_of(os.path.normpath(source), destination, mode, words)
    return _volume_of(source, destination, mode, words)


def _refuse_foreign_words(kind: str, words: list[str]) -> None:
    if kind == "bind" and "nocopy" in words:
        raise InvalidParameter("field VolumeOptions must not be specified")
    if kind == "volume" and any(word in PROPAGATIONS for word in words):
        raise InvalidParameter("field BindOptions must not be specified")


def _destination(target: str) -> str:
    if not target.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{target}' mount path must be absolute")
    clean = posixpath.normpath(target).replace("//", "/")
    if clean == "/":
        raise InvalidParameter("invalid specification: destination can't be '/'")
    return clean


def _bind_of(source: str, destination: str, mode: str, words: list[str]) -> WantedMount:
    propagation = next((word for word in words if word in PROPAGATIONS), "rprivate")
    point = MountPoint(
        type="bind",
        source=source,
        destination=destination,
        mode=mode,
        rw="ro" not in words,
        propagation=propagation,
    )
    return WantedMount(point, MountDetail(create_source=True), copy=False)


def _volume_of(name: str, destination: str, mode: str, words: list[str]) -> WantedMount:
    if name:
        check_volume_name(name)
    point = MountPoint(
        type="volume",
        name=name,
        destination=destination,
        mode=mode or "z",
        rw="ro" not in words,
    )
    return WantedMount(point, MountDetail(anonymous=not name), copy="nocopy" not in words)


def _mode_words(mode: str) -> list[str]:
    """Split the options of a bind, at most one of each kind; raises LadingError, as Docker."""
    words = mode.split(",") if mode else []
    kinds = []
    for word in words:
        if word in ("ro", "rw"):
            kinds.append("access")
        elif word in _LABELS:
            kinds.append("label")
        elif word in PROPAGATIONS:
            kinds.append("propagation")
        elif word == "nocopy":
            kinds.append("copy")
        elif word in ("consistent", "cached", "delegated"):
            kinds.append("consistency")
        else:
            raise LadingError(f"invalid mode: {mode}")
    if len(set(kinds)) != len(kinds):
        raise LadingError(f"invalid mode: {mode}")
    return words


def check_volume_name(name: str) -> None:
    """Check the name of a volume; raises InvalidParameter in Docker's words."""
    if len(name) == 1:
        raise InvalidParameter(
            f"create {name}: volume name is too short, names should be at least two "
            "alphanumeric characters"
        )
    if VOLUME_NAME.fullmatch(name) is None:
        raise InvalidParameter(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )


def parse_mount(mount: Mount) -> WantedMount:
    """Read an element of `Mounts`.

    Raises InvalidParameter `invalid mount config for type "x": …`.
    """
    _refuse_foreign_options(mount)
    if mount.type == "volume" and mount.source:
        check_volume_name(mount.source)
    try:
        return _parsed_mount(mount)
    except InvalidParameter as error:
        raise InvalidParameter(f'invalid mount config for type "{mount.type}": {error}') from None


def _parsed_mount(mount: Mount) -> WantedMount:
    makers = {
        "bind": _bind_mount,
        "volume": _volume_mount,
        "image": _image_mount,
        "tmpfs": _tmpfs_mount,
    }
    maker = makers.get(mount.type)
    if maker is None:
        raise InvalidParameter("mount type unknown")
    if not mount.target:
        raise InvalidParameter("field Target must not be empty")
    return maker(mount, _destination(mount.target))


def _refuse_foreign_options(mount: Mount) -> None:
    for options, kind, name in (
        (mount.bind_options, "bind", "BindOptions"),
        (mount.volume_options, "volume", "VolumeOptions"),
        (mount.image_options, "image", "ImageOptions"),
        (mount.tmpfs_options, "tmpfs", "TmpfsOptions"),
    ):
        if options is not None and mount.type != kind:
            raise InvalidParameter(f'{name} must not be specified on mount type "{mount.type}"')


def _bind_mount(mount: Mount, destination: str) -> WantedMount:
    if not mount.source:
        raise InvalidParameter("field Source must not be empty")
    if not mount.source.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{mount.source}' mount path must be absolute")
    options = mount.bind_options or BindOptions()
    if options.propagation and options.propagation not in PROPAGATIONS:
        raise InvalidParameter(f"invalid propagation mode: {options.propagation}")
    source = os.path.normpath(mount.source)
    if not options.create_mountpoint and not os.path.lexists(source):
        raise InvalidParameter(f"bind source path does not exist: {source}")
    point = MountPoint(
        type="bind",
        source=source,
        destination=destination,
        rw=not mount.read_only,
        propagation=options.propagation or "rprivate",
    )
    detail = MountDetail(
        non_recursive=options.non_recursive,
        read_only_non_recursive=options.read_only_non_recursive,
        read_only_force_recursive=options.read_only_force_recursive,
        create_source=options.create_mountpoint,
    )
    return WantedMount(point, detail, copy=False)


def _volume_mount(mount: Mount, destination: str) -> WantedMount:
    options = mount.volume_options
    subpath = options.subpath if options else ""
    if subpath:
        if not mount.source:
            raise InvalidParameter("must not set Subpath when using anonymous volumes")
        check_subpath(subpath)
    point = MountPoint(
        type="volume",
        name=mount.source,
        destination=destination,
        mode="z",
        rw=not mount.read_only,
    )
    wanted = WantedMount(point, MountDetail(anonymous=not mount.source, subpath=subpath))
    if options is not None:
        wanted.copy = not options.no_copy
        wanted.volume_labels = options.labels
        if options.driver_config is not None:
            wanted.volume_driver = options.driver_config.name
            wanted.volume_options = options.driver_config.options
    return wanted


def _image_mount(mount: Mount, destination: str) -> WantedMount:
    """Read the mount of an image, which nobody can write to, whatever `ReadOnly` says."""
    if not mount.source:
        raise InvalidParameter("field Source must not be empty")
    subpath = mount.image_options.subpath if mount.image_options else ""
    check_subpath(subpath)
    point = MountPoint(
        type="image",
        name=mount.source,
        destination=destination,
        rw=False,
        propagation="rprivate",
    )
    return WantedMount(point, MountDetail(subpath=subpath), copy=False)


def _tmpfs_mount(mount: Mount, destination: str) -> WantedMount:
    if mount.source:
        raise InvalidParameter("field Source must not be specified")
    point = MountPoint(type="tmpfs", destination=destination, rw=not mount.read_only)
    words = ["noexec", "nosuid", "nodev"]
    if mount.read_only:
        words.append("ro")
    options = mount.tmpfs_options
    if options is not None:
        if options.size_bytes < 0:
            raise InvalidParameter("TmpfsOptions.SizeBytes must not be negative")
        words += [f"size={options.size_bytes}"] if options.size_bytes else []
        words += [f"mode={options.mode:o}"] if options.mode else []
        for option in options.options or ():
            if option not in (["exec"], ["noexec"]):
                raise InvalidParameter(f"invalid option: {option[0] if option else ''}")
            words = merge_tmpfs_option(words, option[0])
    return WantedMount(point, MountDetail(options=words), copy=False)


_OPPOSITES = {
    "exec": "noexec",
    "suid": "nosuid",
    "dev": "nodev",
    "rw": "ro",
    "async": "sync",
    "atime": "noatime",
    "diratime": "nodiratime",
}
_FLAGS = {
    **_OPPOSITES,
    **{value: key for key, value in _OPPOSITES.items()},
    "relatime": "",
    "norelatime": "",
    "strictatime": "",
    "nostrictatime": "",
}
_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"})


def merge_tmpfs_option(words: list[str], word: str) -> list[str]:
    """Add a tmpfs option, which takes the place of its opposite or of its earlier value.

    Raises LadingError for an option that tmpfs does not have (status 500, as Docker's).
    """
    key, equals, _ = word.partition("=")
    if (equals and key in _VALUES) or (not equals and key in _FLAGS):
        opposite = _FLAGS.get(key, "")
        kept = [each for each in words if each.partition("=")[0] not in (key, opposite)]
        return [*kept, word]
    raise LadingError(f'invalid tmpfs option "{word}"')


def tmpfs_words(options: str) -> list[str]:
    """Read the options of HostConfig.Tmpfs; noexec, nosuid and nodev unless told otherwise."""
    words = ["noexec", "nosuid", "nodev"]
    for word in options.split(",") if options else ():
        words = merge_tmpfs_option(words, word)
    return words


def wanted_mounts(config: ContainerConfig, host: HostConfig) -> list[WantedMount]:
    """Give all mounts that a request asks for itself, by destination.

    Binds come before Mounts; an image's or request's `Volumes` fill what is still free. Raises
    InvalidParameter `Duplicate mount point: x`.
    """
    found: dict[str, WantedMount] = {}
    for wanted in [
        *(parse_bind(spec) for spec in host.binds or ()),
        *(parse_mount(mount) for mount in host.mounts or ()),
    ]:
        destination = wanted.point.destination
        if destination in found:
            raise InvalidParameter(f"Duplicate mount point: {destination}")
        found[destination] = wanted
    for target in host.tmpfs or {}:
        if _destination(target) in found:
            raise InvalidParameter(f"Duplicate mount point: {target}")
    covered = {posixpath.normpath(target) for target in host.tmpfs or {}}
    for target in sorted(config.volumes or {}):
        destination = _destination(target)
        if destination not in found and destination not in covered:
            point = MountPoint(type="volume", destination=destination)
            found[destination] = WantedMount(point, MountDetail(anonymous=True), from_image=True)
    return list(found.values())
