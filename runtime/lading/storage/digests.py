"""Digests, the names of content: `sha256:` and 64 hex digits (OCI image-spec, descriptor.md)."""

from __future__ import annotations

import hashlib
import re
from typing import TypeAlias

from lading.errors import InvalidParameter

Digest: TypeAlias = str
"""A digest of bytes as they stand, such as `sha256:e3b0…`."""

DiffId: TypeAlias = str
"""The digest of a layer's *uncompressed* tar stream."""

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes | memoryview) -> Digest:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Tell whether `text` is a well-formed SHA-256 digest."""
    return _SHA256.fullmatch(text) is not None


def hex_of(digest: Digest) -> str:
    """Return the 64 hexadecimal digits of a digest; raise InvalidParameter for anything else.

    This is what keeps a digest from a manifest out of a path it should not name.
    """
    if not is_digest(digest):
        raise InvalidParameter(f"invalid digest {digest!r}: expected sha256: and 64 hex digits")
    return digest[7:]
