"""Named volumes of the `local` driver: a directory, and a small file that says what it is.

    ROOT/volumes/<name>/{_data/,volume.json}

A volume with a `device` option is that device, mounted at `_data` while somebody uses it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.files import TEMPORARY, explaining, temporary_name, write_atomically
from lading.kernel.errors import KernelError
from lading.kernel.mountinfo import mountinfo
from lading.kernel.mounts import MountFlag, UmountFlag, mount, umount
from lading.storage import trees

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
OPTIONS = ("type", "o", "device")
"""What the local driver can be told (docs.docker.com, `docker volume create`, driver options)."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
_NAME_MAX = 255
_RECORD = "volume.json"
_DATA = "_data"

_FLAGS = {
    "ro": MountFlag.RDONLY,
    "nosuid": MountFlag.NOSUID,
    "nodev": MountFlag.NODEV,
    "noexec": MountFlag.NOEXEC,
    "sync": MountFlag.SYNCHRONOUS,
    "dirsync": MountFlag.DIRSYNC,
    "mand": MountFlag.MANDLOCK,
    "noatime": MountFlag.NOATIME,
    "nodiratime": MountFlag.NODIRATIME,
    "relatime": MountFlag.RELATIME,
    "strictatime": MountFlag.STRICTATIME,
    "bind": MountFlag.BIND,
    "rbind": MountFlag.BIND | MountFlag.REC,
}
_PLAIN = {"rw", "suid", "dev", "exec", "async", "atime", "diratime", "defaults", "norelatime"}


class Volume(msgspec.Struct, frozen=True, rename="pascal"):
    """A volume as `GET /volumes/{name}` shows it; `created_at` is RFC 3339."""

    name: str
    mountpoint: str
    created_at: str
    driver: str = "local"
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    scope: str = "local"


class _Record(msgspec.Struct, rename="camel", omit_defaults=True):
    """What `volume.json` tells of a volume."""

    created_at: str
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None


class VolumeStore:
    """Volumes under `root` (ROOT/volumes), one directory each; safe from several threads.

    Who uses a volume is the engine's to know: it calls `mount` before a container starts and
    `unmount` after its end, as often as the first.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._users: dict[str, int] = {}

    def open(self) -> None:
        """Make the directory and remove what an earlier crash left half-made."""
        with explaining(f"open the volume store {self.root}"):
            self.root.mkdir(mode=0o701, parents=True, exist_ok=True)
            for name in os.listdir(self.root):
                if name.startswith(TEMPORARY):
                    self._discard(name)

    def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or give back the one there, whatever its labels and options, as Docker.

        Without a name it is anonymous: 64 hex digits, and the label that says so.
        """
        if driver != "local":
            raise NotFound(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
        marks = dict(labels or {})
        if not name:
            name = secrets.token_hex(32)
            marks[ANONYMOUS_LABEL] = ""
        _check_name(name)
        chosen = None if options is None else _check_options(name, options)
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = _Record(created, marks if marks or labels is not None else None, chosen)
        with self._lock, explaining(f"create volume {name}"):
            if not self._exists(name):
                self._make(name, record)
            return self.get(name)

    def get(self, name: str) -> Volume:
        """Return a volume; NotFound "get NAME: no such volume"."""
        if not self._exists(name):
            raise NotFound(f"get {name}: no such volume")
        directory = self.root / name
        try:
            record = msgspec.json.decode((directory / _RECORD).read_bytes(), type=_Record)
        except (FileNotFoundError, msgspec.DecodeError):
            # The data are what matters: a volume whose description is lost is still a volume.
            changed = datetime.fromtimestamp(directory.stat().st_ctime, UTC)
            record = _Record(changed.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return Volume(
            name,
            str(directory / _DATA),
            record.created_at,
            labels=record.labels,
            options=record.options,
        )

    def list(self) -> list[Volume]:
        """Return all volumes by name."""
        return [self.get(name) for name in sorted(os.listdir(self.root)) if self._exists(name)]

    def remove(self, name: str) -> None:
        """Remove a volume and its content; the caller knows that no container uses it.

        Raises NotFound for no such volume, Conflict while its device is mounted.
        """
        with self._lock, explaining(f"remove volume {name}"):
            volume = self.get(name)
            if self._users.get(name):
                raise Conflict(f"remove {name}: volume is in use")
            if volume.options and _is_mounted(volume.mountpoint):
                umount(volume.mountpoint, UmountFlag.NOFOLLOW)
            doomed = temporary_name()
            (self.root / name).rename(self.root / doomed)
        with explaining(f"remove volume {name}"):
            self._discard(doomed)

    def size(self, name: str) -> int:
        """Return the bytes in a volume, for `system df`; -1 for one that is a device."""
        volume = self.get(name)
        if volume.options:
            return -1
        with explaining(f"measure volume {name}"):
            descriptor = trees.open_root(volume.mountpoint)
            try:
                return trees.size(descriptor)
            finally:
                os.close(descriptor)

    def is_empty(self, name: str) -> bool:
        """Tell whether a volume holds nothing yet (then copy-up applies).

        A volume that is a device is looked into while it is mounted only; otherwise it is not
        taken for empty.
        """
        volume = self.get(name)
        if volume.options and not _is_mounted(volume.mountpoint):
            return False
        with os.scandir(volume.mountpoint) as listing:
            return next(listing, None) is None

    def mount(self, name: str) -> str:
        """Make the volume usable and return its path; mounts its device for the first user.

        Raises LadingError in Docker's words when the device cannot be mounted.
        """
        with self._lock:
            volume = self.get(name)
            if volume.options and not _is_mounted(volume.mountpoint):
                _mount_device(volume.options, volume.mountpoint)
            self._users[name] = self._users.get(name, 0) + 1
            return volume.mountpoint

    def unmount(self, name: str) -> None:
        """Undo one `mount`; the device is unmounted when the last user is gone."""
        with self._lock:
            left = self._users.pop(name, 0) - 1
            if left > 0:
                self._users[name] = left
                return
            if not self._exists(name):
                return
            volume = self.get(name)
            if volume.options and _is_mounted(volume.mountpoint):
                with explaining(f"unmount volume {name}"):
                    umount(volume.mountpoint, UmountFlag.NOFOLLOW)

    def _make(self, name: str, record: _Record) -> None:
        temporary = self.root / temporary_name()
        try:
            temporary.mkdir(mode=0o701)
            data = temporary / _DATA
            data.mkdir(mode=0o755)
            data.chmod(0o755)
            write_atomically(temporary / _RECORD, msgspec.json.encode(record), durable=True)
            temporary.rename(self.root / name)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _exists(self, name: str) -> bool:
        return _is_name(name) and (self.root / name / _DATA).is_dir()

    def _discard(self, name: str) -> None:
        parent = trees.open_root(self.root)
        try:
            trees.remove(name, parent)
        finally:
            os.close(parent)


def _is_name(name: str) -> bool:
    return len(name) <= _NAME_MAX and _NAME.fullmatch(name) is not None


def _check_name(name: str) -> None:
    if len(name) == 1 and _is_name(name):
        raise InvalidParameter(
            f"create {name}: volume name is too short, names should be at least two alphanumeric"
            " characters"
        )
    if not _is_name(name):
        raise InvalidParameter(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only'
            ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory,'
            " use absolute path"
        )


def _check_options(name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Accept what the local driver knows; Docker's words for the rest."""
    for key in options:
        if key == "size":
            raise InvalidParameter(f"create {name}: quota size requested but no quota support")
        if key not in OPTIONS:
            raise InvalidParameter(f'create {name}: invalid option: "{key}"')
    for key in ("device", "type"):
        if options and key not in options:
            raise InvalidParameter(f'create {name}: missing required option: "{key}"')
    return dict(options)


def _mount_device(options: Mapping[str, str], target: str) -> None:
    """Mount what the options of `docker volume create -o` tell, as mount(8) would."""
    flags = MountFlag(0)
    data = []
    for word in filter(None, options.get("o", "").split(",")):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word not in _PLAIN:
            data.append(word)
    kind = options.get("type", "")
    device = options.get("device", "")
    if kind.startswith(("nfs", "cifs")):
        data = [_with_address(word) for word in data]
    try:
        mount(device, target, kind or None, flags, ",".join(data) or None)
        extra = flags & ~(MountFlag.BIND | MountFlag.REC)
        if flags & MountFlag.BIND and extra:
            with contextlib.ExitStack() as undo:
                undo.callback(umount, target)
                mount(None, target, None, MountFlag.REMOUNT | MountFlag.BIND | extra)
                undo.pop_all()
    except KernelError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise LadingError(
            f"error while mounting volume '{target}': failed to mount local volume: mount"
            f" {device}:{target}, flags: {int(flags):#x}: {reason}"
        ) from error


def _with_address(word: str) -> str:
    """Replace a host name in `addr=`: the kernel takes addresses only."""
    key, _, host = word.partition("=")
    if key != "addr":
        return word
    import socket

    try:
        return f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
    except OSError as error:
        raise LadingError(f"error resolving passed in network volume address: {error}") from error


def _is_mounted(path: str) -> bool:
    wanted = os.path.realpath(path)
    return any(entry.mount_point == wanted for entry in mountinfo())
