"""Which of an index's manifests is for this machine, or for the platform asked for.

Source: OCI image-spec 1.1, "OCI Image Index"; names as `--platform os/arch[/variant]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lading.errors import InvalidParameter, NotFound
from lading.image.model import architecture
from lading.image.registry.manifests import Descriptor

_VARIANTS = {"aarch64": "v8", "armv7l": "v7", "armv6l": "v6"}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}
_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 "
    "solaris windows zos".split()
)
_ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x "
    "sparc64 wasm".split()
)
_COMPONENT = re.compile("[A-Za-z0-9_.-]+")
_RUNS_ALSO = {"amd64": ("386",), "arm64": ("arm",)}


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture and, for some, its variant."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/arch[/variant]`; an architecture alone is Linux's.

        Raises InvalidParameter, in Docker's words.
        """
        parts = text.lower().split("/")
        for part in parts:
            if not _COMPONENT.fullmatch(part):
                raise InvalidParameter(
                    f'"{part}" is an invalid component of "{text}": platform specifier component '
                    f'must match "^{_COMPONENT.pattern}$": invalid argument'
                )
        if len(parts) > 3:
            raise InvalidParameter(f'"{text}": cannot parse platform specifier: invalid argument')
        if len(parts) == 1:
            parts = _completed(parts[0], text)
        parts[1] = _ALIASES.get(parts[1], parts[1])
        variant = parts[2] if len(parts) == 3 else ""
        return cls(parts[0], parts[1], variant)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _completed(word: str, text: str) -> list[str]:
    """Give both parts of a platform of which one is named."""
    if word in _SYSTEMS:
        return [word, host().architecture]
    if _ALIASES.get(word, word) in _ARCHITECTURES:
        return ["linux", word]
    raise InvalidParameter(f'"{text}": unknown operating system or architecture: invalid argument')


def host() -> Platform:
    """The platform of the running kernel."""
    return Platform("linux", architecture(), _VARIANTS.get(os.uname().machine, ""))


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
