"""Which of an index's manifests is for this machine, or for the platform asked for.

Source: OCI image-spec 1.1, "OCI Image Index"; names as `--platform os/arch[/variant]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from lading.errors import InvalidParameter, NotFound
from lading.image.model import Platform as Described
from lading.image.model import architecture
from lading.image.registry.manifests import Descriptor
from lading.image.store import Image

_VARIANTS = {"aarch64": "v8", "armv7l": "v7", "armv6l": "v6"}
_ALIASES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "armhf": "arm",
    "armel": "arm",
}
_RUNS_ALSO = {"amd64": ("386",), "arm64": ("arm",)}
_OSES = frozenset({"linux", "windows", "darwin", "freebsd"})
_ARCHITECTURES = frozenset(
    [
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
    ]
)
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_USUAL = {"amd64": 1, "arm": 7, "arm64": 8}
"""The variant that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture and, for some, its variant."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os[/arch[/variant]]`; an architecture alone is Linux's, a system this machine's.

        Raises InvalidParameter in containerd's words, which are Docker's.
        """
        parts = text.lower().split("/")
        if len(parts) > 3:
            raise InvalidParameter(f'"{text}": cannot parse platform specifier: invalid argument')
        for part in parts:
            if not _PART.fullmatch(part):
                raise InvalidParameter(
                    f'"{part}" is an invalid component of "{text}": platform specifier component '
                    'must match "^[A-Za-z0-9_.-]+$": invalid argument'
                )
        if len(parts) == 1:
            alone = _ALIASES.get(parts[0], parts[0])
            if alone not in _OSES | _ARCHITECTURES:
                raise InvalidParameter(
                    f'"{text}": unknown operating system or architecture: invalid argument'
                )
            parts = ["linux", alone] if alone in _ARCHITECTURES else [alone, host().architecture]
        parts[1] = _ALIASES.get(parts[1], parts[1])
        return cls(*parts)

    @classmethod
    def from_json(cls, text: str) -> Platform:
        """Read the JSON object of OCI's image-spec that query parameters of the API have.

        Raises InvalidParameter: it is no such object, or has no system or no architecture.
        """
        try:
            given = msgspec.json.decode(text, type=Described)
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise InvalidParameter(f"failed to parse platform: {error}") from None
        if not given.os or not given.architecture:
            raise InvalidParameter("both OS and Architecture must be provided")
        return cls(given.os, given.architecture, given.variant)

    def runs(self, other: Platform) -> bool:
        """Tell whether this platform runs what was made for another, as containerd has it.

        An older variant runs on a newer one, 32-bit programs on their 64-bit platform.
        """
        runnable = (self.architecture, *_RUNS_ALSO.get(self.architecture, ()))
        if self.os != other.os or other.architecture not in runnable:
            return False
        if not other.variant or other.variant == self.variant:
            return True
        return _rank(other) <= _rank(self)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _rank(platform: Platform) -> int:
    """Give a variant's number; one without a number is newer than any."""
    if not platform.variant:
        return _USUAL.get(platform.architecture, 0)
    number = platform.variant.removeprefix("v")
    return int(number) if number.isdecimal() else 1 << 16


def host() -> Platform:
    """The platform of the running kernel."""
    return Platform("linux", architecture(), _VARIANTS.get(os.uname().machine, ""))


def mismatch(reference: str, image: Image, wanted: Platform) -> str:
    """Say, in Docker's words, that an image is not for a platform; "" when it is."""
    own = Platform(image.os, image.architecture, image.variant)
    if wanted.runs(own):
        return ""
    return (
        f"image with reference {reference} was found but its platform ({own}) does not match the "
        f"specified platform ({wanted})"
    )


def choose(entries: Sequence[Descriptor], wanted: Platform | None, reference: str) -> Descriptor:
    """The entry for `wanted`, else the best one for this machine.

    Raises NotFound in Docker's words when there is none.
    """
    platform = wanted or host()
    candidates = [platform]
    if wanted is None:
        others = _RUNS_ALSO.get(platform.architecture, ())
        candidates += [Platform("linux", other) for other in others]
    for candidate in candidates:
        fitting = [entry for entry in entries if _fits(entry, candidate)]
        exact = [entry for entry in fitting if _variant(entry) == candidate.variant]
        if fitting:
            return (exact or fitting)[0]
    raise NotFound(
        f"no matching manifest for {platform} in the manifest list entries: {reference} has "
        f"{', '.join(sorted(filter(None, map(_name, entries)))) or 'none with a platform'}"
    )


def _fits(entry: Descriptor, platform: Platform) -> bool:
    if entry.platform is None:
        return False
    same = (entry.platform.os, entry.platform.architecture) == (platform.os, platform.architecture)
    return same and (not platform.variant or _variant(entry) in ("", platform.variant))


def _variant(entry: Descriptor) -> str:
    return entry.platform.variant if entry.platform else ""


def _name(entry: Descriptor) -> str:
    if entry.platform is None or entry.platform.os == "unknown":
        return ""
    return str(Platform(entry.platform.os, entry.platform.architecture, entry.platform.variant))
