"""Debian's archive: what a release has, verified by the archive's signature and digests."""

from __future__ import annotations

import hashlib
import lzma
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException
from pathlib import Path

from lab.shell import LabError, require, run
from lab.trees import mirror

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the archive; `path` is from the mirror's top."""

    name: str
    version: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Debian as the archive has it now; `date` in seconds since 1970."""

    suite: str
    date: int
    digests: dict[str, str]


@cache
def release(suite: str) -> Release:
    """What the archive says of a release, after its signature. Raises LabError."""
    require("gpgv")
    data = fetch(f"dists/{suite}/InRelease")
    with tempfile.TemporaryDirectory(prefix="lading-bake-") as directory:
        signed, plain = Path(directory) / "InRelease", Path(directory) / "Release"
        signed.write_bytes(data)
        try:
            run("gpgv", "--quiet", "--keyring", str(_KEYRING), "--output", str(plain), str(signed))
        except LabError as error:
            raise LabError(f"the mirror's InRelease of {suite} is not Debian's: {error}") from None
        text = plain.read_text()
    date = re.search(r"^Date: (.+)$", text, re.MULTILINE)
    if date is None:
        raise LabError(f"the mirror's InRelease of {suite} has no date")
    listed = text.partition("\nSHA256:\n")[2].splitlines()
    digests = {words[2]: words[0] for line in listed if len(words := line.split()) == 3}
    return Release(suite, int(parsedate_to_datetime(date[1]).timestamp()), digests)


@cache
def kernel(suite: str, version: str) -> list[Package]:
    """The packages of the newest kernel of that version, such as 6.1. Raises LabError.

    The first is its image; newer kernels have their modules and their program beside it.
    """
    pattern = re.compile(rf"linux-image-({re.escape(version)}\.[0-9][^/]*-amd64)")
    packages = list(_packages(suite))
    images = [
        (package, match[1])
        for package in packages
        if (match := pattern.fullmatch(package.name))
        and not match[1].endswith(("-cloud-amd64", "-rt-amd64"))
    ]
    if not images:
        raise LabError(
            f"Debian {suite} has no kernel {version}: change [kernels] in lab/cells.toml"
        )
    image, kernel_release = max(images, key=lambda one: _order(one[0].version))
    beside = {f"linux-{part}-{kernel_release}" for part in ("base", "binary", "modules")}
    return [image, *(one for one in packages if one.name in beside)]


def _packages(suite: str) -> Iterator[Package]:
    """The packages of kernels."""
    index = "main/binary-amd64/Packages.xz"
    data = _verified(f"dists/{suite}/{index}", release(suite).digests.get(index, ""))
    for stanza in lzma.decompress(data).decode().split("\n\n"):
        if stanza.startswith("Package: linux-"):
            pairs = [line.partition(": ") for line in stanza.splitlines() if ": " in line]
            fields = {name: value for name, _, value in pairs}
            yield Package(
                fields["Package"], fields["Version"], fields["Filename"], fields["SHA256"]
            )


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def download(package: Package, target: Path) -> None:
    """Fetch a package. Raises LabError: the mirror failed, or gave something else."""
    target.write_bytes(_verified(package.path, package.sha256))


def _verified(path: str, sha256: str) -> bytes:
    data = fetch(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise LabError(f"{mirror()}/{path} is not what the archive's index says: try again later")
    return data


def fetch(path: str) -> bytes:
    """A file of the mirror's, tried a few times. Raises LabError."""
    url, reason = f"{mirror()}/{path}", ""
    for _ in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            raise LabError(f"{url}: {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error))
    raise LabError(f"{url} could not be fetched in {_ATTEMPTS} attempts: {reason}")
