"""Archives for tests, written by Python's tarfile: a writer that is not ours."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lading.storage.archive.reader import TarReader

FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHAR, FIFO = tarfile.CHRTYPE, tarfile.FIFOTYPE


@dataclass
class Item:
    """One entry of an archive to be made."""

    name: str
    data: bytes = b""
    kind: bytes = FILE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 1_700_000_000
    device: tuple[int, int] = (0, 0)
    pax: dict[str, str] = field(default_factory=dict)


def directory(name: str, **more: object) -> Item:
    return Item(name, kind=DIR, **{"mode": 0o755, **more})  # type: ignore[arg-type]


def link(name: str, target: str) -> Item:
    return Item(name, kind=LINK, link=target, mode=0o777)


def hard(name: str, target: str) -> Item:
    return Item(name, kind=HARD, link=target)


def tar(items: Iterable[Item], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Write the items in one of tarfile's formats."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for item in items:
            info = tarfile.TarInfo(item.name)
            info.type, info.linkname = item.kind, item.link
            info.mode, info.uid, info.gid = item.mode, item.uid, item.gid
            info.mtime, info.size = item.mtime, len(item.data)
            info.devmajor, info.devminor = item.device
            info.pax_headers = item.pax
            archive.addfile(info, io.BytesIO(item.data))
    return out.getvalue()


def pulling(data: bytes, step: int = 1 << 16) -> Callable[[], bytes]:
    """Give `data` in pieces of `step` bytes."""
    source = io.BytesIO(data)
    return lambda: source.read(step)


def reader(data: bytes, step: int = 1 << 16) -> TarReader:
    return TarReader(pulling(data, step))


class Drip(io.BytesIO):
    """A stream that gives few bytes at a time, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 1, 1000) if size is not None and size > 0 else 1000)
