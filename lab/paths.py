"""Where the lab keeps things."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout."""

CACHE = Path(os.environ.get("LADING_CACHE", "/var/cache/lading"))
"""Root file systems, images and kernels, by the content of what they are made of."""

RESULTS = Path(os.environ.get("LADING_RESULTS", PROJECT / "results"))
"""What runs observed and measured."""

RUN = Path("/run/lading-lab")
"""Sockets, pids and the host's settings as they were, while something of the lab is up."""


def program(name: str) -> str:
    """A program of the project's own environment, such as `ladingd`."""
    return str(PROJECT / ".venv" / "bin" / name)
