"""A kernel's configuration file: `/proc/config.gz`, `/boot/config-*`, or one given."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.kernels.options import Version

_SETTING = re.compile(r"^CONFIG_(\w+)=(.*)$")
_RELEASE = re.compile(r"(\d+)\.(\d+)")
_HEADER = re.compile(r"Linux/\S+ (\d+)\.(\d+)\S* Kernel Configuration")


class NoConfig(Exception):
    """There is no configuration to read; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class KernelConfig:
    """The symbols that are set, without CONFIG_, to `y`, `m` or their value."""

    source: str
    version: Version
    symbols: Mapping[str, str]

    def state(self, symbol: str) -> str:
        """`y`, `m`, a value, or "" when the symbol is not set."""
        return self.symbols.get(symbol, "")


def read(path: Path) -> KernelConfig:
    """Read a configuration, compressed by gzip or not.

    Raises NoConfig: the file is missing, unreadable, or holds no kernel configuration.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise NoConfig(f"{path} cannot be read as a kernel configuration: {error}") from None
    symbols = {
        match[1]: match[2].strip('"') for match in map(_SETTING.match, text.splitlines()) if match
    }
    if not symbols:
        raise NoConfig(f"{path} holds no CONFIG_ line: it is no kernel configuration")
    header = _HEADER.search(text) or _RELEASE.search(path.name)
    version = (int(header[1]), int(header[2])) if header else (999, 0)
    return KernelConfig(str(path), version, symbols)


def running() -> KernelConfig:
    """The configuration of the kernel that runs here.

    Raises NoConfig: it is in none of the usual places.
    """
    release = Path("/proc/sys/kernel/osrelease").read_text().strip()
    places = (
        Path("/proc/config.gz"),
        Path(f"/boot/config-{release}"),
        Path(f"/usr/lib/modules/{release}/config"),
    )
    for place in places:
        if place.exists():
            return read(place)
    looked = ", ".join(map(str, places))
    raise NoConfig(
        f"this kernel's configuration is in none of {looked}: give it with --config FILE"
    )
