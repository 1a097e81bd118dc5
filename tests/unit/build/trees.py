"""Contexts and images for the tests of the builder's files: small archives and directories."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from lading.build.context import Context, receive
from lading.build.copying import CopyPlan, CopyRequest, Item, plan
from lading.build.sources import Source

MTIME = 1_000_000_000
KINDS = {"d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE}


Member: TypeAlias = tuple[tarfile.TarInfo, bytes]


def member(
    name: str,
    content: bytes = b"",
    *,
    kind: str = "f",
    to: str = "",
    mode: int | None = None,
    owner: tuple[int, int] = (0, 0),
    mtime: int = MTIME,
    xattrs: dict[str, str] | None = None,
) -> Member:
    info = tarfile.TarInfo(name)
    info.type = KINDS.get(kind, tarfile.REGTYPE)
    info.mode = mode if mode is not None else (0o755 if kind == "d" else 0o644)
    info.linkname, info.mtime, info.size = to, mtime, len(content)
    info.uid, info.gid = owner
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
    return info, content


def pack(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


DOCKERFILE = member("Dockerfile", b"FROM scratch\n")


@contextmanager
def context(place: Path, *members: Member, dockerfile: str = "FROM scratch\n") -> Iterator[Context]:
    file = member("Dockerfile", dockerfile.encode())
    made = receive(io.BytesIO(pack(file, *members)), place)
    try:
        yield made
    finally:
        made.close()


def request(line: str, **more: object) -> CopyRequest:
    keyword, *sources, destination = line.split()
    return CopyRequest(keyword, tuple(sources), destination, **more)  # type: ignore[arg-type]


def layer_of(
    made: CopyPlan, place: Path, root: int | None = None
) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(made.layer(root, place)))) as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            assert info.name not in found
            found[info.name] = info, file.read() if file else b""
    return found


def copied(
    line: str,
    source: Source | None,
    place: Path,
    root: int | None = None,
    inline: dict[str, Item] | None = None,
    **more: object,
) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    return layer_of(plan(request(line, **more), source, inline), place, root)


def shown(layer: dict[str, tuple[tarfile.TarInfo, bytes]]) -> list[str]:
    """Name, mode, owner and, of a link, its target, one line for each."""
    return [
        f"{name} {info.mode:o} {info.uid}:{info.gid}"
        + (f" > {info.linkname}" if info.linkname else "")
        for name, (info, _) in layer.items()
    ]
