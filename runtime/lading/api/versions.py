"""API versions: what a client may ask for, and how an older one is told apart."""

from __future__ import annotations

import re
from typing import NamedTuple

from lading.errors import InvalidParameter


class Version(NamedTuple):
    """A version of the API; compares as a number does: 1.9 < 1.24."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `1.51`; a missing or further part counts as Docker counts it, 0 or not at all."""
        numbers = [int(part) if part else 0 for part in text.split(".")]
        return cls(numbers[0], numbers[1] if len(numbers) > 1 else 0)


MINIMUM = Version(1, 24)
CURRENT = Version(1, 51)

_PREFIX = re.compile(r"/v([0-9][0-9.]*)(/.*)")


def split_version(path: str) -> tuple[str | None, str]:
    """Split `/v1.51/info` in `1.51` and `/info`; without a version the first is None."""
    found = _PREFIX.fullmatch(path)
    return (found[1], found[2]) if found else (None, path)


def negotiate(asked: str | None) -> Version:
    """Return the version to speak with a client that asked for `asked`, None for the newest.

    Raises InvalidParameter, in Docker's words, for a version outside of those supported.
    """
    if asked is None:
        return CURRENT
    version = Version.parse(asked)
    if version > CURRENT:
        raise InvalidParameter(
            f"client version {asked} is too new. Maximum supported API version is {CURRENT}"
        )
    if version < MINIMUM:
        raise InvalidParameter(
            f"client version {asked} is too old. Minimum supported API version is {MINIMUM}, "
            "please upgrade your client to a newer version"
        )
    return version
