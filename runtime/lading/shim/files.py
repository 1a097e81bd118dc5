"""What the shim leaves in the bundle: exit.json and steps.json, each written in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lading.files import write_atomically
from lading.shim.protocol import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.oci.steps.base import Timing

EXIT_NAME = "exit.json"
STEPS_NAME = "steps.json"


class Steps(msgspec.Struct, frozen=True):
    """A container's start as it was carried out, in order; times in nanoseconds."""

    steps: Sequence[Timing]
    warnings: list[str]
    started_at: str
    """When the program was executed, RFC 3339."""
    total_ns: int
    """From the shim's taking the request until then."""


def write(bundle: str, name: str, content: msgspec.Struct) -> None:
    """Put a file into the bundle: a reader sees all of it, or the old one.

    It is not flushed to a disk: what it tells of does not outlive the machine either.
    """
    write_atomically(Path(bundle, name), msgspec.json.encode(content) + b"\n", durable=False)


def read_exit(bundle: str) -> ExitStatus | None:
    """Read exit.json; None if there is none."""
    try:
        with open(f"{bundle}/{EXIT_NAME}", "rb") as file:
            return msgspec.json.decode(file.read(), type=ExitStatus)
    except FileNotFoundError:
        return None
