"""Entries to files below a directory descriptor.

Every name is resolved from its parent directory's descriptor, and no link is followed out of the
root. Attributes are set in the order that keeps them: owner, mode, extended attributes, times;
those of directories when everything is in them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from lading.errors import InvalidParameter, LadingError
from lading.storage.archive.entries import (
    OPAQUE_MARK,
    WHITEOUT_PREFIX,
    Entry,
    Kind,
    clean,
    shown,
    type_bits,
)
from lading.storage.archive.reader import TarReader
from lading.storage.trees import Tree, remove

OPAQUE = "trusted.overlay.opaque"
"""Marks a directory in an upper layer that hides the one below (overlayfs.rst)."""

_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
"""overlayfs obeys these: an archive that sets them could show files of another layer."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OUR_FAULT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS}
_UNSUPPORTED = {errno.ENOTSUP, errno.EPERM}
_MAJOR_MAX, _MINOR_MAX = 0xFFF, 0xFFFFF
_ID_MAX = 0xFFFFFFFE


class Extractor:
    """Writes entries below the directory behind `root`, which stays the caller's.

    With `owner`, a uid and gid, everything becomes theirs. `size` is what Docker calls the size of
    a layer: the lengths of files and links. This class refuses names that are already there; see
    `Replacing`.
    """

    fresh = False
    """The directories are all our own and new: in them a new file is root's without being told so.

    Elsewhere one may have the set-group-ID bit, and hand its group on.
    """

    def __init__(self, root: int, *, owner: tuple[int, int] | None = None) -> None:
        self.size = 0
        self._root = root
        self._tree = Tree(root)
        self._owner = owner
        self._directories: dict[bytes, Entry] = {}
        self._makers = {
            Kind.FILE: self._make_file,
            Kind.HARD_LINK: self._make_hard_link,
            Kind.SYMLINK: self._make_symlink,
            Kind.CHARACTER: self._make_node,
            Kind.BLOCK: self._make_node,
            Kind.FIFO: self._make_node,
        }

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *ended: object) -> None:
        self._tree.forget()

    def extract(self, reader: TarReader) -> None:
        """Write all entries of an archive and set the directories' attributes.

        Raises InvalidParameter for what is wrong with the archive, naming the entry, and
        LadingError for what is wrong here, such as a full disk.
        """
        for entry in reader:
            with _blaming(entry):
                self.add(entry, reader)
        self.finish()

    def add(self, entry: Entry, reader: TarReader) -> None:
        """Write one entry, with the reader at it."""
        path = clean(entry.name)
        if not path:
            return  # the root directory is ours and keeps its attributes, as in Docker
        front, _, name = path.rpartition(b"/")
        parent = self._tree.directory(front, create=True)
        if self.special(entry, parent, name):
            return
        if entry.kind is Kind.DIRECTORY:
            self._make_directory(entry, parent, name)
            return
        maker = self._makers.get(entry.kind)
        if maker is None:
            raise InvalidParameter(f"archive entry {entry.shown} is of an unknown type")
        try:
            maker(entry, parent[0], name, reader)
        except FileExistsError:
            self.make_way(entry, parent, name)
            parent = self._tree.directory(front, create=True)
            maker(entry, parent[0], name, reader)

    def finish(self) -> None:
        """Give the directories their owners, modes, attributes and times, the deepest first."""
        for path in reversed(self._directories):
            entry = self._directories[path]
            front, _, name = path.rpartition(b"/")
            with _blaming(entry):
                parent, _ = self._tree.directory(front)
                self._dress(entry, parent, name)
        self._directories.clear()

    def special(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> bool:
        """Handle an entry that does not stand for a file; tell whether it was one."""
        del entry, parent, name
        return False

    def make_way(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        """Deal with what is there already in the place of an entry that is not a directory."""
        del parent, name
        raise InvalidParameter(f"duplicates of file paths not supported: {entry.shown}")

    def forget_below(self, path: bytes) -> None:
        """Drop what is remembered of a directory that was removed."""
        self._tree.forget()
        for known in [k for k in self._directories if k == path or k.startswith(path + b"/")]:
            del self._directories[known]

    def _make_directory(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent[0])
        except FileExistsError:
            self.meet_directory(entry, parent, name)
            return
        self.remember_directory(entry, parent, name)

    def meet_directory(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        """Deal with what is there already in the place of a directory: directories merge."""
        found = os.stat(name, dir_fd=parent[0], follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            self.remember_directory(entry, parent, name)
            return
        front = parent[1]
        self.make_way(entry, parent, name)
        os.mkdir(name, 0o700, dir_fd=self._tree.directory(front)[0])
        self.remember_directory(entry, parent, name)

    def remember_directory(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        """Note a directory whose attributes are set in the end."""
        path = parent[1] + b"/" + name if parent[1] else name
        self._directories.pop(path, None)
        self._directories[path] = entry

    def _make_file(self, entry: Entry, parent: int, name: bytes, reader: TarReader) -> None:
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            if entry.extents is not None:
                _write_sparse(descriptor, entry, reader)
            elif entry.stored:
                for piece in reader.content():
                    _write(descriptor, piece)
            if entry.uid or entry.gid or not self.fresh:
                os.fchown(descriptor, *self._owner_of(entry))
            os.fchmod(descriptor, entry.mode)
            if entry.xattrs:
                _set_xattrs(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)
        self.size += entry.size

    def _make_hard_link(self, entry: Entry, parent: int, name: bytes, reader: TarReader) -> None:
        del reader
        try:
            target = clean(entry.link)
        except InvalidParameter:
            target = b""
        if not target:
            raise InvalidParameter(f"invalid hardlink target {shown(entry.link)} of {entry.shown}")
        front, _, base = target.rpartition(b"/")
        # The tree may close the descriptor in `parent` while it looks for the other directory.
        held = os.dup(parent)
        try:
            source, _ = self._tree.directory(front)
            os.link(base, name, src_dir_fd=source, dst_dir_fd=held, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidParameter(
                f"invalid hardlink target {shown(entry.link)} of {entry.shown}: no such file in the"
                " archive"
            ) from None
        finally:
            os.close(held)

    def _make_symlink(self, entry: Entry, parent: int, name: bytes, reader: TarReader) -> None:
        del reader
        os.symlink(entry.link, name, dir_fd=parent)
        self._dress(entry, parent, name)
        self.size += len(entry.link)

    def _make_node(self, entry: Entry, parent: int, name: bytes, reader: TarReader) -> None:
        del reader
        if not (0 <= entry.major <= _MAJOR_MAX and 0 <= entry.minor <= _MINOR_MAX):
            raise InvalidParameter(
                f"archive entry {entry.shown} has an impossible device number"
                f" {entry.major}:{entry.minor}"
            )
        device = os.makedev(entry.major, entry.minor)
        os.mknod(name, type_bits(entry.kind) | 0o600, device, dir_fd=parent)
        self._dress(entry, parent, name)

    def _dress(self, entry: Entry, parent: int, name: bytes) -> None:
        """Set the attributes of anything but a file.

        A container may put something else in its place meanwhile: it is opened without following
        links and without waking a device, and looked at, before its mode is set.
        """
        if entry.kind is Kind.SYMLINK:
            self._dress_link(entry, parent, name)
            return
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if stat.S_IFMT(os.fstat(descriptor).st_mode) != type_bits(entry.kind):
                raise InvalidParameter(f"{entry.shown} was replaced while it was extracted")
            path = b"/proc/self/fd/%d" % descriptor
            os.chown(path, *self._owner_of(entry))
            os.chmod(path, entry.mode)
            if entry.xattrs:
                _set_xattrs(path, entry, follow=True)
            os.utime(path, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _dress_link(self, entry: Entry, parent: int, name: bytes) -> None:
        os.chown(name, *self._owner_of(entry), dir_fd=parent, follow_symlinks=False)
        if entry.xattrs:
            _set_xattrs(b"/proc/self/fd/%d/%s" % (parent, name), entry, follow=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _owner_of(self, entry: Entry) -> tuple[int, int]:
        uid, gid = self._owner or (entry.uid, entry.gid)
        return _id(entry, uid), _id(entry, gid)


class LayerExtractor(Extractor):
    """Writes a layer as overlayfs wants it: whiteouts as devices 0/0, opaque directories marked."""

    fresh = True

    def special(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> bool:
        """Turn `.wh.` files into what they mean."""
        del entry
        if not name.startswith(WHITEOUT_PREFIX):
            return False
        if name == OPAQUE_MARK:
            self._mark_opaque(parent[1])
            return True
        gone = name[len(WHITEOUT_PREFIX) :]
        if gone.startswith(WHITEOUT_PREFIX) or not gone:
            return True  # AUFS' own files, such as .wh..wh.plnk, mean nothing to a layer
        try:
            os.mknod(gone, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=parent[0])
        except FileExistsError:
            found = os.stat(gone, dir_fd=parent[0], follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                self._mark_opaque(parent[1] + b"/" + gone if parent[1] else gone)
        return True

    def make_way(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        """Let an entry take the place of a whiteout for what lower layers have by its name."""
        if not is_whiteout(os.stat(name, dir_fd=parent[0], follow_symlinks=False)):
            super().make_way(entry, parent, name)
        os.unlink(name, dir_fd=parent[0])

    def meet_directory(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        """Make a directory that replaces a whiteout opaque: what is below stays deleted."""
        covers = is_whiteout(os.stat(name, dir_fd=parent[0], follow_symlinks=False))
        super().meet_directory(entry, parent, name)
        if covers:
            self._mark_opaque(parent[1] + b"/" + name if parent[1] else name)

    def _mark_opaque(self, path: bytes) -> None:
        os.setxattr(self._tree.directory(path)[0], OPAQUE, b"y")


class Replacing(Extractor):
    """Writes into directories in use, as `docker cp` does: files are replaced, directories merged.

    With `strict`, a directory does not replace another kind of file, nor the other way round.
    """

    def __init__(
        self, root: int, *, owner: tuple[int, int] | None = None, strict: bool = False
    ) -> None:
        super().__init__(root, owner=owner)
        self._strict = strict

    def make_way(self, entry: Entry, parent: tuple[int, bytes], name: bytes) -> None:
        """Remove what is in the place of an entry."""
        path = parent[1] + b"/" + name if parent[1] else name
        found = os.stat(name, dir_fd=parent[0], follow_symlinks=False)
        was_directory = stat.S_ISDIR(found.st_mode)
        if self._strict and was_directory != (entry.kind is Kind.DIRECTORY):
            kinds = ("directory", "non-directory")
            old, new = kinds if was_directory else reversed(kinds)
            raise InvalidParameter(f"cannot overwrite {old} {shown(path)} with {new} {shown(path)}")
        remove(name, parent[0])
        if was_directory:
            self.forget_below(path)


def is_whiteout(found: os.stat_result) -> bool:
    """Tell whether this is overlayfs' mark of a deleted file: a character device 0/0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _write(descriptor: int, piece: memoryview) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):
        written += os.write(descriptor, piece[written:])


def _write_sparse(descriptor: int, entry: Entry, reader: TarReader) -> None:
    """Write the extents and leave holes between them."""
    os.ftruncate(descriptor, entry.size)
    extents = iter(entry.extents or ())
    left = 0
    for piece in reader.content():
        while piece:
            while not left:
                offset, left = next(extents)
                os.lseek(descriptor, offset, os.SEEK_SET)
            _write(descriptor, piece[:left])
            taken = min(left, len(piece))
            piece = piece[taken:]  # noqa: PLW2901 - the rest of the piece is the next extent's
            left -= taken


def _id(entry: Entry, number: int) -> int:
    if not 0 <= number <= _ID_MAX:
        raise InvalidParameter(f"archive entry {entry.shown} has an impossible owner {number}")
    return number


def _set_xattrs(target: int | bytes, entry: Entry, *, follow: bool = True) -> None:
    """Set extended attributes; what the file system cannot hold is left out, as in Docker."""
    for name, value in (entry.xattrs or {}).items():
        if name.startswith(_OVERLAY_XATTRS):
            continue
        try:
            os.setxattr(target, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise


@contextlib.contextmanager
def _blaming(entry: Entry) -> Iterator[None]:
    """Turn a system call's failure into a sentence that names the entry."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO).lower()
        if error.errno in _OUR_FAULT:
            raise LadingError(f"cannot write {entry.shown}: {reason}") from error
        raise InvalidParameter(f"cannot extract {entry.shown}: {reason}") from error
