"""Writes a container's log file and rotates it; the shim's half of the json-file driver.

`path` is the current file, `path.1` its predecessor, and so on. A file is rotated when it has grown
to `max_size`, before the next line. Compressed predecessors are called `path.N.gz`; another process
compresses them, and their gzip header keeps the inode number that the file had, so that a follower
who is behind finds the place where it stopped.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lading.kernel.process import close_range
from lading.shim.logencoding import EntryEncoder, LineCutter
from lading.shim.moments import rfc3339

if TYPE_CHECKING:
    from lading.shim.protocol import LogConfig

MODE = 0o640
INODE_COMMENT = b"inode "
_GZIP_HEADER = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, 0x10, 0, 0, 3)
"""RFC 1952: deflate, a comment follows, no time, made on Unix."""
_CHUNK = 256 * 1024


class LogWriter:
    """The log of one container, open for as long as it runs.

    A write that fails loses its lines and no more: a full disk must not stop the container.
    `error` tells of the last failure.
    """

    def __init__(self, config: LogConfig) -> None:
        self.error = ""
        self._config = config
        self._descriptor = -1
        self._size = 0
        self._torn = False
        self._compressor = 0
        self._cutters = {name: LineCutter() for name in ("stdout", "stderr")}
        self._encoders = {name: EntryEncoder(name, config.attrs) for name in self._cutters}
        if config.driver != "none":
            self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Log output of "stdout" or "stderr"; its lines bear the time of this call."""
        if self._descriptor < 0:
            return
        blocks = self._cutters[stream].feed(data)
        if blocks:
            self._append(stream, blocks)

    def close(self) -> None:
        """Write what had no newline, and close."""
        if self._descriptor < 0:
            return
        for stream, cutter in self._cutters.items():
            rest = cutter.flush()
            if rest:
                self._append(stream, [rest])
        os.close(self._descriptor)
        self._descriptor = -1
        self._wait_for_compressor()

    def _append(self, stream: str, blocks: list[bytes]) -> None:
        now = rfc3339(time.time_ns())
        encode = self._encoders[stream].encode
        data = memoryview(b"".join([encode(block, now) for block in blocks]))
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError as error:
            self.error = f"write {self._config.path}: {error.strerror}"

    def _write_some(self, data: memoryview) -> int:
        """Write as many whole lines as the current file takes, rotating it if it is full."""
        limit = self._config.max_size
        end = len(data)
        if limit > 0:
            if self._size >= limit:
                self._rotate()
            if self._size + end > limit:
                end = bytes(data).find(b"\n", max(0, limit - self._size - 1)) + 1
        if self._torn:
            os.write(self._descriptor, b"\n")
            self._torn = False
        written = 0
        while written < end:
            self._torn = True
            count = os.write(self._descriptor, data[written:end])
            written += count
            self._size += count
        self._torn = False
        return end

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._config.path, flags, MODE)
        self._size = os.fstat(self._descriptor).st_size
        last = os.pread(self._descriptor, 1, self._size - 1) if self._size else b"\n"
        self._torn = last != b"\n"

    def _rotate(self) -> None:
        """Begin a new file; if that fails, go on in the old one."""
        path, keep = self._config.path, self._config.max_file
        self._wait_for_compressor()
        try:
            if keep > 1:
                _shift(path, keep)
            fresh = _created(path)
        except OSError as error:
            self.error = f"rotate {path}: {error.strerror}"
            return
        os.close(self._descriptor)
        self._descriptor, self._size, self._torn = fresh, 0, False
        if keep > 1 and self._config.compress:
            self._compressor = os.fork()
            if self._compressor == 0:
                _compress_and_exit(f"{path}.1")

    def _wait_for_compressor(self) -> None:
        if self._compressor:
            with suppress(ChildProcessError):  # whoever reaps all children of this process did it
                os.waitpid(self._compressor, 0)
            self._compressor = 0


def _shift(path: str, keep: int) -> None:
    """Make room for the current file as number 1; the oldest is replaced."""
    for suffix in ("", ".gz"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}.{keep - 1}{suffix}")
    for number in range(keep - 2, 0, -1):
        for suffix in ("", ".gz"):
            with suppress(FileNotFoundError):
                os.rename(f"{path}.{number}{suffix}", f"{path}.{number + 1}{suffix}")
    os.link(path, f"{path}.1")


def _created(path: str) -> int:
    """Put an empty file in the place of `path`, in one step, and open it."""
    fresh = f"{path}.new"
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(fresh, flags, MODE)
    try:
        os.rename(fresh, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _compress_and_exit(path: str) -> None:
    """Be the process that compresses a rotated file; it holds nothing of the shim's open."""
    status = 1
    try:
        close_range(3)
        compress(path)
        status = 0
    finally:
        os._exit(status)


def compress(path: str) -> None:
    """Replace `path` by `path.gz`, whose header's comment names the inode that `path` had."""
    import zlib

    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    checksum = size = 0
    partial = f"{path}.gz.new"
    with open(path, "rb") as source, open(partial, "wb") as target:
        inode = os.fstat(source.fileno()).st_ino
        os.fchmod(target.fileno(), MODE)
        target.write(_GZIP_HEADER + INODE_COMMENT + str(inode).encode() + b"\0")
        while chunk := source.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
            size += len(chunk)
            target.write(packer.compress(chunk))
        target.write(packer.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))
    os.rename(partial, f"{path}.gz")
    os.unlink(path)
