"""The initrd: busybox, a few modules, and a script that puts a machine's root together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.shell import LabError

BUSYBOX = Path("/bin/busybox")
_WANTED = (
    # Checksums first: what looks for them when it is loaded does not depend on their modules.
    "crc32c_generic", "crc32c", "crc32c_cryptoapi", "lz4", "virtio_pci", "virtio_blk",
    "virtio_console", "virtio_net", "virtio_rng", "erofs", "overlay", "ext4", "xfs", "btrfs",
)  # fmt: skip
_APPLETS = (
    "sh", "mount", "umount", "insmod", "switch_root", "chroot", "cat", "mkdir", "ln", "sleep",
    "echo", "poweroff", "sync", "cp",
)  # fmt: skip

BEGIN = r"""mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
die() { echo "lading: initrd: $*" > /dev/console; sync; poweroff -f; }
while read module; do insmod "/modules/$module"; done < /modules/order
"""
"""Shell: the file systems that all the rest needs, what a failure does, the modules."""

OVERLAY = r"""mkdir -p /store/upper /store/work
mount -t overlay -o lowerdir=/lower,upperdir=/store/upper,workdir=/store/work overlay /new \
  || die "the overlay can not be mounted"
"""
"""The root at /new: /lower with what was written to /store above it."""

STATE = r"""for name in docker lading lading-lab lading-reference; do
  mkdir -p "/store/state/$name" "/new/var/lib/$name"
  mount --bind "/store/state/$name" "/new/var/lib/$name"
done
"""
"""Engines have their directories on the store itself."""

END = r"""if [ "$firewall" = legacy ]; then
  for name in iptables ip6tables; do
    ln -sf "/usr/sbin/$name-legacy" "/new/etc/alternatives/$name"
    ln -sf "/usr/sbin/$name-legacy-save" "/new/etc/alternatives/$name-save"
    ln -sf "/usr/sbin/$name-legacy-restore" "/new/etc/alternatives/$name-restore"
  done
fi
for name in proc sys dev; do mount --move "/$name" "/new/$name"; done
exec switch_root /new /sbin/init
"""
"""The packet filter that the cell has, and the root's own init."""

INIT = (
    r"""#!/bin/sh
# Disks are known by their serial numbers: root, modules, project and store.
"""
    + BEGIN
    + r"""disk() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    for entry in /sys/block/vd*; do
      [ "$(cat $entry/serial)" = "$1" ] && echo "/dev/${entry##*/}" && return
    done
    sleep 0.2
  done
}
format= store=ext4 firewall=nft
for word in $(cat /proc/cmdline); do
  case $word in
    lading.probe) echo "lading: the kernel runs" > /dev/console; poweroff -f ;;
    lading.format) format=yes ;;
    lading.store=*) store=${word#*=} ;;
    lading.firewall=*) firewall=${word#*=} ;;
  esac
done
mount -t erofs -o ro "$(disk root)" /lower || die "the root can not be mounted"
if [ "$format" ]; then
  # mkfs.xfs looks in /proc for what is mounted.
  for name in dev proc; do mount --bind "/$name" "/lower/$name"; done
  case $store in
    ext4) options="-q -E lazy_itable_init=0,lazy_journal_init=0" ;;
    xfs | btrfs) options="-q -f" ;;
  esac
  chroot /lower "/sbin/mkfs.$store" $options "$(disk store)" || die "mkfs.$store failed"
  for name in dev proc; do umount "/lower/$name"; done
fi
mount -t "$store" "$(disk store)" /store || die "the store can not be mounted"
"""
    + OVERLAY
    + r"""mount -t erofs -o ro "$(disk modules)" /new/usr/lib/modules"""
    + r""" || die "the modules can not be mounted"
mount -t erofs -o ro "$(disk project)" /new/opt/lading || die "the project can not be mounted"
"""
    + STATE
    + r"""# Images of the lab are made of the host's busybox, whose bytes decide their digests.
mount --bind /new/opt/lading/bin/busybox /new/usr/bin/busybox
"""
    + END
)


def made_of() -> list[object]:
    """What decides an initrd's content, besides the kernel's modules."""
    busybox = hashlib.sha256(BUSYBOX.read_bytes()).hexdigest() if BUSYBOX.exists() else ""
    return [INIT, _WANTED, _APPLETS, busybox]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file of the archive; `mode` with its type (inode(7))."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(modules: Path, epoch: int, script: str = INIT) -> bytes:
    """An initrd for the kernel whose modules are in this directory; the same bytes each time.

    `script` is what it runs to find its root.

    Raises LabError: busybox is missing.
    """
    if not BUSYBOX.exists():
        raise LabError("/bin/busybox is missing: `apt-get install busybox-static`")
    return archive(_entries(modules, script), epoch)


def _entries(modules: Path, script: str) -> Iterator[_Entry]:
    directories = ("bin", "dev", "proc", "sys", "lower", "store", "new", "modules", "tmp")
    for name in directories:
        yield _Entry(name, 0o040755)
    yield _Entry("dev/console", 0o020600, device=(5, 1))
    yield _Entry("bin/busybox", 0o100755, BUSYBOX.read_bytes())
    for name in _APPLETS:
        yield _Entry(f"bin/{name}", 0o120777, b"busybox")
    yield _Entry("init", 0o100755, script.encode())
    order = in_order(modules)
    for path in order:
        yield _Entry(f"modules/{Path(path).name}", 0o100644, (modules / path).read_bytes())
    lines = "".join(f"{Path(path).name}\n" for path in order)
    yield _Entry("modules/order", 0o100644, lines.encode())


def in_order(modules: Path) -> list[str]:
    """The modules that a machine needs to reach its root, each after those it depends on."""
    depends: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        depends[path] = needs.split()
        names[Path(path).name.partition(".")[0].replace("-", "_")] = path
    order: list[str] = []
    for name in _WANTED:
        if name in names:
            # modules.dep lists what is needed in the reverse order of loading.
            for path in [*reversed(depends[names[name]]), names[name]]:
                if path not in order:
                    order.append(path)
    return order


def archive(entries: Iterator[_Entry], epoch: int) -> bytes:
    """A cpio archive in the `newc` form (initramfs buffer format, kernel documentation)."""
    parts: list[bytes] = []
    for number, entry in enumerate([*entries, _Entry("TRAILER!!!", 0)], 1):
        name = entry.name.encode() + b"\0"
        fields = (
            number, entry.mode, 0, 0, 1, epoch & 0xFFFFFFFF, len(entry.data), 0, 0,
            *entry.device, len(name), 0,
        )  # fmt: skip
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        parts += [_padded(head), _padded(entry.data)]
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
