"""Read, decompress and hash in a thread of its own, ahead of whoever uses the plain bytes.

Decompression, hashing and the extractor's system calls all give up the interpreter lock, so on two
cores unpacking a layer takes about as long as the slower half of the work.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from types import TracebackType

from lading.storage.archive.compression import Compression, open_plain
from lading.storage.digests import Digest
from lading.storage.streams import Progress, Readable

AHEAD = 4
"""How many pieces of at most one MiB may wait between the two threads."""


class Pipeline:
    """The plain bytes of a stream, with the digests of both its forms.

    Use as a context; `pull` gives the next bytes, empty at the end. An error of the reading side
    (damaged compression, a source that fails) is raised by `pull`. Leaving the context early stops
    the thread after its current read.
    """

    def __init__(self, source: Readable, progress: Progress | None = None) -> None:
        self.compression = Compression.NONE
        self.size = 0
        """Plain bytes given so far; all of them once `pull` returned none."""
        self.raw_size = 0
        self._source = source
        self._progress = progress
        self._raw_hash = hashlib.sha256()
        self._plain_hash = hashlib.sha256()
        self._ready: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="lading-unpack", daemon=True)

    @property
    def diff_id(self) -> Digest:
        """The digest of the plain bytes; valid once `pull` returned none."""
        return "sha256:" + self._plain_hash.hexdigest()

    @property
    def raw_digest(self) -> Digest:
        """The digest of the bytes as they came; valid once `pull` returned none."""
        if self.compression is Compression.NONE:
            return self.diff_id
        return "sha256:" + self._raw_hash.hexdigest()

    def __enter__(self) -> Pipeline:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join()

    def pull(self) -> bytes:
        """Return the next plain bytes; empty at the end."""
        with self._changed:
            while not self._ready:
                if self._failure is not None:
                    raise self._failure
                self._changed.wait()
            data = self._ready[0]
            if data:
                self._ready.popleft()
                self._changed.notify_all()
                self.size += len(data)
            return data

    def _work(self) -> None:
        try:
            self._pump()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that pulls
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _pump(self) -> None:
        metered = _Metered(self, self._source)
        self.compression, pull = open_plain(metered)
        metered.hashing = self.compression is not Compression.NONE
        if metered.hashing:
            self._raw_hash.update(metered.first)
        metered.first = b""
        while True:
            data = pull()
            self._plain_hash.update(data)
            if not data and metered.hashing:
                self._drain(metered)
            with self._changed:
                while len(self._ready) >= AHEAD and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                self._ready.append(data)
                self._changed.notify_all()
            if not data:
                return

    def _drain(self, metered: _Metered) -> None:
        """Read what a decompressor left behind, for the digest of the raw bytes."""
        while metered.read(1 << 18):
            pass

    def account(self, data: bytes, *, hashing: bool) -> None:
        """Note raw bytes that were read."""
        self.raw_size += len(data)
        if hashing:
            self._raw_hash.update(data)
        if self._progress is not None and data:
            self._progress(self.raw_size)


class _Metered:
    """Counts and hashes what is read from the source.

    Until the compression is known the bytes are kept in `first`: plain ones are hashed but once.
    """

    def __init__(self, pipeline: Pipeline, source: Readable) -> None:
        self.hashing = False
        self.first = b""
        self._detecting = True
        self._pipeline = pipeline
        self._source = source

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        if self._detecting:
            self.first += data
            self._detecting = len(self.first) < 6 and bool(data)
        self._pipeline.account(data, hashing=self.hashing)
        return data
